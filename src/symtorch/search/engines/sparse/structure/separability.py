"""Separability: functions that are a sum or a product of functions of separate inputs.

AI Feynman makes the same test (Udrescu & Tegmark 2020, "AI Feynman: a physics-inspired method for
symbolic regression").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .....symbolic.nodes import Call, Constant, Node
from .....symbolic.operators import Operator, operator_named
from ....problem import Oracle, Sample
from .gradients import GRADIENT_ROWS
from .variants import Restricted, Variant, healthy

log = logging.getLogger(__name__)

SEPARATE = 0.02
"""How far a function may be from a sum or product of its parts, relative to its spread."""


@dataclass(frozen=True)
class Parts:
    """A function that is the sum or the product of functions of separate inputs.

    Args:
        operator: that joins them.
        pieces: a problem for each group of inputs, the others held at a reference point.
        constant: joins the pieces as one more part and makes up for counting the value at
            the reference point several times.
    """

    operator: Operator
    pieces: tuple[Variant, ...]
    constant: float

    @property
    def neutral(self) -> float:
        """The constant that joins the pieces without effect."""
        return _neutral(self.operator)

    def joining(self, choice: Choice) -> float:
        """The constant that joins a choice for all pieces."""
        if self.operator.name == "+":
            return self.constant + choice.constant
        return self.constant * choice.constant

    @property
    def widest(self) -> int:
        """Inputs of the largest piece."""
        return max(len(piece.problem.names) for piece in self.pieces)


@dataclass(frozen=True)
class Choice:
    """One way to write a piece, or several pieces together.

    Args:
        root: the equation; None where a constant stands for all of it.
        constant: joins the equation by the pieces' operator.
        size: nodes of the equation.
        error: what it leaves, as a mean square, for a product relative to the target's.
    """

    root: Node | None
    constant: float
    size: int
    error: float

    @classmethod
    def of(
        cls, root: Node, operator: Operator, size: Callable[[Node], int], error: float
    ) -> Choice:
        """An equation, with the constant that the operator joins to it kept apart.

        >>> from symtorch import Expression
        >>> root = Expression.parse("2*tanh(x) + 3").root
        >>> choice = Choice.of(root, operator_named("+"), lambda node: 6, 0.0)
        >>> str(Expression(choice.root)), choice.constant
        ('2*tanh(x)', 3.0)
        """
        constant = _neutral(operator)
        match root:
            case Constant(value):
                return cls(None, value, 0, error)
            case Call(joins, (rest, Constant(value)) | (Constant(value), rest)) if (
                joins.name == operator.name
            ):
                root, constant = rest, value
            case Call(joins, (rest, Constant(value))) if (joins.name, operator.name) == ("-", "+"):
                root, constant = rest, -value
        return cls(root, constant, size(root), error)


def _neutral(operator: Operator) -> float:
    return 0.0 if operator.name == "+" else 1.0


def joined(fronts: Sequence[Sequence[Choice]], operator: Operator, most: int) -> list[Choice]:
    """Choices for all pieces together that no smaller one beats, largest first.

    The residuals of pieces that read separate inputs are independent, so their mean squares add
    up (for a product the relative ones, to first order). A front of at most ``most`` sizes is
    therefore carried from piece to piece: of nine pieces with four choices each, all combinations
    would be 262,144 equations, of twelve 17 million.

    Args:
        fronts: the choices for each piece.
        operator: ``+`` or ``*``.
        most: largest size.
    """
    beam = [Choice(None, _neutral(operator), 0, 0.0)]
    for front in fronts:
        grown = [_joined(a, b, operator) for a in beam for b in front]
        grown.sort(key=lambda choice: (choice.size, choice.error))
        beam, lowest = [], math.inf
        for choice in grown:
            if choice.size <= most and choice.error < lowest:
                beam.append(choice)
                lowest = choice.error
    return beam[::-1]


def _joined(a: Choice, b: Choice, operator: Operator) -> Choice:
    constant = a.constant + b.constant if operator.name == "+" else a.constant * b.constant
    error = a.error + b.error
    if a.root is None or b.root is None:
        return Choice(a.root or b.root, constant, max(a.size, b.size), error)
    return Choice(Call(operator, (a.root, b.root)), constant, a.size + 1 + b.size, error)


def separated(variant: Variant, expired: Callable[[], bool] = lambda: False) -> Parts | None:
    """The parts of a problem that falls into a sum or a product, by its oracle.

    Two inputs do not act together where ``f(x, y) - f(x, b) - f(a, y) + f(a, b)`` vanishes (their
    mixed second derivative would, but networks have noisy ones); for a product
    ``f(x, y) f(a, b) - f(x, b) f(a, y)`` does. AI Feynman makes the same test. Many inputs have
    many pairs: when ``expired`` says so, the question stays open.

    >>> from symtorch.search import Problem, SearchOptions
    >>> X = torch.rand(300, 3, dtype=torch.float64) + 1
    >>> law = lambda x: x[:, 0] * x[:, 1] + torch.sin(x[:, 2])
    >>> problem = Problem.split(X, law(X), ["a", "b", "c"], oracle=law)
    >>> parts = separated(Variant.of(problem, SearchOptions()))
    >>> parts.operator.name, [piece.problem.names for piece in parts.pieces]
    ('+', [('a', 'b'), ('c',)])
    """
    problem, oracle = variant.problem, variant.problem.oracle
    d = len(problem.names)
    if oracle is None or d < 2:
        return None
    X = problem.train.X[:: max(1, len(problem.train) // GRADIENT_ROWS)]
    allowed = {operator.name for operator in variant.options.binary}
    try:
        with torch.no_grad():
            values = oracle(X).double()
            # A product says nothing at its zeros: the reference has a value well away from 0.
            order = torch.argsort(values.abs(), stable=True)
            at = X[order[int(0.8 * len(order))]]
            for name in ("+", "*"):
                if name not in allowed:
                    continue
                groups = _groups(oracle, X, at, values, name, expired)
                if groups is not None and len(groups) > 1:
                    return _parts(variant, oracle, at, groups, name)
    except Exception as error:
        log.debug("the oracle has no answer: %s", error)
    return None


def _groups(
    oracle: Oracle, X: Tensor, at: Tensor, values: Tensor, name: str, expired: Callable[[], bool]
) -> list[list[int]] | None:
    """Inputs that act together, group by group; None where values are not finite or time is up."""
    d = X.shape[1]
    spread = values.std(correction=0)
    reference = oracle(at[None])[0].double()

    def held(*columns: int) -> Tensor:
        table = X.clone()
        table[:, list(columns)] = at[list(columns)]
        return oracle(table).double()

    single = [held(i) for i in range(d)]
    group = list(range(d))
    for i in range(d):
        if expired():
            return None
        for j in range(i):
            if group[i] == group[j]:
                continue  # known to act together through others
            both = held(i, j)
            if name == "+":
                off = (values - single[i] - single[j] + both) / spread
            else:
                off = (values * both - single[i] * single[j]) / (spread * reference.abs())
            if not bool(torch.isfinite(off).all()):
                return None
            kept = off.abs() <= torch.quantile(off.abs(), 0.9)
            if float(off[kept].square().mean().sqrt()) > SEPARATE:
                group = [group[j] if g == group[i] else g for g in group]
    return [[k for k in range(d) if group[k] == g] for g in dict.fromkeys(group)]


def _parts(
    variant: Variant, oracle: Oracle, at: Tensor, groups: Sequence[Sequence[int]], name: str
) -> Parts | None:
    problem = variant.problem
    value = float(oracle(at[None])[0])
    pieces = []
    for columns in groups:
        alone = Restricted(oracle, tuple(columns), at)

        def asked(sample: Sample, alone: Oracle = alone, keep: Sequence[int] = columns) -> Sample:
            table = sample.X[:, list(keep)]
            return Sample(table, alone(table).double(), sample.weights)

        part = replace(
            problem,
            train=asked(problem.train),
            validation=asked(problem.validation),
            names=tuple(problem.names[i] for i in columns),
            oracle=None,
        )
        piece = Variant(part, variant.options_for(columns))
        if not healthy(piece):
            return None
        pieces.append(piece)
    again = len(pieces) - 1
    constant = -again * value if name == "+" else value**-again
    return Parts(operator_named(name), tuple(pieces), constant)
