"""The sparse engine: stages from cheap to expensive, each handing candidates to one store."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch

from ....symbolic.expression import Expression
from ....symbolic.operators import OPERATORS
from ...engine import FORM_AND_BUDGET, Progress, SearchRun
from ...limits import within_limits, written_with
from ...options import SearchOptions
from ...problem import Problem
from ...refinement import refine
from .models.context import OutOfTimeError, SearchContext
from .stages import Stage, stages
from .structure.hints import search_with_hints
from .trees.tree import Tree, to_node
from .trees.vocabulary import Vocabulary

log = logging.getLogger(__name__)

SCREEN_ROWS = 256
FIT_ROWS = 4096
REFINE_ROWS = 1024
"""Rows on which libraries are evaluated, constants fitted, and forms shortened: a library of
250,000 terms on 256 rows is 256 MB of float32, and what passes there is fitted to more."""

STAGES_END = 0.85
SHORTENING_END = 0.92
REFINEMENT_END = 0.97
"""Shares of the budget after which stages, then shortening, then polishing stop."""


def vocabulary_of(options: SearchOptions, names: Sequence[str]) -> Vocabulary:
    """The operators, functions and costs that the options ask for."""
    operators = {op.name: op for op in (*options.binary, *options.unary)}
    functions = {name: op.torch for name, op in OPERATORS.items()}
    functions.update({name: op.torch for name, op in operators.items()})
    rule = options.complexity_rule(names)
    costs = {
        name: float(rule.operators.get(name, op.complexity))
        for name, op in {**OPERATORS, **operators}.items()
    }
    variables = rule.variables
    return Vocabulary(
        binary=frozenset(op.name for op in options.binary),
        unary=frozenset(op.name for op in options.unary),
        functions=functions,
        costs=costs,
        constant_cost=rule.constants,
        variable_costs=variables
        if isinstance(variables, int)
        else tuple(variables.get(n, 1) for n in names),
    )


def spread_rows(y: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Indices of ``count`` rows, drawn so that the whole range of ``y`` [n] is represented."""
    n = y.shape[0]
    if n <= count:
        return torch.arange(n, device=y.device)
    order = torch.argsort(y, stable=True)
    edges = torch.linspace(0, n, count + 1, dtype=torch.float64).long()
    offset = torch.rand(count, generator=generator, dtype=torch.float64)
    picks = edges[:-1] + (offset * (edges[1:] - edges[:-1])).long()
    return order[picks.to(y.device)].sort().values


class SparseEngine:
    """Finds short laws by sparse regression on large libraries of expressions."""

    name = "sparse"
    honours = FORM_AND_BUDGET | {"select_k_features"}

    def require(self) -> None:
        """Nothing beyond torch is needed."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Candidate equations, good ones at every complexity."""
        return search_with_hints(self._explore, problem, options, run)

    def _explore(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Candidates of one problem."""
        if not bool((problem.train.X[:1] != problem.train.X).any()):
            return []
        rule = options.complexity_rule(problem.names)
        operators = {**OPERATORS, **options.custom}

        def expression(tree: Tree) -> Expression:
            return Expression(to_node(tree, problem.names, operators))

        context = _context(
            problem,
            options,
            run,
            lambda tree: within_limits(expression(tree), options, rule),
        )

        def best_so_far() -> list[Expression]:
            front = context.archive.front(len(context.holdout))
            return [expression(candidate.tree) for candidate in front]

        with run.until_interrupted(), suppress(OutOfTimeError):
            for stage in stages(context)[: options.niterations]:
                if context.solved:
                    break
                _go_through(stage, context, run)
                run.found(best_so_far)
        found = best_so_far()
        if run.interrupted:
            return found
        rows = spread_rows(problem.train.y, REFINE_ROWS, context.generator)
        with run.until_interrupted():
            # A term that only a little of the noise asked for is dropped here, and what is
            # said twice is said once. Those at the top of the front are worth most.
            for refined in refine(
                [candidate.root for candidate in reversed(found)],
                problem,
                problem.train.take(rows),
                rule,
                written_with({operator.name for operator in (*options.binary, *options.unary)}),
                run,
                shortening_end=SHORTENING_END,
                end=REFINEMENT_END,
            ):
                found.append(refined)
        return found


def _context(
    problem: Problem,
    options: SearchOptions,
    run: SearchRun,
    acceptable: Callable[[Tree], bool],
) -> SearchContext:
    """The rows, operators and limits of a search."""
    generator = torch.Generator().manual_seed(run.random_state)
    return SearchContext(
        screen=problem.train.take(spread_rows(problem.train.y, SCREEN_ROWS, generator)),
        fit=problem.train.take(spread_rows(problem.train.y, FIT_ROWS, generator)),
        holdout=problem.validation,
        vocabulary=vocabulary_of(options, problem.names),
        generator=generator,
        maxsize=options.maxsize,
        floor=problem.loss_floor,
        precision=problem.precision,
        expired=lambda: run.budget.fraction() > STAGES_END,
        acceptable=acceptable,
    )


def _go_through(stage: Stage, context: SearchContext, run: SearchRun) -> None:
    context.short_enough = stage.short_enough
    losses = [candidate.loss for candidate in context.archive.best.values()]
    best = min(losses, default=math.inf)
    run.progress(Progress(run.budget.fraction(), best, stage.message))
    stage.run()
    log.debug("%s: %d forms, exact %s", stage.message, len(context.tried), context.exact_size)
