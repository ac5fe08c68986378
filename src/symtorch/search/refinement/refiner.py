"""Refiner: one equation, made shorter and its constants simpler as far as the data allow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence

import sympy

from ...errors import InputError
from ...symbolic import simplify, sympy_bridge
from ...symbolic.complexity import ComplexityRule
from ...symbolic.expression import Expression
from ...symbolic.nodes import Node, free_constants, replace_constants
from ..engine import SearchRun
from ..problem import Problem, Sample
from .fitting import Fitted, Fitter
from .pieces import one_piece_less

FIRST_FIT = 40
NEXT_FIT = 12
"""Steps of the fit of a whole equation, and of one that has lost a piece and is nearly fitted."""

OPENED = 1.5
"""How much longer an equation may be as a sum of terms: what cancels is dropped next."""


class Refiner(Fitter):
    """Fits, prunes and rounds equations against one sample.

    >>> import torch
    >>> from symtorch import Expression
    >>> x = torch.linspace(-2, 2, 100, dtype=torch.float64)
    >>> problem = Problem.split(x[:, None], x + 3, ["x"])
    >>> refiner = Refiner(problem, problem.train, ComplexityRule())
    >>> shortest = refiner.shorten(Expression.parse("0.9*x + 2e-5*sin(x) + 2.9").root)
    >>> str(Expression(refiner.polish(shortest.root).root))
    'x + 3'

    Args:
        problem: gives the names and the loss below which differences are rounding.
        sample: the rows to fit.
        rule: how trees are counted.
        operators: names that simplification may use; None for those already there.
        out_of_time: asked between fits; once true, work in hand is returned as it is.
    """

    def __init__(
        self,
        problem: Problem,
        sample: Sample,
        rule: ComplexityRule,
        operators: Collection[str] = (),
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(problem, sample, out_of_time)
        self.rule = rule
        self.operators = operators
        self.seen: dict[Node, Fitted] = {}

    def simplify(self, root: Node) -> Node:
        """The shortest equal form found."""
        return simplify.simplify(root, self.rule.of, self.operators)

    def open(self, root: Node) -> Node:
        """An equal sum of terms with as few constants, or the tree as it is.

        ``3*((0.58*x)**2 - 1.3)`` hides that the factor of ``x**2`` is 1; and constants
        that only cancel each other fall together.
        """
        try:
            terms = sympy.expand_mul(sympy_bridge.sympy_form(root))
            flat = sympy_bridge.from_sympy(terms, self.operators)
        except InputError:
            return root
        fewer = len(list(free_constants(flat))) <= len(list(free_constants(root)))
        return flat if fewer and self.rule.of(flat) <= OPENED * self.rule.of(root) else root

    def shorten(self, root: Node) -> Fitted:
        """Simplify, fit, and drop pieces one by one as long as the data do not miss them.

        Every form fitted on the way is kept for `best_of_each_size`.
        """
        best = self._known(self.open(self.simplify(root)), FIRST_FIT)
        while math.isfinite(best.loss) and not self.out_of_time():
            shorter = self._shorter(best)
            if shorter is None:
                break
            best = self._known(self.open(self.simplify(shorter.root)), NEXT_FIT)
            if best.loss > shorter.loss:
                best = shorter
        return best

    def _shorter(self, best: Fitted) -> Fitted | None:
        """A form with one piece less that explains the data as well."""
        limit = max(best.loss * (1 + self.slack), self.floor)
        size = self.rule.of(best.root)
        sizes = {tree: self.rule.of(tree) for tree in one_piece_less(best.root)}
        for tree in sorted(sizes, key=sizes.__getitem__):
            if sizes[tree] >= size or self.out_of_time():
                break
            trial = self._known(tree, NEXT_FIT)
            if trial.loss <= limit:
                return trial
        return None

    def _known(self, root: Node, evaluations: int) -> Fitted:
        """Fit a form, unless the same form was fitted before."""
        form = replace_constants(root, itertools.repeat(1.0))
        before = self.seen.get(form)
        if before is None or before.loss > self.loss(root):
            self.seen[form] = before = self.fit(root, evaluations)
        return before

    def best_of_each_size(self) -> list[Fitted]:
        """Of all forms that `shorten` has fitted, those that no smaller one matches."""
        front: list[Fitted] = []
        lowest = math.inf
        for fitted in sorted(self.seen.values(), key=lambda f: (self.rule.of(f.root), f.loss)):
            if max(fitted.loss, self.floor) < lowest:
                lowest = max(fitted.loss, self.floor)
                front.append(fitted)
        return front

    def polish(self, root: Node) -> Fitted:
        """Fit, round and simplify, as far as the time reaches."""
        if self.out_of_time():
            return Fitted(root, self.loss(root))
        best = self.round(self.fit(root))
        shorter = self.simplify(best.root)
        loss = self.loss(shorter)
        return Fitted(shorter, loss) if loss <= max(best.loss * 1.001, self.floor) else best


def refine(
    roots: Sequence[Node],
    problem: Problem,
    rows: Sample,
    rule: ComplexityRule,
    operators: Collection[str],
    run: SearchRun,
    *,
    shortening_end: float,
    end: float,
    progress: Callable[[float, float], None] = lambda fraction, loss: None,
) -> Iterator[Expression]:
    """Work over what an engine found: shorten each form, then polish the best of each size.

    Yields one at a time, so that what there is survives Ctrl-C; after it, forms that were
    shortened are returned as they are.

    Args:
        roots: the finds, those that matter most first.
        problem: what they explain; its training rows fit the final constants.
        rows: a sample of these rows, for the many fits on the way.
        rule: how trees are counted.
        operators: names that simplification may use.
        run: gives the budget.
        shortening_end: share of the budget after which no more forms are tried.
        end: share of the budget after which work in hand is returned as it is.
        progress: called with the share done and the loss of the last find.
    """

    def over(share: float) -> Callable[[], bool]:
        return lambda: run.interrupted or run.budget.fraction() >= share

    small = Refiner(problem, rows, rule, operators, over(shortening_end))
    with run.until_interrupted():
        for number, root in enumerate(roots):
            if small.out_of_time():
                break
            found = small.shorten(root)
            progress((number + 1) / len(roots), found.loss)
    full = Refiner(problem, problem.train, rule, operators, over(end))
    for candidate in small.best_of_each_size():
        yield Expression(full.polish(candidate.root).root)
