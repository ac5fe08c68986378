"""The terms of an equation, and how much each moves the output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..symbolic.expression import Expression
from ..symbolic.nodes import Call, Node
from ..symbolic.operators import OPERATORS
from .comparison import Array, Comparison


@dataclass(frozen=True)
class Term:
    """A summand.

    Args:
        expression: its form, sign included.
        values: [rows].
    """

    expression: Expression
    values: Array

    @property
    def spread(self) -> float:
        """Standard deviation over the rows: 0 for a constant."""
        # What numpy makes of equal numbers is rounding, not 0.
        return float(np.std(self.values)) if np.ptp(self.values) > 0 else 0.0


def terms(comparison: Comparison) -> list[Term]:
    """The summands of the equation, those first that move the output most."""
    rows = len(comparison)
    found = []
    for node in _summands(comparison.row.expression.root, 1):
        expression = Expression(node)
        values = np.broadcast_to(expression(comparison.variables), (rows,))
        found.append(Term(expression, values))
    return sorted(found, key=lambda term: -term.spread)


def _summands(node: Node, sign: int) -> Iterator[Node]:
    if isinstance(node, Call) and node.operator.name in ("+", "-"):
        left, right = node.args
        yield from _summands(left, sign)
        yield from _summands(right, sign if node.operator.name == "+" else -sign)
    elif isinstance(node, Call) and node.operator.name == "neg":
        yield from _summands(node.args[0], -sign)
    else:
        yield node if sign > 0 else Call(OPERATORS["neg"], (node,))
