"""Expression trees of the sparse engine: light nested tuples, made and thrown away by the thousand.

A tree is one of::

    ("x", i)          input i
    ("c", value)      a free constant, which polishing may move
    ("k", value)      a numeral that belongs to the structure: the 2 of ``x^2``, the 1 of ``1/x``
    (name, a)         a unary operator of the vocabulary
    (name, a, b)      a binary operator: + - * / ^ or one of the vocabulary

`symtorch.Expression` is the public form; a tree becomes one only when it reaches the front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .....symbolic.nodes import Call, Constant, Node, Variable
from .....symbolic.operators import Operator

Tree = tuple[Any, ...]
Functions = Mapping[str, Callable[..., Tensor]]

LEAVES = frozenset({"x", "c", "k"})


def inp(index: int) -> Tree:
    """Input column ``index``."""
    return ("x", index)


def const(value: float) -> Tree:
    """A free constant."""
    return ("c", float(value))


def num(value: float) -> Tree:
    """A numeral that belongs to the structure."""
    return ("k", float(value))


def is_number(tree: Tree) -> bool:
    """Whether the tree is a constant or a numeral."""
    return tree[0] in ("c", "k")


def walk(tree: Tree) -> Iterator[Tree]:
    """All nodes, the root first."""
    yield tree
    if tree[0] not in LEAVES:
        for child in tree[1:]:
            yield from walk(child)


def inputs_of(tree: Tree) -> set[int]:
    """Indices of the inputs that occur."""
    return {node[1] for node in walk(tree) if node[0] == "x"}


def constants_of(tree: Tree) -> list[float]:
    """Values of the free constants, in the order in which `walk` meets them."""
    return [node[1] for node in walk(tree) if node[0] == "c"]


def with_constants(tree: Tree, values: Iterator[float]) -> Tree:
    """The same tree with the free constants taken from ``values``, in `walk` order."""
    if tree[0] == "c":
        return ("c", float(next(values)))
    if tree[0] in LEAVES:
        return tree
    return (tree[0], *(with_constants(child, values) for child in tree[1:]))


def skeleton(tree: Tree) -> Tree:
    """The tree with every free constant blanked: two candidates of one skeleton polish to one
    law."""
    return with_constants(tree, iter(lambda: 0.0, 1))


def values_of(tree: Tree, X: Tensor, functions: Functions) -> Tensor:
    """Value of ``tree`` at the rows of ``X`` [n, d] -> [n]; numbers may stay 0-dimensional."""
    kind = tree[0]
    if kind == "x":
        return X[:, tree[1]]
    if kind in ("c", "k"):
        return torch.tensor(tree[1], dtype=X.dtype, device=X.device)
    return functions[kind](*(values_of(child, X, functions) for child in tree[1:]))


def values_and_jacobian(tree: Tree, X: Tensor, functions: Functions) -> tuple[Tensor, Tensor]:
    """Value [n] and derivative by each free constant [p, n].

    Every operator acts row by row, so giving each constant its own copy per row turns one
    reverse pass over the sum of the outputs into the whole Jacobian.
    """
    leaves: list[Tensor] = []

    def run(node: Tree) -> Tensor:
        kind = node[0]
        if kind == "x":
            return X[:, node[1]]
        if kind == "k":
            return torch.tensor(node[1], dtype=X.dtype, device=X.device)
        if kind == "c":
            leaf = torch.full(
                (X.shape[0],), node[1], dtype=X.dtype, device=X.device, requires_grad=True
            )
            leaves.append(leaf)
            return leaf
        return functions[kind](*(run(child) for child in node[1:]))

    with torch.enable_grad():
        value = run(tree).expand(X.shape[0])
        if not leaves:
            return value.detach(), X.new_zeros((0, X.shape[0]))
        grads = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    rows = [
        torch.zeros_like(leaf) if grad is None else grad
        for leaf, grad in zip(leaves, grads, strict=True)
    ]
    return value.detach(), torch.stack(rows).detach()


def to_node(tree: Tree, names: Sequence[str], operators: Mapping[str, Operator]) -> Node:
    """The tree as the rest of the package knows it.

    >>> from symtorch.symbolic.operators import OPERATORS
    >>> from symtorch import Expression
    >>> str(Expression(to_node(("*", ("c", 2.5), ("square", ("x", 1))), ["a", "b"], OPERATORS)))
    '2.5*square(b)'

    Args:
        tree: over inputs by position.
        names: of the inputs.
        operators: by the names that occur in the tree.
    """
    kind = tree[0]
    if kind == "x":
        return Variable(names[tree[1]])
    if kind in ("c", "k"):
        return Constant(tree[1] + 0.0)  # -0.0 becomes 0.0: nobody writes a negative zero
    return Call(operators[kind], tuple(to_node(child, names, operators) for child in tree[1:]))


def merge_powers(parts: list[tuple[Tree, float]]) -> list[tuple[Tree, float]]:
    """Write factors of one tree once: products and quotients inside factors are opened first."""
    powers: dict[Tree, float] = {}

    def open_up(tree: Tree, p: float) -> None:
        kind = tree[0]
        if kind == "*":
            open_up(tree[1], p)
            open_up(tree[2], p)
        elif kind == "/":
            open_up(tree[1], p)
            open_up(tree[2], -p)
        elif kind == "inv":
            open_up(tree[1], -p)
        elif kind == "square":
            open_up(tree[1], 2 * p)
        elif kind == "sqrt":
            open_up(tree[1], p / 2)
        elif kind == "^" and tree[2][0] == "k":
            open_up(tree[1], p * tree[2][1])
        elif kind != "k" or tree[1] != 1:
            powers[tree] = powers.get(tree, 0.0) + p

    for tree, p in parts:
        open_up(tree, p)
    return [(tree, p) for tree, p in powers.items() if abs(p) > 1e-9]
