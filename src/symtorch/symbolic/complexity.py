"""Complexity: how long an equation counts as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .nodes import Call, Constant, Node, Variable, walk

if TYPE_CHECKING:
    from .expression import Expression


@dataclass(frozen=True)
class ComplexityRule:
    """How nodes are counted: by default each operator, constant and variable is 1, as in PySR.

    >>> from symtorch import Expression
    >>> ComplexityRule(operators={"sin": 3}).of(Expression.parse("2*sin(x)"))
    6
    """

    operators: Mapping[str, int] = field(default_factory=dict)
    constants: int = 1
    variables: int | Mapping[str, int] = 1

    def of(self, expression: Expression | Node) -> int:
        """The complexity of an expression or a bare tree."""
        root = expression if isinstance(expression, Constant | Variable | Call) else expression.root
        return sum(self._weight(node) for node in walk(root))

    def _weight(self, node: Node) -> int:
        if isinstance(node, Constant):
            return self.constants
        if isinstance(node, Variable):
            if isinstance(self.variables, int):
                return self.variables
            return self.variables.get(node.name, 1)
        return self.operators.get(node.operator.name, node.operator.complexity)
