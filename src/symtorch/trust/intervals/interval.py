"""Interval: batched enclosures of real numbers in float64, rounded outwards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Real = torch.Tensor | float

_MINUS_INF = torch.tensor(-math.inf, dtype=torch.float64, device="cpu")
_PLUS_INF = torch.tensor(math.inf, dtype=torch.float64, device="cpu")


def below(values: torch.Tensor) -> torch.Tensor:
    """The next float64 towards -inf."""
    return torch.nextafter(values, _MINUS_INF)


def above(values: torch.Tensor) -> torch.Tensor:
    """The next float64 towards +inf."""
    return torch.nextafter(values, _PLUS_INF)


def _replace_nan(values: torch.Tensor, value: float) -> torch.Tensor:
    return torch.nan_to_num(values, nan=value, posinf=math.inf, neginf=-math.inf)


@dataclass(frozen=True, eq=False)
class Interval:
    """Sets of real numbers between two bounds, elementwise.

    An operation of IEEE arithmetic is off by at most half a unit in the last place, so
    that the next float outwards encloses the exact result. A lower bound is never +inf
    and an upper bound never -inf: an overflow leaves a half-open set.

    >>> third = Interval.of(1.0) / Interval.of(3.0)
    >>> bool(third.lower < third.upper), float(third.upper - third.lower) < 1e-15
    (True, True)

    Args:
        lower: [...], float64.
        upper: [...], float64, at least ``lower``.
    """

    lower: torch.Tensor
    upper: torch.Tensor

    @classmethod
    def of(cls, lower: Real, upper: Real | None = None) -> Interval:
        """The interval between two bounds, or the point; the numbers are taken as exact."""
        low = torch.as_tensor(lower, dtype=torch.float64, device="cpu")
        if upper is None:
            return cls(low, low)
        return cls(low, torch.as_tensor(upper, dtype=torch.float64, device="cpu"))

    @classmethod
    def outward(cls, lower: torch.Tensor, upper: torch.Tensor) -> Interval:
        """Bounds that were rounded once: one float further out. nan bounds nothing."""
        return cls(below(_replace_nan(lower, -math.inf)), above(_replace_nan(upper, math.inf)))

    def __add__(self, other: Interval) -> Interval:
        low, high = self.lower + other.lower, self.upper + other.upper
        out = Interval.outward(low, high)
        # A sum that rounds to 0 is exactly 0, and sqrt((x - 1) + y) needs to know.
        return Interval(
            torch.where(low == 0, low, out.lower), torch.where(high == 0, high, out.upper)
        )

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        # A bound of inf stands for finite numbers without a limit, so 0 times it is 0.
        corners = [
            _replace_nan(a * b, 0.0)
            for a in (self.lower, self.upper)
            for b in (other.lower, other.upper)
        ]
        low = torch.minimum(torch.minimum(*corners[:2]), torch.minimum(*corners[2:]))
        high = torch.maximum(torch.maximum(*corners[:2]), torch.maximum(*corners[2:]))
        out = Interval.outward(low, high)
        plus, minus = self.is_nonnegative, self.is_nonpositive
        same = (plus & other.is_nonnegative) | (minus & other.is_nonpositive)
        opposite = (plus & other.is_nonpositive) | (minus & other.is_nonnegative)
        signed = Interval(
            torch.where(same, out.lower.clamp(min=0.0), out.lower),
            torch.where(opposite, out.upper.clamp(max=0.0), out.upper),
        )
        nothing = (self.magnitude == 0) | (other.magnitude == 0)
        return choose(nothing, Interval.of(torch.zeros_like(low)), signed)

    def __truediv__(self, other: Interval) -> Interval:
        return self * other.reciprocal()

    def reciprocal(self) -> Interval:
        """1/x; everything where the interval contains 0 inside."""
        low = torch.where(self.upper == 0, _MINUS_INF, 1.0 / self.upper)
        high = torch.where(self.lower == 0, _PLUS_INF, 1.0 / self.lower)
        out = Interval.outward(low, high)
        out = Interval(
            torch.where(self.is_nonnegative, out.lower.clamp(min=0.0), out.lower),
            torch.where(self.is_nonpositive, out.upper.clamp(max=0.0), out.upper),
        )
        inside = (self.lower < 0) & (self.upper > 0) | ((self.lower == 0) & (self.upper == 0))
        return everything_where(inside, out)

    def square(self) -> Interval:
        """x*x, never negative."""
        size = self.abs()
        out = Interval.outward(size.lower * size.lower, size.upper * size.upper)
        high = torch.where(size.upper == 0, size.upper, out.upper)
        return Interval(out.lower.clamp(min=0.0), high)

    def abs(self) -> Interval:
        """The absolute value."""
        low = torch.maximum(self.lower, -self.upper).clamp(min=0.0)
        return Interval(low, self.magnitude)

    def intersect(self, other: Interval) -> Interval:
        """What both allow, for two enclosures of one quantity."""
        return Interval(
            torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        )

    def hull(self, other: Interval) -> Interval:
        """The least interval with both."""
        return Interval(
            torch.minimum(self.lower, other.lower), torch.maximum(self.upper, other.upper)
        )

    def clamp(self, low: float, high: float) -> Interval:
        """The part between two numbers, for a function whose values lie between them."""
        return Interval(self.lower.clamp(low, high), self.upper.clamp(low, high))

    def contains(self, value: Real) -> torch.Tensor:
        """Whether the value is inside, elementwise."""
        return (self.lower <= value) & (value <= self.upper)

    @property
    def magnitude(self) -> torch.Tensor:
        """The largest absolute value."""
        return torch.maximum(self.lower.abs(), self.upper.abs())

    @property
    def middle(self) -> torch.Tensor:
        """A finite number inside, the middle of bounded ones: where expansions are centred."""
        middle = 0.5 * self.lower + 0.5 * self.upper
        return torch.where(torch.isfinite(middle), middle, 0.0)

    def radius_about(self, centre: torch.Tensor) -> torch.Tensor:
        """The largest distance from a number, rounded up."""
        return above(torch.maximum((self.upper - centre).abs(), (self.lower - centre).abs()))

    @property
    def is_nonnegative(self) -> torch.Tensor:
        """Whether all of it is 0 or more."""
        return self.lower >= 0

    @property
    def is_nonpositive(self) -> torch.Tensor:
        """Whether all of it is 0 or less."""
        return self.upper <= 0

    @property
    def is_point(self) -> torch.Tensor:
        """Whether it is a single number."""
        return self.lower == self.upper


def choose(condition: torch.Tensor, yes: Interval, no: Interval) -> Interval:
    """One interval where the condition holds, the other elsewhere."""
    return Interval(
        torch.where(condition, yes.lower, no.lower), torch.where(condition, yes.upper, no.upper)
    )


def everything_where(condition: torch.Tensor, otherwise: Interval) -> Interval:
    """All numbers where the condition holds."""
    return Interval(
        torch.where(condition, _MINUS_INF, otherwise.lower),
        torch.where(condition, _PLUS_INF, otherwise.upper),
    )
