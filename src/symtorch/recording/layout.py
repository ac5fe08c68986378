"""Layout: how the arguments and the output of a block's call map to the columns of a table.

Recording reads calls through a layout, and the switched forward reads and writes through
the same one, so what was distilled is what is replaced.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from .adapters.values import as_tensor, cast, describe, is_table

FeatureDim: TypeAlias = int | Literal["auto"] | None
"""Axis of the features. ``"auto"`` is the last one; None says that there is no such
axis: every element is a row and every argument one column."""

OutputPath: TypeAlias = int | str | None
"""Which part of a tuple or dict output is meant."""


@dataclass(frozen=True)
class LayoutRequest:
    """What a user says about a block's calls, before any was seen.

    Args:
        inputs: names of the parameters that are columns; None for all that hold tensors.
        output: position or key in a tuple or dict output.
        feature_dim: axis of the features, in inputs and output alike.
    """

    inputs: tuple[str, ...] | None = None
    output: OutputPath = None
    feature_dim: FeatureDim = "auto"


@dataclass(frozen=True)
class InputLayout:
    """The arguments that are columns, and how many columns each."""

    arguments: tuple[str, ...]
    widths: tuple[int, ...]
    feature_dim: int | None

    @property
    def count(self) -> int:
        """Number of columns."""
        return sum(self.widths)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names: ``x0, x1`` for one input, ``u_0, u_1, v_0`` for several.

        >>> InputLayout(("u", "v"), (2, 1), -1).names
        ('u_0', 'u_1', 'v_0')
        """
        if self.feature_dim is None:
            return self.arguments
        if len(self.arguments) == 1:
            return tuple(f"x{i}" for i in range(self.widths[0]))
        return tuple(
            f"{argument}_{i}"
            for argument, width in zip(self.arguments, self.widths, strict=True)
            for i in range(width)
        )


@dataclass(frozen=True)
class OutputLayout:
    """The part of the output that is a table.

    Args:
        path: which part of a tuple or dict; None when the output is the table.
        width: number of columns.
        squeezed: whether the output has no feature axis (then ``width`` is 1).
        kind: what the block returns.
        dtype: its dtype where that is not the inputs', ``"float64"``; else None.
    """

    path: OutputPath
    width: int
    squeezed: bool
    kind: Literal["torch", "numpy"]
    dtype: str | None


@dataclass(frozen=True)
class Layout:
    """Both sides of a block's calls."""

    inputs: InputLayout
    output: OutputLayout

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """Read what `to_json` wrote.

        Raises:
            InputError: not such a text.
        """
        try:
            data = json.loads(text)
            inputs, output = data["inputs"], data["output"]
            arguments = tuple(inputs["arguments"])
            widths = tuple(inputs["widths"])
            layout = cls(
                InputLayout(arguments, widths, inputs["feature_dim"]),
                OutputLayout(**output),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"not a saved layout: {error!r}") from None
        sound = (
            len(arguments) == len(widths) > 0
            and all(isinstance(name, str) and name.isidentifier() for name in arguments)
            and all(type(width) is int and width > 0 for width in (*widths, layout.output.width))
            and type(layout.inputs.feature_dim) in (int, type(None))
            and type(layout.output.path) in (int, str, type(None))
            and isinstance(layout.output.squeezed, bool)
            and layout.output.kind in ("torch", "numpy")
            and layout.output.dtype in (None, *_DTYPES)
        )
        if not sound:
            raise InputError(f"not a saved layout: {text[:200]}")
        return layout


_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    )
}


def plan_inputs(
    arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
) -> InputLayout:
    """Decide from a first call which arguments are columns.

    Raises:
        InputError: an argument that was asked for is missing or is no tensor; a
            convolutional block without a word on where its channels are.
    """
    if request.inputs is not None:
        missing = [key for key in request.inputs if not is_table(arguments.get(key))]
        if missing:
            raise InputError(
                f"block '{name}': inputs={[*request.inputs]} but {missing} hold no tensor in "
                f"its call; arguments with tensors: {_tensor_names(arguments)}"
            )
        chosen = list(request.inputs)
    else:
        chosen = _tensor_names(arguments, numbers_only=True)
    feature_dim = request.feature_dim
    tensors = {key: as_tensor(arguments[key]) for key in chosen}
    if feature_dim == "auto":
        _refuse_unclear_channels(block, tensors, name)
        feature_dim = -1
    if feature_dim is not None:
        # A number among tensors (a temperature, a step count) is a setting, not a column.
        tensors = {key: tensor for key, tensor in tensors.items() if tensor.ndim > 0}
    if not tensors:
        kinds = {key: type(value).__name__ for key, value in arguments.items()}
        raise InputError(f"block '{name}' was called without tensor inputs: {kinds}")
    widths = []
    for key, tensor in tensors.items():
        if feature_dim is not None and not -tensor.ndim <= feature_dim < tensor.ndim:
            raise InputError(
                f"block '{name}': feature_dim={feature_dim} but input '{key}' is {[*tensor.shape]}"
            )
        widths.append(1 if feature_dim is None else tensor.shape[feature_dim])
    return InputLayout(tuple(tensors), tuple(widths), feature_dim)


