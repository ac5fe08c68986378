"""record(): what blocks of a model do on sample data, as tables."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import nn

from ..errors import InputError, StateError, UnsupportedTypeError
from ..lazy import LazyModule
from .contexts import evaluating, gradients, seeded
from .layout import (
    InputLayout,
    Layout,
    LayoutRequest,
    OutputLayout,
    as_tensor,
    named_arguments,
    plan_inputs,
    plan_output,
    read_inputs,
    read_output,
    signature_of,
)
from .lookup import FunctionBlock, find_blocks
from .reservoir import Reservoir

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

Data: TypeAlias = Any
"""A tensor, an array, a tuple (positional inputs), a dict (keyword inputs), or an
iterable of such batches, a DataLoader for example. A model that is an `nn.Module` is
handed arrays as tensors of its parameters' type and device."""

_FORMAT = "symtorch.recording.1"


@dataclass(frozen=True, eq=False)
class Recording:
    """What one block did: a table of inputs and the table of outputs that belongs to it.

    >>> net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    >>> recording = record(net, "1", torch.randn(500, 3), max_samples=100)["1"]
    >>> recording.inputs.shape, recording.outputs.shape, recording.names[:2]
    (torch.Size([100, 8]), torch.Size([100, 8]), ('x0', 'x1'))

    Args:
        inputs: [rows, columns]; half precision is widened to float32.
        outputs: [rows, outputs].
        block_name: what the block is called in messages.
        layout: how calls of the block map to the tables.
        row_index: [rows], which of all rows that passed these are.
        rows_seen: how many rows passed.
    """

    inputs: torch.Tensor
    outputs: torch.Tensor
    block_name: str
    layout: Layout
    row_index: torch.Tensor = field(repr=False)
    rows_seen: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input columns."""
        return self.layout.inputs.names

    def __len__(self) -> int:
        return len(self.inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a file that `torch.load(weights_only=True)` reads."""
        # Through memory, so that a full disk or an interrupt leaves no half file behind
        # under the name of a good one.
        buffer = io.BytesIO()
        torch.save(
            {
                "format": _FORMAT,
                "inputs": self.inputs,
                "outputs": self.outputs,
                "block_name": self.block_name,
                "layout": self.layout.to_json(),
                "row_index": self.row_index,
                "rows_seen": self.rows_seen,
            },
            buffer,
        )
        Path(path).write_bytes(buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read what `save` wrote. Nothing in the file is executed.

        Raises:
            InputError: not such a file.
        """
        try:
            data = torch.load(path, weights_only=True, map_location="cpu")
            if data["format"] != _FORMAT:
                raise InputError(f"{path}: format {data['format']!r}, expected {_FORMAT!r}")
            inputs, outputs, index = data["inputs"], data["outputs"], data["row_index"]
            layout = Layout.from_json(data["layout"])
            recording = cls(
                inputs, outputs, str(data["block_name"]), layout, index, int(data["rows_seen"])
            )
        except InputError:
            raise
        except FileNotFoundError:
            raise
        except Exception as error:  # unpickling raises anything; all of it means the same
            raise InputError(f"{path} is not a saved recording: {error}") from None
        if not all(isinstance(table, torch.Tensor) for table in (inputs, outputs, index)):
            raise InputError(f"{path} is not a saved recording: its tables are no tensors")
        expected = (len(index), layout.inputs.count), (len(index), layout.output.width)
        if (tuple(inputs.shape), tuple(outputs.shape)) != expected:
            raise InputError(
                f"{path}: tables {[*inputs.shape]}, {[*outputs.shape]} do not fit the layout"
            )
        numbered = index.dtype == torch.int64 and (
            not len(index) or 0 <= int(index.min()) <= int(index.max()) < recording.rows_seen
        )
        if not numbered:
            raise InputError(f"{path}: its row numbers are not those of {recording.rows_seen} rows")
        return recording


def record(
    model: nn.Module | Callable[..., Any],
    blocks: str | Sequence[str] | Mapping[str, nn.Module],
    data: Data,
    *,
    max_samples: int | None = 10_000,
    input_of: Callable[[Any], Any] | None = None,
    inputs: Sequence[str] | None = None,
    output: int | str | None = None,
    feature_dim: int | str | None = "auto",
    random_state: int = 0,
) -> dict[str, Recording]:
    """Record blocks of a model in one pass over data.

    >>> net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    >>> loader = torch.utils.data.DataLoader(torch.randn(64, 3), batch_size=16)
    >>> recordings = record(net, ["0", "2"], loader)
    >>> {name: [*r.inputs.shape, *r.outputs.shape] for name, r in recordings.items()}
    {'0': [64, 3, 64, 8], '2': [64, 8, 64, 2]}

    The model runs in eval mode, without gradients, its random generators seeded; modes,
    generators and hooks are as before afterwards, also when its forward raises.

    Args:
        model: called on every batch.
        blocks: dotted names or globs (``"layers.*.mlp"``), or modules by name.
        data: a tensor or array; a tuple of positional or a dict of keyword inputs; or an
            iterable of these.
        max_samples: rows kept of each block, uniformly sampled; None for all. Memory
            does not grow with the number of batches.
        input_of: takes a batch to the model's input, ``lambda batch: batch[0]`` for a
            loader of (inputs, targets).
        inputs: names of the blocks' parameters that are columns; all tensors by default.
        output: position or key of the table in a tuple or dict output.
        feature_dim: axis of the features; the last by default, 1 for channels first,
            None when every argument is one column without such an axis.
        random_state: seed of the sample.

    Raises:
        InputError: no such block; data that is empty; inputs and outputs of a block
            whose rows do not correspond.
        StateError: a block was not called.
    """
    request = LayoutRequest(tuple(inputs) if inputs is not None else None, output, feature_dim)  # type: ignore[arg-type]
    found = blocks if isinstance(blocks, Mapping) else find_blocks(model, blocks)
    recorders = {
        name: Recorder(module, name, request, max_samples, random_state)
        for name, module in found.items()
    }
    run_recorders(model, list(recorders.values()), data, input_of, random_state)
    return {name: recorder.recording() for name, recorder in recorders.items()}


def run_recorders(
    model: nn.Module | Callable[..., Any],
    recorders: Sequence[Recorder],
    data: Data,
    input_of: Callable[[Any], Any] | None = None,
    random_state: int = 0,
) -> None:
    """Run a model over data with recorders attached to its blocks."""
    modules = [m for m in (model, *(r.block for r in recorders)) if isinstance(m, nn.Module)]
    with ExitStack() as stack:
        stack.enter_context(evaluating(*modules))
        stack.enter_context(seeded(random_state))
        stack.enter_context(gradients(False))
        # A model that torch.compile has seen does not look for new hooks.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for recorder in recorders:
            stack.enter_context(recorder.attached())
        batches = 0
        for batch in batches_of(data):
            args, kwargs = call_of(batch if input_of is None else input_of(batch))
            if isinstance(model, nn.Module) and not isinstance(model, FunctionBlock):
                args = tuple(_as_the_models(value, model) for value in args)
                kwargs = {key: _as_the_models(value, model) for key, value in kwargs.items()}
            model(*args, **kwargs)
            batches += 1
    if not batches:
        raise InputError("the data is empty: its iterator gave no batch")


def batches_of(data: Data) -> Iterator[Any]:
    """The batches in what a user handed over: one, or those of an iterable."""
    if isinstance(data, torch.Tensor | np.ndarray | pd.DataFrame | tuple | Mapping):
        yield data
    elif isinstance(data, Iterable) and not isinstance(data, str | bytes):
        yield from data
    else:
        raise UnsupportedTypeError(
            f"inputs must be a tensor, an array, a tuple, a dict or an iterable of such "
            f"batches; got {type(data).__name__}"
        )


def call_of(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How to call a model with a batch: positional and keyword arguments."""
    if isinstance(batch, Mapping):
        return (), dict(batch)
    # Loaders give lists where their data sets give tuples.
    if isinstance(batch, tuple | list):
        return tuple(batch), {}
    return (batch,), {}


def _as_the_models(value: Any, model: nn.Module) -> Any:
    """An array as a tensor that a model can take; anything else as it is."""
    if not isinstance(value, np.ndarray | pd.DataFrame):
        return value
    tensor = as_tensor(value)
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    if not tensor.is_floating_point():
        return tensor if like is None else tensor.to(like.device)
    return tensor.to(torch.get_default_dtype()) if like is None else tensor.to(like)


class Recorder:
    """Collects the calls of one block while it is attached.

    Args:
        block: whose calls to record.
        name: for messages.
        request: what the user said about the columns.
        max_samples: rows to keep.
        seed: of the sample.
        reservoir: what takes the rows in, in the place of a plain reservoir.
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
        self._signature = signature_of(
            block.function if isinstance(block, FunctionBlock) else block
        )
        self._inputs: InputLayout | None = None
        self._output: OutputLayout | None = None
        # Calls that have begun and not ended: a block may call itself.
        self._open: list[tuple[torch.Tensor, torch.Tensor, torch.Size, torch.dtype]] = []

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Hooks on the block inside, none after."""
        if isinstance(self.block, torch.jit.ScriptModule):
            raise UnsupportedTypeError(
                f"block '{self.name}' is a ScriptModule, which takes no hooks; record the "
                f"module it was made from, or a function that calls it"
            )
        before = self.block.register_forward_pre_hook(self._enter, with_kwargs=True)
        after = self.block.register_forward_hook(self._leave, with_kwargs=True)
        try:
            yield
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # The rows are copied before the block runs: it may overwrite its input in place.
        arguments = named_arguments(self._signature, args, kwargs)
        if self._inputs is None:
            self._inputs = plan_inputs(arguments, self._request, self.block, self.name)
        table, lead = read_inputs(self._inputs, arguments, self.name)
        rows = self._reservoir.offer(len(table))
        self._open.append((rows, _widened(table[rows.to(table.device)]), lead, table.dtype))

    def _leave(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any
    ) -> None:
        assert self._inputs is not None
        rows, inputs, lead, dtype = self._open.pop()
        if self._output is None:
            self._output = plan_output(output, lead, self._inputs, self._request, dtype, self.name)
        table = read_output(Layout(self._inputs, self._output), output, self.name)
        if len(table) != lead.numel():
            raise InputError(
                f"block '{self.name}' was called with {lead.numel()} rows and returned {len(table)}"
            )
        self._reservoir.keep(rows, inputs, _widened(table[rows.to(table.device)]))

    def recording(self) -> Recording:
        """What was collected.

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
        return Recording(
            inputs=tables[0],
            outputs=tables[1],
            block_name=self.name,
            layout=Layout(self._inputs, self._output),
            row_index=index,
            rows_seen=self._reservoir.seen,
        )


def _widened(table: torch.Tensor) -> torch.Tensor:
    """A copy in float32 at least; integers become floats."""
    table = table.detach()
    if table.dtype in (torch.float32, torch.float64):
        return table.clone()
    return table.to(torch.float32)
