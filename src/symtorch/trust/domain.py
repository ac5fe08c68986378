"""find_poles(): whether an equation is finite on all of a box, proved.

A divisor that changes its sign has a zero in between, wherever it lies, if the divisor is
continuous; a logarithm's argument that is negative at a point is negative there. Both are
proofs that need no luck in sampling, and intervals give the opposite one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from ..errors import InputError
from ..recording.contexts import gradients
from ..symbolic.expression import Expression
from .box import Box, BoxLike
from .conditions import Condition, conditions_of
from .intervals import Interval, expanded
from .splitting import Subboxes

_Witness: TypeAlias = tuple[torch.Tensor, Condition]
"""A point [columns] and what fails there."""

BATCH = 1024
"""Subboxes cut at a time."""

SAMPLES = 1024
"""Points that are looked at before anything is cut."""

SMALLEST = 2.0**-40
"""Share of the box below which a subbox is not cut further, but left undecided."""

BISECTIONS = 60
"""Halvings to where a divisor changes its sign: down to the floats' own distance."""


@dataclass(frozen=True)
class Poles:
    """Where an equation is not finite in a box.

    Args:
        status: "none": it is proved to be finite everywhere; "found": it is proved not to
            be, at ``row`` or beside it; "undecided".
        row: by column; empty where none was found.
        reason: the part of the equation that fails there.
        undecided: share of the box's volume where it is not proved to be finite.
        boxes: subboxes that were looked at.
    """

    status: Literal["none", "found", "undecided"]
    row: dict[str, float]
    reason: str
    undecided: float
    boxes: int

    def __str__(self) -> str:
        if self.status == "none":
            return "poles and domain violations: proved none"
        if self.status == "found":
            return f"poles and domain violations: one here: {self.row} ({self.reason})"
        return f"poles and domain violations: undecided on {100 * self.undecided:.2g} % of the box"


def find_poles(
    expression: Expression | str,
    box: BoxLike,
    *,
    budget: float = 10.0,
    max_boxes: int = 200_000,
    seed: int = 0,
) -> Poles:
    """Prove that an equation is finite on a box, or that it is not.

    >>> print(find_poles("x/(y**2 + 0.01)", {"x": (-1, 1), "y": (-1, 1)}))
    poles and domain violations: proved none
    >>> found = find_poles("1/(x - 0.3)", {"x": (0, 1)})
    >>> found.status, round(found.row["x"], 3), found.reason
    ('found', 0.3, '1/(x - 0.3): the divisor is 0')

    Divisors must not be 0, arguments of logarithms be positive, those of roots not
    negative, and so on for each operator (`intervals.rules`). Subboxes on which interval
    arithmetic does not prove it are cut.

    A number too large for float64 is no pole; sums of poles that would cancel are poles.

    Args:
        expression: the equation.
        box: a range by column; columns that the equation does not have are fine.
        budget: seconds.
        max_boxes: subboxes to look at, at most, the same on each machine.
        seed: of the points looked at first.

    Raises:
        InputError: a variable that the box does not have, infinite bounds, a negative budget.
    """
    deadline = time.monotonic() + budget
    box = Box.of(box)
    if isinstance(expression, str):
        expression = Expression.parse(expression, box.names)
    unknown = [name for name in expression.variables if name not in box.names]
    if unknown:
        raise InputError(
            f"'{expression.pretty()}' has variables {unknown} that the box does not have: "
            f"{[*box.names]}"
        )
    if not budget >= 0:
        raise InputError(f"budget must be 0 or more seconds; got {budget}")
    with torch.device("cpu"), gradients(False):
        search = _Search(box, conditions_of(expanded(expression.root)))
        return search.run(deadline, max_boxes, seed)


