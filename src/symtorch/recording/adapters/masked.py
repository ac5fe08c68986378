"""MaskedInputs: padded sequences, of which only the rows that a mask marks are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch

from ...errors import InputError
from .output import DTYPES
from .protocol import InputAdapter, Rows
from .registry import load_inputs, plan_inputs, save_inputs
from .request import LayoutRequest
from .values import as_tensor, is_table


@dataclass(frozen=True)
class MaskedInputs:
    """Inputs of any other kind, without the rows whose mask is 0.

    >>> from .tensors import TensorInputs
    >>> padded = MaskedInputs(TensorInputs(("x",), (2,), -1), "mask", "bool", False)
    >>> mask = torch.tensor([[True, True, False]])
    >>> padded.read({"x": torch.ones(1, 3, 2), "mask": mask}, "block").values.shape
    torch.Size([2, 2])

    Args:
        inner: reads the columns.
        mask: name of the argument that is 0 for padding, in the shape of the rows; a call
            without it has no padding.
        dtype: of the mask, to query the block without padding.
        spread: whether the mask has an axis of size 1 in place of the features.
    """

    inner: InputAdapter
    mask: str
    dtype: str
    spread: bool

    kind: ClassVar[str] = "masked"
    partial: ClassVar[bool] = True

    @property
    def count(self) -> int:
        """Number of columns."""
        return self.inner.count

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.inner.names

    @property
    def feature_dim(self) -> int | None:
        """Axis of the features."""
        return self.inner.feature_dim

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
    ) -> Self | None:
        """An adapter if the user named a mask."""
        if request.mask is None:
            return None
        if request.mask not in arguments:
            raise InputError(
                f"block '{name}': mask={request.mask!r}, but its call has {[*arguments]}"
            )
        others = {key: value for key, value in arguments.items() if key != request.mask}
        inner = plan_inputs(others, replace(request, mask=None), block, name)
        value = arguments[request.mask]
        if not is_table(value):
            return cls(inner, request.mask, "bool", False)
        mask = as_tensor(value)
        if mask.is_floating_point() and bool((mask < 0).any()):
            raise InputError(
                f"block '{name}': its mask '{request.mask}' has negative values, as a mask that is "
                f"added to attention scores; rows are told apart by one that is not 0 where a "
                f"row counts, and 0 where it is padding"
            )
        lead = inner.read(others, name).lead
        dtype = str(mask.dtype).removeprefix("torch.")
        return cls(inner, request.mask, dtype, mask.ndim == len(lead) + 1)

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The columns of the rows that count."""
        rows = self.inner.read(arguments, name)
        value = arguments.get(self.mask)
        if value is None:
            return rows
        kept = self._kept(as_tensor(value), rows.lead, name).to(rows.values.device)
        return Rows(rows.values[kept], rows.lead, kept)

    def _kept(self, mask: torch.Tensor, lead: torch.Size, name: str) -> torch.Tensor:
        """Whether each row counts: [rows]."""
        shape = [*mask.shape]
        if self.spread:
            axis = -1 if self.feature_dim is None else self.feature_dim
            mask = mask.movedim(axis, -1).squeeze(-1)
        fits = mask.ndim == len(lead) and all(
            size in (1, rows) for size, rows in zip(mask.shape, lead, strict=True)
        )
        if not fits:
            raise InputError(
                f"block '{name}': its mask '{self.mask}' is {shape}, its rows are {[*lead]}: a "
                f"mask has one value a row"
            )
        return (mask != 0).expand(lead).reshape(-1)

    def write(self, table: torch.Tensor) -> dict[str, Any]:
        """Arguments without padding."""
        shape = (len(table), 1) if self.spread else (len(table),)
        mask = torch.ones(shape, dtype=DTYPES[self.dtype], device=table.device)
        return {**self.inner.write(table), self.mask: mask}

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        fields = {"mask": self.mask, "dtype": self.dtype, "spread": self.spread}
        return {"inner": save_inputs(self.inner), **fields}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        if data["inner"]["adapter"] == cls.kind:
            raise ValueError("a mask on a mask")
        read = cls(**{**data, "inner": load_inputs(data["inner"])})
        sound = (
            isinstance(read.mask, str)
            and read.mask.isidentifier()
            and read.dtype in DTYPES
            and isinstance(read.spread, bool)
        )
        if not sound:
            raise ValueError(f"mask {read.mask!r} of {read.dtype!r}")
        return read
