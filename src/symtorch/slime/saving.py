"""Explanations as documents, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..documents import Format
from ..errors import InputError
from ..recording.features import SavedFeatures
from ..search.saved_front import SavedFront
from ..symbolic.names import check_names
from .columns import Array, Column, Columns
from .link import LinkName

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class SavedColumn:
    """A `Column` in a document; labels that JSON cannot express are saved as text."""

    name: str
    low: float
    high: float
    mean: float
    scale: float
    values: Numbers | None
    labels: tuple[str | int | float | bool, ...] | None


@dataclass(frozen=True)
class SavedExplanation:
    """An `Explanation` in a document: everything but the model."""

    front: SavedFront
    complexity: int
    link: LinkName
    prediction: float | None
    center: Numbers | None
    columns: tuple[SavedColumn, ...]
    reference: Numbers
    features: SavedFeatures
    spread: Numbers
    rows: tuple[Numbers, ...]
    weights: Numbers
    predictions: Numbers
    output: int


FORMAT = Format("symtorch.explanation", 2, "explanation", SavedExplanation)


def columns_to_saved(columns: Columns) -> tuple[SavedColumn, ...]:
    """One entry per column."""
    return tuple(
        SavedColumn(
            column.name,
            column.low,
            column.high,
            column.mean,
            column.scale,
            None if column.values is None else tuple(column.values.tolist()),
            None if column.labels is None else tuple(map(_plain, column.labels)),
        )
        for column in columns.columns
    )


def columns_from_saved(saved: Sequence[SavedColumn]) -> Columns:
    """The inverse of `columns_to_saved`. The type of the data is not kept.

    Raises:
        InputError: names that cannot be variables.
    """
    check_names([column.name for column in saved])
    found = tuple(
        Column(
            column.name,
            column.low,
            column.high,
            column.mean,
            column.scale,
            None if column.values is None else np.array(column.values, dtype=np.float64),
            column.labels,
        )
        for column in saved
    )
    kind = object if any(column.nominal for column in found) else np.float64
    return Columns(found, np.empty((0, len(found)), dtype=kind))


def numbers(value: Any, *shape: int) -> Array:
    """Saved numbers as an array of the given shape.

    Raises:
        InputError: their shape differs.
    """
    try:
        array = np.array(value, dtype=np.float64)
    except ValueError:  # rows of unequal length
        array = np.empty(0)
    if array.shape != shape:
        raise InputError(f"not a saved explanation: expected numbers of shape {[*shape]}")
    return array


def _plain(label: Any) -> str | int | float | bool:
    return label if isinstance(label, str | int | float) else str(label)
