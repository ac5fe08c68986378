"""Fidelity: how well an equation stands for the model around a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .columns import Array


@dataclass(frozen=True)
class Fidelity:
    """Measured on rows of the neighbourhood that were not used to find the equation.

    Args:
        weighted_r2: share of the model's variance that the equation explains, rows
            weighted by their nearness to x.
        r2: the same, all rows alike.
        error_at_x: distance of equation and model at x; 0 but for rounding, because
            equations pass through x. nan for a global explanation.
        rows: how many rows.
    """

    weighted_r2: float
    r2: float
    error_at_x: float
    rows: int


def r_squared(predictions: Array, approximations: Array, weights: Array) -> float:
    """1 - error / variance, weighted; where the predictions are all equal, 1 or 0.

    >>> r_squared(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0]), np.ones(3))
    0.5
    """
    mean = np.average(predictions, weights=weights)
    variance = np.average(np.square(predictions - mean), weights=weights)
    error = np.average(np.square(predictions - approximations), weights=weights)
    rounding = (1e-12 * max(np.abs(predictions).max(), 1e-300)) ** 2
    if variance <= rounding:
        return 1.0 if error <= 1e6 * rounding else 0.0
    return float(1 - error / variance)
