"""Graph: equations as one graph of elementary steps; the kinds of leaves and steps.

Planning only: nothing here computes on data.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from ...symbolic.operators import OPERATORS, Operator


@dataclass(frozen=True)
class Kernel:
    """What a step computes, elementwise on operands that broadcast.

    Args:
        name: what steps are grouped by.
        function: on tensors.
        into: the same with a keyword ``out``, where torch has it.
        steps_in: positions of operands that no gradient passes to.
    """

    name: str
    function: Callable[..., torch.Tensor] = field(repr=False, compare=False)
    into: Callable[..., torch.Tensor] | None = field(default=None, repr=False, compare=False)
    steps_in: tuple[int, ...] = ()


def kernel_of(name: str) -> Kernel:
    """The kernel of an operator of the table.

    >>> kernel_of("sin").into is torch.sin
    True
    """
    return _kernel(OPERATORS[name])


@functools.cache
def _kernel(row: Operator) -> Kernel:
    into = row.torch if _takes_out(row.torch) else None
    return Kernel(row.name, row.torch, into, row.steps_in)


def _takes_out(function: Callable[..., torch.Tensor]) -> bool:
    # torch's own functions do, but for this one; the table's lambdas do not.
    return type(function) is type(torch.sin) and function is not torch.relu


MULTIPLY = kernel_of("*")
DIVIDE = kernel_of("/")

AFFINE = Kernel("a + b*c", torch.addcmul, torch.addcmul)
"""Sums, differences and sums with a multiple, all in one kind."""


def _linear(
    bias: torch.Tensor, weights: torch.Tensor, terms: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    return torch.addmm(bias, weights.view(len(bias), -1), terms, out=out)


def _long_sums(
    bias: torch.Tensor, weights: torch.Tensor, terms: torch.Tensor, out: torch.Tensor | None = None
) -> torch.Tensor:
    # A batch of products of a row and a matrix: [sums, 1, terms] @ [sums, terms, rows].
    sums, length = len(bias), len(weights) // len(bias)
    left = weights.view(sums, 1, length)
    right = terms.reshape(sums, length, terms.shape[1])
    if out is None:
        return torch.baddbmm(bias.unsqueeze(2), left, right).squeeze(1)
    torch.baddbmm(bias.unsqueeze(2), left, right, out=out.unsqueeze(1))
    return out


LINEAR = Kernel("linear", _linear, _linear)
"""Several linear combinations of the same terms: a matrix product."""

LONG_SUMS = Kernel("long sums", _long_sums, _long_sums)
"""Several linear combinations of as many terms each, but of different ones."""


@dataclass(frozen=True)
class Input:
    """A column of the input."""

    column: int


@dataclass(frozen=True)
class Number:
    """A number that is part of the form. Told apart by ``text``: nan is nan, -0 is not 0."""

    value: float = field(compare=False)
    text: str

    @classmethod
    def of(cls, value: float) -> Number:
        """The leaf of a number."""
        return cls(value, value.hex())


@dataclass(frozen=True)
class Parameter:
    """A constant that can be trained, times a number."""

    position: int
    factor: float = 1.0


@dataclass(frozen=True)
class Step:
    """A kernel on earlier nodes.

    Args:
        kernel: what is computed.
        args: numbers of the operands. Of `AFFINE`: a, b, c, the last one a constant. Of
            `LINEAR` and `LONG_SUMS`: the terms.
        weights: of these: the bias, and a constant for each term.
    """

    kernel: Kernel
    args: tuple[int, ...]
    weights: tuple[int, ...] = ()


Leaf: TypeAlias = Input | Number | Parameter


@dataclass(frozen=True)
class Graph:
    """Nodes, operands before what uses them, and which of them are the outputs.

    >>> from symtorch import Expression
    >>> from symtorch.layer.planning.rewriting import build_graph
    >>> graph = build_graph([Expression.parse("2*x + y"), Expression.parse("sin(2*x)")], ["x", "y"])
    >>> [node.kernel.name for node in graph.nodes if isinstance(node, Step)]
    ['*', 'a + b*c', 'sin']

    Args:
        nodes: leaves and steps.
        outputs: number of the node of each equation.
        width: how many columns the input has.
    """

    nodes: tuple[Leaf | Step, ...]
    outputs: tuple[int, ...]
    width: int

    @property
    def trainable(self) -> bool:
        """Whether there are constants that can be trained."""
        return any(isinstance(node, Parameter) for node in self.nodes)

    @functools.cached_property
    def live(self) -> frozenset[int]:
        """Nodes that gradients of the outputs reach, be they 0, and not only by a step."""
        found = set(self.outputs)
        for i, step in reversed(list(self.steps)):
            if i in found:
                at = enumerate(step.args)
                found.update(arg for k, arg in at if k not in step.kernel.steps_in)
        return frozenset(found)

    @property
    def steps(self) -> Iterable[tuple[int, Step]]:
        """The steps, with their numbers."""
        return ((i, node) for i, node in enumerate(self.nodes) if isinstance(node, Step))


def without_the_unused(nodes: Sequence[Leaf | Step], outputs: Sequence[int], width: int) -> Graph:
    """Drop what the rewriting left behind, and number the rest anew."""
    needed = set(outputs)
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        if i in needed and isinstance(node, Step):
            needed.update(node.args, node.weights)
    # Leaves first: the rewriting adds constants after the steps that use them.
    order = sorted(needed, key=lambda i: (isinstance(nodes[i], Step), i))
    numbers = {i: new for new, i in enumerate(order)}
    kept = []
    for i in order:
        node = nodes[i]
        if isinstance(node, Step):
            args = tuple(numbers[arg] for arg in node.args)
            weights = tuple(numbers[weight] for weight in node.weights)
            node = Step(node.kernel, args, weights)
        kept.append(node)
    return Graph(tuple(kept), tuple(numbers[i] for i in outputs), width)
