"""Columns: the values that a model's inputs can take, so that synthetic rows take no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, UnsupportedTypeError
from ..lazy import LazyModule
from ..recording.naming import fit_names

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

Array = npt.NDArray[np.float64]

FEW_VALUES = 10
"""A column of fractions with more distinct values than this is continuous."""

ROWS_A_VALUE = 5
"""Least number of rows per value, on average, of a discrete column of fractions."""

LEAST_SHARE = 0.05
"""Least frequency of the rarer of two values, for both to be drawn as often as in the data."""


@dataclass(frozen=True, eq=False)
class Column:
    """One input of a model.

    Args:
        name: of its variable in equations.
        low: the smallest value in the data.
        high: the largest.
        mean: over the data.
        scale: standard deviation over the data; 1 where it is constant.
        values: all possible values, sorted; None for a continuous column.
        labels: what the values of a nominal column stand for: the numbers in ``values``
            are positions in it, and have no order.
        shares: how often each value occurs in the data, for nominal columns and those of
            two values; empty for others.
    """

    name: str
    low: float
    high: float
    mean: float
    scale: float
    values: Array | None = None
    labels: tuple[Any, ...] | None = None
    shares: tuple[float, ...] = ()

    @property
    def nominal(self) -> bool:
        """Whether the values are labels without an order."""
        return self.labels is not None

    def nearest(self, wanted: Array) -> Array:
        """The allowed values nearest to numbers [n]; numbers of a continuous column unchanged."""
        if self.values is None:
            return wanted
        position = np.searchsorted((self.values[1:] + self.values[:-1]) / 2, wanted)
        return self.values[position]


@dataclass(frozen=True, eq=False)
class Columns:
    """All inputs of a model, read from data.

    >>> table = np.array([[1.5, 0], [2.5, 1], [9.5, 1], [4.0, 0]])
    >>> columns = Columns.of(table, ["age", "is member"])
    >>> columns.names, columns[1].values
    (('age', 'is_member'), array([0., 1.]))

    Columns of whole numbers keep to the numbers in the data, as do columns of at most 10
    different values with at least 5 rows each. Text and categories are nominal.

    Args:
        columns: in order.
        like: the first row of the data in its own type, which `decode` restores.
    """

    columns: tuple[Column, ...]
    like: Any

    @classmethod
    def of(
        cls,
        data: Any,
        names: Sequence[str] | None = None,
        categorical: Sequence[int | str] = (),
    ) -> Columns:
        """Columns from data.

        Args:
            data: [rows, inputs], an array, tensor or DataFrame.
            names: of the inputs, turned into identifiers (``"mean radius"`` becomes
                ``mean_radius``). By default those of the DataFrame, or ``x0, x1, ...``.
            categorical: names or positions of columns of numbers that are nominal.

        Raises:
            InputError: not a table, missing values, a wrong number of names.
        """
        frame = isinstance(data, pd.DataFrame)
        table: Any = data if frame else as_array(data)
        if table.ndim != 2 or 0 in table.shape:
            raise InputError(f"data must be [rows, inputs]; got {[*np.shape(data)]}")
        given = list(table.columns) if frame else [f"x{i}" for i in range(table.shape[1])]
        shown = given if names is None else list(names)
        if len(shown) != table.shape[1]:
            raise InputError(f"{len(shown)} feature_names for {table.shape[1]} columns")
        nominal = {_position(item, shown) for item in categorical}
        parts = [
            _column(
                table.iloc[:, i] if frame else table[:, i],
                name,
                nominal=i in nominal,
            )
            for i, name in enumerate(fit_names(shown))
        ]
        return cls(tuple(parts), data.iloc[:1] if frame else data[:1])

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, index: int) -> Column:
        return self.columns[index]

    @property
    def names(self) -> tuple[str, ...]:
        """Names in equations."""
        return tuple(column.name for column in self.columns)

    def encode(self, rows: Any) -> Array:
        """Rows as numbers [rows, inputs]; labels become their position.

        Raises:
            InputError: a wrong number of columns, unknown labels, missing values.
        """
        frame = isinstance(rows, pd.DataFrame)
        table: Any = rows if frame else as_array(rows)
        if table.ndim == 1:
            table = np.asarray(table)[None]
        if table.ndim != 2 or table.shape[1] != len(self):
            raise InputError(f"need [rows, {len(self)}]; got {[*table.shape]}")
        encoded = np.empty(table.shape)
        for i, column in enumerate(self.columns):
            values = np.asarray(table.iloc[:, i] if frame else table[:, i])
            encoded[:, i] = _encoded(values, column)
        return encoded

    def decode(self, encoded: Array) -> Any:
        """Numbers as rows of the type that the data had."""
        parts: list[Any] = []
        for i, column in enumerate(self.columns):
            values = encoded[:, i]
            if column.labels is not None:
                labels = np.empty(len(column.labels), dtype=object)
                labels[:] = column.labels
                values = labels[values.astype(int)]
            parts.append(values)
        if isinstance(self.like, pd.DataFrame):
            frame = {
                name: pd.Series(part).astype(dtype)
                for name, part, dtype in zip(
                    self.like.columns, parts, self.like.dtypes, strict=True
                )
            }
            return pd.DataFrame(frame)
        if isinstance(self.like, torch.Tensor):
            return torch.from_numpy(np.column_stack(parts)).to(self.like)
        return np.column_stack(parts).astype(np.asarray(self.like).dtype)


def as_array(data: Any) -> npt.NDArray[Any]:
    """An array from a tensor, a DataFrame or an array."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu()
        # NumPy has no bfloat16.
        numbers: npt.NDArray[Any] = (data.float() if data.dtype == torch.bfloat16 else data).numpy()
        return numbers
    if isinstance(data, pd.DataFrame | pd.Series):
        found: npt.NDArray[Any] = data.to_numpy()
        return found
    array = np.asarray(data)
    if array.dtype.kind not in "biufOUS":
        raise UnsupportedTypeError(f"data must be a table of numbers; got {type(data).__name__}")
    return array