@dataclass
class _Search:
    """Branch and bound over the conditions of an equation."""

    box: Box
    conditions: list[Condition]
    boxes: int = 0

    def run(self, deadline: float, max_boxes: int, seed: int) -> Poles:
        whole = Subboxes.whole(*self.box.corners())
        witness = self._among(torch.cat([self.box.sample(SAMPLES, seed), *self.box.corners()]))
        open_, fresh = whole[:0], whole
        while witness is None:
            doubtful, witness = self._over(fresh)
            open_ = open_ + fresh[doubtful]
            if not len(open_):
                return Poles("none", {}, "", 0.0, self.boxes)
            chosen = _largest(open_)
            if not bool(chosen.any()) or self.boxes >= max_boxes or time.monotonic() > deadline:
                break
            parents, open_ = open_[chosen], open_[~chosen]
            fresh = parents.halves((parents.upper - parents.lower) / _width(whole))
        if witness is None:
            return Poles("undecided", {}, "", float(open_.share.sum()), self.boxes)
        point, condition = witness
        row = dict(zip(self.box.names, point.tolist(), strict=True))
        return Poles("found", row, condition.reason, 0.0, self.boxes)

    def _among(self, points: torch.Tensor) -> _Witness | None:
        """A point [points, columns] at which a condition is proved to fail."""
        columns = self._columns(points, points)
        for condition in self.conditions:
            fails = condition.over(columns).fails
            if bool(fails.any()):
                return points[int(fails.int().argmax())], condition
        return None

    def _over(self, boxes: Subboxes) -> tuple[torch.Tensor, _Witness | None]:
        """Which boxes are not proved to be free of poles, and a pole in one of them."""
        self.boxes += len(boxes)
        columns = self._columns(boxes.lower, boxes.upper)
        doubtful = torch.zeros(len(boxes), dtype=torch.bool)
        for condition in self.conditions:
            demand = condition.over(columns)
            doubtful = doubtful | demand.may_fail
            witness = self._sign_change(condition, boxes[demand.may_fail])
            if witness is not None:
                return doubtful, witness
        return doubtful, self._among(boxes[doubtful].centre)

    def _sign_change(self, condition: Condition, boxes: Subboxes) -> _Witness | None:
        """A zero between two corners of a box in which the margin is continuous."""
        if condition.kind != "not zero" or not condition.continuous or not len(boxes):
            return None
        smooth = condition.defined(self._columns(boxes.lower, boxes.upper))
        low = condition.over(self._columns(boxes.lower, boxes.lower)).margin
        high = condition.over(self._columns(boxes.upper, boxes.upper)).margin
        up, down = (low.upper < 0) & (high.lower > 0), (low.lower > 0) & (high.upper < 0)
        where = (smooth & (up | down)).nonzero()
        if not len(where):
            return None
        box = boxes[where[0]]
        return self._bisected(condition, box.lower, box.upper, rises=bool(up[where[0]])), condition

    def _bisected(
        self, condition: Condition, a: torch.Tensor, b: torch.Tensor, *, rises: bool
    ) -> torch.Tensor:
        """About where the margin is 0 between two points [1, columns]."""
        for _ in range(BISECTIONS):
            middle = 0.5 * a + 0.5 * b
            above = bool(condition.over(self._columns(middle, middle)).margin.middle > 0)
            a, b = (a, middle) if above == rises else (middle, b)
        return (0.5 * a + 0.5 * b)[0]

    def _columns(self, lower: torch.Tensor, upper: torch.Tensor) -> dict[str, Interval]:
        sides = zip(lower.unbind(1), upper.unbind(1), strict=True)
        return {name: Interval(*side) for name, side in zip(self.box.names, sides, strict=True)}


def _largest(boxes: Subboxes) -> torch.Tensor:
    """[boxes], the largest ones that can be cut, a batch at most."""
    share = torch.where(boxes.divisible & (boxes.share > SMALLEST), boxes.share, -1.0)
    best = share.topk(min(BATCH, len(boxes)))
    chosen = torch.zeros(len(boxes), dtype=torch.bool)
    chosen[best.indices[best.values > 0]] = True
    return chosen


def _width(boxes: Subboxes) -> torch.Tensor:
    return (boxes.upper - boxes.lower).clamp(min=1e-300)
