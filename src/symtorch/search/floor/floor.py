"""The floor of every search: the best readable approximations to be had in a moment.

An engine that looks for a law may find none, and then an equation that follows noise is worse
than a line. So every front starts from what a statistician would try first: lines of one, two
and more inputs, sums of products, and additive models of ramps, steps and saturating terms, all
by forward selection. What an engine finds competes with them on held-out rows.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from ...symbolic.expression import Expression
from ..engine import SearchRun
from ..front import Candidate
from ..judging import Floor, Judge, mean_of
from ..problem import Problem, Sample
from ..refinement import Refiner
from .sums import signed, sums

ROWS = 2048
"""Rows that are looked at; the few terms of a sum that can be read need no more."""

CELLS = 4_000_000
"""Numbers of the table that are looked at: fewer rows where there are thousands of columns."""

FEWEST_ROWS = 256

SHARE = 0.2
"""Share of the budget after which nothing more is tried."""

LARGEST_LINE = 512
"""Inputs of the line in all inputs that equations are compared with."""


def readable_floor(judge: Judge, run: SearchRun) -> Floor:
    """Lines, sums of products, and sums of ramps and steps.

    Args:
        judge: of the problem; its options say what the equations may look like.
        run: of the whole search.
    """
    problem = judge.problem
    mean = mean_of(problem)
    sample = _sampled(problem, run.random_state)
    found = [mean]
    with run.until_interrupted():
        for equation in sums(sample, judge.options, judge.rule, run):
            found.append(Expression(signed(equation.root)))
            if run.interrupted or run.budget.fraction() > SHARE:
                break
    if sample is not problem:
        # Two dozen equations on a million rows take seconds; the best of the sample do not.
        few = Judge(sample, judge.options, judge.rule)
        found = [mean, *(row.expression for row in few.front(few.scores(found)))]
    rows = [_readable(row, judge) for row in judge.front(judge.scores(found))]
    return Floor(rows, _line_r2(sample))


def _readable(row: Candidate, judge: Judge) -> Candidate:
    """An equation as it is, but an exact one with the numbers that a person would write."""
    problem = judge.problem
    if row.loss > problem.loss_floor:
        return row
    names = {operator.name for operator in row.expression.operators}
    refiner = Refiner(problem, problem.train, judge.rule, names)
    # Forward selection keeps what it took first, also where later terms leave it nothing to say.
    shorter = refiner.shorten(row.expression.root)
    written = judge.score(Expression(refiner.polish(shorter.root).root))
    return row if written is None or written.loss > problem.loss_floor else written


def _sampled(problem: Problem, random_state: int) -> Problem:
    """The problem with as many rows as are looked at."""
    rows = min(ROWS, max(FEWEST_ROWS, CELLS // len(problem.names)))
    generator = torch.Generator().manual_seed(random_state)

    def taken(sample: Sample) -> Sample:
        if len(sample) <= rows:
            return sample
        order = torch.randperm(len(sample), generator=generator)[:rows].sort().values
        return sample.take(order.to(sample.y.device))

    if max(len(problem.train), len(problem.validation)) <= rows:
        return problem
    return replace(problem, train=taken(problem.train), validation=taken(problem.validation))


def _line_r2(sample: Problem) -> float | None:
    """R2 on held-out rows of the least-squares line in all inputs."""
    rows, inputs = sample.train.X.shape
    # With fewer rows the line fits the noise and says nothing.
    if rows < 2 * inputs or inputs > LARGEST_LINE or sample.validation is sample.train:
        return None
    center = sample.train.X.mean(0)
    scale = (sample.train.X - center).abs().amax(0).clamp_min(1e-300)

    def table(part: Sample) -> torch.Tensor:
        columns = (part.X - center) / scale
        return torch.cat([columns, torch.ones_like(part.y)[:, None]], dim=1)

    root = sample.train.weights.sqrt()
    design = (table(sample.train) * root[:, None]).cpu()
    # gelsd finds the shortest solution where columns say the same.
    fitted = torch.linalg.lstsq(design, (sample.train.y * root).cpu(), driver="gelsd").solution
    loss = sample.validation.loss(table(sample.validation) @ fitted.to(root.device))
    variance = sample.validation.variance
    return 1.0 - loss / variance if variance > 0 else None
