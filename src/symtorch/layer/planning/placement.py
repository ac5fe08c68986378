"""Placement: where a workspace keeps the blocks of a program."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from .program import Gather, Program, Span


@dataclass(frozen=True)
class Place:
    """Rows of the workspace; ``copied`` ones lie in a table of their own.

    A gather then reads one table and writes the other, as torch wants it.
    """

    start: int
    stop: int
    copied: bool


@dataclass(frozen=True)
class Placement:
    """Places of all blocks.

    Args:
        blocks: of the program, by their first slot.
        places: of each block.
        computed: rows for inputs, constants and results.
        copied: rows for copies.
    """

    blocks: tuple[Span, ...]
    places: tuple[Place, ...]
    block_of: tuple[int, ...]
    computed: int
    copied: int

    def of(self, span: Span) -> Place:
        """Where the slots are. They lie in one block."""
        number = self.block_of[span.start]
        place = self.places[number]
        start = place.start + span.start - self.blocks[number].start
        return Place(start, start + span.stop - span.start, place.copied)


def place_blocks(program: Program, *, keep: bool) -> Placement:
    """Give each block its rows.

    >>> from symtorch import Expression
    >>> from symtorch.layer.planning.rewriting import build_graph
    >>> from symtorch.layer.planning.plan import plan
    >>> program = plan(build_graph([Expression.parse("sin(cos(exp(tanh(x))))")], ["x"]))
    >>> [place_blocks(program, keep=keep).computed for keep in (True, False)]
    [5, 3]

    Args:
        program: whose.
        keep: all values to the end, as the way back needs them; otherwise rows are used
            again, so that everything stays in a core's cache.
    """
    blocks = tuple(program.blocks)
    block_of = tuple(number for number, b in enumerate(blocks) for _ in range(b.start, b.stop))
    ends: dict[int, list[int]] = defaultdict(list)
    for number, last in _last_uses(program, block_of).items():
        # Inputs are never overwritten: the constants among them are laid there once.
        if number and not keep:
            ends[last].append(number)
    tables = {False: _Rows(), True: _Rows()}
    places: list[Place] = []
    for number, block in enumerate(blocks):
        copied = number > 0 and isinstance(program.instructions[number - 1], Gather)
        start = tables[copied].take(block.stop - block.start)
        places.append(Place(start, start + block.stop - block.start, copied))
        for ended in ends[number]:
            tables[places[ended].copied].give_back(places[ended].start, places[ended].stop)
    return Placement(blocks, tuple(places), block_of, tables[False].count, tables[True].count)


def _last_uses(program: Program, block_of: tuple[int, ...]) -> dict[int, int]:
    """Number of the block in whose making each block is used last."""
    last: dict[int, int] = {}
    for number, instruction in enumerate(program.instructions, start=1):
        if isinstance(instruction, Gather):
            used = [block_of[slot] for slot in instruction.sources]
        else:
            used = [block_of[o.start] for o in instruction.operands if isinstance(o, Span)]
        last.update(dict.fromkeys(used, number))
    last.pop(block_of[program.outputs.start], None)
    return last


class _Rows:
    """Rows of a table: the first gap that is large enough is taken."""

    def __init__(self) -> None:
        self.count = 0
        self.gaps: list[tuple[int, int]] = []

    def take(self, count: int) -> int:
        for i, (start, stop) in enumerate(self.gaps):
            if stop - start >= count:
                self.gaps[i] = (start + count, stop)
                return start
        start = self.count
        if self.gaps and self.gaps[-1][1] == self.count:
            start = self.gaps.pop()[0]
        self.count = start + count
        return start

    def give_back(self, start: int, stop: int) -> None:
        merged: list[tuple[int, int]] = []
        for gap in sorted([*self.gaps, (start, stop)]):
            if merged and merged[-1][1] == gap[0]:
                merged[-1] = (merged[-1][0], gap[1])
            elif gap[0] < gap[1]:
                merged.append(gap)
        self.gaps = merged
