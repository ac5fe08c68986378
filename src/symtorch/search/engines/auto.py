"""AutoEngine: sparse regression first, evolution from what it found for the time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...errors import InputError
from ...symbolic.expression import Expression
from ..engine import FOLLOWED_BY_ALL, Budget, Engine, SearchRun
from ..options import SearchOptions
from ..problem import Problem
from .operon.engine import OperonEngine
from .sparse import SparseEngine

FIRST_SHARE = 0.7
"""Share of the budget that the first engine may spend."""


class AutoEngine:
    """The best engine for most problems: ``sparse``, then ``operon`` on what is left.

    Sparse regression finds short laws whole; evolution refines what is not one, and
    starts from the equations that the first engine left.
    """

    name = "auto"

    def __init__(self) -> None:
        self._members: tuple[Engine, ...] = (SparseEngine(), OperonEngine())

    @property
    def honours(self) -> frozenset[str]:
        """Options that at least one of its engines follows; the others then stand aside."""
        return frozenset().union(*(member.honours for member in self._members))

    def require(self) -> None:
        """Both engines come with the package."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Find candidate equations over ``problem.names``.

        Raises:
            InputError: no single engine follows all the options asked for.
        """
        asked = options.changed() - FOLLOWED_BY_ALL
        able = [member for member in self._members if asked <= member.honours]
        if not able:
            raise InputError(f"no single engine honours all of {sorted(asked)}")
        if len(able) == 1:
            return able[0].search(problem, options, run)
        first, second = able
        share = Budget(FIRST_SHARE * run.budget.left())
        found = list(first.search(problem, options, replace(run, budget=share)))
        left = run.budget.left()
        if left < 0.05 * run.budget.seconds or _explained(problem, found):
            return found
        try:
            rest = replace(run, budget=Budget(left), seeds=found)
            found.extend(second.search(problem, options, rest))
        except InputError:
            # An operator that only the first engine has: its answer stands alone.
            pass
        return found


def _explained(problem: Problem, found: Sequence[Expression]) -> bool:
    """Whether an equation fits to the last digit that the numbers carry."""
    losses = (
        problem.validation.loss(problem.predict(expression, problem.validation))
        for expression in found
    )
    return min(losses, default=1.0) <= problem.loss_floor
