"""Columns: several tensors of one call side by side in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ...errors import InputError
from .protocol import Rows
from .request import LayoutRequest
from .values import as_tensor, check_numbers, is_table

CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._MaxPoolNd,
)
"""Modules that read [B, C, ...]; a block may hold them and still take channels last."""


def chosen_axis(
    values: Mapping[str, torch.Tensor], request: LayoutRequest, block: object, name: str
) -> int | None:
    """Axis of the features of some tensors: the user's choice, or the last one.

    Raises:
        InputError: a convolutional block for which the user did not choose the axis.
    """
    if request.feature_dim != "auto":
        return request.feature_dim
    convolutional = isinstance(block, nn.Module) and any(
        isinstance(module, CHANNELS_FIRST) for module in block.modules()
    )
    for key, tensor in values.items():
        if convolutional and tensor.ndim > 2:
            raise InputError(
                f"block '{name}' is convolutional and its input '{key}' is {[*tensor.shape]}: "
                f"say which axis holds the features, feature_dim=1 for channels first "
                f"([B, C, H, W]) or feature_dim=-1 for channels last"
            )
    return -1


def width_of(tensor: torch.Tensor, axis: int | None, key: str, name: str) -> int:
    """Number of columns that a tensor gives.

    Raises:
        InputError: it lacks the axis, or has no feature.
        UnsupportedTypeError: it does not hold plain numbers.
    """
    check_numbers(tensor, f"block '{name}': input '{key}'")
    if axis is None:
        return 1
    if not -tensor.ndim <= axis < tensor.ndim:
        raise InputError(
            f"block '{name}': feature_dim={axis} but input '{key}' is {[*tensor.shape]}"
        )
    width = tensor.shape[axis]
    if not width:
        raise InputError(f"block '{name}': input '{key}' is {[*tensor.shape]}, without a feature")
    return width


def column_names(widths: Mapping[str, int], axis: int | None) -> tuple[str, ...]:
    """Names of columns: ``x0, x1`` for one input, ``u_0, u_1, v_0`` for several.

    >>> column_names({"u": 2, "v": 1}, -1)
    ('u_0', 'u_1', 'v_0')
    """
    if axis is None:
        return tuple(widths)
    if len(widths) == 1:
        return tuple(f"x{i}" for width in widths.values() for i in range(width))
    return tuple(f"{key}_{i}" for key, width in widths.items() for i in range(width))


def side_by_side(
    values: Mapping[str, Any], widths: Mapping[str, int], axis: int | None, name: str
) -> Rows:
    """Tensors of a call as one table.

    Args:
        values: the call's tensors, arrays or DataFrames, by the name of their input.
        widths: number of columns of each.
        axis: of the features; None if each tensor is one column.
        name: of the block, for messages.

    Raises:
        InputError: missing inputs, or shapes that differ from those first seen.
    """
    columns = [_column(values, key, width, axis, name) for key, width in widths.items()]
    if len(columns) == 1:
        (column,) = columns
        return Rows(column.flatten(0, -2) if column.ndim > 1 else column[None], column.shape[:-1])
    try:
        lead = torch.Size(np.broadcast_shapes(*(column.shape[:-1] for column in columns)))
    except ValueError:
        shapes = {key: [*values[key].shape] for key in widths}
        raise InputError(
            f"block '{name}': inputs {shapes} do not share their leading dimensions; "
            f"choose the ones that are columns with inputs=(...)"
        ) from None
    dtype = torch.result_type(columns[0], columns[1])
    for column in columns[2:]:
        dtype = torch.promote_types(dtype, column.dtype)
    flat = [column.to(dtype).expand(*lead, -1).reshape(-1, column.shape[-1]) for column in columns]
    return Rows(torch.cat(flat, dim=-1), lead)


def _column(
    values: Mapping[str, Any], key: str, width: int, axis: int | None, name: str
) -> torch.Tensor:
    """An input with its features last: [..., width]."""
    value = values.get(key)
    if axis is None and isinstance(value, int | float):
        value = np.asarray(value)  # a function of arrays takes plain numbers too
    if not is_table(value):
        raise InputError(f"block '{name}' needs input '{key}'; this call has {[*values]}")
    tensor = as_tensor(value)
    if axis is None:
        return tensor.unsqueeze(-1)
    if not -tensor.ndim <= axis < tensor.ndim:
        raise InputError(
            f"block '{name}': input '{key}' is {[*tensor.shape]}, without the feature "
            f"axis {axis} that it had when recorded"
        )
    moved = tensor.movedim(axis, -1)
    if moved.shape[-1] != width:
        raise InputError(
            f"block '{name}': input '{key}' has {moved.shape[-1]} features here "
            f"(shape {[*tensor.shape]}); it had {width} when recorded"
        )
    return moved


def apart(
    table: torch.Tensor, widths: Mapping[str, int], axis: int | None
) -> dict[str, torch.Tensor]:
    """The inverse of `side_by_side` for rows of one axis: [rows, columns] by input.

    >>> apart(torch.ones(1, 3), {"u": 2, "v": 1}, -1)
    {'u': tensor([[1., 1.]]), 'v': tensor([[1.]])}
    """
    parts = table.unbind(-1) if axis is None else torch.split(table, [*widths.values()], dim=-1)
    return dict(zip(widths, parts, strict=True))


def check_saved(names: object, widths: object, axis: object) -> None:
    """Make sure that fields from a file are valid for an adapter.

    Raises:
        ValueError: they are not valid.
    """
    sound = (
        isinstance(names, list)
        and isinstance(widths, list)
        and len(names) == len(widths) > 0
        and all(isinstance(name, str) and name.isidentifier() for name in names)
        and all(type(width) is int and width > 0 for width in widths)
        and type(axis) in (int, type(None))
    )
    if not sound:
        raise ValueError(f"inputs {names} of widths {widths} along axis {axis}")
