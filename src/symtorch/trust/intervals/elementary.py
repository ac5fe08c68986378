"""Elementary functions on intervals: torch's values, widened by what torch may be off by.

How far off is that? torch computes these functions in float64 by one of three libraries,
depending on processor and memory layout: SLEEF (at most 1.0 unit in the last place, 1.5
for erfc), Intel's VML in its high-accuracy mode (1.0) or the C library (glibc's manual
lists at most 5 on any processor, for erfc; 2 or less for the others here). `ULPS` is 8,
above all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .interval import Interval, choose, everything_where

ULPS = 8
"""Units in the last place by which a transcendental function of torch may be off."""

UNDERFLOW = 2.0**-1022
"""Absolute error of a result among the subnormal numbers, where relative errors say nothing."""

LARGEST_ANGLE = 2.0**40
"""Up to here the period is counted off; an angle beyond it may be anywhere in its period."""

PI = Interval.of(math.pi, math.nextafter(math.pi, 4.0))
"""math.pi is the float below the number."""

Function = Callable[[Interval], Interval]


def constant(value: float) -> Interval:
    """An exact number."""
    return Interval.of(value)


def widened(low: torch.Tensor, high: torch.Tensor, ulps: float = ULPS) -> Interval:
    """Bounds computed by a function that may be off by some units in the last place."""
    share = ulps * 2.0**-52
    return Interval.outward(
        low - low.abs() * share - UNDERFLOW, high + high.abs() * share + UNDERFLOW
    )


def increasing(
    function: Callable[[torch.Tensor], torch.Tensor],
    *,
    between: tuple[float, float] = (-math.inf, math.inf),
    keeps_sign: bool = False,
    ulps: float = ULPS,
) -> Function:
    """An increasing function of torch on intervals.

    Args:
        function: on tensors.
        between: bounds of its values.
        keeps_sign: whether it is 0 at 0.
        ulps: by which it may be off.
    """

    def on_intervals(x: Interval) -> Interval:
        out = widened(function(x.lower), function(x.upper), ulps).clamp(*between)
        if keeps_sign:
            low = torch.where(x.is_nonnegative, out.lower.clamp(min=0.0), out.lower)
            return Interval(low, torch.where(x.is_nonpositive, out.upper.clamp(max=0.0), out.upper))
        return out

    return on_intervals


def within(function: Function, low: float, high: float) -> Function:
    """A function on the part of its argument that lies in its domain."""
    return lambda x: function(x.clamp(low, high))


# torch's cube root is a power with fl(1/3), which is off by 1.9e-17: times log(x) <= 745
# that is 62 units in the last place.
_CUBE_ROOT_ULPS = 80.0

_HUGE = math.inf

exp = increasing(torch.exp, between=(0.0, _HUGE))
expm1 = increasing(torch.expm1, between=(-1.0, _HUGE), keeps_sign=True)
log = within(increasing(torch.log), 0.0, _HUGE)
log2 = within(increasing(torch.log2), 0.0, _HUGE)
log10 = within(increasing(torch.log10), 0.0, _HUGE)
log1p = within(increasing(torch.log1p, keeps_sign=True), -1.0, _HUGE)
sqrt = within(increasing(torch.sqrt, between=(0.0, _HUGE)), 0.0, _HUGE)
cbrt = increasing(
    lambda x: torch.sign(x) * x.abs() ** (1.0 / 3.0), keeps_sign=True, ulps=_CUBE_ROOT_ULPS
)
_ASIN = increasing(torch.asin, keeps_sign=True)
asin = within(_ASIN, -1.0, 1.0)
atan = increasing(torch.atan, keeps_sign=True)
sinh = increasing(torch.sinh, keeps_sign=True)
tanh = increasing(torch.tanh, between=(-1.0, 1.0), keeps_sign=True)
asinh = increasing(torch.asinh, keeps_sign=True)
acosh = within(increasing(torch.acosh, between=(0.0, _HUGE)), 1.0, _HUGE)
atanh = within(increasing(torch.atanh, keeps_sign=True), -1.0, 1.0)
erf = increasing(torch.erf, between=(-1.0, 1.0), keeps_sign=True)
sigmoid = increasing(torch.sigmoid, between=(0.0, 1.0))
softplus = increasing(lambda x: torch.logaddexp(x, torch.zeros_like(x)), between=(0.0, _HUGE))


def acos(x: Interval) -> Interval:
    """Decreasing, from pi to 0."""
    x = x.clamp(-1.0, 1.0)
    return widened(torch.acos(x.upper), torch.acos(x.lower)).clamp(0.0, float(PI.upper))


def erfc(x: Interval) -> Interval:
    """Decreasing, from 2 to 0."""
    return widened(torch.erfc(x.upper), torch.erfc(x.lower)).clamp(0.0, 2.0)


def cosh(x: Interval) -> Interval:
    """Even, least at 0."""
    size = x.abs()
    return widened(torch.cosh(size.lower), torch.cosh(size.upper)).clamp(1.0, math.inf)


def square(x: Interval) -> Interval:
    """x**2."""
    return x.square()


def cube(x: Interval) -> Interval:
    """x**3, increasing."""
    out = widened(x.lower * x.lower * x.lower, x.upper * x.upper * x.upper)
    low = torch.where(x.is_nonnegative, out.lower.clamp(min=0.0), out.lower)
    return Interval(low, torch.where(x.is_nonpositive, out.upper.clamp(max=0.0), out.upper))


def reciprocal(x: Interval) -> Interval:
    """1/x."""
    return x.reciprocal()


def floor(x: Interval) -> Interval:
    """The largest whole number not above."""
    return Interval(torch.floor(x.lower), torch.floor(x.upper))


def ceil(x: Interval) -> Interval:
    """The least whole number not below."""
    return Interval(torch.ceil(x.lower), torch.ceil(x.upper))


def sign(x: Interval) -> Interval:
    """-1, 0 or 1."""
    return Interval(torch.sign(x.lower), torch.sign(x.upper))


def _meets(x: Interval, first: float, period: float) -> torch.Tensor:
    """Whether an interval may contain ``first + k*period`` for a whole ``k``."""
    low, high = (x.lower - first) / period, (x.upper - first) / period
    # Three roundings, of numbers up to the larger one; doubtful cases count as a yes.
    slack = 2.0**-50 * (1.0 + torch.maximum(low.abs(), high.abs()))
    return torch.ceil(low - slack) <= high + slack


def _wave(function: Callable[[torch.Tensor], torch.Tensor], highest: float) -> Function:
    """A sine with its crests at ``highest + 2*pi*k``."""

    def on_intervals(x: Interval) -> Interval:
        a, b = function(x.lower), function(x.upper)
        out = widened(torch.minimum(a, b), torch.maximum(a, b)).clamp(-1.0, 1.0)
        far = ~(x.magnitude <= LARGEST_ANGLE)
        crest = far | _meets(x, highest, 2 * math.pi)
        trough = far | _meets(x, highest + math.pi, 2 * math.pi)
        return Interval(torch.where(trough, -1.0, out.lower), torch.where(crest, 1.0, out.upper))

    return on_intervals


sin = _wave(torch.sin, math.pi / 2)
cos = _wave(torch.cos, 0.0)


def tan(x: Interval) -> Interval:
    """Increasing between its poles; everything where one may be inside."""
    out = widened(torch.tan(x.lower), torch.tan(x.upper))
    pole = ~(x.magnitude <= LARGEST_ANGLE) | _meets(x, math.pi / 2, math.pi)
    return everything_where(pole, out)


def power(x: Interval, y: Interval) -> Interval:
    """x**y where it is real: for positive x, and whole powers of any.

    For positive x it is monotone in both arguments, so its extremes are at the corners.
    A whole power is monotone on either side of 0.
    """
    whole = y.is_point & (torch.floor(y.lower) == y.lower)
    size = x.abs()
    # Whole powers of |x| lie between those of its bounds, other powers exist for x >= 0.
    base = choose(whole, size, x.clamp(0.0, math.inf))
    corners = [torch.pow(a, b) for a in (base.lower, base.upper) for b in (y.lower, y.upper)]
    low = torch.minimum(torch.minimum(*corners[:2]), torch.minimum(*corners[2:]))
    high = torch.maximum(torch.maximum(*corners[:2]), torch.maximum(*corners[2:]))
    # 1**inf and such: a bound of inf stands for large numbers, so look at both sides.
    unlimited = ~torch.isfinite(y.magnitude)
    out = widened(low, high)
    positive = Interval(out.lower.clamp(min=0.0), out.upper)
    positive = choose(
        unlimited, Interval.of(torch.zeros_like(low), torch.full_like(low, math.inf)), positive
    )
    odd = whole & (torch.remainder(y.lower, 2.0) == 1.0)
    signed = _odd_power(x, y, positive)
    result = choose(odd, signed, positive)
    nothing = (size.upper == 0) & (y.lower > 0)
    result = choose(nothing, Interval.of(torch.zeros_like(low)), result)
    return everything_where(~whole & (x.lower < 0), result)


def _odd_power(x: Interval, y: Interval, of_size: Interval) -> Interval:
    """x**y for odd whole y, given |x|**y."""
    out = choose(x.is_nonnegative, of_size, -of_size)
    across = (x.lower < 0) & (x.upper > 0)
    sides = widened(-((-x.lower) ** y.lower), x.upper**y.lower)
    return choose(across & (y.lower > 0), sides, everything_where(across, out))


def maximum(x: Interval, y: Interval) -> Interval:
    """The larger one."""
    return Interval(torch.maximum(x.lower, y.lower), torch.maximum(x.upper, y.upper))


def minimum(x: Interval, y: Interval) -> Interval:
    """The smaller one."""
    return Interval(torch.minimum(x.lower, y.lower), torch.minimum(x.upper, y.upper))


def modulo(x: Interval, y: Interval) -> Interval:
    """x - y*floor(x/y), of y's sign and smaller than y."""
    zero = torch.zeros_like(x.lower + y.lower)
    turns = floor(x / y)
    exact = x - y * turns
    anywhere = Interval(torch.minimum(y.lower, zero), torch.maximum(y.upper, zero))
    return choose(turns.is_point & torch.isfinite(turns.lower), exact.intersect(anywhere), anywhere)


