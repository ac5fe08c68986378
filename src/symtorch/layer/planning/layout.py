"""Layout: in which slots the values of a program lie."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from .graph import LINEAR, LONG_SUMS, Graph, Input, Number, Parameter, Step
from .program import Apply, Column, Gather, Instruction, Operand, Program, Span


@dataclass
class _Wanted:
    """Nodes that have to lie in contiguous slots, in that order, for one operand."""

    nodes: tuple[int, ...]
    span: Span | None = None
    order: int = 0
    """Place among all operands, in the order in which they are needed."""
    unknown: int = 0
    """How many of the nodes are not computed yet."""


class Layout:
    """Decides on slots, group by group."""

    def __init__(self, graph: Graph, groups: list[list[int]]) -> None:
        self.nodes = graph.nodes
        self.live = graph.live
        self.outputs = graph.outputs
        self.width = graph.width
        self.groups = self.ordered(groups)
        self.constants: list[Number | Parameter] = []
        self.columns: list[int] = []
        self.fill: list[Number | Parameter] = []
        self.slots: dict[int, int] = {}
        self.block_of: list[int] = []
        self.direct: dict[int, set[Span]] = defaultdict(set)
        self.instructions: list[Instruction] = []
        self.waiting: dict[int, list[_Wanted]] = defaultdict(list)
        self.known: list[_Wanted] = []
        self.to_copy: list[_Wanted] = []

    def ordered(self, groups: list[list[int]]) -> list[list[int]]:
        """The groups' steps in the order in which later groups take them.

        Values are then often where they are needed, and nothing has to be copied.
        """
        place: dict[int, tuple[int, int, int]] = {}
        for index, node in enumerate(self.outputs):
            place.setdefault(node, (len(groups), 0, index))
        result = []
        for number in reversed(range(len(groups))):
            group = sorted(groups[number], key=lambda i: place[i])
            for position, nodes in enumerate(self.operands(group)):
                for index, node in enumerate(nodes):
                    place[node] = min(
                        place.get(node, (len(groups) + 1, 0, 0)), (number, position, index)
                    )
            result.append(group)
        return result[::-1]

    def step(self, i: int) -> Step:
        """The step of that number."""
        node = self.nodes[i]
        assert isinstance(node, Step)
        return node

    def operands(self, group: Sequence[int]) -> list[tuple[int, ...]]:
        """Nodes by operand, one per step of the group; the terms, where these are summed."""
        first = self.step(group[0])
        if first.kernel is LINEAR:
            return [first.args]
        if first.kernel is LONG_SUMS:
            return [tuple(term for i in group for term in self.step(i).args)]
        return list(zip(*(self.step(i).args for i in group), strict=True))

    def constant(self, i: int) -> Number | Parameter | None:
        """The constant of that number; None for other nodes."""
        node = self.nodes[i]
        return node if isinstance(node, Number | Parameter) else None

    def program(self) -> Program:
        """Lay everything out."""
        wanted = [self.wanted(group) for group in self.groups]
        wanted.append([_Wanted(self.outputs)])
        filled = self.lay_leaves([operand for operands in wanted for operand in operands])
        self.await_nodes(wanted)
        for number, group in enumerate(self.groups):
            self.bring(wanted[number])
            self.apply(group, wanted[number])
        self.bring(wanted[-1])
        outputs = wanted[-1][0].span
        assert outputs is not None
        return Program(
            tuple(self.columns),
            filled,
            tuple(self.constants),
            tuple(self.instructions),
            outputs,
            len(self.block_of),
        )

    def wanted(self, group: Sequence[int]) -> list[_Wanted]:
        """The operands of a group that are not columns of constants."""
        operands = self.operands(group)
        varying = [
            nodes for nodes in operands if any(self.constant(node) is None for node in nodes)
        ]
        # Constants alone have no rows; one of them is laid out so that the result has.
        chosen = varying or operands[:1]
        same = not self.step(group[0]).weights and len(group) > 1
        return [_Wanted(nodes[:1] if same and len(set(nodes)) == 1 else nodes) for nodes in chosen]

    def lay_leaves(self, wanted: Sequence[_Wanted]) -> Column:
        """Fill the first slots: columns that occur, then constants that lie among other values."""
        inputs: dict[int, int] = {}
        constants: dict[int, Number | Parameter] = {}
        for operand in wanted:
            for node in operand.nodes:
                leaf = self.nodes[node]
                if isinstance(leaf, Input):
                    inputs[node] = leaf.column
                elif not isinstance(leaf, Step):
                    constants.setdefault(node, leaf)
        used = sorted(inputs.values())
        # To take all is faster than to choose, unless few are used.
        self.columns = [*range(self.width)] if 4 * len(used) >= 3 * self.width else used
        self.slots.update({node: self.columns.index(column) for node, column in inputs.items()})
        for index, node in enumerate(constants):
            self.slots[node] = len(self.columns) + index
        self.block_of += [0] * (len(self.columns) + len(constants))
        return self.column(list(constants.values()))

    def column(self, leaves: Sequence[Number | Parameter]) -> Column:
        """Add constants to those of the program."""
        start = len(self.constants)
        self.constants += leaves
        return Column(start, start + len(leaves))

    def allocate(self, count: int) -> Span:
        """New slots, a block of their own."""
        start, block = len(self.block_of), len(self.instructions) + 1
        self.block_of += [block] * count
        return Span(start, start + count)

    def await_nodes(self, wanted: Sequence[Sequence[_Wanted]]) -> None:
        """Note for each operand which nodes it waits for."""
        for order, operand in enumerate(o for operands in wanted for o in operands):
            operand.order = order
            unknown = {node for node in operand.nodes if node not in self.slots}
            operand.unknown = len(unknown)
            for node in unknown:
                self.waiting[node].append(operand)
            if not unknown:
                self.known.append(operand)

    def put(self, node: int, slot: int) -> None:
        """A node is computed, and lies there."""
        self.slots[node] = slot
        for operand in self.waiting.pop(node, ()):
            operand.unknown -= 1
            if not operand.unknown:
                self.known.append(operand)

    def bring(self, wanted: Sequence[_Wanted]) -> None:
        """See that a group's operands are in place.

        If that takes a copy, what later groups need and is known is copied with it.
        """
        for operand in sorted(self.known, key=lambda operand: operand.order):
            operand.span = self.in_place(operand)
            if operand.span is None:
                self.to_copy.append(operand)
        self.known.clear()
        if all(operand.span is not None for operand in wanted):
            return
        missing = sorted(self.to_copy, key=lambda operand: operand.order)
        self.to_copy.clear()
        sources = tuple(self.slots[node] for operand in missing for node in operand.nodes)
        target = self.allocate(len(sources))
        self.instructions.append(Gather(sources, target))
        start = target.start
        for operand in missing:
            operand.span = Span(start, start + len(operand.nodes))
            self.direct[self.block_of[start]].add(operand.span)
            start = operand.span.stop

    def in_place(self, operand: _Wanted) -> Span | None:
        """Where the operand lies already, if it does: contiguous, in one block.

        Operands overlap in full or not at all, so that a block can be split into them.
        """
        start = self.slots[operand.nodes[0]]
        span = Span(start, start + len(operand.nodes))
        if any(self.slots[node] != start + i for i, node in enumerate(operand.nodes)):
            return None
        block = self.block_of[start]
        if span.stop > len(self.block_of) or self.block_of[span.stop - 1] != block:
            return None
        for other in self.direct[block]:
            if other != span and other.start < span.stop and span.start < other.stop:
                return None
        self.direct[block].add(span)
        return span

    def apply(self, group: Sequence[int], wanted: Sequence[_Wanted]) -> None:
        """Run a group, whose operands are in place."""
        first = self.step(group[0])
        operands: list[Operand] = []
        if first.weights:
            (terms,) = wanted
            assert terms.span is not None
            rows = [self.step(i).weights for i in group]
            bias = self.column([self.leaf(row[0]) for row in rows])
            matrix = self.column([self.leaf(weight) for row in rows for weight in row[1:]])
            operands = [bias, matrix, terms.span]
        else:
            spans = iter(wanted)
            has_rows = False
            for nodes in self.operands(group):
                leaves = [self.constant(node) for node in nodes]
                if all(leaf is not None for leaf in leaves) and (
                    has_rows or not self.only_constants(group)
                ):
                    operands.append(self.column([leaf for leaf in leaves if leaf is not None]))
                    continue
                span = next(spans).span
                assert span is not None
                operands.append(span)
                has_rows = True
        target = self.allocate(len(group))
        live = group[0] in self.live
        self.instructions.append(Apply(first.kernel, tuple(operands), target, live))
        for index, i in enumerate(group):
            self.put(i, target.start + index)

    def only_constants(self, group: Sequence[int]) -> bool:
        """Whether a group computes with nothing but constants."""
        return all(
            self.constant(node) is not None for nodes in self.operands(group) for node in nodes
        )

    def leaf(self, i: int) -> Number | Parameter:
        """The constant of that number."""
        leaf = self.constant(i)
        assert leaf is not None
        return leaf
