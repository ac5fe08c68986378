"""What the coordinates of a reduced block mean, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError
from ..front import Front
from .coordinates import Coordinates


def top_features(
    coordinates: Coordinates, number: int, count: int = 5, names: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """The input columns that a coordinate depends on most, with signed weights.

    A weight is what one standard deviation of the column adds to the coordinate, which has
    a standard deviation of 1 itself.

    Args:
        coordinates: of the block.
        number: which coordinate.
        count: how many columns.
        names: of the columns; the layout's by default, ``x0, x1, ...``.

    Raises:
        InputError: no such coordinate; another number of names.
    """
    shape = coordinates.shape
    if not 0 <= number < shape.coordinates:
        raise InputError(
            f"block '{coordinates.block_name}' has coordinates 0-{shape.coordinates - 1}; "
            f"asked for {number}"
        )
    names = coordinates.layout.inputs.names if names is None else tuple(names)
    if len(names) != shape.width:
        raise InputError(f"{len(names)} names for {shape.width} input columns")
    weights = coordinates.encoder[:, number].detach().double() * coordinates.input_scale.double()
    order = weights.abs().argsort(descending=True)[:count].tolist()
    return [(names[i], float(weights[i])) for i in order]


def explained(coordinates: Coordinates, fronts: Mapping[int, Front]) -> dict[int, float]:
    """The part of the outputs' variance that the best equation of each reduced output explains.

    Measured on rows held out; variance is counted as the reduction weighs the outputs.
    """
    shares, spread = coordinates.shares.tolist(), coordinates.spread.tolist()
    return {
        dim: shares[dim] * (1 - front.get_best().validation_loss / spread[dim])
        for dim, front in fronts.items()
    }


def describe(coordinates: Coordinates, fronts: Mapping[int, Front], digits: int = 3) -> str:
    """Coordinates by their top features, and equations with the variance they explain."""
    names = next(iter(fronts.values())).variables
    lines = [f"{coordinates.block_name}: {coordinates.extra_repr()}"]
    if coordinates.shape.rank or coordinates.shape.full:
        share = float(coordinates.linear_share)
        lines.append(f"  the linear path explains {share:.1%} of the outputs' variance")
    used = {name for front in fronts.values() for name in front.get_best().expression.variables}
    for number, name in enumerate(names):
        if name in used:
            parts = top_features(coordinates, number)
            lines.append(f"  {name}: " + " ".join(f"{w:+.{digits}g}*{f}" for f, w in parts))
    shares, parts_of = coordinates.shares.tolist(), explained(coordinates, fronts)
    for dim, front in fronts.items():
        lines.append(
            f"  output {dim}: {shares[dim]:.1%} of the variance, {parts_of[dim]:.1%} explained by "
            f"{front.get_best().expression.pretty(digits)}"
        )
    return "\n".join(lines)
