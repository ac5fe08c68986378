"""BlockQuery: the block itself as a function of its columns, to evaluate at new rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import InputError
from .adapters.layout import Layout
from .contexts import evaluating
from .lookup import signature_of_block
from .recording import Recording

TRIED = 64
"""Recorded rows whose outputs a block must reproduce, before it is evaluated at new ones."""

ALIKE = 1e-4
"""Share of the largest output by which these may differ: other batch sizes sum in another order."""

ALIKE_UNITS = 64
"""The same in units of the outputs' precision, for half precision."""


@dataclass(frozen=True)
class BlockQuery:
    """A block on new points: [rows, columns] -> [rows, outputs], differentiable if it is.

    >>> from symtorch import record
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    >>> query = BlockQuery.of(net[0], record(net, "0", torch.randn(100, 3))["0"])
    >>> query(torch.zeros(5, 3)).shape
    torch.Size([5, 2])

    Args:
        block: called with the rows as its arguments, in eval mode.
        layout: of its calls.
        name: of the block, for messages.
        like: [1], a tensor of the type and device that the block takes.
        differentiable: whether gradients flow from its outputs to the points.
    """

    block: nn.Module
    layout: Layout
    name: str
    like: torch.Tensor
    differentiable: bool = False

    @classmethod
    def of(cls, block: nn.Module, recording: Recording) -> BlockQuery:
        """The query of a block that was recorded.

        A block in half precision is evaluated through `in_single_precision`.

        A trial shows whether a block is a function of its columns; it is not if it needs more
        than its columns (a mask), mixes rows (attention) or sees neighbours (a convolution).

        Raises:
            InputError: the block is not a function of its columns.
        """
        wide = recording.inputs[:1, 0]
        block = in_single_precision(block)
        parameter = next(block.parameters(), None)
        like = wide if parameter is None else wide.to(parameter.device)
        query = cls(block, recording.layout, recording.block_name, like)
        try:
            answers = query._tried(recording)
        except Exception as error:  # a block may refuse for any reason
            raise InputError(
                f"block '{recording.block_name}' cannot be asked about new rows: {error!r}"
            ) from error
        expected = recording.outputs[:TRIED].to(answers)
        scale = float(expected.abs().max()) or 1.0
        tolerance = max(ALIKE, ALIKE_UNITS * recording.precision) * scale
        alike = answers.shape == expected.shape and bool(
            ((answers - expected).abs() <= tolerance).all()
        )
        if not alike:
            raise InputError(
                f"block '{recording.block_name}' answers differently when it is asked about its "
                f"rows alone (does it mix rows, or need more than its columns?)"
            )
        return cls(block, query.layout, query.name, like, answers.requires_grad)

    def _tried(self, recording: Recording) -> torch.Tensor:
        points = recording.inputs[:TRIED].to(torch.float64)
        with torch.enable_grad():
            return self(points.requires_grad_())

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """All outputs at some points, in the type and on the device of the points."""
        table = points.to(self.like)
        with evaluating(self.block):
            answers = self.layout.call(self.block, signature_of_block(self.block), table, self.name)
        return answers.to(points)


@dataclass(frozen=True)
class BlockOracle:
    """One output of a `BlockQuery`: [rows, columns] -> [rows]."""

    query: BlockQuery
    dim: int

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """The output at some points; gradients flow to them."""
        return self.query(points)[:, self.dim]


def in_single_precision(block: nn.Module) -> nn.Module:
    """A float32 copy of a block in half precision; any other block unchanged.

    Its outputs equal the block's up to the block's rounding, and do not jump between nearby
    points.
    """
    if any(p.is_floating_point() and p.dtype.itemsize < 4 for p in block.parameters()):
        return copy.deepcopy(block).to(torch.float32)
    return block


def oracles_for(block: nn.Module, recording: Recording) -> dict[int, BlockOracle]:
    """An oracle for each output; none if the block cannot be queried or differentiated."""
    if recording.layout.output.kind != "torch":
        return {}
    try:
        query = BlockQuery.of(block, recording)
    except InputError:
        return {}
    if not query.differentiable:
        return {}
    return {dim: BlockOracle(query, dim) for dim in range(recording.layout.output.width)}
