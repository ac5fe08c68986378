"""Execution: a program or a graph carried out on tensors, differentiably.

`run_grouped` is for speed. `run_graph`, one tensor a node, is for compilers and exporters:
they fuse what is written plainly.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
    Kernel,
    Number,
    Parameter,
    Step,
)
from ..planning.program import Column, Gather, Program, Span


class Constants:
    """The constants a program needs, in its order, on one device and in one type.

    Args:
        program: whose.
        dtype: float32 or float64.
        device: of the result.
    """

    def __init__(
        self, program: Program, dtype: torch.dtype, device: torch.device | None = None
    ) -> None:
        leaves = program.constants
        numbers = list(dict.fromkeys(leaf for leaf in leaves if isinstance(leaf, Number)))
        self.numbers = torch.tensor([leaf.value for leaf in numbers], dtype=dtype, device=device)
        place = {leaf: i for i, leaf in enumerate(numbers)}
        factors = [leaf.factor if isinstance(leaf, Parameter) else 1.0 for leaf in leaves]
        # Numbers come first, so that their places do not depend on how many can be trained.
        order = [
            len(numbers) + leaf.position if isinstance(leaf, Parameter) else place[leaf]
            for leaf in leaves
        ]
        self.order = torch.tensor(order, dtype=torch.int64, device=device)
        scaled = any(factor != 1 for factor in factors)
        self.factors = torch.tensor(factors, dtype=dtype, device=device) if scaled else None
        self.fixed = None if program.trainable else self.numbers.index_select(0, self.order)

    def __call__(self, trained: torch.Tensor) -> torch.Tensor:
        """The values now: [trainable constants] -> [constants of the program]."""
        if self.fixed is not None:
            return self.fixed
        pool = torch.cat([self.numbers, trained.to(self.numbers.dtype)])
        values = pool.index_select(0, self.order)
        return values if self.factors is None else values * self.factors

    def pull_back(self, gradient: torch.Tensor, count: int) -> torch.Tensor:
        """Gradient of the trainable constants, [count], from that of the program's."""
        if self.factors is not None:
            gradient = gradient * self.factors
        pool = gradient.new_zeros(len(self.numbers) + count)
        return pool.index_add_(0, self.order, gradient)[len(self.numbers) :]


def in_range(value: float, dtype: torch.dtype) -> float:
    """A number as torch holds it: infinite beyond the type's range, where torch would raise.

    >>> in_range(-1e39, torch.float32), in_range(-1e39, torch.float64)
    (-inf, -1e+39)
    """
    return value if abs(value) <= torch.finfo(dtype).max else value * math.inf


