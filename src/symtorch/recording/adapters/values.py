"""Values of a call: arrays and DataFrames as tensors, and their descriptions in messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import UnsupportedTypeError
from ...lazy import LazyModule

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")


def is_table(value: Any) -> bool:
    """Whether a value can be read as numbers in rows: a tensor, an array, a DataFrame or Series."""
    return isinstance(value, torch.Tensor | np.ndarray | pd.DataFrame | pd.Series)


def as_tensor(value: Any) -> torch.Tensor:
    """A tensor unchanged; an array or a DataFrame as a tensor, sharing memory if possible.

    Raises:
        UnsupportedTypeError: values that are not numbers.
    """
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        hint = REAL_AND_IMAGINARY if array.dtype.kind == "c" else ""
        raise UnsupportedTypeError(f"need numbers; got an array of {array.dtype}{hint}")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)  # torch has none longer than float64
    backwards = any(stride < 0 for stride in array.strides)
    if backwards or not array.flags.writeable or array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="), order="C")
    return torch.from_numpy(array)


def check_numbers(tensor: torch.Tensor, what: str) -> None:
    """Make sure that a tensor holds plain real numbers.

    Args:
        tensor: of a call.
        what: description of the tensor, for messages.

    Raises:
        UnsupportedTypeError: it is complex, sparse, quantised, or has no numbers (meta).
    """
    if tensor.is_complex():
        raise UnsupportedTypeError(f"{what} is {tensor.dtype}{REAL_AND_IMAGINARY}")
    if tensor.layout != torch.strided:
        raise UnsupportedTypeError(f"{what} is a sparse tensor; to_dense() makes it a table")
    if tensor.is_quantized:
        raise UnsupportedTypeError(f"{what} is a quantised tensor; dequantize() gives its numbers")
    if tensor.is_meta:
        raise UnsupportedTypeError(f"{what} is on the device 'meta', where there are no numbers")


REAL_AND_IMAGINARY = (
    ": equations are real; give real and imaginary parts as columns, torch.view_as_real(z)"
)


def cast(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Values in another type; to the nearest whole number where it has no others."""
    whole = values.dtype.is_floating_point and not dtype.is_floating_point
    return (values.round() if whole else values).to(dtype)


def map_nested(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change the items of nested lists, tuples and dicts, and keep the containers.

    >>> map_nested({"x": (1, [2])}, str)
    {'x': ('1', ['2'])}
    """
    if type(value) is dict:
        return {key: map_nested(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_nested(item, change) for item in value))
    if type(value) in (list, tuple):
        return type(value)(map_nested(item, change) for item in value)
    return change(value)


def in_kind_of(value: Any, tensor: torch.Tensor) -> Any:
    """A tensor as what another value is: a tensor, an array or a DataFrame.

    >>> in_kind_of(np.zeros(1), torch.ones(1))
    array([1.], dtype=float32)
    """
    if isinstance(value, torch.Tensor):
        return tensor
    array = tensor.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return array
    if isinstance(value, pd.Series):
        return pd.Series(array, index=value.index)
    return pd.DataFrame(array, columns=value.columns, index=value.index)


def describe(value: Any) -> str:
    """The description of a value in messages.

    >>> describe((torch.ones(4, 2), 3))
    'a tuple of (a tensor [4, 2], int)'
    """
    if is_table(value):
        return f"a tensor {[*value.shape]}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with keys {[*value]}"
    if is_dataclass(value):
        return f"a {type(value).__name__} with attributes {[f.name for f in fields(value)]}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of ({', '.join(describe(item) for item in value)})"
    return type(value).__name__
