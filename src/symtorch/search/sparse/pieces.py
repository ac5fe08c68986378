"""Separability: functions that are a sum or a product of functions of separate inputs.

AI Feynman makes the same test (Udrescu & Tegmark 2020, "AI Feynman: a physics-inspired method for
symbolic regression").
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...operators import Operator, operator_named
from ..problem import Oracle, Sample
from .gradients import GRADIENT_ROWS
from .views import Restricted, View, healthy

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
    pieces: tuple[View, ...]
    constant: float

    @property
    def widest(self) -> int:
        """Inputs of the largest piece."""
        return max(len(piece.problem.names) for piece in self.pieces)


def separated(view: View) -> Parts | None:
    """The parts of a problem that falls into a sum or a product, by its oracle.

    Two inputs do not act together where ``f(x, y) - f(x, b) - f(a, y) + f(a, b)`` vanishes (their
    mixed second derivative would, but networks have noisy ones); for a product
    ``f(x, y) f(a, b) - f(x, b) f(a, y)`` does. AI Feynman makes the same test.

    >>> from symtorch.search import Problem, SearchOptions
    >>> X = torch.rand(300, 3, dtype=torch.float64) + 1
    >>> law = lambda x: x[:, 0] * x[:, 1] + torch.sin(x[:, 2])
    >>> problem = Problem.split(X, law(X), ["a", "b", "c"], oracle=law)
    >>> parts = separated(View.of(problem, SearchOptions()))
    >>> parts.operator.name, [piece.problem.names for piece in parts.pieces]
    ('+', [('a', 'b'), ('c',)])
    """
    problem, oracle = view.problem, view.problem.oracle
    d = len(problem.names)
    if oracle is None or d < 2:
        return None
    X = problem.train.X[:: max(1, len(problem.train) // GRADIENT_ROWS)]
    allowed = {operator.name for operator in view.options.binary}
    try:
        with torch.no_grad():
            values = oracle(X).double()
            # A product says nothing at its zeros: the reference has a value well away from 0.
            order = torch.argsort(values.abs(), stable=True)
            at = X[order[int(0.8 * len(order))]]
            for name in ("+", "*"):
                if name not in allowed:
                    continue
                groups = _groups(oracle, X, at, values, name)
                if groups is not None and len(groups) > 1:
                    return _parts(view, oracle, at, groups, name)
    except Exception as error:
        log.debug("the oracle has no answer: %s", error)
    return None


def _groups(
    oracle: Oracle, X: Tensor, at: Tensor, values: Tensor, name: str
) -> list[list[int]] | None:
    """Inputs that act together, group by group; None where values are not finite."""
    d = X.shape[1]
    spread = values.std()
    reference = oracle(at[None])[0].double()

    def held(*columns: int) -> Tensor:
        table = X.clone()
        table[:, list(columns)] = at[list(columns)]
        return oracle(table).double()

    single = [held(i) for i in range(d)]
    group = list(range(d))
    for i in range(d):
        for j in range(i):
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
    view: View, oracle: Oracle, at: Tensor, groups: Sequence[Sequence[int]], name: str
) -> Parts | None:
    problem = view.problem
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
        piece = View(part, view.options_for(columns))
        if not healthy(piece):
            return None
        pieces.append(piece)
    again = len(pieces) - 1
    constant = -again * value if name == "+" else value**-again
    return Parts(operator_named(name), tuple(pieces), constant)
