"""Variants of a problem: the same law in other variables, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .....errors import InputError
from .....symbolic.expression import Expression
from .....symbolic.nodes import Call, Constant, Node, substitute
from .....symbolic.operators import operator_named
from ....limits import within_limits
from ....options import SearchOptions
from ....problem import Oracle, Problem, Sample
from .gradients import usable

_EQUATION = "equation_"


@dataclass(frozen=True)
class Restricted:
    """An oracle over some of the columns; the others are held where they are told to be.

    >>> some = Restricted(lambda x: x[:, 0] + 10 * x[:, 1], (1,), torch.tensor([5.0, 0.0]))
    >>> some(torch.tensor([[1.0], [2.0]]))
    tensor([15., 25.])

    Args:
        oracle: [m, d] -> [m].
        columns: those that vary, in the order of the new columns.
        at: [d], where the others are held.
    """

    oracle: Oracle
    columns: tuple[int, ...]
    at: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """[m, len(columns)] -> [m], differentiable."""
        where = {column: k for k, column in enumerate(self.columns)}
        table = [
            points[:, where[i]] if i in where else self.at[i].to(points).expand(len(points))
            for i in range(len(self.at))
        ]
        return self.oracle(torch.stack(table, dim=1))


@dataclass(frozen=True)
class Variant:
    """A problem in other variables, and the way back.

    Args:
        problem: the smaller problem; its oracle is kept where only inputs were left out.
        options: as asked for, in terms of the new columns.
        forms: what the new names stand for, the latest last; the empty name is the equation.
        constants: whether a form has constants that a fit may improve.
        story: what was done, for the log.
    """

    problem: Problem
    options: SearchOptions
    forms: tuple[tuple[str, Expression], ...] = ()
    constants: bool = False
    story: str = ""

    @classmethod
    def of(cls, problem: Problem, options: SearchOptions) -> Variant:
        """The problem as it is."""
        return cls(problem, options.replace(select_k_features=None))

    def back(self, equation: Expression) -> Expression:
        """An equation of the smaller problem over the original inputs."""
        root = equation.root
        for name, form in reversed(self.forms):
            if name == _EQUATION:
                whole = form.root
                if isinstance(whole, Call) and whole.operator.name == "*":
                    root = _product(whole.args[0], root)
                else:
                    root = substitute(whole, {name: root})
            else:
                root = substitute(root, {name: form.root})
        return Expression(root)

    def costs(self) -> list[int]:
        """What each column counts."""
        cost = self.options.complexity_of_variables
        return [cost] * len(self.problem.names) if isinstance(cost, int) else [*cost]

    def selected(self, columns: Sequence[int]) -> Variant:
        """With only some of the inputs; the oracle holds the others at their medians."""
        problem = self.problem.select(columns)
        if self.problem.oracle is not None:
            at = self.problem.train.X.median(0).values
            oracle = Restricted(self.problem.oracle, tuple(columns), at)
            problem = replace(problem, oracle=oracle)
        return replace(self, problem=problem, options=self.options_for(columns))

    def combined(self, i: int, j: int, values: Callable[[Tensor], Tensor], form: str) -> Variant:
        """With ``values(X)`` [n], written ``form``, in place of inputs i and j, put last."""
        problem = self.problem
        keep = [k for k in range(len(problem.names)) if k not in (i, j)]
        name = _fresh(problem.names)
        meaning = self._meaning(form, problem.names)

        def moved(sample: Sample) -> Sample:
            return replace(
                sample, X=torch.cat([sample.X[:, keep], values(sample.X)[:, None]], dim=1)
            )

        return replace(
            self,
            problem=replace(self._moved(moved), names=(*(problem.names[k] for k in keep), name)),
            options=self.options_for(keep, [self._size(meaning)]),
            forms=(*self.forms, (name, meaning)),
            story=f"{self.story} {name} = {form};",
        )

    def divided(self, factor: Callable[[Tensor], Tensor], form: str) -> Variant:
        """For the output divided by ``factor(X)`` [n], written ``form``."""

        def moved(sample: Sample) -> Sample:
            by = factor(sample.X)
            rows = usable(by, 0.3)
            # With these weights the loss is what it was: w f^2 (y/f - g)^2 = w (y - f g)^2.
            scaled = Sample(sample.X, sample.y / by, sample.weights * by**2)
            return scaled.take(rows.nonzero().flatten())

        return self._rewritten(moved, f"({form})*{_EQUATION}", f"output / ({form})")

    def reduced(self, column: int, slope: float) -> Variant:
        """For the output less a linear term."""

        def moved(sample: Sample) -> Sample:
            return replace(sample, y=sample.y - slope * sample.X[:, column])

        form = f"({slope!r})*{self.problem.names[column]}"
        rewritten = self._rewritten(moved, f"{form} + {_EQUATION}", f"output - {form}")
        return replace(rewritten, constants=True)

    def _rewritten(self, moved: Callable[[Sample], Sample], form: str, story: str) -> Variant:
        meaning = self._meaning(form, (*self.problem.names, _EQUATION))
        return replace(
            self,
            problem=self._moved(moved),
            forms=(*self.forms, (_EQUATION, meaning)),
            options=self.options.replace(
                maxsize=max(1, self.options.maxsize - self._size(meaning) + 1)
            ),
            story=f"{self.story} {story};",
        )

    def _moved(self, moved: Callable[[Sample], Sample]) -> Problem:
        """The problem with other samples, about which the oracle knows nothing."""
        train, validation = moved(self.problem.train), moved(self.problem.validation)
        return replace(self.problem, train=train, validation=validation, oracle=None)

    def _meaning(self, form: str, names: Sequence[str]) -> Expression:
        """A form as an expression.

        Raises:
            InputError: it needs operators that were not asked for.
        """
        meaning = Expression.parse(form, names, self.options.custom)
        rule = self.options.complexity_rule(self.problem.names)
        if not within_limits(meaning, self.options, rule):
            raise InputError(f"the options do not allow {form}")
        return meaning

    def _size(self, form: Expression) -> int:
        rule = self.options.complexity_rule(self.problem.names)
        return rule.of(form)

    def options_for(self, keep: Sequence[int], new: Sequence[int] = ()) -> SearchOptions:
        """The options for some of the columns, followed by new ones of the given costs."""
        costs = self.costs()
        return self.options.replace(complexity_of_variables=(*(costs[i] for i in keep), *new))


def healthy(variant: Variant) -> bool:
    """Whether enough is left of the problem to search it."""
    samples = (variant.problem.train, variant.problem.validation)
    y = variant.problem.train.y
    return (
        variant.options.maxsize > 1
        and all(
            len(sample) >= 2
            and bool(torch.isfinite(sample.X).all() & torch.isfinite(sample.y).all())
            for sample in samples
        )
        and bool(y.max() - y.min() > 1e-9 * y.abs().max())
    )


def _product(factor: Node, root: Node) -> Node:
    """A product, as a quotient where that is shorter: equations that are too long are lost before
    anyone simplifies them."""
    for above, below in ((factor, root), (root, factor)):
        if isinstance(below, Call) and (
            below.operator.name == "inv"
            or (below.operator.name == "/" and below.args[0] == Constant(1.0))
        ):
            return Call(operator_named("/"), (above, below.args[-1]))
    return Call(operator_named("*"), (factor, root))


def _fresh(names: Sequence[str]) -> str:
    """A name for a new column that no column has.

    >>> _fresh(["x", "u0"])
    'u1'
    """
    return next(name for k in range(len(names) + 1) if (name := f"u{k}") not in names)
