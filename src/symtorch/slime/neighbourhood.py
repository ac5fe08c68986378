"""Neighbourhood: the rows around a point that a local equation is fitted to and judged on."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UnsupportedTypeError
from ..lazy import LazyModule
from .columns import Array, Column, Columns

special = LazyModule("scipy.special")
distance = LazyModule("scipy.spatial.distance")

JUDGE_SHARE = 0.5
"""Number of rows that choose between equations, as a share of the synthetic rows to fit."""

LEAST_SYNTHETIC = 20
"""Fewer rows could not tell two equations apart."""

LEAST_ROWS = 10
"""Fewer rows of data cannot be split into rows to fit, to choose by and to judge by."""

KEEP = 0.5
"""Probability that a synthetic row keeps the label of x; otherwise it draws one from the data.

Labels, and columns of two values, have no near and far: the nearest rows mostly share them with
x, so that half of their variance would hardly let them change."""


@dataclass(frozen=True, eq=False)
class Locality:
    """The neighbourhood a user asks for, see `explain`.

    Raises:
        InputError: numbers out of range.
    """

    n_neighbors: int = 10
    n_synthetic: int = 500
    real_weight: float = 1.0
    kernel_width: float | None = None
    metric: str = "euclidean"
    variance: Any = None

    def __post_init__(self) -> None:
        for name, least in (("n_neighbors", 1), ("n_synthetic", LEAST_SYNTHETIC)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise UnsupportedTypeError(f"{name} must be a whole number; got {value!r}")
            if value < least:
                raise InputError(f"{name} must be at least {least}; got {value}")
        if not (self.real_weight >= 0 and math.isfinite(self.real_weight)):
            raise InputError(f"real_weight must not be negative; got {self.real_weight}")
        width = self.kernel_width
        if width is not None and not (width > 0 and math.isfinite(width)):
            raise InputError(f"kernel_width must be positive; got {width}")


@dataclass(frozen=True, eq=False)
class Points:
    """Encoded rows [n, inputs] and their weights [n]."""

    rows: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Draws:
    """Rows to fit, rows to choose between equations by, and fresh rows to judge the choice by."""

    fit: Points
    judge: Points
    fresh: Points


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A point, and how far each input varies around it.

    Args:
        columns: of the data.
        center: [inputs], encoded.
        nearest: [neighbours, inputs], the nearest rows of the data.
        variance: [inputs] of the synthetic rows; 0 where an input is held.
        width: of the kernel, in standard deviations.
        switching: [inputs], whether values are drawn from those in the data, not around x.
    """

    columns: Columns
    center: Array
    nearest: Array
    variance: Array
    width: float
    switching: npt.NDArray[np.bool_]

    @classmethod
    def around(
        cls, center: Array, data: Array, columns: Columns, locality: Locality
    ) -> Neighbourhood:
        """The neighbourhood of a point in data.

        Raises:
            InputError: fewer rows than neighbours, an unknown metric, a variance of
                the wrong shape, or rows that all equal the point.
        """
        if locality.n_neighbors > len(data):
            raise InputError(f"n_neighbors={locality.n_neighbors}, but data has {len(data)} rows")
        _warn_outside(center, columns)
        distances = _distances(center, data, columns, locality.metric)
        order = np.argsort(distances, kind="stable")
        nearest = data[order[: locality.n_neighbors]]
        switching = np.array(
            [
                column.nominal or (locality.variance is None and len(column.shares) > 0)
                for column in columns.columns
            ]
        )
        if locality.variance is not None:
            variance = _given_variance(locality.variance, len(columns))
        else:
            variance = _half_variance(nearest)
            if not variance[~switching].any() and not switching.all():
                farther = _nearest_that_differ(
                    center, data[order], ~switching, locality.n_neighbors
                )
                variance = _half_variance(np.vstack([center, farther]))
        for i in np.flatnonzero(switching).tolist():
            variance[i] = _switching_variance(columns[i], float(center[i]))
        if not variance.any():
            raise InputError("all rows of data equal x, so nothing around it is known")
        _warn_held(variance, columns, locality)
        width = locality.kernel_width
        if width is None:
            # The exponent sums d terms of mean 1 for d inputs: with width 1 the weights
            # would be 3**(-d/2) on average.
            width = math.sqrt(max(int(np.count_nonzero(variance)), 1))
        return cls(columns, center, nearest, variance, width, switching)

    def draw(self, count: int, generator: np.random.Generator) -> Points:
        """Synthetic rows: normal around the centre, within the bounds, on allowed values."""
        rows = np.repeat(self.center[None], count, axis=0)
        for i, column in enumerate(self.columns.columns):
            if self.variance[i] == 0:
                continue
            if self.switching[i] and column.values is not None:
                from_data = generator.choice(column.values, count, p=column.shares)
                kept = generator.random(count) < KEEP
                rows[:, i] = np.where(kept, self.center[i], from_data)
                continue
            deviation = math.sqrt(float(self.variance[i]))
            center = float(self.center[i])
            # x itself may lie outside the data.
            bounds = np.array([min(column.low, center), max(column.high, center)])
            # Drawing quantiles keeps rows within the bounds without piling up on them.
            below, above = special.ndtr((bounds - center) / deviation)
            quantiles = below + (above - below) * generator.random(count)
            drawn = center + deviation * special.ndtri(quantiles)
            rows[:, i] = np.clip(_allowed(drawn, column, center), *bounds)
        return Points(rows, self.weights(rows))

    def weights(self, rows: Array) -> Array:
        """``exp(-sum((z - x)**2 / (width**2 v)))`` for rows z [n, inputs]: [n]."""
        active = self.variance > 0
        squared = np.square(deviations(rows, self.center, self.columns))[:, active]
        exponent = (squared / self.variance[active]).sum(axis=1) / self.width**2
        found: Array = np.exp(-exponent)
        return found

    def draws(self, locality: Locality, generator: np.random.Generator) -> Draws:
        """The rows of one explanation."""
        count = locality.n_synthetic
        synthetic = self.draw(count, generator)
        real = np.full(len(self.nearest), float(locality.real_weight))
        fit = Points(
            np.vstack([self.nearest, synthetic.rows]), np.concatenate([real, synthetic.weights])
        )
        judge = self.draw(math.ceil(JUDGE_SHARE * count), generator)
        return Draws(fit, judge, self.draw(count, generator))