def _tensor_names(arguments: Mapping[str, Any], *, numbers_only: bool = False) -> list[str]:
    names = [key for key, value in arguments.items() if is_table(value)]
    if numbers_only:  # masks are settings
        names = [key for key in names if as_tensor(arguments[key]).dtype != torch.bool]
    return names


_CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.GroupNorm,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._MaxPoolNd,
)
"""Modules that read [B, C, ...]; a block may hold them and still take channels last."""


def _refuse_unclear_channels(block: object, tensors: Mapping[str, torch.Tensor], name: str) -> None:
    convolutional = isinstance(block, nn.Module) and any(
        isinstance(module, _CHANNELS_FIRST) for module in block.modules()
    )
    for key, tensor in tensors.items():
        if convolutional and tensor.ndim > 2:
            raise InputError(
                f"block '{name}' is convolutional and its input '{key}' is {[*tensor.shape]}: "
                f"say which axis holds the features, feature_dim=1 for channels first "
                f"([B, C, H, W]) or feature_dim=-1 for channels last"
            )


def read_inputs(
    layout: InputLayout, arguments: Mapping[str, Any], name: str
) -> tuple[torch.Tensor, torch.Size]:
    """The columns of a call: a table [rows, columns] and the shape its rows had.

    Raises:
        InputError: missing arguments, or shapes other than those first seen.
    """
    columns: list[torch.Tensor] = []
    for key, width in zip(layout.arguments, layout.widths, strict=True):
        axis, value = layout.feature_dim, arguments.get(key)
        if axis is None and isinstance(value, int | float):
            value = np.asarray(value)  # a function of arrays takes plain numbers too
        if not is_table(value):
            raise InputError(f"block '{name}' needs input '{key}'; this call has {[*arguments]}")
        tensor = as_tensor(value)
        if axis is None:
            tensor = tensor.unsqueeze(-1)
        elif -tensor.ndim <= axis < tensor.ndim:
            tensor = tensor.movedim(axis, -1)
        else:
            raise InputError(
                f"block '{name}': input '{key}' is {[*tensor.shape]}, without the feature "
                f"axis {axis} that it had when recorded"
            )
        if tensor.shape[-1] != width:
            raise InputError(
                f"block '{name}': input '{key}' has {tensor.shape[-1]} features here "
                f"(shape {[*arguments[key].shape]}); it had {width} when recorded"
            )
        columns.append(tensor)
    if len(columns) == 1:
        return columns[0].flatten(0, -2) if columns[0].ndim > 1 else columns[0][None], columns[
            0
        ].shape[:-1]
    try:
        lead = torch.Size(np.broadcast_shapes(*(column.shape[:-1] for column in columns)))
    except ValueError:
        shapes = {key: [*arguments[key].shape] for key in layout.arguments}
        raise InputError(
            f"block '{name}': inputs {shapes} do not share their leading dimensions; "
            f"choose the ones that are columns with inputs=(...)"
        ) from None
    dtype = torch.result_type(columns[0], columns[1])
    for column in columns[2:]:
        dtype = torch.promote_types(dtype, column.dtype)
    flat = [column.to(dtype).expand(*lead, -1).reshape(-1, column.shape[-1]) for column in columns]
    return torch.cat(flat, dim=-1), lead


