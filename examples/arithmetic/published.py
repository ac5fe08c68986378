"""The published recipe for comparison: 50 answers, least squares, no rows held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from symtorch import Expression, Problem, SearchOptions
from symtorch.search import search

from .measures import BoundedRelative
from .poles import PoleCheck, check_poles
from .tasks import Task

ROWS = 50

OPTIONS = SearchOptions(
    binary_operators=("+", "*"), unary_operators=("inv", "exp", "sin"), maxsize=30
)
"""Operators of the published study."""


@dataclass(frozen=True)
class Published:
    """What the recipe chooses.

    Args:
        equation: over the columns of the questions.
        fitted: its error on the 50 rows.
        others: its error on the other rows.
        poles: of the equation, in the range of the questions.
    """

    equation: Expression
    fitted: float
    others: float
    poles: PoleCheck

    def to_json(self) -> dict[str, Any]:
        return {
            "equation": str(self.equation),
            "error on its rows": self.fitted,
            "error on the others": self.others,
            "poles": self.poles.to_json(),
        }


def published(
    task: Task, table: torch.Tensor, answers: torch.Tensor, seconds: float, seed: int
) -> Published:
    """Search as the published study did, on the first `ROWS` rows; errors as ours are measured.

    Args:
        task: gives right answers and the range.
        table: [rows, columns].
        answers: [rows].
        seconds: of the search, at most.
        seed: of the search.
    """
    problem = Problem.split(table[:ROWS], answers[:ROWS], task.columns, validation_fraction=0.0)
    options = OPTIONS.replace(timeout_in_seconds=seconds)
    front = search(problem, options, engine="operon", random_state=seed)
    equation = front.get_best().expression
    measure = BoundedRelative()
    errors = measure.errors(front.predict(table), answers)
    return Published(
        equation,
        float(measure.summary(errors[:ROWS])),
        float(measure.summary(errors[ROWS:])),
        check_poles(equation, task.columns, task.range, float(task.right(table).abs().max())),
    )
