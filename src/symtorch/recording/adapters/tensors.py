"""TensorInputs: arguments that are tensors, arrays or DataFrames, their features as columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch

from ...errors import InputError
from .columns import apart, check_saved, chosen_axis, column_names, side_by_side, width_of
from .protocol import Rows
from .request import LayoutRequest
from .values import as_tensor, is_table


@dataclass(frozen=True)
class TensorInputs:
    """The arguments that hold columns, and the number of columns of each.

    >>> TensorInputs(("u", "v"), (2, 1), -1).names
    ('u_0', 'u_1', 'v_0')

    Args:
        arguments: names of the arguments.
        widths: number of columns of each.
        feature_dim: axis of the features; None if each argument is one column.
    """

    arguments: tuple[str, ...]
    widths: tuple[int, ...]
    feature_dim: int | None

    kind: ClassVar[str] = "tensors"
    partial: ClassVar[bool] = False

    @property
    def _widths(self) -> dict[str, int]:
        return dict(zip(self.arguments, self.widths, strict=True))

    @property
    def count(self) -> int:
        """Number of columns."""
        return sum(self.widths)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return column_names(self._widths, self.feature_dim)

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
    ) -> Self | None:
        """All arguments that hold tensors of numbers, or those that the user named."""
        if request.inputs is not None:
            missing = [key for key in request.inputs if not is_table(arguments.get(key))]
            if missing:
                raise InputError(
                    f"block '{name}': inputs={[*request.inputs]} but {missing} hold no tensor in "
                    f"its call; arguments with tensors: {_names(arguments)}"
                )
            tensors = {key: as_tensor(arguments[key]) for key in request.inputs}
        else:
            tensors = {key: as_tensor(arguments[key]) for key in _names(arguments)}
            # masks are settings
            tensors = {key: t for key, t in tensors.items() if t.dtype != torch.bool}
        axis = chosen_axis(tensors, request, block, name)
        if axis is not None:
            # A number among tensors (a temperature, a step count) is a setting, not a column.
            tensors = {key: tensor for key, tensor in tensors.items() if tensor.ndim > 0}
        if not tensors:
            return None
        widths = [width_of(tensor, axis, key, name) for key, tensor in tensors.items()]
        return cls(tuple(tensors), tuple(widths), axis)

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The features of the arguments, side by side."""
        return side_by_side(arguments, self._widths, self.feature_dim, name)

    def write(self, table: torch.Tensor) -> dict[str, Any]:
        """One tensor [rows, width] per argument, or [rows] if it is one column."""
        return {**apart(table, self._widths, self.feature_dim)}

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {
            "arguments": list(self.arguments),
            "widths": list(self.widths),
            "feature_dim": self.feature_dim,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        check_saved(data["arguments"], data["widths"], data["feature_dim"])
        return cls(**{**data, "arguments": (*data["arguments"],), "widths": (*data["widths"],)})


def _names(arguments: Mapping[str, Any]) -> list[str]:
    return [key for key, value in arguments.items() if is_table(value)]
