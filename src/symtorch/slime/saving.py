"""Columns as what JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..symbolic.parsing import check_names
from .columns import Array, Column, Columns

_NUMBERS = ("low", "high", "mean", "scale")


def columns_to_json(columns: Columns) -> list[dict[str, Any]]:
    """One entry per column; labels that JSON has no form for become text."""
    return [
        {
            "name": column.name,
            **{name: getattr(column, name) for name in _NUMBERS},
            "values": None if column.values is None else column.values.tolist(),
            "labels": None
            if column.labels is None
            else [
                label if isinstance(label, str | int | float) else str(label)
                for label in column.labels
            ],
        }
        for column in columns.columns
    ]


def columns_from_json(entries: Sequence[Any]) -> Columns:
    """Read what `columns_to_json` wrote. What kind of table the data came in is not kept.

    Raises:
        InputError, KeyError, TypeError, ValueError: it did not write this.
    """
    check_names([entry["name"] for entry in entries])
    found = []
    for entry in entries:
        labels = entry["labels"]
        if labels is not None:
            if not all(isinstance(label, str | int | float) for label in labels):
                raise InputError(f"labels of a saved column must be text or numbers: {labels}")
            labels = tuple(labels)
        values = None if entry["values"] is None else numbers(entry["values"], None)
        low, high, mean, scale = numbers([entry[name] for name in _NUMBERS], 4).tolist()
        found.append(Column(entry["name"], low, high, mean, scale, values, labels))
    kind = object if any(column.nominal for column in found) else np.float64
    return Columns(tuple(found), np.empty((0, len(found)), dtype=kind))


def numbers(value: Any, *shape: int | None) -> Array:
    """Finite numbers of a shape; None where any length will do.

    Raises:
        InputError: anything else.
    """
    array = np.asarray(value, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array).all():
        raise InputError(f"expected finite numbers of shape {shape}; got shape {array.shape}")
    return array
