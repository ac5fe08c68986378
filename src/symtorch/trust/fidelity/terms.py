"""What each term of an equation contributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...symbolic.expression import Expression
from ...symbolic.nodes import Call, Node


@dataclass(frozen=True)
class Term:
    """One summand of an equation.

    Args:
        text: as it is read.
        share: its standard deviation over that of the whole equation: 1 for an equation of one
            term; above 1 where terms cancel each other.
    """

    text: str
    share: float


def terms_of(expression: Expression, variables: Mapping[str, Tensor]) -> tuple[Term, ...]:
    """The summands with what they contribute on columns [rows] by name, largest first.

    >>> x = torch.linspace(-1, 1, 101, dtype=torch.float64)
    >>> terms_of(Expression.parse("3*x + 0.5 - x**3"), {"x": x})[0].text
    '3*x'
    """
    whole = _spread(expression, variables)
    terms = []
    for sign, node in summands(expression.root):
        part = Expression(node)
        if part.variables:
            text = ("-" if sign < 0 else "") + part.pretty()
            terms.append(Term(text, _spread(part, variables) / max(whole, 1e-300)))
    return tuple(sorted(terms, key=lambda term: -term.share))


def summands(root: Node) -> list[tuple[int, Node]]:
    """The parts of a sum with their signs, left to right."""
    found: list[tuple[int, Node]] = []
    waiting: list[tuple[int, Node]] = [(1, root)]
    while waiting:
        sign, node = waiting.pop()
        match node:
            case Call(operator, (left, right)) if operator.name == "+":
                waiting += [(sign, right), (sign, left)]
            case Call(operator, (left, right)) if operator.name == "-":
                waiting += [(-sign, right), (sign, left)]
            case Call(operator, (inner,)) if operator.name == "neg":
                waiting.append((-sign, inner))
            case _:
                found.append((sign, node))
    return found


def _spread(expression: Expression, variables: Mapping[str, Tensor]) -> float:
    values = expression(variables)
    return float(values[torch.isfinite(values)].std(correction=0))
