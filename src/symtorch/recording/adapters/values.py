"""Values of a call: arrays and DataFrames as tensors, and what messages call them."""

from __future__ import annotations

from collections.abc import Mapping
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
    """Whether a value can be read as numbers in rows: a tensor, an array, a DataFrame."""
    return isinstance(value, torch.Tensor | np.ndarray | pd.DataFrame)


def as_tensor(value: Any) -> torch.Tensor:
    """A tensor as it is; an array or a DataFrame as a tensor, sharing memory if it can.

    Raises:
        UnsupportedTypeError: values that are not numbers.
    """
    if isinstance(value, torch.Tensor):
        return value
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise UnsupportedTypeError(f"need numbers; got an array of {array.dtype}")
    if not array.flags.writeable or array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(array)


def cast(values: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Values in another type; to the nearest whole number where it has no others."""
    whole = values.dtype.is_floating_point and not dtype.is_floating_point
    return (values.round() if whole else values).to(dtype)


def describe(value: Any) -> str:
    """What a message calls a value.

    >>> describe((torch.ones(4, 2), 3))
    'a tuple of (a tensor [4, 2], int)'
    """
    if is_table(value):
        return f"a tensor {[*value.shape]}"
    if isinstance(value, Mapping):
        return f"a dict with keys {[*value]}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of ({', '.join(describe(item) for item in value)})"
    return type(value).__name__
