"""The meaning of a reduced block's coordinates, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError
from ..search.front import Candidate, Front
from .coordinates import Coordinates


def top_features(
    coordinates: Coordinates, number: int, count: int = 5, names: Sequence[str] | None = None
) -> list[tuple[str, float]]:
    """The input columns that a coordinate depends on most, with signed weights.

    A weight is the change of the coordinate, whose standard deviation is 1, when the column
    grows by one standard deviation.

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


def explained(
    coordinates: Coordinates,
    fronts: Mapping[int, Front],
    chosen: Mapping[int, int] | None = None,
) -> dict[int, float]:
    """The share of the outputs' variance that the equation of each reduced output explains.

    Measured on held-out rows, in the metric in which the reduction weighs the outputs.

    Args:
        coordinates: of the block.
        fronts: by reduced output.
        chosen: complexity of the equation to use, by output; `Front.get_best` by default.
    """
    shares, spread = coordinates.shares.tolist(), coordinates.spread.tolist()
    return {
        dim: shares[dim] * (1 - row.validation_loss / spread[dim])
        for dim, row in _rows(fronts, chosen).items()
    }


def describe(
    coordinates: Coordinates,
    fronts: Mapping[int, Front],
    chosen: Mapping[int, int] | None = None,
    digits: int = 3,
) -> str:
    """Coordinates by their top features, and equations with the variance they explain."""
    rows = _rows(fronts, chosen)
    names = next(iter(fronts.values())).variables
    lines = [f"{coordinates.block_name}: {coordinates.extra_repr()}"]
    if coordinates.shape.rank or coordinates.shape.full:
        share = float(coordinates.linear_share)
        lines.append(f"  the linear path explains {share:.1%} of the outputs' variance")
    used = {name for row in rows.values() for name in row.expression.variables}
    for number, name in enumerate(names):
        if name in used:
            features = top_features(coordinates, number)
            text = " ".join(f"{weight:+.{digits}g}*{feature}" for feature, weight in features)
            lines.append(f"  {name}: {text}")
    shares = coordinates.shares.tolist()
    explained_shares = explained(coordinates, fronts, chosen)
    for dim, row in rows.items():
        note = " (trained since)" if row.trained else ""
        lines.append(
            f"  output {dim}: {shares[dim]:.1%} of the variance, {explained_shares[dim]:.1%} "
            f"explained by {row.expression.pretty(digits)}{note}"
        )
    return "\n".join(lines)


def _rows(fronts: Mapping[int, Front], chosen: Mapping[int, int] | None) -> dict[int, Candidate]:
    return {dim: front.select((chosen or {}).get(dim)) for dim, front in fronts.items()}
