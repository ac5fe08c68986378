"""Grouped: a program as operations on whole tensors, differentiable, on any device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ..planning.graph import Kernel
from ..planning.program import Column, Gather, Program, Span
from .constants import Constants, attached


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
    live: bool


_Action: TypeAlias = _Split | _Collect | _Run


class TensorPlan:
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
                self.actions.append(_Run(instruction.kernel, places, number, instruction.live))
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


class Grouped:
    """Carries a program out by grouped operations, which autograd follows.

    Args:
        plan: of the program.
        dtype: float32 or float64.
        device: of the inputs.
    """

    def __init__(self, plan: TensorPlan, dtype: torch.dtype, device: torch.device) -> None:
        self.plan = plan
        self.constants = Constants(plan.program, dtype, device)
        self.columns = torch.tensor(plan.program.columns, dtype=torch.int64, device=device)
        self.orders = [
            None if action.order is None else torch.tensor(action.order, device=device)
            for action in plan.actions
            if isinstance(action, _Collect)
        ]

    def run(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        plan = self.plan
        values = self.constants(trained).unsqueeze(1)
        columns = values.split_with_sizes(plan.sizes) if len(plan.sizes) > 1 else (values,)
        first = x.t().index_select(0, self.columns)
        if plan.sizes[0]:
            first = torch.cat([first, columns[0].expand(-1, len(x))])
        tensors: list[torch.Tensor] = [first] * plan.tensors
        orders = iter(self.orders)
        for action in plan.actions:
            if isinstance(action, _Run):
                operands = [(columns if column else tensors)[i] for i, column in action.operands]
                result = action.kernel.function(*operands)
                # A gradient of 0 would come back to it by way of what lies beside it.
                tensors[action.target] = result if action.live else result.detach()
            elif isinstance(action, _Split):
                parts = tensors[action.source].split_with_sizes(action.sizes)
                for target, part in zip(action.targets, parts, strict=True):
                    tensors[target] = part
            else:
                sources = [tensors[i] for i in action.sources]
                whole = torch.cat(sources) if len(sources) > 1 else sources[0]
                order = next(orders)
                tensors[action.target] = whole if order is None else whole.index_select(0, order)
        return attached(tensors[plan.output].t().contiguous(), x)
