"""Along each input: the others stay in the middle of the data, and beyond it a little."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .comparison import Array, Comparison

POINTS = 121
MARGIN = 0.3
"""How far a slice leaves the recorded range, as a share of it, on either side."""


@dataclass(frozen=True)
class Slice:
    """The equation, and the block where it can be queried, along one input.

    Args:
        name: of the input.
        low: least recorded value.
        high: largest recorded value.
        at: [points], places along the input.
        equation: [points].
        block: [points]; None where it cannot be queried.
    """

    name: str
    low: float
    high: float
    at: Array
    equation: Array
    block: Array | None

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """[points], which places are not outside of what was recorded."""
        inside: npt.NDArray[np.bool_] = (self.at >= self.low) & (self.at <= self.high)
        return inside

    @property
    def effect(self) -> float:
        """How much the output changes along the recorded range."""
        changes = [
            float(np.ptp(finite))
            for curve in (self.equation, self.block)
            if curve is not None and len(finite := curve[self.inside & np.isfinite(curve)])
        ]
        return max(changes, default=0.0)


def slices(comparison: Comparison, count: int) -> list[Slice]:
    """Slices along the inputs with the largest effect, in the order of the columns.

    Args:
        comparison: of finite rows.
        count: most slices.
    """
    middle = np.median(comparison.X, axis=0)
    found = [_slice(comparison, column, middle) for column in range(len(comparison.names))]
    kept = sorted(range(len(found)), key=lambda i: -found[i].effect)[:count]
    return [found[i] for i in sorted(kept)]


def _slice(comparison: Comparison, column: int, middle: Array) -> Slice:
    low, high = float(comparison.X[:, column].min()), float(comparison.X[:, column].max())
    reach = MARGIN * (high - low) or max(abs(low), 1.0) * MARGIN
    at = np.linspace(low - reach, high + reach, POINTS)
    rows = np.repeat(middle[None], POINTS, axis=0)
    rows[:, column] = at
    block = comparison.block
    return Slice(
        comparison.names[column],
        low,
        high,
        at,
        comparison.equation(rows),
        None if block is None else block(rows),
    )


def common_limits(along: Sequence[Slice]) -> tuple[float, float]:
    """One range for the values of all slices, so that they tell which input matters.

    It is that of the curves inside the recorded range: a pole outside would flatten the rest.
    """
    edges: list[float] = []
    for one in along:
        for curve in (one.equation, one.block):
            if curve is not None and len(inside := curve[one.inside & np.isfinite(curve)]):
                # Not the extremes, for there may be a pole inside as well.
                edges += map(float, np.percentile(inside, [3, 97]))
    if not edges:
        return -1.0, 1.0
    low, high = min(edges), max(edges)
    room = 0.3 * (high - low) or max(abs(low), 1.0)
    return low - room, high + room
