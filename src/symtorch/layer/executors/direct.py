"""Direct: few steps, one after the other."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch

from ..planning.graph import AFFINE, DIVIDE, Graph, Input, Number, Parameter, Step
from .constants import attached, in_range


class Direct:
    """A graph carried out step by step with as little around it as can be: for small ones.

    Args:
        graph: without `LINEAR`.
        dtype: float32 or float64.
        device: of the inputs.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype, device: torch.device) -> None:
        self.columns = [node.column for node in graph.nodes if isinstance(node, Input)]
        self.parameters = [
            (node.position, node.factor) for node in graph.nodes if isinstance(node, Parameter)
        ]
        # torch works with a tensor of no dimensions faster than with Python's numbers.
        self.numbers = [
            torch.tensor(node.value, dtype=dtype, device=device)
            for node in graph.nodes
            if isinstance(node, Number)
        ]
        self.dtype = dtype
        leaves = [
            i
            for kind in (Input, Number, Parameter)
            for i, n in enumerate(graph.nodes)
            if isinstance(n, kind)
        ]
        place = {i: at for at, i in enumerate([*leaves, *dict(graph.steps)])}
        self.steps = [self.step(graph, step, place) for _, step in graph.steps]
        self.outputs = [place[i] for i in graph.outputs]

    def step(
        self, graph: Graph, step: Step, place: Mapping[int, int]
    ) -> tuple[Callable[..., torch.Tensor], tuple[int, ...]]:
        """A function, and the places of its operands."""
        args = tuple(place[arg] for arg in step.args)
        if step.kernel is AFFINE:
            c = graph.nodes[step.args[2]]
            if isinstance(c, Number):
                if c.value == 1:
                    return torch.add, args[:2]
                if c.value == -1:
                    return torch.sub, args[:2]
                alpha = in_range(c.value, self.dtype)
                return functools.partial(torch.add, alpha=alpha), args[:2]
        if step.kernel is DIVIDE and graph.nodes[step.args[0]] == Number.of(1.0):
            return torch.reciprocal, args[1:]
        return step.kernel.function, args

    def run(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        values = [x[:, i] for i in self.columns]
        values += self.numbers
        if self.parameters:
            parts = trained.to(self.dtype).unbind(0)
            values += [
                parts[i] if factor == 1 else parts[i] * factor for i, factor in self.parameters
            ]
        for function, args in self.steps:
            values.append(function(*[values[i] for i in args]))
        results = [values[i] for i in self.outputs]
        if len(results) == 1 and results[0].ndim and self.steps:
            return results[0].unsqueeze(1)
        return attached(torch.stack([y.expand(len(x)) for y in results], dim=1), x)
