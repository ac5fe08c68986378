"""Recording: what one block did, as tables."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..errors import InputError
from ..symbolic.parsing import check_names
from .adapters.layout import Layout
from .adapters.output import DTYPES

_FORMAT = "symtorch.recording.1"


@dataclass(frozen=True, eq=False)
class Recording:
    """What one block did: a table of inputs and the table of outputs that belongs to it.

    >>> from torch import nn
    >>> net = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    >>> from symtorch import record
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
        dtype: in which the block computed the outputs.
        column_names: names of the input columns, where the data has some.
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
        """By how much rounding may change an output, relative to the largest ones.

        The unit of its type. A block in half precision adds up in float32 and rounds the
        result, so that its error does not grow with the length of the sums: a 16th of the
        unit, of which searches allow 64 as to all others.
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
                "dtype": str(self.dtype).removeprefix("torch."),
                "column_names": list(self.column_names),
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
                inputs,
                outputs,
                str(data["block_name"]),
                layout,
                index,
                int(data["rows_seen"]),
                DTYPES[data["dtype"]],
                check_names(data["column_names"]) if data["column_names"] else (),
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
        if len(recording.column_names) not in (0, layout.inputs.count):
            raise InputError(f"{path}: {len(recording.column_names)} names for its columns")
        numbered = index.dtype == torch.int64 and (
            not len(index) or 0 <= int(index.min()) <= int(index.max()) < recording.rows_seen
        )
        if not numbered:
            raise InputError(f"{path}: its row numbers are not those of {recording.rows_seen} rows")
        return recording
