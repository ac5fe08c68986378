"""Simple numbers in the place of fitted ones, where the data agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

import torch
from torch import Tensor

from .fitting import System, fit_constants

DENOMINATORS = (1, 2, 3, 4, 5, 6, 8, 10)
"""Of fractions, the simplest first."""

PARTS_OF_PI = (1, 2, 3, 4)

DIGITS = (1, 2, 3)
"""Of decimals."""


def simple_numbers(value: float, tolerance: float = 0.2) -> list[float]:
    """Integers, short fractions, parts of pi and short decimals near a number, simplest first.

    >>> simple_numbers(5.0007, tolerance=0.03)
    [5.0]
    >>> simple_numbers(1.234, tolerance=0.04)
    [1.25, 1.2, 1.23]

    Args:
        value: the number.
        tolerance: relative distance.
    """
    if value == 0 or not math.isfinite(value):
        return []
    found: list[float] = []
    for unit, denominators in ((1.0, DENOMINATORS), (math.pi, PARTS_OF_PI)):
        # Beyond these sizes every number has a fraction close by.
        if 0.01 < abs(value / unit) < 1e6:
            found += [float(Fraction(round(value / unit * d), d)) * unit for d in denominators]
    found += [float(f"{value:.{digits}g}") for digits in DIGITS]
    near = [number for number in found if number and abs(number - value) <= tolerance * abs(value)]
    return [number for number in dict.fromkeys(near) if number != value]


def round_constants(
    system: System,
    values: Sequence[float],
    loss: float,
    *,
    floor: float,
    slack: float,
    tolerance: float = 0.2,
    steps: int = 12,
    out_of_time: Callable[[], bool] = lambda: False,
) -> tuple[list[float], float]:
    """Constants rounded one after the other, the others fitted again each time, and their loss.

    Args:
        system: residuals and derivatives for given constants.
        values: fitted constants.
        loss: of these.
        floor: losses below it count as equal.
        slack: share by which each rounding may raise the loss.
        tolerance: relative distance of the simple numbers that are tried.
        steps: of each fit.
        out_of_time: asked between fits; once true, what there is is returned.
    """
    values, free = list(values), [True] * len(values)
    while not out_of_time():
        limit = max(loss * (1 + slack), floor)
        for position, simple in _worth_trying(system, values, free, loss, limit, tolerance):
            trial = [simple if k == position else value for k, value in enumerate(values)]
            others = [is_free and k != position for k, is_free in enumerate(free)]
            trial, after = fit_constants(system, trial, steps=steps, target=floor, free=others)
            if after <= limit:
                values, free, loss = trial, others, after
                break
            if out_of_time():
                return values, loss
        else:
            break
    return values, loss


def _worth_trying(
    system: System,
    values: Sequence[float],
    free: Sequence[bool],
    loss: float,
    limit: float,
    tolerance: float,
) -> list[tuple[int, float]]:
    """Positions and simple numbers worth trying, simplest first.

    Moving constant i by d and refitting the rest raises the loss by
    ``d**2 / inverse(J'J)[i, i]``; what that forbids need not be tried. Columns of J count in
    units of their norms, so that constants of any size can be told apart.
    """
    positions = [k for k, is_free in enumerate(free) if is_free]
    if not positions:
        return []
    jacobian = system(list(values))[1][positions].cpu()
    norms, variance = _norms_and_variance(torch.nan_to_num(jacobian, 0.0, 0.0, 0.0))
    trials = []
    for row, position in enumerate(positions):
        value = values[position]
        for rank, simple in enumerate(simple_numbers(value, tolerance)):
            shift = (simple - value) * norms[row]
            # As a product: a float's power raises where a product overflows to infinity.
            rise = shift * shift / max(variance[row], 1e-300)
            if loss + rise <= 2 * limit:
                trials.append((rank, rise, position, simple))
    return [(position, simple) for _, _, position, simple in sorted(trials)]


def _norms_and_variance(jacobian: Tensor) -> tuple[list[float], list[float]]:
    """Norm of each row of J [constants, rows], and the diagonal of the inverse of J J' after
    division by these."""
    # By the largest entry first: squares of large derivatives overflow. What is left has an
    # entry of 1, unless the constant does nothing at all.
    largest = jacobian.abs().amax(dim=1).clamp_min(1e-300)
    norms = largest * (jacobian / largest[:, None]).norm(dim=1).clamp_min(1.0)
    scaled = jacobian / norms[:, None]
    variance = torch.linalg.pinv(scaled @ scaled.T, hermitian=True).diagonal()
    return norms.tolist(), variance.tolist()
