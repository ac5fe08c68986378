"""Program: the steps of a graph grouped, so that many run as one tensor operation.

Values lie in a table [slots, rows]. Steps of one kind that can run at the same time take
contiguous slots, and their operands are brought into contiguous slots before: one
operation on [steps, rows] instead of one an equation. Planning only; executors/ carries
programs out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from .graph import LINEAR, LONG_SUMS, Graph, Input, Kernel, Number, Parameter, Step


@dataclass(frozen=True)
class Span:
    """Slots of the table, [stop - start, rows]; a single one stands for all steps."""

    start: int
    stop: int


@dataclass(frozen=True)
class Column:
    """Constants, one per step: [stop - start, 1]."""

    start: int
    stop: int


Operand: TypeAlias = Span | Column


@dataclass(frozen=True)
class Gather:
    """Copies slots, in that order, to new ones."""

    sources: tuple[int, ...]
    target: Span


@dataclass(frozen=True)
class Apply:
    """Runs a kernel on as many steps as the target has slots.

    The operands of `LINEAR` and `LONG_SUMS` are the bias, the weights, and the terms.

    Args:
        kernel: what is computed.
        operands: of all steps.
        target: where the results lie.
        live: whether gradients reach the results, or those of no step.
    """

    kernel: Kernel
    operands: tuple[Operand, ...]
    target: Span
    live: bool = True


Instruction: TypeAlias = Gather | Apply


@dataclass(frozen=True)
class Program:
    """What to do, in order.

    >>> from symtorch import Expression
    >>> from symtorch.layer.planning.rewriting import build_graph
    >>> equations = [Expression.parse(text) for text in ("sin(x)*y", "sin(y)*x", "sin(3)*x")]
    >>> program = plan(build_graph(equations, ["x", "y"]))
    >>> [step.kernel.name for step in program.instructions if isinstance(step, Apply)]
    ['sin', '*']

    Args:
        columns: of the input, to be laid into the first slots.
        filled: constants in the slots after them, for operands where some are constants
            and some are not.
        constants: all constants that are needed; `Column` counts in them.
        instructions: to run.
        outputs: slots of the results.
        slots: how many there are.
    """

    columns: tuple[int, ...]
    filled: Column
    constants: tuple[Number | Parameter, ...]
    instructions: tuple[Instruction, ...]
    outputs: Span
    slots: int

    @cached_property
    def trainable(self) -> bool:
        """Whether there are constants that can be trained."""
        return any(isinstance(leaf, Parameter) for leaf in self.constants)

    @property
    def has_matrices(self) -> bool:
        """Whether there are matrix products, which autocast would compute in half precision."""
        kernels = [step.kernel for step in self.instructions if isinstance(step, Apply)]
        return LINEAR in kernels or LONG_SUMS in kernels

    @property
    def blocks(self) -> Iterator[Span]:
        """The slots that are written at one time, from first to last."""
        yield Span(0, len(self.columns) + self.filled.stop - self.filled.start)
        for instruction in self.instructions:
            yield instruction.target


def plan(graph: Graph) -> Program:
    """Group and lay out a graph, by the best of a few orders."""
    programs = [_Layout(graph, _grouped(graph, rule)).program() for rule in _RULES]
    return min(programs, key=lambda program: len(program.instructions))


# ---------------------------------------------------------------- which steps run together


def _kind(step: Step) -> tuple[object, ...]:
    match step.kernel.name:
        case LINEAR.name:
            return LINEAR.name, step.args
        case LONG_SUMS.name:
            return LONG_SUMS.name, len(step.args)
        case name:
            return (name,)


@dataclass(frozen=True)
class _Ready:
    """Steps of one kind whose operands are computed."""

    steps: list[int]
    waiting: int
    """How many of the kind are not computed, these included."""
    height: int
    """Longest way from them to an output."""


_RULES: tuple[Callable[[_Ready], tuple[float, ...]], ...] = (
    lambda ready: (ready.height, len(ready.steps)),
    lambda ready: (len(ready.steps) == ready.waiting, ready.height, len(ready.steps)),
    lambda ready: (len(ready.steps) / ready.waiting, ready.height),
)
"""What to run next: what most depends on, or what will not come again, ..."""


def _grouped(graph: Graph, rule: Callable[[_Ready], tuple[float, ...]]) -> list[list[int]]:
    """All steps in groups of one kind, each group after those it needs."""
    steps = dict(graph.steps)
    users: dict[int, list[int]] = defaultdict(list)
    missing: dict[int, int] = {}
    for i, step in steps.items():
        needed = {arg for arg in step.args if arg in steps}
        missing[i] = len(needed)
        for arg in needed:
            users[arg].append(i)
    heights: dict[int, int] = {}
    for i in sorted(steps, reverse=True):
        heights[i] = 1 + max((heights[user] for user in users[i]), default=0)
    kinds = {i: (i in graph.live, *_kind(step)) for i, step in steps.items()}
    waiting: dict[tuple[object, ...], int] = defaultdict(int)
    ready: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, kind in kinds.items():
        waiting[kind] += 1
        if not missing[i]:
            ready[kind].append(i)
    groups = []
    while ready:
        kind = max(
            ready,
            key=lambda kind: rule(
                _Ready(ready[kind], waiting[kind], max(heights[i] for i in ready[kind]))
            ),
        )
        group = ready.pop(kind)
        waiting[kind] -= len(group)
        groups.append(group)
        for i in group:
            for user in users[i]:
                missing[user] -= 1
                if not missing[user]:
                    ready[kinds[user]].append(user)
    return groups


# ---------------------------------------------------------------- where values lie


@dataclass
class _Wanted:
    """Nodes that have to lie in contiguous slots, in that order, for one operand."""

    nodes: tuple[int, ...]
    span: Span | None = None


class _Layout:
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
        node = self.nodes[i]
        return node if isinstance(node, Number | Parameter) else None

    def program(self) -> Program:
        wanted = [self.wanted(group) for group in self.groups]
        wanted.append([_Wanted(self.outputs)])
        filled = self.lay_leaves([operand for operands in wanted for operand in operands])
        for number, group in enumerate(self.groups):
            self.bring(wanted[number:])
            self.apply(group, wanted[number])
        self.bring(wanted[-1:])
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
        start = len(self.constants)
        self.constants += leaves
        return Column(start, start + len(leaves))

    def allocate(self, count: int) -> Span:
        start, block = len(self.block_of), len(self.instructions) + 1
        self.block_of += [block] * count
        return Span(start, start + count)

    def bring(self, wanted: Sequence[Sequence[_Wanted]]) -> None:
        """See that the first group's operands are in place.

        If that takes a copy, what later groups need and is known is copied with it.
        """
        open_ = [
            [operand for operand in operands if operand.span is None and self.known(operand)]
            for operands in wanted
        ]
        for operands in open_:
            for operand in operands:
                operand.span = self.in_place(operand)
        if all(operand.span is not None for operand in open_[0]):
            return
        missing = [operand for operands in open_ for operand in operands if operand.span is None]
        sources = tuple(self.slots[node] for operand in missing for node in operand.nodes)
        target = self.allocate(len(sources))
        self.instructions.append(Gather(sources, target))
        start = target.start
        for operand in missing:
            operand.span = Span(start, start + len(operand.nodes))
            self.direct[self.block_of[start]].add(operand.span)
            start = operand.span.stop

    def known(self, operand: _Wanted) -> bool:
        return all(node in self.slots for node in operand.nodes)

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
            self.slots[i] = target.start + index

    def only_constants(self, group: Sequence[int]) -> bool:
        return all(
            self.constant(node) is not None for nodes in self.operands(group) for node in nodes
        )

    def leaf(self, i: int) -> Number | Parameter:
        leaf = self.constant(i)
        assert leaf is not None
        return leaf
