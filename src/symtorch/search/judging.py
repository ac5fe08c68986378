"""From candidate equations to a front: scored on both halves of the rows, tidied, selected."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from ..symbolic.complexity import ComplexityRule
from ..symbolic.expression import Expression
from ..symbolic.nodes import Call, Constant
from .evidence import Evidence, Neighbours, Surroundings, effective_rows
from .front import Candidate, Front
from .limits import within_limits
from .options import SearchOptions
from .problem import Problem
from .waves import follows_noise


@dataclass(frozen=True)
class Floor:
    """What every front holds at least.

    Args:
        rows: the equations that none of the others beats, scored, simplest first.
        line_r2: R2 on held-out rows of a line in all inputs, however long; None where there
            are too few rows to fit one.
    """

    rows: Sequence[Candidate]
    line_r2: float | None


def mean_of(problem: Problem) -> Expression:
    """The constant that explains a problem's rows best."""
    share = problem.train.weights / problem.train.weights.sum()
    return Expression(Constant(float(share @ problem.train.y)))


def without_offsets(expressions: Iterable[Expression]) -> list[Expression]:
    """Those that end in a constant offset, without it.

    A search that the clock cuts off has not dropped every offset that does nothing; the front
    decides which do.

    >>> without_offsets([Expression.parse("x*y - 0.001"), Expression.parse("x*y")])
    [Expression('x*y')]
    """
    found = []
    for expression in expressions:
        match expression.root:
            case Call(operator, (rest, Constant())) if operator.name in ("+", "-"):
                found.append(Expression(rest))
    return found


class Judge:
    """Scores equations of one problem.

    Args:
        problem: what they explain.
        options: what they may look like; others score nothing.
        rule: how they are counted.
    """

    def __init__(self, problem: Problem, options: SearchOptions, rule: ComplexityRule) -> None:
        self.problem = problem
        self.options = options
        self.rule = rule

    def score(self, expression: Expression) -> Candidate | None:
        """An equation with its losses; None for one that the options do not allow."""
        complexity = self.rule.of(expression)
        if complexity > max(self.options.maxsize, 1):
            return None
        if not within_limits(expression, self.options, self.rule):
            return None
        if follows_noise(expression, self.problem):
            return None
        train, validation = self.problem.train, self.problem.validation
        return Candidate(
            expression,
            complexity,
            train.loss(self.problem.predict(expression, train)),
            validation.loss(self.problem.predict(expression, validation)),
        )

    def scores(self, expressions: Iterable[Expression]) -> list[Candidate]:
        """Those of the equations that are allowed, each once."""
        rows = map(self.score, dict.fromkeys(expressions))
        return [row for row in rows if row is not None]

    def front(self, rows: Iterable[Candidate], line_r2: float | None = None) -> Front:
        """The Pareto-optimal ones."""
        return Front.pareto(
            rows,
            variables=self.problem.names,
            loss_floor=self.problem.loss_floor,
            variance=self.problem.validation.variance,
            held_out=len(self.problem.validation),
            line_r2=line_r2,
        )

    def tidied(
        self,
        front: Front,
        keep: Collection[Candidate] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Front:
        """A front with its equations in their shortest and most usual form.

        Args:
            front: of this problem.
            keep: rows that stay as they are.
            stop: whether time is up; what is left then stays as it is.
        """
        rows = [row if row in keep or stop() else self.tidy(row) for row in front]
        return self.front(rows, front.line_r2)

    def weighed(self, front: Front) -> Front:
        """The front with what all rows of the problem say about each of its equations."""
        train, validation = self.problem.train, self.problem.validation
        near = Neighbours(torch.cat([train.X, validation.X]))
        variance = float(torch.cat([train.y, validation.y]).var(correction=0))
        surroundings = Surroundings(self.problem)

        def weigh(row: Candidate) -> Candidate:
            residuals = [
                self.problem.predict(row.expression, part) - part.y for part in (train, validation)
            ]
            residual = torch.cat(residuals)
            rows = effective_rows(residual, near.shared(residual), variance)
            return replace(row, evidence=Evidence(rows, surroundings.allow(row.expression)))

        return replace(front, candidates=tuple(map(weigh, front)))

    def tidy(self, row: Candidate) -> Candidate:
        """The shortest and most usual form of an equation, where it is no worse."""
        usual = {operator.name for operator in (*self.options.binary, *self.options.unary)}
        used = {operator.name for operator in row.expression.operators}
        shortest = row.expression.simplify(self.rule, operators=sorted(usual | used))
        if shortest == row.expression:
            return row
        tidy = self.score(shortest)
        same = tidy is not None and all(
            after <= before * (1 + 1e-9) + self.problem.loss_floor
            for before, after in (
                (row.loss, tidy.loss),
                (row.validation_loss, tidy.validation_loss),
            )
        )
        return tidy if same and tidy is not None else row
