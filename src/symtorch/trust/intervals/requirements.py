"""Requirements: where an operator has no finite value, as conditions on margins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from . import elementary as f
from .interval import Interval, choose

Kind = Literal["not zero", "positive", "not negative"]


@dataclass(frozen=True)
class Requirement:
    """A margin that must be positive, not negative or not zero for a finite value.

    Args:
        kind: the condition.
        margin: of the operator's arguments, intervals to an interval.
    """

    kind: Kind
    margin: Callable[..., Interval]

    def __call__(self, *args: Interval) -> Demand:
        """The condition on given arguments."""
        return Demand(self.kind, self.margin(*args))


@dataclass(frozen=True, eq=False)
class Demand:
    """A requirement on a batch of boxes."""

    kind: Kind
    margin: Interval

    @property
    def may_fail(self) -> torch.Tensor:
        """Where it is not proved to hold on the whole box."""
        low, high = self.margin.lower, self.margin.upper
        if self.kind == "not negative":
            return ~(low >= 0)
        return ~(low > 0) if self.kind == "positive" else ~((low > 0) | (high < 0))

    @property
    def fails(self) -> torch.Tensor:
        """Where it is proved to hold nowhere on the box."""
        low, high = self.margin.lower, self.margin.upper
        if self.kind == "not negative":
            return high < 0
        return high <= 0 if self.kind == "positive" else (low == 0) & (high == 0)


def _shifted(sign: float, shift: float) -> Callable[[Interval], Interval]:
    """The margin ``sign*x + shift``."""
    return lambda x: (x if sign > 0 else -x) + f.constant(shift)


def _base_if_negative_power(x: Interval, y: Interval) -> Interval:
    return choose(y.lower < 0, x, Interval.of(torch.ones_like(x.lower)))


def _base_if_not_whole_power(x: Interval, y: Interval) -> Interval:
    whole = y.is_point & (torch.floor(y.lower) == y.lower)
    return choose(whole, Interval.of(torch.ones_like(x.lower)), x)


DIVISOR = (Requirement("not zero", lambda _, y: y),)
RECIPROCAL = (Requirement("not zero", lambda x: x),)
ROOT = (Requirement("not negative", lambda x: x),)
LOGARITHM = (Requirement("positive", lambda x: x),)
LOGARITHM_1P = (Requirement("positive", _shifted(1, 1.0)),)
TANGENT = (Requirement("not zero", f.cos),)
UNIT = tuple(Requirement("not negative", _shifted(sign, 1.0)) for sign in (1, -1))
OPEN_UNIT = tuple(Requirement("positive", _shifted(sign, 1.0)) for sign in (1, -1))
FROM_ONE = (Requirement("not negative", _shifted(1, -1.0)),)
POWER = (
    Requirement("not zero", _base_if_negative_power),
    Requirement("not negative", _base_if_not_whole_power),
)