def plan_output(
    output: Any,
    lead: torch.Size,
    layout: InputLayout,
    request: LayoutRequest,
    input_dtype: torch.dtype,
    name: str,
) -> OutputLayout:
    """Decide from a first call which part of the output is the table.

    Raises:
        InputError: a tuple or dict without a choice; rows that do not match the inputs'.
    """
    part = _part(output, request.output, name)
    tensor = as_tensor(part)
    if tuple(tensor.shape) == tuple(lead):
        squeezed, width = True, 1
    else:
        axis = -1 if layout.feature_dim is None else layout.feature_dim
        rows: torch.Size | None = None
        if tensor.ndim == len(lead) + 1:
            moved = tensor.movedim(axis, -1)
            rows, width = moved.shape[:-1], moved.shape[-1]
        if rows != lead:
            raise InputError(_rows_lost(name, lead, layout, tensor))
        squeezed = False
    kind: Literal["torch", "numpy"] = "torch" if isinstance(part, torch.Tensor) else "numpy"
    # Whole numbers are always noted: equations compute in floats.
    same = tensor.dtype == input_dtype and tensor.dtype.is_floating_point
    dtype = None if same else str(tensor.dtype).removeprefix("torch.")
    return OutputLayout(request.output, width, squeezed, kind, dtype)


def _rows_lost(name: str, lead: torch.Size, layout: InputLayout, output: torch.Tensor) -> str:
    hint = (
        "wrap a part that maps each row on its own"
        if layout.feature_dim != -1
        else "wrap a part that maps each row on its own, or say which axis holds the "
        "features (feature_dim=1 for channels first, None for no such axis)"
    )
    return (
        f"block '{name}' maps rows of shape {[*lead]} (feature axis {layout.feature_dim} "
        f"taken out) to an output of shape {[*output.shape]}: rows of inputs and outputs do "
        f"not correspond; {hint}"
    )


def read_output(layout: Layout, output: Any, name: str) -> torch.Tensor:
    """The columns of an output: [rows, outputs]."""
    tensor = as_tensor(_part(output, layout.output.path, name))
    if layout.output.squeezed:
        return tensor.reshape(-1, 1)
    moved = tensor.movedim(_output_axis(layout), -1)
    if moved.shape[-1] != layout.output.width:
        raise InputError(
            f"block '{name}' returned {moved.shape[-1]} outputs; {layout.output.width} before"
        )
    return moved.reshape(-1, layout.output.width)


def write_output(layout: Layout, table: torch.Tensor, lead: torch.Size, whole: Any) -> Any:
    """The inverse of `read_output`: the table in the shape and type the block returns.

    Args:
        layout: of the block.
        table: [rows, outputs].
        lead: shape of the rows, as from `read_inputs`.
        whole: what the block returned, for outputs of which the table is one part.
    """
    if layout.output.squeezed:
        shaped = table.reshape(lead)
    else:
        shaped = table.reshape(*lead, layout.output.width).movedim(-1, _output_axis(layout))
        # As from the block, so that a view() downstream keeps working.
        shaped = shaped.contiguous()
    if layout.output.dtype is not None:
        shaped = cast(shaped, _DTYPES[layout.output.dtype])
    part: Any = shaped.detach().cpu().numpy() if layout.output.kind == "numpy" else shaped
    return part if layout.output.path is None else _replaced(whole, layout.output.path, part)


def map_output(
    output: Any, path: OutputPath, change: Callable[[torch.Tensor], torch.Tensor], name: str
) -> Any:
    """What a block returned with its table changed, in the type it has; the rest as it is.

    >>> map_output((np.ones(2), "rest"), 0, lambda table: 2 * table, "block")
    (array([2., 2.]), 'rest')

    Args:
        output: of the block.
        path: which part of it is the table.
        change: tensor to tensor.
        name: of the block, for messages.
    """
    part = _part(output, path, name)
    changed: Any = change(as_tensor(part))
    if not isinstance(part, torch.Tensor):
        changed = changed.numpy()
    return changed if path is None else _replaced(output, path, changed)


def _output_axis(layout: Layout) -> int:
    return -1 if layout.inputs.feature_dim is None else layout.inputs.feature_dim


def _part(output: Any, path: OutputPath, name: str) -> Any:
    if path is not None:
        try:
            output = output[path]
        except (KeyError, IndexError, TypeError):
            raise InputError(
                f"block '{name}': output={path!r}, but it returns {describe(output)}"
            ) from None
    if not is_table(output):
        raise InputError(
            f"block '{name}' returns {describe(output)}; choose the tensor to distill "
            f"with output=0 (a position) or output='key'"
        )
    return output


def _replaced(whole: Any, path: int | str, part: Any) -> Any:
    if isinstance(whole, tuple) and isinstance(path, int):
        items = list(whole)
        items[path] = part
        return type(whole)(*items) if hasattr(whole, "_fields") else tuple(items)
    changed = copy.copy(whole)
    changed[path] = part
    return changed
