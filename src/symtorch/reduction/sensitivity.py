"""Gradients: of a model's loss at a block's outputs, and of these outputs at its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import InputError, StateError
from ..recording.adapters.layout import Layout
from ..recording.adapters.protocol import Rows
from ..recording.batches import Data
from ..recording.contexts import gradients
from ..recording.hooks import BlockHook
from ..recording.query import BlockQuery
from ..recording.recording import Recording
from ..recording.running import run_batches
from .request import Loss

SLOPE_ROWS = 2000
"""Rows at which a block is differentiated: enough for the second moment of its gradients to
converge."""


@dataclass(frozen=True)
class Slopes:
    """Gradients of a block's output, along one direction of the outputs at each row.

    Args:
        along: [rows, outputs], the directions ``v``.
        values: [rows, inputs], the gradients of ``y @ v``.
    """

    along: torch.Tensor
    values: torch.Tensor


def output_slopes(
    block: nn.Module, recording: Recording, root: torch.Tensor, random_state: int = 0
) -> Slopes:
    """Gradients of a block's outputs at recorded rows, along random directions.

    Args:
        block: queried with single rows.
        recording: of the block.
        root: [outputs, outputs], symmetric: directions are normal draws times this.
        random_state: seed of these draws.

    Raises:
        InputError: the block cannot be queried row by row.
    """
    try:
        query = BlockQuery.of(block, recording)
        why = "torch cannot differentiate its output"
    except InputError as error:
        query, why = None, str(error)
    if query is None or not query.differentiable:
        raise InputError(
            f"block '{recording.block_name}': Reduction(method='gradient') differentiates the "
            f"block at single rows, and it cannot be called with its columns alone ({why}); use "
            f"method='supervised'"
        )
    step = math.ceil(len(recording) / SLOPE_ROWS)
    rows = recording.inputs[::step]
    generator = torch.Generator().manual_seed(random_state)
    along = torch.randn(len(rows), len(root), generator=generator, dtype=torch.float64) @ root
    with gradients(True):
        points = rows.detach().clone().requires_grad_()
        output = (query(points) * along.to(points)).sum()
        (values,) = torch.autograd.grad(output, points)
    return Slopes(along, values.double().cpu())


def gradient_moment(
    model: nn.Module,
    block: nn.Module,
    layout: Layout,
    data: Data,
    loss: Loss,
    *,
    input_of: Callable[[Any], Any] | None = None,
    random_state: int = 0,
) -> torch.Tensor:
    """Second moment of the gradient of a loss at a block's outputs: [outputs, outputs].

    For a log-likelihood an error e of the outputs costs about ``e^T W e / 2``, where W is
    this matrix (the empirical Fisher information of the outputs).

    >>> from symtorch import SymbolicModel
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    >>> x = torch.randn(9, 3)
    >>> layout = SymbolicModel(net[0]).record(x).layout
    >>> W = gradient_moment(net, net[0], layout, x, lambda output, batch: output.sum())
    >>> W.shape, int(torch.linalg.matrix_rank(W))
    (torch.Size([2, 2]), 1)

    Args:
        model: called on every batch, in eval mode.
        block: a part of it.
        layout: of the block's calls.
        data: batches.
        loss: of the model's output and the batch.
        input_of: takes a batch to the model's input.
        random_state: seed of the model's random draws.

    Raises:
        StateError: the loss does not depend on the block's output.
    """
    moment = _GradientMoment(layout, loss)
    run_batches(
        model,
        data,
        moment.differentiate,
        input_of=input_of,
        random_state=random_state,
        grad=True,
        hooks=[BlockHook(block, "block", moment.read, moment.detach).attached()],
    )
    return moment.total / max(moment.rows, 1)


class _GradientMoment:
    """Sums the second moment of a loss's gradient at a block's outputs, batch by batch.

    The block's output is detached from its inputs and made to require gradients, so that only
    the part of the model behind the block is differentiated, and gradients that the model's
    parameters have accumulated stay as they are.
    """

    def __init__(self, layout: Layout, loss: Loss) -> None:
        width = layout.output.width
        self.total, self.rows = torch.zeros(width, width, dtype=torch.float64), 0
        self._layout, self._loss = layout, loss
        self._tables: list[torch.Tensor] = []

    def read(self, arguments: Mapping[str, Any]) -> Rows:
        """The rows of a call that begins."""
        return self._layout.read(arguments, "block")

    def detach(self, rows: Rows, output: Any) -> Any:
        """The output of a call, detached from what came before it."""
        table = self._layout.read_output(output, rows, "block").detach().requires_grad_()
        self._tables.append(table)
        return self._layout.write(table, rows, output)

    def differentiate(self, output: Any, batch: Any) -> None:
        """Add the gradients of one batch, at all calls of the block in it."""
        value = self._loss(output, batch)
        if not self._tables or not value.requires_grad:
            raise StateError("Reduction(loss=...): the loss does not depend on the block")
        for slope in torch.autograd.grad(value, self._tables, allow_unused=True):
            if slope is not None:
                slope = slope.double().cpu()
                self.total += slope.mT @ slope
                self.rows += len(slope)
        self._tables.clear()
