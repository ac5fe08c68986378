"""Expression trees: three kinds of node, and the walks over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from ..lazy import LazyModule
from .operators import Operator

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")


@dataclass(frozen=True, slots=True)
class Constant:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Variable:
    """A named input column."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """An operator applied to its arguments."""

    operator: Operator
    args: tuple[Node, ...]


Node: TypeAlias = Constant | Variable | Call

Backend: TypeAlias = Literal["torch", "numpy"]


def walk(node: Node) -> Iterator[Node]:
    """Yield every node, parents before children, left to right."""
    # A stack, for generators within generators would take the square of a long sum's depth.
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Call):
            waiting += reversed(node.args)


def is_structural(parent: Call, position: int) -> bool:
    """Whether an argument is part of the form, not a constant that can be tuned.

    An integer exponent is: the derivative of ``x**p`` in ``p`` is ``x**p log(x)``, not
    a number for negative ``x``, so training ``x**2`` must leave the 2 alone.
    """
    arg = parent.args[position]
    return (
        parent.operator.name == "^"
        and position == 1
        and isinstance(arg, Constant)
        and arg.value.is_integer()
    )


def free_constants(node: Node) -> Iterator[float]:
    """Yield the values of the constants that can be tuned, left to right."""
    if isinstance(node, Constant):
        yield node.value
    elif isinstance(node, Call):
        for position, arg in enumerate(node.args):
            if not is_structural(node, position):
                yield from free_constants(arg)


def replace_constants(node: Node, values: Iterator[float]) -> Node:
    """Return the tree with its tunable constants taken from ``values`` in turn."""
    if isinstance(node, Constant):
        return Constant(float(next(values)))
    if isinstance(node, Call):
        return Call(
            node.operator,
            tuple(
                arg if is_structural(node, position) else replace_constants(arg, values)
                for position, arg in enumerate(node.args)
            ),
        )
    return node


def name_constants(node: Node, names: Mapping[int, str]) -> Node:
    """Return the tree with variables in the place of some tunable constants, by position.

    A constant that is a variable can have a value for each row, and so a derivative in each row.
    """
    positions = itertools.count()

    def named(node: Node) -> Node:
        if isinstance(node, Constant):
            position = next(positions)
            return Variable(names[position]) if position in names else node
        if isinstance(node, Call):
            args = enumerate(node.args)
            return Call(
                node.operator, tuple(a if is_structural(node, i) else named(a) for i, a in args)
            )
        return node

    return named(node)


def substitute(node: Node, replacements: Mapping[str, Node]) -> Node:
    """Return the tree with variables replaced by trees."""
    if isinstance(node, Variable):
        return replacements.get(node.name, node)
    if isinstance(node, Call):
        return Call(node.operator, tuple(substitute(arg, replacements) for arg in node.args))
    return node


def evaluate(
    node: Node,
    variables: Mapping[str, Any],
    backend: Backend,
    constant: Callable[[float], Any],
) -> Any:
    """Evaluate a tree on numbers; see `evaluate_sympy` for symbols.

    Args:
        variables: value of each variable, tensors or arrays.
        backend: which of the operators' functions to call.
        constant: turns a number into a value of that backend.
    """
    if isinstance(node, Constant):
        return constant(node.value)
    if isinstance(node, Variable):
        return variables[node.name]
    args: Sequence[Any] = [evaluate(arg, variables, backend, constant) for arg in node.args]
    return getattr(node.operator, backend)(*args)


_EXACT_BITS = 256
"""Longest exact integer, and largest exact exponent, that SymPy is given to work with."""


def evaluate_sympy(
    node: Node,
    variables: Mapping[str, sympy.Expr],
    meaning: Callable[[Operator], Callable[..., sympy.Expr]] = lambda operator: operator.sympy,
) -> sympy.Expr:
    """Evaluate a tree on SymPy expressions.

    SymPy works integers out exactly, and ``9**9**9`` has 369 million digits. Numbers that
    leave the range of float64 are therefore what they are in float64, 0 or infinity, and
    integers that grow too long become floats.

    Args:
        variables: SymPy expression of each variable.
        meaning: what stands for an operator; its SymPy function by default.
    """
    if isinstance(node, Constant):
        return sympy_number(node.value)
    if isinstance(node, Variable):
        return variables[node.name]
    args = [evaluate_sympy(arg, variables, meaning) for arg in node.args]
    function = meaning(node.operator)
    if node.operator.name == "^" and args[1].is_Integer and abs(args[1]) > _EXACT_BITS:
        args[1] = sympy.Float(args[1])
    if not all(arg.is_number for arg in args):
        return function(*args)
    with np.errstate(all="ignore"):
        value = float(node.operator.numpy(*(np.float64(arg) for arg in args)))
    if not 1e-300 < abs(value) < 1e300:
        return sympy_number(value)
    exact = function(*args)
    if isinstance(exact, sympy.core.function.AppliedUndef):  # an operator it does not know
        return sympy_number(value)
    if exact.is_Rational and max(exact.p.bit_length(), exact.q.bit_length()) > _EXACT_BITS:
        return sympy.Float(value)
    return exact


def sympy_number(value: float) -> sympy.Expr:
    """Integers as exact integers, so that ``x**2.0`` is a square; others as floats."""
    if value.is_integer() and abs(value) < 1e15:
        return sympy.Integer(int(value))
    return sympy.Float(value)
