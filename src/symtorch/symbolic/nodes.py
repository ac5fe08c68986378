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


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """An operator applied to its arguments.

    A sum of a thousand terms is a tree a thousand levels deep, but only to the left. So all
    that is done with trees follows first arguments in a loop (see `spine`), and recurses into
    the others only, comparing, hashing and pickling included.
    """

    operator: Operator
    args: tuple[Node, ...]

    def __eq__(self, other: object) -> bool:
        """The same operators, constants and variables in the same places."""
        one: Node = self
        while isinstance(one, Call) and isinstance(other, Call):
            if one is other:
                return True
            if one.operator != other.operator or one.args[1:] != other.args[1:]:
                return False
            if len(one.args) != len(other.args):
                return False
            one, other = one.args[0], other.args[0]
        return not (isinstance(one, Call) or isinstance(other, Call)) and one == other

    def __hash__(self) -> int:
        """Equal for equal trees."""
        leaf, calls = spine(self)
        found = hash(leaf)
        for call in calls:
            found = hash((found, call.operator, call.args[1:]))
        return found

    def __deepcopy__(self, memo: object) -> Call:
        """Itself: trees do not change."""
        return self

    def __reduce__(self) -> tuple[Callable[..., Node], tuple[Any, ...]]:
        """Pickle as the leftmost leaf and what is done with it, from the inside out."""
        leaf, calls = spine(self)
        return _from_spine, (leaf, [(call.operator, call.args[1:]) for call in calls])


Node: TypeAlias = Constant | Variable | Call

Backend: TypeAlias = Literal["torch", "numpy"]


def spine(node: Node) -> tuple[Constant | Variable, list[Call]]:
    """The leftmost leaf of a tree, and the calls above it, innermost first.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> leaf, calls = spine(parse_tree("sin(x)*2 + 3"))
    >>> leaf.name, [call.operator.name for call in calls]
    ('x', ['sin', '*', '+'])
    """
    calls = []
    while isinstance(node, Call):
        calls.append(node)
        node = node.args[0]
    return node, calls[::-1]


def _from_spine(leaf: Node, calls: Sequence[tuple[Operator, tuple[Node, ...]]]) -> Node:
    for operator, others in calls:
        leaf = Call(operator, (leaf, *others))
    return leaf


def walk(node: Node) -> Iterator[Node]:
    """Yield every node, parents before children, left to right."""
    # A stack, for generators within generators would take the square of a long sum's depth.
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Call):
            waiting += reversed(node.args)


def operators_in(node: Node) -> set[str]:
    """Names of the operators a tree calls."""
    return {n.operator.name for n in walk(node) if isinstance(n, Call)}


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
    leaf, calls = spine(node)
    if isinstance(leaf, Constant):
        yield leaf.value
    for call in calls:
        for position, arg in enumerate(call.args[1:], start=1):
            if not is_structural(call, position):
                yield from free_constants(arg)


def replace_constants(node: Node, values: Iterator[float]) -> Node:
    """Return the tree with its tunable constants taken from ``values`` in turn."""
    leaf, calls = spine(node)
    result: Node = Constant(float(next(values))) if isinstance(leaf, Constant) else leaf
    for call in calls:
        others = (
            arg if is_structural(call, position) else replace_constants(arg, values)
            for position, arg in enumerate(call.args[1:], start=1)
        )
        result = Call(call.operator, (result, *others))
    return result


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
    leaf, calls = spine(node)
    result = replacements.get(leaf.name, leaf) if isinstance(leaf, Variable) else leaf
    for call in calls:
        others = (substitute(arg, replacements) for arg in call.args[1:])
        result = Call(call.operator, (result, *others))
    return result


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
    leaf, calls = spine(node)
    value = variables[leaf.name] if isinstance(leaf, Variable) else constant(leaf.value)
    for call in calls:
        others = [evaluate(arg, variables, backend, constant) for arg in call.args[1:]]
        value = getattr(call.operator, backend)(value, *others)
    return value


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
    leaf, calls = spine(node)
    value = variables[leaf.name] if isinstance(leaf, Variable) else sympy_number(leaf.value)
    for call in calls:
        others = [evaluate_sympy(arg, variables, meaning) for arg in call.args[1:]]
        value = _sympy_call(call.operator, meaning(call.operator), [value, *others])
    return value


def _sympy_call(
    operator: Operator, function: Callable[..., sympy.Expr], args: list[sympy.Expr]
) -> sympy.Expr:
    if operator.name == "^" and args[1].is_Integer and abs(args[1]) > _EXACT_BITS:
        args[1] = sympy.Float(args[1])
    if not all(arg.is_number for arg in args):
        return function(*args)
    with np.errstate(all="ignore"):
        value = float(operator.numpy(*(np.float64(arg) for arg in args)))
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