def _position(item: int | str, names: Sequence[str]) -> int:
    if isinstance(item, str):
        if item not in names:
            raise InputError(f"no column '{item}' among {[*names]}")
        return list(names).index(item)
    if not 0 <= item < len(names):
        raise InputError(f"no column {item}: there are {len(names)}")
    return item


def _column(values: Any, name: str, *, nominal: bool) -> Column:
    array = np.asarray(values)
    if nominal or not _is_numeric(array):
        labels = tuple(sorted(set(array.tolist()), key=lambda label: (str(label), repr(label))))
        if any(label is None or label != label for label in labels):
            raise InputError(f"column '{name}' has missing values")
        codes = np.arange(len(labels), dtype=np.float64)
        counts = Counter(array.tolist())
        shares = tuple(counts[label] / len(array) for label in labels)
        return Column(name, 0.0, len(labels) - 1.0, 0.0, 1.0, codes, labels, shares)
    numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"column '{name}' has values that are missing or infinite")
    distinct = np.unique(numbers)
    whole = bool((distinct == np.round(distinct)).all())
    few = len(distinct) <= min(FEW_VALUES, len(numbers) / ROWS_A_VALUE)
    spread = float(numbers.std())
    # Rounding can give equal numbers a standard deviation above 0.
    constant = len(distinct) == 1
    share_of_higher = float((numbers == distinct[-1]).mean())
    binary = len(distinct) == 2 and LEAST_SHARE <= share_of_higher <= 1 - LEAST_SHARE
    return Column(
        name,
        float(distinct[0]),
        float(distinct[-1]),
        float(numbers.mean()),
        1.0 if constant else spread,
        distinct if whole or few else None,
        shares=(1 - share_of_higher, share_of_higher) if binary else (),
    )


def _is_numeric(array: npt.NDArray[Any]) -> bool:
    if array.dtype.kind in "biuf":
        return True
    if array.dtype.kind != "O":
        return False
    return all(isinstance(v, int | float | np.number | np.bool_) for v in array.tolist())


def _encoded(values: npt.NDArray[Any], column: Column) -> Array:
    if column.labels is not None:
        codes = {label: float(i) for i, label in enumerate(column.labels)}
        unknown = [value for value in values.tolist() if value not in codes]
        if unknown:
            raise InputError(
                f"column '{column.name}' has the value {unknown[0]!r}, which is not in the "
                f"data: {[*column.labels][:10]}"
            )
        return np.array([codes[value] for value in values.tolist()])
    try:
        numbers = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"column '{column.name}' must hold numbers: {error}") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"column '{column.name}' has values that are missing or infinite")
    return numbers
