"""LocalFit: how well an equation fits the model around a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .columns import Array

_ROUNDING = 1e-12
"""Deviations of predictions below this share of the largest are rounding errors."""

_EXACT = 1e6
"""Where predictions are equal, a squared error up to this times the squared rounding is none."""


@dataclass(frozen=True)
class LocalFit:
    """How well an equation fits the model, on rows of the neighbourhood not used to find it.

    Args:
        weighted_r2: share of the model's variance that the equation explains, with rows
            weighted by their nearness to x.
        r2: the same, with equal weights.
        error_at_x: difference of equation and model at x; 0 but for rounding, because
            equations pass through x. nan for a global explanation.
        rows: number of rows.
    """

    weighted_r2: float
    r2: float
    error_at_x: float
    rows: int


def r_squared(predictions: Array, approximations: Array, weights: Array) -> float:
    """1 - error / variance, weighted; if the predictions are all equal, 1 or 0.

    >>> r_squared(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]), np.ones(3))
    0.5
    """
    mean = np.average(predictions, weights=weights)
    variance = np.average(np.square(predictions - mean), weights=weights)
    error = np.average(np.square(predictions - approximations), weights=weights)
    rounding = (_ROUNDING * max(np.abs(predictions).max(), 1e-300)) ** 2
    if variance <= rounding:
        return 1.0 if error <= _EXACT * rounding else 0.0
    return float(1 - error / variance)
