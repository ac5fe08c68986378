"""Node by node: one tensor a node, what compilers and exporters read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import nn

from ..planning.graph import (
    AFFINE,
    DIVIDE,
    LINEAR,
    MULTIPLY,
    Graph,
    Input,
    Number,
    Parameter,
    Step,
)
from .constants import attached, in_range

_Value: TypeAlias = torch.Tensor | float


class NodeByNode:
    """One tensor a node: for compilers and exporters, which fuse what is written plainly.

    Args:
        graph: of the equations.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, x: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        """Evaluate: [..., columns] -> [..., outputs].

        Args:
            x: float32 or float64.
            trained: the trainable constants, if there are any.
        """
        columns = evaluate_nodes(self.graph, x.unbind(-1), x, trained)
        return attached(torch.stack(columns, dim=-1), x)


class InPieces:
    """The same on [rows, columns], for a compiler's code on the CPU, without gradient.

    The code has vector instructions only where columns lie in one piece, so they are
    brought to lie so first. A compiler that sees how would merge the steps again.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, x: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        columns = _settled(x.t().contiguous())
        results = torch.stack(evaluate_nodes(self.graph, columns.unbind(0), x, trained), dim=0)
        return _settled(results).t().contiguous()


def _settled(table: torch.Tensor) -> torch.Tensor:
    # A view by strides needs memory to be a view of.
    return table.as_strided(table.shape, (table.shape[1], 1))


def evaluate_nodes(
    graph: Graph, inputs: Sequence[torch.Tensor], x: torch.Tensor, trained: torch.Tensor | None
) -> list[torch.Tensor]:
    """One tensor [...] an output, from one a column.

    Args:
        graph: of the equations.
        inputs: the columns.
        x: float32 or float64, [..., columns].
        trained: the trainable constants, if there are any.
    """
    parameters = () if trained is None else trained.to(x.dtype).unbind(0)
    matrices = _matrices(graph)
    sums: dict[int, torch.Tensor] = {}
    values: list[_Value] = []
    for i, node in enumerate(graph.nodes):
        if isinstance(node, Input):
            values.append(inputs[node.column])
        elif isinstance(node, Number):
            values.append(in_range(node.value, x.dtype))
        elif isinstance(node, Parameter):
            value = parameters[node.position]
            values.append(value if node.factor == 1 else value * node.factor)
        elif node.kernel is LINEAR:
            members = matrices[node.args]
            if members[0] == i:
                sums.update(zip(members, _linear(graph, members, values, x), strict=True))
            values.append(sums[i])
        else:
            values.append(_step(node, [values[arg] for arg in node.args], x))
    shape = x.shape[:-1]
    return [_tensor(values[i], x).expand(shape) for i in graph.outputs]


def _tensor(value: _Value, x: torch.Tensor) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else x.new_full((), value)


def _step(step: Step, args: list[_Value], x: torch.Tensor) -> torch.Tensor:
    if step.kernel is AFFINE:
        a, b, c = args
        if isinstance(c, torch.Tensor):
            return a + c * b
        if c in (1.0, -1.0):
            return a + b if c > 0 else a - b  # type: ignore[return-value]
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return torch.add(a, b, alpha=c)
        return a + c * b  # type: ignore[return-value]
    if step.kernel is MULTIPLY:
        return args[0] * args[1]  # type: ignore[return-value]
    if step.kernel is DIVIDE:
        a, b = args
        if isinstance(a, float) and a == 1.0 and isinstance(b, torch.Tensor):
            return torch.reciprocal(b)
        return a / b  # type: ignore[return-value]
    return step.kernel.function(*(_tensor(arg, x) for arg in args))


def _matrices(graph: Graph) -> dict[tuple[int, ...], list[int]]:
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, step in graph.steps:
        if step.kernel is LINEAR:
            found[step.args].append(i)
    return found


def _linear(
    graph: Graph, members: Sequence[int], values: Sequence[_Value], x: torch.Tensor
) -> Sequence[torch.Tensor]:
    """Linear combinations of the same terms, one by member."""
    rows = [[values[i] for i in _step_of(graph, member).weights] for member in members]
    bias = _vector([row[0] for row in rows], x)
    matrix = _vector([value for row in rows for value in row[1:]], x).view(len(rows), -1)
    terms = [_tensor(values[i], x).expand(x.shape[:-1]) for i in _step_of(graph, members[0]).args]
    return nn.functional.linear(torch.stack(terms, -1), matrix, bias).unbind(-1)


def _step_of(graph: Graph, i: int) -> Step:
    node = graph.nodes[i]
    assert isinstance(node, Step)
    return node


def _vector(values: Sequence[_Value], x: torch.Tensor) -> torch.Tensor:
    numbers = [value for value in values if not isinstance(value, torch.Tensor)]
    if len(numbers) == len(values):
        return x.new_tensor(numbers)
    return torch.stack([_tensor(value, x) for value in values])
