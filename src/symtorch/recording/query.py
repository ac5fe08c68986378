"""BlockOracle: the block itself as a function of its columns, to query and differentiate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .contexts import evaluating
from .layout import Layout, read_output
from .recording import Recording


@dataclass(frozen=True)
class BlockOracle:
    """One output of a block on new points: [rows, columns] -> [rows], differentiable.

    With a slice of outputs it gives a table, [rows, outputs].

    Args:
        block: called with one tensor per recorded argument, each [rows, width].
        layout: of its calls.
        dim: which output, or outputs.
        like: [1, columns], a recorded row: its dtype and device are what the block takes.
    """

    block: nn.Module
    layout: Layout
    dim: int | slice
    like: torch.Tensor

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Query the block in eval mode; gradients flow to ``points``."""
        table = points.to(self.like)
        if self.layout.inputs.feature_dim is None:
            arguments = table.unbind(-1)
        else:
            arguments = torch.split(table, [*self.layout.inputs.widths], dim=-1)
        named = dict(zip(self.layout.inputs.arguments, arguments, strict=True))
        with evaluating(self.block):
            output = self.block(**named) if len(named) > 1 else self.block(*arguments)
        return read_output(self.layout, output, "oracle")[:, self.dim].to(points)


def oracle_for(
    block: nn.Module, recording: Recording, dim: int | slice, tolerance: float = 1e-4
) -> BlockOracle | None:
    """An oracle for one output or several, or None where the block cannot be queried row by row.

    It cannot when it needs more than its columns (a mask), mixes rows (attention), sees
    neighbours (a convolution) or is no torch code. Whether it can is tried, not guessed: the oracle
    must give the recorded outputs for the recorded inputs.
    """
    if recording.layout.output.kind != "torch":
        return None
    rows = slice(0, 64)
    parameters = list(block.parameters())
    device = parameters[0].device if parameters else recording.inputs.device
    like = recording.inputs[:1].to(device)
    oracle = BlockOracle(block, recording.layout, dim, like)
    points = recording.inputs[rows].to(torch.float64).requires_grad_()
    try:
        with torch.enable_grad():
            answers = oracle(points)
            if not answers.requires_grad:
                return None
    except Exception:  # a block may refuse for any reason; then it is only a recording
        return None
    recorded = recording.outputs[rows, dim].to(answers)
    spread = float(recorded.abs().max()) or 1.0
    close = answers.shape == recorded.shape and bool(
        ((answers - recorded).abs() <= tolerance * spread).all()
    )
    return oracle if close else None
