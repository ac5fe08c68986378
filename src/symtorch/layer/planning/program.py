"""Program: the steps of a graph grouped, so that many run as one tensor operation.

Values lie in a table [slots, rows]. Steps of one kind that can run at the same time take
contiguous slots, and their operands are brought into contiguous slots before: one
operation on [steps, rows] instead of one an equation. `plan` makes programs, executors/ carries
them out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from .graph import LINEAR, LONG_SUMS, Kernel, Number, Parameter


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
    >>> from symtorch.layer.planning.plan import plan
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