def angle(y: Interval, x: Interval) -> Interval:
    """atan2(y, x). Over a box without the cut, the extreme directions are at corners."""
    corners = [torch.atan2(b, a) for a in (x.lower, x.upper) for b in (y.lower, y.upper)]
    low = torch.minimum(torch.minimum(*corners[:2]), torch.minimum(*corners[2:]))
    high = torch.maximum(torch.maximum(*corners[:2]), torch.maximum(*corners[2:]))
    limit = float(PI.upper)
    out = widened(low, high).clamp(-limit, limit)
    cut = y.contains(0.0) & (x.lower <= 0)
    return choose(cut, Interval.of(torch.full_like(low, -limit), torch.full_like(low, limit)), out)


def where_positive(x: Interval, y: Interval) -> Interval:
    """y where x is positive, 0 elsewhere."""
    zero = Interval.of(torch.zeros_like(y.lower))
    return choose(x.lower > 0, y, choose(x.upper <= 0, zero, y.hull(zero)))


def is_greater(x: Interval, y: Interval) -> Interval:
    """1 where x > y, 0 elsewhere."""
    return Interval((x.lower > y.upper).to(x.lower), (x.upper > y.lower).to(x.lower))


def is_less(x: Interval, y: Interval) -> Interval:
    """1 where x < y, 0 elsewhere."""
    return is_greater(y, x)
