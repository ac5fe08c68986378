"""Recording: inputs and outputs of one block, as tables."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from typing import Any

import torch

from ..documents import Format, check_tensor
from ..errors import InputError
from ..files import write_file
from ..symbolic.names import check_names
from .adapters.layout import Layout
from .adapters.output import DTYPES


@dataclass(frozen=True, eq=False)
class Recording:
    """Inputs and outputs of one block, as two tables with corresponding rows.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    >>> from symtorch import record
    >>> recording = record(net, "1", torch.randn(500, 3), max_samples=100)["1"]
    >>> recording.inputs.shape, recording.outputs.shape, recording.names[:2]
    (torch.Size([100, 8]), torch.Size([100, 8]), ('x0', 'x1'))

    Args:
        inputs: [rows, columns]; half precision is widened to float32.
        outputs: [rows, outputs].
        block_name: name of the block in messages.
        layout: how calls of the block map to the tables.
        row_index: [rows], positions of these among all rows of the data.
        rows_seen: number of rows in the data.
        dtype: type in which the block computed the outputs.
        column_names: names of the input columns, if the data has any.
    """

    inputs: torch.Tensor
    outputs: torch.Tensor
    block_name: str
    layout: Layout
    row_index: torch.Tensor = field(repr=False)
    rows_seen: int
    dtype: torch.dtype = torch.float32
    column_names: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """How much rounding may change an output, relative to the largest ones.

        This is the machine epsilon of its type. A block in half precision accumulates in
        float32 and rounds only the result, so that its error does not grow with the length of
        the sums: there it is a 16th of epsilon. Searches allow 64 times this.
        """
        if not self.dtype.is_floating_point:
            return torch.finfo(self.outputs.dtype).eps
        unit = torch.finfo(self.dtype).eps
        return unit if self.dtype.itemsize >= 4 else unit / 16

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the input columns."""
        return self.column_names or self.layout.inputs.names

    def __len__(self) -> int:
        return len(self.inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to a file that `torch.load(weights_only=True)` reads."""
        buffer = io.BytesIO()
        saved = SavedRecording(
            inputs=self.inputs.contiguous(),
            outputs=self.outputs.contiguous(),
            block_name=self.block_name,
            layout=self.layout.to_saved(),
            row_index=self.row_index.contiguous(),
            rows_seen=self.rows_seen,
            dtype=str(self.dtype).removeprefix("torch."),
            column_names=self.column_names,
        )
        torch.save(_FORMAT.document(saved), buffer)
        write_file(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """Read a file that `save` wrote. Nothing in it is executed.

        Raises:
            InputError: the file is not a saved recording.
        """
        try:
            data = torch.load(path, weights_only=True, map_location="cpu")
        except FileNotFoundError:
            raise
        except Exception as error:  # unpickling raises anything; all of it means the same
            raise InputError(f"{path} is not a saved recording: {error}") from None
        try:
            return cls._read(_FORMAT.check(data))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    @classmethod
    def _read(cls, saved: SavedRecording) -> Recording:
        layout = Layout.from_saved(saved.layout)
        rows = len(check_tensor(saved.row_index, "its row numbers", dims=1))
        check_tensor(saved.inputs, "its inputs", (rows, layout.inputs.count), floating=True)
        check_tensor(saved.outputs, "its outputs", (rows, layout.output.width), floating=True)
        index, seen = saved.row_index, saved.rows_seen
        numbered = index.dtype == torch.int64 and (
            not rows or 0 <= int(index.min()) <= int(index.max()) < seen
        )
        if not numbered:
            raise InputError(f"its row numbers are not those of {seen} rows")
        if saved.dtype not in DTYPES:
            raise InputError(f"its dtype is none: '{saved.dtype[:40]}'")
        if len(saved.column_names) not in (0, layout.inputs.count):
            raise InputError(f"{len(saved.column_names)} names for its columns")
        return cls(
            saved.inputs,
            saved.outputs,
            saved.block_name,
            layout,
            index,
            seen,
            DTYPES[saved.dtype],
            check_names(saved.column_names) if saved.column_names else (),
        )


@dataclass(frozen=True, eq=False)
class SavedRecording:
    """A `Recording` in a document, which here holds tensors too."""

    inputs: torch.Tensor
    outputs: torch.Tensor
    block_name: str
    layout: Any
    row_index: torch.Tensor
    rows_seen: int
    dtype: str
    column_names: tuple[str, ...] = ()


_FORMAT = Format("symtorch.recording", 2, "recording", SavedRecording)
