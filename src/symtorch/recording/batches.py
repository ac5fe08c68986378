"""Batches: the data that users pass, and how a model is called with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch

from ..errors import InputError, UnsupportedTypeError
from ..lazy import LazyModule

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

Data: TypeAlias = Any
"""A tensor, an array, a DataFrame, a tuple (positional inputs), a dict (keyword inputs), or an
iterable of such batches, a DataLoader for example. A model that is an `nn.Module` gets
arrays and DataFrames as tensors of its parameters' type and device."""


def batches_of(data: Data) -> Iterator[Any]:
    """The batches in a user's data: one, or those of an iterable."""
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
    # Loaders turn the tuples of a data set into lists.
    if isinstance(batch, tuple | list):
        return tuple(batch), {}
    return (batch,), {}


def check_repeatable(data: Data, reason: str) -> None:
    """Make sure that data can be passed over more than once.

    >>> check_repeatable([torch.ones(3)], "")
    >>> check_repeatable(iter([torch.ones(3)]), "heal judges again and again")
    Traceback (most recent call last):
        ...
    symtorch.errors.InputError: heal judges again and again; an iterator gives its batches only \
once: hand over a list or a DataLoader

    Args:
        data: see `Data`.
        reason: why more passes are needed, the first half of the message.

    Raises:
        InputError: it is an iterator.
    """
    if isinstance(data, Iterator):
        raise InputError(
            f"{reason}; an iterator gives its batches only once: hand over a list or a DataLoader"
        )


def hold_out(batches: Sequence[Any], every: int) -> tuple[list[Any], list[Any]]:
    """Batches to fit on, and every ``every``-th one to judge by.

    >>> hold_out("abcdef", 3)
    (['a', 'b', 'd', 'e'], ['c', 'f'])
    """
    # By position, not by identity: the same batch may occur several times.
    fit = [batch for i, batch in enumerate(batches, start=1) if i % every]
    return fit, list(batches[every - 1 :: every])
