"""Choosing one equation of a front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from ..symbolic.expression import Expression
from .evidence import Evidence

NODE = 2.5
"""What a node costs, in nats: naming one of about twelve operators, variables and constants."""

BREAKDOWN = 10.0
"""What an equation pays, in nats, that is not finite close to the recorded rows while the block
is: it is chosen if the rows are e^10 times as likely under it."""

READABLE = 0.02
"""R2 that an equation may be behind the best one and be chosen for being shorter."""

PYSR_WITHIN = 1.5
"""PySR's rule looks among equations with a loss up to this times the lowest."""


class Judged(Protocol):
    """What the rules read of a candidate."""

    @property
    def expression(self) -> Expression:
        """The equation."""

    @property
    def complexity(self) -> int:
        """Its size."""

    @property
    def validation_loss(self) -> float:
        """Mean squared error on rows held out."""

    @property
    def evidence(self) -> Evidence:
        """What the rows say about it."""


def nearly_best(losses: Sequence[float], variance: float, held_out: int) -> list[int]:
    """Equations that explain about as much as the best one.

    Where only an approximation was found, the residual of a smooth function is worth few rows,
    and the shortest description may be a constant beside a line that explains most. So one
    equation may not explain `READABLE` less than another, unless that other has not shown that
    it explains anything.

    Args:
        losses: on held-out rows.
        variance: of the output there.
        held_out: how many rows they are.

    Returns:
        Indices.
    """
    lowest = min(losses)
    chance = 1 / math.sqrt(max(held_out, 1))
    if variance - lowest <= 2 * chance * variance:
        return list(range(len(losses)))
    limit = lowest + max(READABLE * variance, chance * lowest)
    return [i for i, loss in enumerate(losses) if loss <= limit]


def shortest_description(rows: Sequence[Judged], floor: float) -> int:
    """The equation with which the rows are described in the fewest nats (Rissanen 1978).

    Equation and rows are sent together: a node costs `NODE`, a fitted constant half the logarithm
    of the rows that fix it, the rows ``n/2 log(loss)``. The n is that of independent rows, which
    the longer equation's residual tells: where only a network's own smooth error is left, few;
    where noise is left, all of them. From the simplest up, a longer equation takes over when it
    pays for itself.

    Args:
        rows: simplest first.
        floor: losses below it are equal.

    Returns:
        Its index.
    """
    best = 0
    for index in range(1, len(rows)):
        if _gain(rows[best], rows[index], floor) > _price(rows[best], rows[index]):
            best = index
    return best


def _gain(shorter: Judged, longer: Judged, floor: float) -> float:
    # A difference of logarithms: the ratio of two losses may be beyond a float's range.
    before, after = (math.log(max(row.validation_loss, floor)) for row in (shorter, longer))
    return longer.evidence.effective_rows / 2 * (before - after)


def _price(shorter: Judged, longer: Judged) -> float:
    nodes = NODE * (longer.complexity - shorter.complexity)
    constants = len(longer.expression.constants) - len(shorter.expression.constants)
    fixing = constants * math.log(longer.evidence.effective_rows) / 2
    breakdown = shorter.evidence.finite_nearby - longer.evidence.finite_nearby
    return nodes + fixing + BREAKDOWN * breakdown


def pysr_best(rows: Sequence[Judged], scores: Sequence[float], floor: float) -> int:
    """PySR's rule: the highest score among those within 1.5 times the lowest loss."""
    losses = [max(row.validation_loss, floor) for row in rows]
    close = [i for i, loss in enumerate(losses) if loss <= PYSR_WITHIN * min(losses)]
    return max(close, key=lambda i: scores[i])
