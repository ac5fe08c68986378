"""AutoEngine: sparse regression for laws, evolution for what is none, each with its share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ...errors import InputError
from ...symbolic.expression import Expression
from ..engine import FOLLOWED_BY_ALL, Budget, Engine, Progress, SearchRun
from ..front import Front
from ..judging import Judge, mean_of
from ..options import SearchOptions
from ..problem import Problem
from .operon.engine import OperonEngine
from .operon.trees import has_node
from .sparse import SparseEngine

FEW_INPUTS = 8
"""Up to so many inputs a short law may hold all of them."""

LAW_SHARE = 0.7
"""Share of the budget in which a law is looked for among few inputs."""

APPROXIMATION_SHARE = 0.35
"""The same among many inputs: the few that a short law holds stand out and are found early,
and where none stand out there is no short law."""

LEAST = 0.05
"""Share of the budget that is not worth starting another engine for."""

SEEDS = 6
"""Equations that evolution works over, those that fit best: each costs it a tenth of a second."""

EVOLVED_INPUTS = 16
"""With more inputs than these, evolution sees those that the equations so far hold: among a
hundred variables it rarely tries the right one."""


class AutoEngine:
    """The best engine for most problems: ``sparse`` for laws, then ``operon`` on what is left.

    Sparse regression finds short laws whole; evolution works over the equations that it and the
    floor of the search left, and adds its own. How the budget is divided depends on how many
    inputs there are; what the first leaves of its share is the second's.
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
        few = len(problem.names) <= FEW_INPUTS
        share = (LAW_SHARE if few else APPROXIMATION_SHARE) * run.budget.left()
        stage = _Stage(run, 0.0, share / run.budget.seconds)
        found = list(first.search(problem, options, stage.run(Budget(share), run.seeds)))
        left = run.budget.left()
        judge = Judge(problem, options, options.complexity_rule(problem.names))
        if run.interrupted or left < LEAST * run.budget.seconds:
            return found
        front = judge.front(judge.scores([mean_of(problem), *run.seeds, *found]))
        if _explained(front):
            return found
        stage = _Stage(run, stage.reached, 1.0)
        return [*found, *_evolved(second, problem, options, front, stage, Budget(left))]


@dataclass
class _Stage:
    """A part of a run, with its place in the progress of the whole.

    Args:
        whole: the run.
        reached: share of the whole that is done.
        end: share of the whole that will be done.
    """

    whole: SearchRun
    reached: float
    end: float

    def run(self, budget: Budget, seeds: Sequence[Expression]) -> SearchRun:
        """The run of this part."""
        return replace(self.whole, budget=budget, seeds=seeds, progress=self._reporter())

    def _reporter(self) -> Callable[[Progress], None]:
        start = self.reached

        def report(progress: Progress) -> None:
            # An engine's own stages may each begin anew; the whole never goes back.
            done = start + (self.end - start) * progress.fraction
            self.reached = max(self.reached, done)
            self.whole.progress(replace(progress, fraction=self.reached))

        return report


def _evolved(
    engine: Engine,
    problem: Problem,
    options: SearchOptions,
    front: Front,
    stage: _Stage,
    budget: Budget,
) -> Sequence[Expression]:
    """What evolution makes of the front, with the operators that it has."""
    try:
        options = options.widened().restricted(has_node)
    except InputError:
        return []  # it has none of the operators
    seeds = [row.expression for row in reversed(front.candidates[1:])][:SEEDS]
    if len(problem.names) > EVOLVED_INPUTS:
        held = {name for row in front for name in row.expression.variables}
        columns = [i for i, name in enumerate(problem.names) if name in held]
        if columns:
            problem, options = problem.select(columns), options.select(columns)
    return engine.search(problem, options, stage.run(budget, seeds))


def _explained(front: Front) -> bool:
    """Whether an equation fits to the last digit that the numbers carry."""
    return front[-1].validation_loss <= front.loss_floor
