"""A start that wild answers do not spoil: the short form that most rows agree with.

Least squares, and every search by it, is led astray by a few wild answers. Robust
regression therefore begins with an estimate of high breakdown, however coarse, and refines
it on the rows that it explains (Yohai, "High breakdown-point and high efficiency robust
estimates for regression", 1987). Here the coarse estimate is the best of all short forms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from symtorch import Expression
from symtorch.symbolic.nodes import Call, Constant, Node, Variable
from symtorch.symbolic.operators import OPERATORS, Operator

from .measures import Measure

PAIRS = 200
"""Pairs of rows that a form's slope is the median of."""


@dataclass(frozen=True)
class Forms:
    """Expressions by their values [forms, rows]; a tree is only built for one that is asked for."""

    values: torch.Tensor
    node: Callable[[int], Node]

    def combined(self) -> Forms:
        """All sums, differences and products of two."""
        i, j = torch.triu_indices(len(self.values), len(self.values))
        a, b = self.values[i], self.values[j]
        symbols = ("+", "-", "*")

        def node(k: int) -> Node:
            kind, pair = divmod(k, len(i))
            return call(symbols[kind], self.node(int(i[pair])), self.node(int(j[pair])))

        return Forms(torch.cat([a + b, a - b, a * b]), node)

    def under(self, operator: Operator) -> Forms:
        """Each under a unary operator."""
        return Forms(operator.torch(self.values), lambda k: Call(operator, (self.node(k),)))

    def plus(self, term: Node, values: torch.Tensor) -> Forms:
        """Each plus one more term, [rows]."""
        return Forms(self.values + values, lambda k: call("+", term, self.node(k)))

    def with_others(self, others: Forms) -> Forms:
        """These, then others."""
        count = len(self.values)
        return Forms(
            torch.cat([self.values, others.values]),
            lambda k: self.node(k) if k < count else others.node(k - count),
        )

    def fitted(self, answers: torch.Tensor, pairs: torch.Tensor) -> Forms:
        """Each as the Theil-Sen line from it to the answers: the median slope of ``pairs``."""
        first, second = pairs
        run = self.values[:, first] - self.values[:, second]
        slopes = torch.where(run != 0, (answers[first] - answers[second]) / run, torch.nan)
        slope = slopes.nanmedian(-1).values
        offset = (answers - slope[:, None] * self.values).median(-1).values

        def node(k: int) -> Node:
            scaled = call("*", Constant(float(slope[k])), self.node(k))
            return call("+", scaled, Constant(float(offset[k])))

        return Forms(slope[:, None] * self.values + offset[:, None], node)


def call(name: str, *args: Node) -> Node:
    return Call(OPERATORS[name], args)


def consensus(
    columns: Mapping[str, torch.Tensor],
    answers: torch.Tensor,
    measure: Measure,
    unary: Sequence[Operator],
    seed: int,
) -> Expression:
    """The short form whose error is the least: the shorter one, among equals.

    Args:
        columns: the variables, [rows] each.
        answers: [rows].
        measure: of the error.
        unary: operators that occur in the forms.
        seed: of the pairs of rows that slopes are taken from.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(len(answers), (2, PAIRS), generator=generator)
    best: Node = Constant(float(answers.median()))
    lowest = math.inf
    for forms in short_forms(columns, answers, unary, pairs):
        errors = measure.summary(measure.errors(forms.values, answers))
        k = int(errors.argmin())
        if float(errors[k]) < lowest - 1e-9:
            best, lowest = forms.node(k), float(errors[k])
    return Expression(best)


def short_forms(
    columns: Mapping[str, torch.Tensor],
    answers: torch.Tensor,
    unary: Sequence[Operator],
    pairs: torch.Tensor,
) -> Iterator[Forms]:
    """Families of forms, from short to long."""
    names = [*columns]
    single = Forms(torch.stack([*columns.values()]), lambda k: Variable(names[k]))
    double = single.combined()
    inner = single.with_others(double)
    yield inner
    yield inner.fitted(answers, pairs)
    outer = [inner.under(operator) for operator in unary]
    for forms in outer:
        yield forms
        yield forms.fitted(answers, pairs)
    for forms in outer:
        for operator in unary:
            yield forms.under(operator)
    # What a sum carries over to another one, as in long addition.
    for operator in unary:
        for forms in outer:
            for k, values in enumerate(double.values):
                yield forms.plus(double.node(k), values).under(operator)
