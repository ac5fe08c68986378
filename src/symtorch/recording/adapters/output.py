"""OutputLayout: a block's output as a table, and a table as the block's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import torch

from ...errors import InputError
from .parts import part_of, with_part
from .protocol import InputAdapter, Rows
from .request import LayoutRequest, OutputPath
from .values import as_tensor, cast, check_numbers

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}
"""Types that a file may name."""


@dataclass(frozen=True)
class OutputLayout:
    """The part of the output that is a table.

    Args:
        path: which part of a tuple, dict or object; None if the output itself is the table.
        width: number of columns.
        axis: of the columns; None if the output has no such axis (then ``width`` is 1).
        kind: whether the block returns tensors or arrays.
        dtype: of the output if it differs from the inputs', ``"float64"``; otherwise None.
    """

    path: OutputPath
    width: int
    axis: int | None
    kind: Literal["torch", "numpy"]
    dtype: str | None

    @classmethod
    def plan(
        cls, output: Any, rows: Rows, inputs: InputAdapter, request: LayoutRequest, name: str
    ) -> Self:
        """Decide from a first call which part of the output is the table.

        Args:
            output: of that call.
            rows: of its inputs.
            inputs: the adapter that read them.
            request: how the user describes the block's calls.
            name: of the block, for messages.

        Raises:
            InputError: a tuple or dict without a choice; rows that do not match the inputs'.
        """
        part = part_of(output, request.output, name)
        tensor = as_tensor(part)
        check_numbers(tensor, f"block '{name}': its output")
        axis, width = None, 1
        if tuple(tensor.shape) != tuple(rows.lead):
            axis = -1 if inputs.feature_dim is None else inputs.feature_dim
            fits = tensor.ndim == len(rows.lead) + 1
            *lead, width = tensor.movedim(axis, -1).shape if fits else (-1, 0)
            if not fits or tuple(lead) != tuple(rows.lead):
                raise InputError(_rows_lost(name, rows.lead, inputs, tensor))
            if not width:
                raise InputError(f"block '{name}' returns {[*tensor.shape]}: no output at all")
        kind: Literal["torch", "numpy"] = "torch" if isinstance(part, torch.Tensor) else "numpy"
        # Integer types are always kept, because equations compute in floats.
        same = tensor.dtype == rows.values.dtype and tensor.dtype.is_floating_point
        dtype = None if same else str(tensor.dtype).removeprefix("torch.")
        return cls(request.output, width, axis, kind, dtype)

    def read(self, output: Any, name: str) -> torch.Tensor:
        """The columns of an output: [rows, outputs].

        Raises:
            InputError: the number of columns differs from that first seen.
        """
        tensor = as_tensor(part_of(output, self.path, name))
        if self.axis is None:
            return tensor.reshape(-1, 1)
        moved = tensor.movedim(self.axis, -1)
        if moved.shape[-1] != self.width:
            raise InputError(
                f"block '{name}' returned {moved.shape[-1]} outputs; {self.width} before"
            )
        return moved.reshape(-1, self.width)

    def write(self, table: torch.Tensor, lead: torch.Size, whole: Any) -> Any:
        """The inverse of `read`: the table in the shape and type of the block's output.

        Args:
            table: [rows, outputs].
            lead: shape of the rows, as in `Rows`.
            whole: the block's own output, if the table is only a part of it.
        """
        if self.axis is None:
            shaped = table.reshape(lead)
        else:
            shaped = table.reshape(*lead, self.width).movedim(-1, self.axis)
            # Contiguous like the block's output, so that a view() downstream keeps working.
            shaped = shaped.contiguous()
        if self.dtype is not None:
            shaped = cast(shaped, DTYPES[self.dtype])
        part: Any = shaped.detach().cpu().numpy() if self.kind == "numpy" else shaped
        return with_part(whole, self.path, part)

    def to_json(self) -> dict[str, Any]:
        """Its fields, for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError: it is something else.
        """
        layout = cls(**data)
        sound = (
            type(layout.path) in (int, str, type(None))
            and type(layout.width) is int
            and layout.width > 0
            and type(layout.axis) in (int, type(None))
            and (layout.axis is not None or layout.width == 1)
            and layout.kind in ("torch", "numpy")
            and layout.dtype in (None, *DTYPES)
        )
        if not sound:
            raise ValueError(f"output {data}")
        return layout


def _rows_lost(name: str, lead: torch.Size, inputs: InputAdapter, output: torch.Tensor) -> str:
    hint = (
        "wrap a part that maps each row on its own"
        if inputs.feature_dim != -1
        else "wrap a part that maps each row on its own, or say which axis holds the "
        "features (feature_dim=1 for channels first, None for no such axis)"
    )
    return (
        f"block '{name}' maps rows of shape {[*lead]} (feature axis {inputs.feature_dim} "
        f"taken out) to an output of shape {[*output.shape]}: rows of inputs and outputs do "
        f"not correspond; {hint}"
    )


def map_output(
    output: Any, path: OutputPath, change: Callable[[torch.Tensor], torch.Tensor], name: str
) -> Any:
    """A block's output with its table changed, in the same type, and the rest as it was.

    >>> import numpy as np
    >>> map_output((np.ones(2), "rest"), 0, lambda table: 2 * table, "block")
    (array([2., 2.]), 'rest')

    Args:
        output: of the block.
        path: which part of it is the table.
        change: tensor to tensor.
        name: of the block, for messages.
    """
    part = part_of(output, path, name)
    changed: Any = change(as_tensor(part))
    if not isinstance(part, torch.Tensor):
        changed = changed.numpy()
    return with_part(output, path, changed)
