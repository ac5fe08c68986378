"""What to say of an equation in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..domain import Poles
from .agreement import Agreement, Function, Surrogates
from .constants import ConstantInterval

POOR = 0.5
"""R2 below which an equation explains less than half."""

LITTLE_BETTER = 0.1
"""Share of a line's error that an equation must take away to be worth its curves."""

WRONG = 0.1
"""Difference, as a share of the block's spread, that counts as wrong."""

MANY_WRONG = 0.5
"""Share of rows beyond a cut that must be wrong for the cut to be named."""

CUTS = (0.05, 0.1, 0.2, 0.8, 0.9, 0.95)
"""Quantiles of an input beyond which the error is looked at."""

OVERFITTED = 2.0
"""How many times larger the error may be on rows held out than on those recorded for fitting."""


def warnings_of(
    places: Mapping[str, Agreement],
    surrogates: Surrogates,
    constants: Sequence[ConstantInterval],
    gradients: float,
    regions: Sequence[str],
    poles: Mapping[str, Poles | None],
) -> Iterator[str]:
    """The warnings, the gravest first."""
    held = places["held out"]
    for box, found in poles.items():
        if found is not None and found.status == "found":
            row = ", ".join(f"{name} = {value:.4g}" for name, value in found.row.items())
            yield f"not finite in the {box}, at {row}: {found.reason}"
            break
    if held.undefined:
        yield f"not finite on {held.undefined} of the recorded rows"
    if held.rms > surrogates.constant:
        yield "worse than a constant on rows held out"
    elif held.r2 < POOR:
        yield f"explains less than half of the block: R2 {held.r2:.2f} on rows held out"
    if held.rms > surrogates.linear:
        yield "worse than a line on rows held out"
    elif held.rms > (1 - LITTLE_BETTER) * surrogates.linear > 0:
        yield f"better than a line by {1 - held.rms / surrogates.linear:.0%} only"
    fitted = places.get("recorded")
    if fitted is not None and held.rms > OVERFITTED * fitted.rms > 0:
        yield f"the error is {held.rms / fitted.rms:.1f} times as large on rows held out"
    wide = places.get("widened box")
    if wide is not None and wide.undefined:
        yield f"not finite at {wide.undefined} points a fifth outside of the recorded box"
    if wide is not None and held.rms > 0 and wide.largest > 10 * held.largest:
        yield (
            f"just outside of the recorded box the largest error is "
            f"{wide.largest / held.largest:.0f} times that inside"
        )
    if gradients < POOR < held.r2:
        yield f"values agree, slopes do not: {max(gradients, 0.0):.0%} of the gradients explained"
    loose = sum(not constant.determined for constant in constants)
    if loose:
        yield f"{loose} constant{'s are' if loose > 1 else ' is'} not determined by the rows"
    yield from regions


def wrong_regions(
    equation: Function, block: Function, points: Tensor, names: Sequence[str], most: int = 2
) -> list[str]:
    """Ends of inputs' ranges where most rows are off by more than a tenth of the block's spread.

    Only where the rest of the rows is not: an equation that is wrong everywhere has no region.
    """
    with torch.no_grad():
        expected, values = block(points).double(), equation(points).double()
    spread = float(expected[torch.isfinite(expected)].std(correction=0))
    wrong = ((values - expected).abs() > WRONG * spread).double()
    found: list[tuple[float, str]] = []
    for column, name in enumerate(names):
        x = points[:, column]
        best: tuple[float, str] | None = None
        for cut in CUTS:
            edge = float(torch.quantile(x, cut))
            beyond = x > edge if cut > 0.5 else x < edge
            if not bool(beyond.any()) or bool(beyond.all()):
                continue
            inside, outside = float(wrong[beyond].mean()), float(wrong[~beyond].mean())
            if inside > MANY_WRONG and outside < inside / 4:
                sign = ">" if cut > 0.5 else "<"
                text = f"wrong by more than {WRONG:.0%} for {name} {sign} {edge:.3g}"
                share = float(beyond.double().mean())
                if best is None or share > best[0]:
                    best = (share, text)
        if best is not None:
            found.append(best)
    return [text for _, text in sorted(found, reverse=True)[:most]]
