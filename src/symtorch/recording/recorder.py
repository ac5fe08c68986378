"""record(): inputs and outputs of a model's blocks on sample data, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import InputError, StateError
from .adapters.layout import Layout
from .adapters.output import OutputLayout
from .adapters.protocol import InputAdapter, Rows
from .adapters.registry import plan_inputs
from .adapters.request import LayoutRequest
from .batches import Data
from .failures import FORGOTTEN_PARENT
from .hooks import BlockHook
from .lookup import find_blocks
from .naming import names_in
from .recording import Recording
from .reservoir import Reservoir
from .running import Model, run_batches


def record(
    model: Model,
    blocks: str | Sequence[str] | Mapping[str, nn.Module],
    data: Data,
    *,
    max_samples: int | None = 10_000,
    input_of: Callable[[Any], Any] | None = None,
    inputs: Sequence[str] | None = None,
    output: int | str | None = None,
    feature_dim: int | str | None = "auto",
    mask: str | None = None,
    random_state: int = 0,
) -> dict[str, Recording]:
    """Record blocks of a model in one pass over data.

    >>> net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    >>> loader = torch.utils.data.DataLoader(torch.randn(64, 3), batch_size=16)
    >>> recordings = record(net, ["0", "2"], loader)
    >>> {name: [*r.inputs.shape, *r.outputs.shape] for name, r in recordings.items()}
    {'0': [64, 3, 64, 8], '2': [64, 8, 64, 2]}

    The model runs in eval mode, without gradients and with seeded random generators; modes,
    generators and hooks are restored afterwards, also if its forward raises.

    Args:
        model: called on every batch.
        blocks: dotted names or globs (``"layers.*.mlp"``), or modules by name.
        data: a tensor or array; a tuple of positional or a dict of keyword inputs; or an
            iterable of these.
        max_samples: rows to keep for each block, uniformly sampled; None for all. Memory
            does not grow with the number of batches.
        input_of: takes a batch to the model's input, ``lambda batch: batch[0]`` for a
            loader of (inputs, targets).
        inputs: names of the blocks' parameters that are columns; all tensors by default.
        output: position, key or attribute of the table in a tuple, dict or object.
        feature_dim: axis of the features; the last by default, 1 for channels first,
            None when every argument is one column without such an axis.
        mask: name of the blocks' parameter that is 0 for rows that do not count (padding):
            these are not recorded.
        random_state: seed of the sample.

    Raises:
        InputError: no such block; data that is empty; inputs and outputs of a block
            whose rows do not correspond.
        StateError: a block was not called.
    """
    chosen = tuple(inputs) if inputs is not None else None
    request = LayoutRequest(chosen, output, feature_dim, mask)  # type: ignore[arg-type]
    found = blocks if isinstance(blocks, Mapping) else find_blocks(model, blocks)
    recorders = {
        name: Recorder(module, name, request, max_samples, random_state)
        for name, module in found.items()
    }
    run_recorders(model, list(recorders.values()), data, input_of, random_state)
    return {name: recorder.recording() for name, recorder in recorders.items()}


def run_recorders(
    model: Model,
    recorders: Sequence[Recorder],
    data: Data,
    input_of: Callable[[Any], Any] | None = None,
    random_state: int = 0,
) -> None:
    """Run a model over data with recorders attached to its blocks."""
    blocks = [recorder.block for recorder in recorders]

    direct = [recorder for recorder in recorders if recorder.block is model]

    def name_columns(output: Any, batch: Any) -> None:
        while direct:  # at the first batch
            recorder = direct.pop()
            recorder.column_names = names_in(batch if input_of is None else input_of(batch))

    run_batches(
        model,
        data,
        name_columns,
        input_of=input_of,
        random_state=random_state,
        parts=blocks,
        hooks=[recorder.attached() for recorder in recorders],
        question=FORGOTTEN_PARENT if model in blocks else "",
    )


class _Visit(NamedTuple):
    """A call that has begun: its rows, which of them to keep, and the inputs of these."""

    rows: Rows
    chosen: torch.Tensor
    inputs: torch.Tensor


class Recorder:
    """Collects the rows of one block's calls while attached.

    Args:
        block: whose calls to record.
        name: for messages.
        request: how the user describes the block's calls.
        max_samples: rows to keep.
        seed: of the sample.
        reservoir: takes the rows in place of a plain reservoir.
    """

    def __init__(
        self,
        block: nn.Module,
        name: str,
        request: LayoutRequest,
        max_samples: int | None,
        seed: int,
        reservoir: Reservoir | None = None,
    ) -> None:
        if max_samples is not None and max_samples < 1:
            raise InputError(f"max_samples must be at least 1 or None; got {max_samples}")
        self.block = block
        self.name = name
        self._request = request
        self._reservoir = Reservoir(max_samples, seed) if reservoir is None else reservoir
        self._inputs: InputAdapter | None = None
        self._output: OutputLayout | None = None
        self._dtype = torch.float32
        self.column_names: tuple[str, ...] = ()

    def attached(self) -> AbstractContextManager[None]:
        """Records inside, and leaves no hooks behind."""
        return BlockHook(self.block, self.name, self._enter, self._leave).attached()

    def _enter(self, arguments: Mapping[str, Any]) -> _Visit:
        # The rows are copied before the block runs, because it may overwrite its input in place.
        if self._inputs is None:
            self._inputs = plan_inputs(arguments, self._request, self.block, self.name)
        rows = self._inputs.read(arguments, self.name)
        chosen = self._reservoir.offer(len(rows.values))
        return _Visit(rows, chosen, _widened(_taken(rows.values, chosen)))

    def _leave(self, visit: _Visit, output: Any) -> None:
        assert self._inputs is not None
        if self._output is None:
            self._output = OutputLayout.plan(
                output, visit.rows, self._inputs, self._request, self.name
            )
        layout = Layout(self._inputs, self._output)
        table = layout.read_output(output, visit.rows, self.name)
        self._dtype = table.dtype
        self._reservoir.keep(visit.chosen, visit.inputs, _widened(_taken(table, visit.chosen)))

    def recording(self) -> Recording:
        """The recording of all calls so far.

        Raises:
            StateError: the block was never called.
        """
        if self._inputs is None or self._output is None:
            raise StateError(
                f"block '{self.name}' was not called while the model ran: is it the part of "
                f"this model that was meant?"
            )
        index, tables = self._reservoir.sample()
        if not len(index):
            raise InputError(f"block '{self.name}' was called with no rows")
        fits = len(self.column_names) == self._inputs.count
        return Recording(
            inputs=tables[0],
            outputs=tables[1],
            block_name=self.name,
            layout=Layout(self._inputs, self._output),
            row_index=index,
            rows_seen=self._reservoir.seen,
            dtype=self._dtype,
            column_names=self.column_names if fits else (),
        )


def _taken(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return table[rows.to(table.device)]


def _widened(table: torch.Tensor) -> torch.Tensor:
    """A copy in float32 at least; integers become floats."""
    table = table.detach()
    if table.dtype in (torch.float32, torch.float64):
        return table.clone()
    return table.to(torch.float32)
