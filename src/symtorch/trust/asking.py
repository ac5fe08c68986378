"""Asking a block for its values at points of a box, and leaving it as it was."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ..errors import InputError
from ..recording.contexts import evaluating, seeded
from .box import Box


@dataclass(frozen=True, eq=False)
class Asked:
    """What a block gave.

    Args:
        points: [rows, columns], float64, as rounded to the block's own type.
        outputs: [rows, outputs], float64, finite.
        dtype: the block's own type.
    """

    points: torch.Tensor
    outputs: torch.Tensor
    dtype: torch.dtype


def ask(block: nn.Module, points: torch.Tensor, box: Box) -> Asked:
    """Run the block in eval mode on points [rows, columns] of a box.

    Raises:
        InputError: it raises, gives something else than a row of numbers for each row, or
            numbers that are not finite; the message says where.
    """
    kinds = [p for p in (*block.parameters(), *block.buffers()) if p.is_floating_point()]
    like = kinds[0] if kinds else points
    table = points.to(like)
    try:
        # A block with random numbers of its own would move the global generators.
        with evaluating(block), seeded(0):
            output = block(table)
    except Exception as error:  # whatever the block's code raises
        raise InputError(
            f"the block raised {type(error).__name__} on {len(points)} rows of the box ({box}): "
            f"{error}"
        ) from error
    return Asked(table.double().cpu(), _finite_table(output, table, box), like.dtype)


def _finite_table(output: object, table: torch.Tensor, box: Box) -> torch.Tensor:
    if not isinstance(output, torch.Tensor) or output.shape[:1] != table.shape[:1]:
        seen = [*output.shape] if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(
            f"the block must give [rows, outputs] for [rows, {len(box.names)}]; for "
            f"{[*table.shape]} it gave {seen}"
        )
    if output.ndim > 2:
        raise InputError(f"the block must give [rows, outputs]; it gave {[*output.shape]}")
    outputs = output.detach().double().cpu().reshape(len(table), -1)
    wrong = (~torch.isfinite(outputs)).any(1).nonzero()
    if len(wrong):
        first = int(wrong[0])
        row = dict(zip(box.names, table[first].tolist(), strict=True))
        raise InputError(
            f"the block gives {outputs[first].tolist()} at {row}, inside the box; choose a box "
            f"in which it is finite"
        )
    return outputs
