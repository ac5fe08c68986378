"""Expression trees: three kinds of node, and the walks over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .operators import Operator


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

Backend: TypeAlias = Literal["torch", "numpy", "sympy"]


def walk(node: Node) -> Iterator[Node]:
    """Yield every node, parents before children, left to right."""
    yield node
    if isinstance(node, Call):
        for arg in node.args:
            yield from walk(arg)


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
    """Evaluate a tree with one of the operator table's three meanings.

    Args:
        variables: value of each variable; tensors, arrays or SymPy expressions.
        backend: which of the operators' functions to call.
        constant: turns a number into a value of that backend.
    """
    if isinstance(node, Constant):
        return constant(node.value)
    if isinstance(node, Variable):
        return variables[node.name]
    args: Sequence[Any] = [evaluate(arg, variables, backend, constant) for arg in node.args]
    return getattr(node.operator, backend)(*args)
