"""Workspace: a program carried out in memory that is kept from call to call.

For the CPU. There an operation on a few hundred numbers takes no longer than the call of
it, the making of its operands' views and of memory for its result. Here views and memory
are made once, for one number of rows; a call runs a list of ready-made operations.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch

from ...symbolic.pullbacks import Ignored, Sink
from ..planning.graph import LINEAR, LONG_SUMS
from ..planning.placement import Placement
from ..planning.program import Apply, Column, Gather, Operand, Program, Span
from .arrays import bound_take, bound_to_arrays
from .constants import Constants
from .pullbacks import Summed, pullback_of

_NUMPY_COLUMNS = 32
"""Up to so many columns NumPy transposes faster than torch."""


class Workspace:
    """The values of a program's slots, and its instructions bound to them.

    Args:
        program: to carry out.
        placement: of its blocks.
        rows: how many at a time.
        dtype: float32 or float64.
    """

    def __init__(
        self, program: Program, placement: Placement, rows: int, dtype: torch.dtype
    ) -> None:
        self.program = program
        self.placement = placement
        self.rows = rows
        self.dtype = dtype
        self.values = _Tables(placement, rows, dtype)
        self.numbers = Constants(program, dtype)
        self.constants = torch.zeros(len(program.constants), 1, dtype=dtype)
        columns, filled = len(program.columns), program.filled
        self.columns = torch.tensor(program.columns, dtype=torch.int64)
        self.inputs = self.values.computed[:columns]
        self.filled = self.values.computed[columns : columns + filled.stop - filled.start]
        self.fill = self.constants[filled.start : filled.stop]
        self.outputs = self.values.of(program.outputs)
        if not program.trainable:
            self.set_constants(self.constants)
        # Saves torch's operations their bookkeeping for autograd.
        self.mode: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.calls = [
            self.bound_gather(i) if isinstance(i, Gather) else self.bound_apply(i)
            for i in program.instructions
        ]
        self.holds: object = None
        """Token of the call whose values are here."""

    def set_constants(self, trained: torch.Tensor) -> None:
        """Take over the trainable constants as they are now."""
        self.constants.copy_(self.numbers(trained).unsqueeze(1))
        self.filled.copy_(self.fill)

    def run(self, x: torch.Tensor) -> None:
        """Carry the program out: [rows, columns].

        Args:
            x: at most as many rows as there is room for; the rest keeps those of an
                earlier call.
        """
        rows, columns = x.shape
        target = self.inputs if rows == self.rows else self.inputs[:, :rows]
        if len(self.program.columns) < columns:
            torch.index_select(x.t(), 0, self.columns, out=target)
        else:
            copy_transposed(x.t(), target)
        with self.mode(), np.errstate(all="ignore"):  # poles are no accidents
            for call in self.calls:
                call()

    def bound_gather(self, gather: Gather) -> Callable[[], Any]:
        """A gather, ready to be called."""
        target = self.values.of(gather.target)
        return bound_take(self.values.computed, self.sources(gather), target)

    def sources(self, gather: Gather) -> torch.Tensor:
        """Rows of the table that are copied."""
        places = [self.placement.of(Span(slot, slot + 1)) for slot in gather.sources]
        return torch.tensor([place.start for place in places], dtype=torch.int64)

    def bound_apply(self, step: Apply) -> Callable[[], Any]:
        """A kernel on its operands, ready to be called."""
        out = self.values.of(step.target)
        operands = self.operands(step)
        in_numpy = bound_to_arrays(step.kernel, operands, out)
        if in_numpy is not None:
            return in_numpy
        self.mode = torch.inference_mode
        if step.kernel.into is not None:
            return functools.partial(step.kernel.into, *operands, out=out)
        function = step.kernel.function

        def call() -> None:
            out.copy_(function(*operands))

        return call

    def operands(self, step: Apply) -> list[torch.Tensor]:
        """The values of the operands."""
        operands = [
            self.constants[operand.start : operand.stop]
            if isinstance(operand, Column)
            else self.values.of(operand)
            for operand in step.operands
        ]
        return operands

    # ---------------------------------------------------------------- backwards

    @functools.cached_property
    def gradients(self) -> _Tables:
        """Of the values."""
        return _Tables(self.placement, self.rows, self.dtype)

    @functools.cached_property
    def gradients_of_constants(self) -> torch.Tensor:
        """Of the program's constants, [constants, 1]."""
        return torch.zeros_like(self.constants)

    @functools.cached_property
    def pullbacks(self) -> list[Callable[[], Any]]:
        """The program backwards, ready to be called."""
        return [
            self.bound_scatter(i) if isinstance(i, Gather) else self.bound_pullback(i)
            for i in reversed(self.program.instructions)
            if isinstance(i, Gather) or i.live
        ]

    def pull_back(self, gradient: torch.Tensor) -> None:
        """From the gradient of the outputs [rows, outputs] to those of everything else."""
        self.gradients.whole.zero_()
        self.gradients_of_constants.zero_()
        target = self.gradients.of(self.program.outputs)
        # A sum's gradient is one number for all; NumPy copies that, too.
        copy_transposed(
            gradient.t(), target if len(gradient) == self.rows else target[:, : len(gradient)]
        )
        for call in self.pullbacks:
            call()

    def bound_scatter(self, gather: Gather) -> Callable[[], Any]:
        """What was copied from a slot comes back to it."""
        return functools.partial(
            self.gradients.computed.index_add_,
            0,
            self.sources(gather),
            self.gradients.of(gather.target),
        )

    def bound_pullback(self, step: Apply) -> Callable[[], Any]:
        """A kernel's pullback on its operands, ready to be called."""
        y, g = self.values.of(step.target), self.gradients.of(step.target)
        operands = self.operands(step)
        if step.kernel is LINEAR or step.kernel is LONG_SUMS:
            return self.sum_pullback(step, operands, g)
        into = [self.sink(operand, len(y)) for operand in step.operands]
        return functools.partial(pullback_of(step.kernel), into, g, y, operands)

    def sink(self, operand: Operand, steps: int) -> Sink:
        """Where an operand's gradient goes."""
        if isinstance(operand, Column):
            if not self.program.trainable:
                return Ignored()
            return Summed(self.gradients_of_constants[operand.start : operand.stop], 1)
        place = self.gradients.of(operand)
        return Summed(place, 0) if len(place) < steps else place

    def sum_pullback(
        self, step: Apply, operands: Sequence[torch.Tensor], g: torch.Tensor
    ) -> Callable[[], Any]:
        """The pullback of `LINEAR` and `LONG_SUMS`, matrix products of weights and terms."""
        bias, weight_sink, terms = (self.sink(operand, 0) for operand in step.operands)
        _, weights, values = operands
        assert isinstance(terms, torch.Tensor)
        if step.kernel is LINEAR:
            matrix, slopes, factors = weights.view(len(g), -1), g, values
            add_product: Callable[..., torch.Tensor] = terms.addmm_
        else:
            # The same for each sum, with a matrix of one row.
            into, factors = (table.view(len(g), -1, table.shape[1]) for table in (terms, values))
            matrix, slopes = weights.view(len(g), 1, -1), g.unsqueeze(1)
            add_product = into.baddbmm_

        def call() -> None:
            add_product(matrix.mT, slopes)
            if isinstance(weight_sink, Summed):
                bias.add_(g)
                weight_sink.target.add_((slopes @ factors.mT).view(-1, 1))

        return call

    def gradient_of_inputs(self, rows: int, width: int) -> torch.Tensor:
        """[rows, width], after `pull_back`."""
        found = self.gradients.computed[: len(self.columns), :rows].t()
        if len(self.columns) < width:
            return found.new_zeros(rows, width).index_copy_(1, self.columns, found)
        result = found.new_empty(rows, width)
        copy_transposed(found, result)
        return result

    def gradient_of_trained(self, count: int) -> torch.Tensor:
        """[count], after `pull_back`."""
        filled, first = self.program.filled, len(self.columns)
        place = self.gradients_of_constants[filled.start : filled.stop]
        place.add_(self.gradients.computed[first : first + len(place)].sum(1, keepdim=True))
        return self.numbers.pull_back(self.gradients_of_constants.squeeze(1), count)


class _Tables:
    """Memory for all slots, [computed + copied, rows]."""

    def __init__(self, placement: Placement, rows: int, dtype: torch.dtype) -> None:
        self.placement = placement
        self.whole = torch.zeros(placement.computed + placement.copied, rows, dtype=dtype)
        self.computed = self.whole[: placement.computed]
        self.copied = self.whole[placement.computed :]

    def of(self, span: Span) -> torch.Tensor:
        """The values of some slots, [slots, rows]."""
        place = self.placement.of(span)
        return (self.copied if place.copied else self.computed)[place.start : place.stop]


def copy_transposed(source: torch.Tensor, target: torch.Tensor) -> None:
    """Copy a matrix into another, of which one is transposed."""
    if source.shape[0] > _NUMPY_COLUMNS < source.shape[1]:
        target.copy_(source)
    else:
        np.copyto(target.numpy(), source.numpy())
