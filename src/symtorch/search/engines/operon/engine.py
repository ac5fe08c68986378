"""The evolutionary engine: genetic programming in C++ by Operon, through pyoperon.

NSGA-II evolves populations for error and length at once, with Levenberg-Marquardt on the
constants of every new tree (Burlacu, Kronberger, Kommenda: "Operon C++", GECCO 2020).
What the evolution finds at each length is translated exactly and then worked over in
float64 (`refinement`): simplified, fitted, pruned, rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ....symbolic.complexity import ComplexityRule
from ....symbolic.expression import Expression
from ...engine import FORM_AND_BUDGET, Progress, SearchRun
from ...limits import written_with
from ...options import SearchOptions
from ...problem import Problem, Sample
from ...refinement import refine
from .evolution import EVOLUTION_SHARE, evolve
from .finds import anchored, raw, worth_refining
from .population import BestOfLength
from .trees import arities

ROWS = 1000
"""Rows that evolution looks at; the constants are fitted to all training rows at the end."""

_SHORTENING_END = 0.88
_REFINEMENT_END = 0.93
"""Shares of the budget after which the stages of refinement stop, one fit in hand."""


class OperonEngine:
    """Genetic programming with pyoperon.

    One thread, one seed per population: a search that ends before its timeout gives the
    same equations on every run. ``niterations`` counts generations of each population.

    >>> from symtorch.search import SearchOptions, search
    >>> X = torch.rand(200, 2, dtype=torch.float64) * 4 + 1
    >>> problem = Problem.split(X, X[:, 0] / X[:, 1] + 0.5)
    >>> front = search(problem, SearchOptions(niterations=8, populations=1), engine="operon")
    >>> front.get_best().expression.pretty()
    'x0/x1 + 0.5'
    """

    name = "operon"
    honours = FORM_AND_BUDGET | {"populations", "population_size"}

    def require(self) -> None:
        """pyoperon is a dependency of this package: it is there."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Find candidate equations over ``problem.names``.

        Raises:
            InputError: operators that Operon lacks.
        """
        arities([*options.binary, *options.unary])
        rule = options.complexity_rule(problem.names)
        problem = _on_cpu(problem)
        found: list[Expression] = [*run.seeds]
        with run.until_interrupted():
            rows = _evolution_rows(problem.train, run.random_state)
            bests = evolve(problem, rows, options, rule, run)
            found.extend(raw(bests, problem))
            if run.interrupted:
                return found
            # One at a time, so that what there is survives Ctrl-C.
            for expression in _refine(bests, problem, rows, options, rule, run):
                found.append(expression)
        return found


def _refine(
    bests: Sequence[BestOfLength],
    problem: Problem,
    rows: Sample,
    options: SearchOptions,
    rule: ComplexityRule,
    run: SearchRun,
) -> Iterator[Expression]:
    """The finds worth it, worked over, simplest first."""
    finds = [root for best_of_length in bests for root in worth_refining(best_of_length)]

    def report(share: float, loss: float) -> None:
        done = EVOLUTION_SHARE + (1 - EVOLUTION_SHARE) * share
        run.progress(Progress(max(done, run.budget.fraction()), loss, "fitting constants"))

    return refine(
        [*(seed.root for seed in run.seeds), *(anchored(root, problem) for root in finds)],
        problem,
        rows,
        rule,
        written_with({operator.name for operator in (*options.binary, *options.unary)}),
        run,
        shortening_end=_SHORTENING_END,
        end=_REFINEMENT_END,
        progress=report,
    )


def _evolution_rows(train: Sample, random_state: int) -> Sample:
    """At most `ROWS` rows, drawn by weight where weights differ."""
    generator = torch.Generator().manual_seed(random_state)
    if bool((train.weights == train.weights[0]).all()):
        if len(train) <= ROWS:
            return train
        return train.take(torch.randperm(len(train), generator=generator)[:ROWS].sort().values)
    drawn = torch.multinomial(train.weights, ROWS, replacement=True, generator=generator)
    return train.take(drawn.sort().values)


def _on_cpu(problem: Problem) -> Problem:
    def move(sample: Sample) -> Sample:
        return Sample(sample.X.cpu(), sample.y.cpu(), sample.weights.cpu())

    return replace(problem, train=move(problem.train), validation=move(problem.validation))