def attached(result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The result as part of the graph of the inputs, also where it depends on none.

    Then with a gradient of zero, so that backward() works as it did through the block. Not by
    adding 0 * x: that would turn an infinite input into nan.
    """
    if result.requires_grad or not x.requires_grad or not x.shape[-1]:
        return result
    never = torch.zeros((), dtype=torch.bool, device=x.device)
    return torch.where(never, x[..., :1], result)


# ---------------------------------------------------------------- grouped


@dataclass(frozen=True)
class _Split:
    """Takes a tensor apart, so that each operand is one."""

    source: int
    sizes: tuple[int, ...]
    targets: tuple[int, ...]


@dataclass(frozen=True)
class _Collect:
    """Puts rows of several tensors together, in some order; None if they are in order."""

    sources: tuple[int, ...]
    order: tuple[int, ...] | None
    target: int


@dataclass(frozen=True)
class _Run:
    """Runs a kernel; operands count the tensors, or the columns of constants."""

    kernel: Kernel
    operands: tuple[tuple[int, bool], ...]
    target: int


_Action: TypeAlias = _Split | _Collect | _Run


class Grouped:
    """A program in terms of whole tensors, since autograd knows no writing into a table.

    Args:
        program: to carry out.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        blocks = list(program.blocks)
        wanted: dict[int, set[Span]] = defaultdict(set)
        block_of = [number for number, b in enumerate(blocks) for _ in range(b.start, b.stop)]
        operands = [
            operand
            for instruction in program.instructions
            if not isinstance(instruction, Gather)
            for operand in instruction.operands
        ]
        for operand in (*operands, program.outputs):
            if isinstance(operand, Span):
                wanted[block_of[operand.start]].add(operand)
        self.tensors = len(blocks)
        self.places: dict[Span, int] = {block: number for number, block in enumerate(blocks)}
        # By position: an empty first block has the span of no other.
        self.columns: dict[Column, int] = {program.filled: 0}
        self.sizes = [program.filled.stop]
        self.actions: list[_Action] = []
        self.split(blocks[0], wanted[0])
        for number, instruction in enumerate(program.instructions, start=1):
            if isinstance(instruction, Gather):
                self.actions.append(self.collect(instruction, blocks, block_of, number))
            else:
                places = tuple(self.place(operand) for operand in instruction.operands)
                self.actions.append(_Run(instruction.kernel, places, number))
            self.split(blocks[number], wanted[number])
        self.output = self.places[program.outputs]

    def place(self, operand: Span | Column) -> tuple[int, bool]:
        """Number of an operand's tensor or column, and whether it is a column."""
        if isinstance(operand, Span):
            return self.places[operand], False
        self.columns[operand] = len(self.sizes)
        self.sizes.append(operand.stop - operand.start)
        return self.columns[operand], True

    def split(self, block: Span, wanted: set[Span]) -> None:
        """Plan how a block is taken apart into what operands want of it."""
        parts = sorted(wanted - {block}, key=lambda span: span.start)
        if not parts:
            return
        sizes, targets, at = [], [], block.start
        for part in [*parts, Span(block.stop, block.stop)]:
            if part.start > at:
                sizes.append(part.start - at)
                targets.append(self.tensors)
                self.tensors += 1
            if part.stop > part.start:
                sizes.append(part.stop - part.start)
                targets.append(self.tensors)
                self.places[part] = self.tensors
                self.tensors += 1
            at = part.stop
        self.actions.append(_Split(self.places[block], tuple(sizes), tuple(targets)))

    def collect(
        self, gather: Gather, blocks: Sequence[Span], block_of: Sequence[int], number: int
    ) -> _Collect:
        """A gather in terms of the tensors of whole blocks."""
        sources = sorted({block_of[slot] for slot in gather.sources})
        offset, total = {}, 0
        for source in sources:
            offset[source] = total - blocks[source].start
            total += blocks[source].stop - blocks[source].start
        order = tuple(slot + offset[block_of[slot]] for slot in gather.sources)
        return _Collect(tuple(sources), None if order == tuple(range(total)) else order, number)

    def run(self, x: torch.Tensor, trained: torch.Tensor, tables: Tables) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        values = tables.constants(trained).unsqueeze(1)
        columns = values.split_with_sizes(self.sizes) if len(self.sizes) > 1 else (values,)
        first = x.t().index_select(0, tables.columns)
        if self.sizes[0]:
            first = torch.cat([first, columns[0].expand(-1, len(x))])
        tensors: list[torch.Tensor] = [first] * self.tensors
        orders = iter(tables.orders)
        for action in self.actions:
            if isinstance(action, _Run):
                operands = [(columns if column else tensors)[i] for i, column in action.operands]
                tensors[action.target] = action.kernel.function(*operands)
            elif isinstance(action, _Split):
                parts = tensors[action.source].split_with_sizes(action.sizes)
                for target, part in zip(action.targets, parts, strict=True):
                    tensors[target] = part
            else:
                sources = [tensors[i] for i in action.sources]
                whole = torch.cat(sources) if len(sources) > 1 else sources[0]
                order = next(orders)
                tensors[action.target] = whole if order is None else whole.index_select(0, order)
        return attached(tensors[self.output].t().contiguous(), x)


class Tables:
    """What `Grouped` needs of constants and indices, on one device and in one type."""

    def __init__(self, grouped: Grouped, dtype: torch.dtype, device: torch.device) -> None:
        self.constants = Constants(grouped.program, dtype, device)
        self.columns = torch.tensor(grouped.program.columns, dtype=torch.int64, device=device)
        self.orders = [
            None if action.order is None else torch.tensor(action.order, device=device)
            for action in grouped.actions
            if isinstance(action, _Collect)
        ]


# ---------------------------------------------------------------- few steps


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


# ---------------------------------------------------------------- one tensor a node

_Value: TypeAlias = torch.Tensor | float


def run_graph(graph: Graph, x: torch.Tensor, trained: torch.Tensor | None = None) -> torch.Tensor:
    """Evaluate node by node: [..., columns] -> [..., outputs].

    Args:
        graph: of the equations.
        x: float32 or float64.
        trained: the trainable constants, if there are any.
    """
    columns = evaluate_nodes(graph, x.unbind(-1), x, trained)
    return attached(torch.stack(columns, dim=-1), x)


def run_compiled(
    graph: Graph, x: torch.Tensor, trained: torch.Tensor | None = None
) -> torch.Tensor:
    """The same on [rows, columns], for a compiler's code on the CPU, without gradient.

    The code has vector instructions only where columns lie in one piece, so they are
    brought to lie so first. A compiler that sees how would merge the steps again.
    """
    columns = _settled(x.t().contiguous())
    results = torch.stack(evaluate_nodes(graph, columns.unbind(0), x, trained), dim=0)
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
