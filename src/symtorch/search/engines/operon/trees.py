"""Operon's trees and ours: what each of its node types computes, and the exact translation.

Measured on pyoperon 0.6.2 and held by a test against Operon's own interpreter: a tree is
a postfix list; the argument pushed last is the first operand; ``Sub`` and ``Div`` with one
argument are negation and reciprocal; the ``Value`` of a variable is its factor; ``Fmax``
computes the minimum and ``Fmin`` the maximum.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
import pyoperon

from ....errors import InputError
from ....symbolic.nodes import Call, Constant, Node, Variable
from ....symbolic.operators import OPERATORS, Operator

_TYPES = pyoperon.NodeType


def _max_and_min() -> tuple[Any, Any]:
    """The node types that compute the maximum and the minimum, whatever they are called."""
    # pyoperon 0.6.2 has them swapped; asked instead of assumed, a mended one works as well.
    data = pyoperon.Dataset(np.asfortranarray([[1.0]]))
    leaves = [pyoperon.Node.Constant(1.0), pyoperon.Node.Constant(2.0)]
    tree = pyoperon.Tree([*leaves, pyoperon.Node(_TYPES.Fmax)]).UpdateNodes()
    if float(pyoperon.Evaluate(tree, data, pyoperon.Range(0, 1))[0]) == 2.0:
        return _TYPES.Fmax, _TYPES.Fmin
    return _TYPES.Fmin, _TYPES.Fmax


_MAX, _MIN = _max_and_min()

NODE_TYPES: Mapping[str, tuple[Any, int, int]] = MappingProxyType(
    {
        "+": (_TYPES.Add, 2, 2),
        "-": (_TYPES.Sub, 2, 2),
        "neg": (_TYPES.Sub, 1, 1),
        "*": (_TYPES.Mul, 2, 2),
        "/": (_TYPES.Div, 2, 2),
        "inv": (_TYPES.Div, 1, 1),
        "^": (_TYPES.Pow, 2, 2),
        "max": (_MAX, 2, 2),
        "min": (_MIN, 2, 2),
        "abs": (_TYPES.Abs, 1, 1),
        "square": (_TYPES.Square, 1, 1),
        "sqrt": (_TYPES.Sqrt, 1, 1),
        "cbrt": (_TYPES.Cbrt, 1, 1),
        "exp": (_TYPES.Exp, 1, 1),
        "log": (_TYPES.Log, 1, 1),
        "log1p": (_TYPES.Log1p, 1, 1),
        "sin": (_TYPES.Sin, 1, 1),
        "cos": (_TYPES.Cos, 1, 1),
        "tan": (_TYPES.Tan, 1, 1),
        "asin": (_TYPES.Asin, 1, 1),
        "acos": (_TYPES.Acos, 1, 1),
        "atan": (_TYPES.Atan, 1, 1),
        "sinh": (_TYPES.Sinh, 1, 1),
        "cosh": (_TYPES.Cosh, 1, 1),
        "tanh": (_TYPES.Tanh, 1, 1),
        "floor": (_TYPES.Floor, 1, 1),
        "ceil": (_TYPES.Ceil, 1, 1),
    }
)
"""Operator name -> Operon's node type, least and most arguments.

Left out on purpose: ``Aq``, ``Powabs``, ``Logabs`` and ``Sqrtabs``, protected functions
that the operator table does not have.
"""

_NAMES: Mapping[tuple[Any, int], str] = MappingProxyType(
    {(kind, least): name for name, (kind, least, _) in NODE_TYPES.items()}
)

_MADE_OF: Mapping[str, str] = MappingProxyType({"cube": "*"})
"""Operators that Operon lacks but writes with another one; simplification finds them again."""


def has_node(operator: Operator) -> bool:
    """Whether Operon has a node of its own for an operator."""
    return operator.definition is None and operator.name in NODE_TYPES


def arities(operators: Iterable[Operator]) -> dict[Any, tuple[int, int]]:
    """The node types that stand for operators: type -> least and most arguments.

    Raises:
        InputError: operators that Operon has no node for.
    """
    asked = {operator.name: operator for operator in operators}
    missing = [
        name
        for name, operator in asked.items()
        if operator.definition is not None
        or (name not in NODE_TYPES and _MADE_OF.get(name) not in asked)
    ]
    if missing:
        raise InputError(
            f"engine 'operon' has no {', '.join(map(repr, missing))}; leave out what it lacks "
            f"or use engine='pysr'; it has: {', '.join([*NODE_TYPES, *_MADE_OF])}"
            + (" ('cube' needs '*' as well)" if "cube" in missing else "")
        )
    found: dict[Any, tuple[int, int]] = {}
    for name in asked:
        if name in NODE_TYPES:
            kind, least, most = NODE_TYPES[name]
            before = found.get(kind, (least, most))
            found[kind] = (min(before[0], least), max(before[1], most))
    return found


def to_tree(nodes: Sequence[Any], columns: Mapping[int, Node], *, weights: bool = True) -> Node:
    """Translate an Operon tree.

    Args:
        nodes: ``pyoperon.Tree.Nodes``, in postfix order.
        columns: the tree that stands for each variable, by Operon's hash.
        weights: False leaves the factors of variables out: the bare form, as it is when
            all of them turn out to be 1.

    Raises:
        InputError: a node type that the operator table lacks.
    """
    stack: list[Node] = []
    for node in nodes:
        if node.IsVariable:
            factor = float(node.Value) if weights else 1.0
            stack.append(_scaled(factor, columns[node.HashValue]))
        elif node.IsConstant:
            stack.append(Constant(float(node.Value)))
        else:
            args = [stack.pop() for _ in range(node.Arity)]
            stack.append(_call(node, args))
    (root,) = stack
    return root


def scaled_column(name: str, factor: float) -> Node:
    """The tree ``factor * name``.

    >>> scaled_column("x", 1.0)
    Variable(name='x')
    """
    return _scaled(factor, Variable(name))


def _call(node: Any, args: list[Node]) -> Node:
    if node.Value != 1.0:  # evolution never sets one, and Operon reads it differently by type
        raise InputError(f"Operon's node '{node.Name}' has a factor {node.Value}, not 1")
    name = _NAMES.get((node.Type, 1 if len(args) == 1 else 2))
    if name is None:
        raise InputError(f"Operon's node '{node.Name}' has no row in the operator table")
    operator = OPERATORS[name]
    if len(args) <= 2:
        return Call(operator, tuple(args))
    return reduce(lambda left, right: Call(operator, (left, right)), args)


def _scaled(factor: float, root: Node) -> Node:
    if factor == 1.0:
        return root
    return Call(OPERATORS["*"], (Constant(factor), root))
