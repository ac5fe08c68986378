"""Simplification: the shortest equal form that SymPy knows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from ..errors import InputError
from ..lazy import LazyModule
from .nodes import Node, evaluate_sympy, operators_in, walk
from .operators import Operator
from .polynomial import shortest_as_written
from .sympy_bridge import SYMPY_REFUSES, Symbols, from_sympy

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

_LONG = 60
"""Nodes above which a polynomial written out is not put in SymPy's order."""


def simplify(
    node: Node,
    complexity: Callable[[Node], int],
    operators: Collection[str] | None = None,
) -> Node:
    """The shortest equal form found: like terms merged, factors 1 and terms 0 gone.

    Only the operators that the tree already uses are used, and ``+ - *``; where the
    shorter form needs another, the tree stays. Long sums of different products stay as they
    are written, too: SymPy needs a tenth of a second to change no more than their order.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> from symtorch.symbolic.printing import exact
    >>> from symtorch.symbolic.nodes import walk
    >>> tree = parse_tree("1.0*x + 0*y + x*2 + 3*(1 - 1)")
    >>> exact(simplify(tree, lambda node: sum(1 for _ in walk(node))))
    '3*x'

    Args:
        complexity: what counts as short.
        operators: names that may be used, beside the tree's own, instead of ``+ - *``.
    """
    custom: dict[str, Operator] = {}

    def opaque(operator: Operator) -> Callable[..., sympy.Expr]:
        # Operators that SymPy would expand (sigmoid, relu, mod, the user's own) pass
        # through as unknown functions, and so come back as the calls they were.
        if operator.comes_back:
            return operator.sympy
        custom[operator.name] = operator
        function: Callable[..., sympy.Expr] = sympy.Function(operator.name)
        return function

    allowed = operators_in(node).union("+-*" if operators is None else operators)
    if sum(1 for _ in walk(node)) > _LONG and shortest_as_written(node, allowed):
        return node
    try:
        form = evaluate_sympy(node, Symbols(), opaque)
        forms = [form, sympy.factor_terms(form)]
    except SYMPY_REFUSES:
        return node
    found = []
    for form in forms:
        try:
            found.append(from_sympy(form, allowed, custom))
        except InputError:
            continue
    # Of equally short forms SymPy's own comes first: one spelling for one function.
    return min([*found, node], key=complexity)