def everywhere(data: Array, generator: np.random.Generator, most: int = 10_000) -> Draws:
    """The rows of a global explanation: 3/5 of the data, 1/5 and 1/5, with equal weights.

    Raises:
        InputError: fewer than `LEAST_ROWS`.
    """
    if len(data) < LEAST_ROWS:
        raise InputError(
            f"data has {len(data)} rows; a global explanation needs at least {LEAST_ROWS}"
        )
    order = generator.permutation(len(data))[:most]
    first, second = 3 * len(order) // 5, 4 * len(order) // 5
    fit, judge, fresh = (
        Points(data[part], np.ones(len(part))) for part in np.split(order, [first, second])
    )
    return Draws(fit, judge, fresh)


def deviations(rows: Array, center: Array, columns: Columns) -> Array:
    """``rows - center`` [n, inputs]; for nominal inputs 1 if they differ, else 0."""
    nominal = np.array([column.nominal for column in columns.columns])
    difference = rows - center
    return np.where(nominal, difference != 0, difference)


def _allowed(drawn: Array, column: Column, center: float) -> Array:
    if column.values is None:
        return drawn
    snapped: Array = column.nearest(drawn)
    # x may have a value that is not in the data.
    return np.where(np.abs(drawn - center) < np.abs(drawn - snapped), center, snapped)


def _distances(center: Array, data: Array, columns: Columns, metric: str) -> Array:
    """From a point to each row of data, with each input in units of its standard deviation."""
    scale = np.array([column.scale for column in columns.columns])
    mean = np.array([column.mean for column in columns.columns])
    nominal = np.array([column.nominal for column in columns.columns])
    rows = np.where(nominal, data != center, (data - mean) / scale)
    point = np.where(nominal, 0.0, (center - mean) / scale)
    try:
        found: Array = distance.cdist(point[None], rows, metric)[0]
        return found
    except (ValueError, TypeError) as error:
        raise InputError(f"metric={metric!r} cannot be used: {error}") from None


def _half_variance(nearest: Array) -> Array:
    same = (nearest == nearest[0]).all(axis=0)  # np.var may round to more than 0
    return np.where(same, 0.0, nearest.var(axis=0) / 2)


def _nearest_that_differ(
    center: Array, ordered: Array, inputs: npt.NDArray[np.bool_], count: int
) -> Array:
    """The nearest rows that differ from the centre and from each other; ``ordered`` by distance."""
    differ = ordered[(ordered[:, inputs] != center[inputs]).any(axis=1)]
    if len(differ):
        warnings.warn(
            f"the {count} rows nearest to x are equal; the variance is taken from the nearest "
            f"rows that differ from it",
            stacklevel=5,
        )
    first = np.unique(differ, axis=0, return_index=True)[1]
    found: Array = differ[np.sort(first)[:count]]
    return found


def _switching_variance(column: Column, value: float) -> float:
    """Variance of a column that draws values from the data; for labels, of whether they change."""
    assert column.values is not None
    same = sum(s for v, s in zip(column.values, column.shares, strict=True) if v == value)
    changed = (1 - KEEP) * (1 - same)
    size: float = 1.0 if column.nominal else column.high - column.low
    return changed * (1 - changed) * size * size


def _given_variance(variance: Any, inputs: int) -> Array:
    given = np.asarray(variance, dtype=np.float64)
    if given.shape not in ((), (inputs,)):
        raise InputError(f"variance must be one number or [{inputs}]; got {[*given.shape]}")
    if not (np.isfinite(given).all() and (given >= 0).all() and given.any()):
        raise InputError("variance must not be negative, and not 0 everywhere")
    return np.broadcast_to(given, (inputs,)).copy()


def _warn_outside(center: Array, columns: Columns) -> None:
    outside = [
        f"{column.name}={value:.4g} (data: {column.low:.4g} to {column.high:.4g})"
        for column, value in zip(columns.columns, center.tolist(), strict=True)
        if not column.nominal and not column.low <= value <= column.high
    ]
    if outside:
        warnings.warn(
            f"x lies outside of the data, where the model was not shown anything: "
            f"{', '.join(outside[:5])}",
            stacklevel=5,
        )


def _warn_held(variance: Array, columns: Columns, locality: Locality) -> None:
    held = [column.name for column, v in zip(columns.columns, variance, strict=True) if v == 0]
    if held:
        shown = ", ".join(held[:5]) + (", ..." if len(held) > 5 else "")
        warnings.warn(
            f"{len(held)} of {len(columns)} inputs do not vary among the "
            f"{locality.n_neighbors} rows nearest to x and are held there ({shown}), so the "
            f"equation says nothing about them; a larger n_neighbors or a variance lets them "
            f"vary",
            stacklevel=5,
        )
