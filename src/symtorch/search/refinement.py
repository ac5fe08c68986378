"""Constants of candidate equations: fitted in float64, rounded and pruned where the data agree.

Engines hand over the right form with constants that are only nearly right, and with
pieces that do nothing. Here each candidate becomes the equation one would write down:
``0.9998*x + 2e-5*z + 2.9995`` turns into ``x + 3``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import sympy
import torch

from ..errors import InputError
from ..symbolic import simplify, sympy_bridge
from ..symbolic.complexity import ComplexityRule
from ..symbolic.expression import Expression
from ..symbolic.nodes import (
    Call,
    Constant,
    Node,
    Variable,
    evaluate,
    free_constants,
    is_structural,
    replace_constants,
)
from .constants import System, fit_constants, round_constants
from .engine import SearchRun
from .problem import Problem, Sample

SETTLED = 1e-10
"""Share of the loss that a step of the final fits must gain: constants are to be read off."""


@dataclass(frozen=True)
class Fitted:
    """A tree with fitted constants and its loss on the rows it was fitted to."""

    root: Node
    loss: float


class Refiner:
    """Fits, prunes and rounds equations against one sample.

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
        self.names = problem.names
        self.floor = problem.loss_floor
        self.sample = sample
        self.rule = rule
        self.operators = operators
        self.out_of_time = out_of_time
        self.seen: dict[Node, Fitted] = {}
        self._columns = {name: sample.X[:, i] for i, name in enumerate(problem.names)}
        self._root_weights = (sample.weights / sample.weights.sum()).sqrt()
        # Fixing a constant at its true value raises the loss by about 1/rows.
        self.slack = min(0.05, 10.0 / len(sample))

    def loss(self, root: Node) -> float:
        """Weighted mean squared error; inf where a value is not finite."""
        prediction = evaluate(root, self._columns, "torch", _number)
        residual = self._root_weights * (prediction - self.sample.y)
        loss = float((residual * residual).sum())
        return loss if math.isfinite(loss) else math.inf

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
        return flat if fewer and self.rule.of(flat) <= 1.5 * self.rule.of(root) else root

    def fit(self, root: Node, evaluations: int = 40) -> Fitted:
        """Least squares over all free constants; never worse than the start.

        Args:
            root: the tree.
            evaluations: at most this many.
        """
        start = list(free_constants(root))
        before = self.loss(root)
        if not start or not math.isfinite(before) or before <= 0 or self.out_of_time():
            return Fitted(root, before)
        values, after = fit_constants(self._system(root), start, steps=evaluations, settled=SETTLED)
        return Fitted(replace_constants(root, iter(values)), after)

    def _system(self, root: Node) -> System:
        """Residuals of a tree on the rows, and their derivatives by its constants."""
        count = len(list(free_constants(root)))
        marked = _name_constants(root, {i: f"_c{i}" for i in range(count)})
        target = self.sample.y

        def system(values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
            # A constant spread over the rows has in row i the derivative of row i alone, so
            # one backward pass gives the whole jacobian.
            spread = torch.tensor(values, dtype=target.dtype, device=target.device)[:, None]
            spread = spread.repeat(1, len(target)).requires_grad_()
            columns = {**self._columns, **{f"_c{i}": row for i, row in enumerate(spread.unbind())}}
            with torch.enable_grad():
                prediction = evaluate(marked, columns, "torch", _number)
                # The thresholds of steps alone give no gradient to follow.
                (gradient,) = (
                    torch.autograd.grad(prediction.sum(), spread)
                    if prediction.requires_grad
                    else (torch.zeros_like(spread),)
                )
            residual = self._root_weights * (prediction.detach() - target)
            return residual, gradient * self._root_weights

        return system

    def shorten(self, root: Node) -> Fitted:
        """Simplify, fit, and drop pieces one by one as long as the data do not miss them.

        Every form fitted on the way is kept for `best_of_each_size`.
        """
        best = self._known(self.open(self.simplify(root)), evaluations=40)
        while math.isfinite(best.loss) and not self.out_of_time():
            shorter = self._shorter(best)
            if shorter is None:
                break
            best = self._known(self.open(self.simplify(shorter.root)), evaluations=12)
            if best.loss > shorter.loss:
                best = shorter
        return best

    def _shorter(self, best: Fitted) -> Fitted | None:
        """A form with one piece less that explains the data as well."""
        limit = max(best.loss * (1 + self.slack), self.floor)
        size = self.rule.of(best.root)
        sizes = {tree: self.rule.of(tree) for tree in _shortened(best.root)}
        for tree in sorted(sizes, key=sizes.__getitem__):
            if sizes[tree] >= size or self.out_of_time():
                break
            trial = self._known(tree, evaluations=12)
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

    def round(self, best: Fitted) -> Fitted:
        """Round constants to simple numbers, refitting the others, where the data allow it."""
        values, loss = round_constants(
            self._system(best.root),
            list(free_constants(best.root)),
            best.loss,
            floor=self.floor,
            slack=0.4 * self.slack,
            out_of_time=self.out_of_time,
        )
        return Fitted(replace_constants(best.root, iter(values)), loss)

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


def _shortened(root: Node) -> Iterator[Node]:
    """Yield the trees with one piece dropped."""
    if not isinstance(root, Call):
        return
    name = root.operator.name
    if name in ("+", "-", "*", "max", "min"):
        # What is left of a difference may have the wrong sign; a constant around it takes it up.
        yield from root.args
    elif name == "/":
        yield root.args[0]
        if not isinstance(root.args[0], Constant):
            yield _with_arg(root, 0, Constant(1.0))
    elif len(root.args) == 1:
        yield root.args[0]
    for position, arg in enumerate(root.args):
        if isinstance(arg, Call) and not tuple(_variables(arg)):
            yield _with_arg(root, position, Constant(1.0))
        for shorter in _shortened(arg):
            yield _with_arg(root, position, shorter)


def _with_arg(node: Call, position: int, arg: Node) -> Call:
    return Call(node.operator, (*node.args[:position], arg, *node.args[position + 1 :]))


def _variables(node: Node) -> Iterator[str]:
    if isinstance(node, Variable):
        yield node.name
    elif isinstance(node, Call):
        for arg in node.args:
            yield from _variables(arg)


def _name_constants(root: Node, names: dict[int, str]) -> Node:
    """Put variables in the place of some tunable constants, by position."""
    counter = iter(range(len(list(free_constants(root)))))

    def run(node: Node) -> Node:
        if isinstance(node, Constant):
            position = next(counter)
            return Variable(names[position]) if position in names else node
        if isinstance(node, Call):
            return Call(
                node.operator,
                tuple(a if is_structural(node, i) else run(a) for i, a in enumerate(node.args)),
            )
        return node

    return run(root)


def _number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)
