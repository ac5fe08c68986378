"""Ranges of functions whose turning points are known: exact but for rounding.

The natural extension of ``s*(1 - s)*(2 + x*(1 - 2*s))`` counts each x and s as if they
moved alone and is several times too wide. Between two turning points a function is
monotone, so its range is the hull of its values at the bounds and at the turning points
inside; the natural extension of a single number is off by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from .elementary import Function
from .interval import Interval, choose

NEARNESS = 2.0**-40
"""Half-width of the interval in which a turning point is known to lie, written to 15 digits."""


def with_turns(function: Function, *turns: float) -> Function:
    """The range of a smooth function.

    >>> parabola = with_turns(lambda x: x * x - x, 0.5)
    >>> around = parabola(Interval.of(0.0, 1.0))
    >>> round(float(around.lower), 6), round(float(around.upper), 6)
    (-0.25, 0.0)

    Args:
        function: its natural extension.
        turns: all points where it turns.
    """

    @cache  # not before it is used: importing computes nothing
    def extremes() -> list[tuple[Interval, Interval]]:
        spots = [Interval.of(turn - NEARNESS, turn + NEARNESS) for turn in turns]
        return [(spot, function(spot)) for spot in spots]

    def on_intervals(x: Interval) -> Interval:
        out = function(Interval.of(x.lower)).hull(function(Interval.of(x.upper)))
        for spot, value in extremes():
            meets = (x.lower <= spot.upper) & (x.upper >= spot.lower)
            out = choose(meets, out.hull(value), out)
        return out

    return on_intervals


def shaped(
    function: Callable[[torch.Tensor], torch.Tensor],
    turns: tuple[float, ...],
    off_by: tuple[float, float],
) -> Function:
    """The range of a smooth function that torch computes with a known absolute error.

    The same as `with_turns` at a fraction of the cost, for the functions that networks
    spend their time in.

    >>> slope = shaped(lambda x: 1 - torch.tanh(x).square(), (0.0,), (128.0, 0.0))
    >>> float(slope(Interval.of(-1.0, 2.0)).upper)
    1.0000000000000144

    Args:
        function: on tensors.
        turns: all points where it turns; the values there must be right when the point
            is off by 1e-15.
        off_by: the error is below ``(a + b*|x|) * 2**-53`` for an ``a`` and a ``b``.
    """

    @cache
    def extremes() -> list[tuple[float, float]]:
        at = torch.tensor(turns, dtype=torch.float64, device="cpu")
        return [*zip(turns, function(at).tolist(), strict=True)]

    def on_intervals(x: Interval) -> Interval:
        ends = function(x.lower), function(x.upper)
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        for turn, value in extremes():
            meets = (x.lower <= turn + NEARNESS) & (x.upper >= turn - NEARNESS)
            low = torch.where(meets, low.clamp(max=value), low)
            high = torch.where(meets, high.clamp(min=value), high)
        error = (off_by[0] + off_by[1] * x.magnitude) * _UNIT if off_by[1] else off_by[0] * _UNIT
        return Interval.outward(low - error, high + error)

    return on_intervals


_UNIT = 2.0**-53
