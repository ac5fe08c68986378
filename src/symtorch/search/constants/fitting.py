"""Levenberg-Marquardt in float64 on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

System = Callable[[list[float]], tuple[Tensor, Tensor]]
"""Constants -> residuals [rows], and their derivatives by each constant [constants, rows]."""

GIVE_UP = 1e8
"""Damping at which no step is small enough to help."""

SMALLEST_DAMPING = 1e-18
DEPENDENT = 1e-15
"""Pivot, next to the largest, below which constants cannot be told apart without more damping."""


def fit_constants(
    system: System,
    start: Sequence[float],
    *,
    steps: int,
    target: float = 0.0,
    settled: float = 1e-4,
    free: Sequence[bool] | None = None,
) -> tuple[list[float], float]:
    """Constants that make the sum of the squared residuals small, and that sum.

    The step control is Nielsen's (1999), "Damping parameter in Marquardt's method". Constants
    are scaled by their own size, so 1e-34 and 1e8 may stand in one formula, and then by the norms
    of their derivatives. The damped step is the solution of an augmented least-squares problem,
    by QR: normal equations would lose half of the digits, which decide whether a fit is exact.

    >>> x = torch.linspace(1, 2, 20, dtype=torch.float64)
    >>> def line(at):
    ...     return at[0] * x + at[1] - (3 * x - 1), torch.stack([x, torch.ones_like(x)])
    >>> values, loss = fit_constants(line, [1.0, 1.0], steps=20)
    >>> [round(value, 9) for value in values]
    [3.0, -1.0]

    Args:
        system: residuals and derivatives for given constants.
        start: where to begin.
        steps: at most so many.
        target: ends the fit when reached.
        settled: two steps in a row that gain less than this share of the loss end the fit.
        free: which constants may move; all by default.

    Returns:
        Constants, and their loss: never above that of the start; infinite where the residuals
        of the start are not finite.
    """
    moving = [k for k in range(len(start)) if free is None or free[k]]
    at = list(start)

    def evaluated(values: Tensor) -> tuple[list[float], Tensor, Tensor]:
        moved = list(start)
        for k, value in zip(moving, values.tolist(), strict=True):
            moved[k] = value
        residual, jacobian = system(moved)
        # A row where a derivative is not finite (a root at 0) gives no direction; its residual
        # still counts.
        return moved, residual, torch.nan_to_num(jacobian[moving], 0.0, 0.0, 0.0)

    values = torch.tensor([at[k] for k in moving], dtype=torch.float64)
    _, residual, jacobian = evaluated(values)
    values = values.to(residual.device)
    loss = float(residual @ residual)
    if not math.isfinite(loss):
        return at, math.inf
    damping, growth, stalled = 1e-3, 2.0, 0
    for _ in range(steps if moving else 0):
        unit = torch.where(values == 0, torch.ones_like(values), values.abs())
        scaled = jacobian * unit[:, None]
        if not bool(torch.isfinite(scaled).all()):  # too large for float64
            break
        norms = scaled.norm(dim=1).clamp_min(1e-300)
        scaled = scaled / norms[:, None]
        step = _damped_step(scaled, residual, damping)
        if step is None:
            damping *= 10
            if damping > 100 * GIVE_UP:
                break
            continue
        trial = values + step / norms * unit
        moved, new_residual, new_jacobian = evaluated(trial)
        new_loss = float(new_residual @ new_residual)
        gain = loss - new_loss
        if not (math.isfinite(new_loss) and gain > 0):
            damping *= growth
            growth *= 2
            if damping > GIVE_UP:
                break
            continue
        expected = float(step @ (damping * step - scaled @ residual))
        ratio = gain / expected if expected > 0 else 1.0
        stalled = stalled + 1 if gain < settled * loss else 0
        at, values, residual, jacobian, loss = moved, trial, new_residual, new_jacobian, new_loss
        damping = max(damping * max(1 / 10, 1 - (2 * ratio - 1) ** 3), SMALLEST_DAMPING)
        growth = 2.0
        if stalled >= 2 or loss <= target:
            break
    return at, loss


def _damped_step(scaled: Tensor, residual: Tensor, damping: float) -> Tensor | None:
    """The step [constants] for derivatives [constants, rows]; None where it is not determined."""
    count = len(scaled)
    eye = math.sqrt(damping) * torch.eye(count, dtype=residual.dtype, device=residual.device)
    right = torch.cat([-residual, residual.new_zeros(count)])
    q, upper = torch.linalg.qr(torch.cat([scaled, eye], dim=1).T)
    diagonal = upper.diagonal().abs()
    if float(diagonal.min()) <= DEPENDENT * float(diagonal.max()):
        return None
    step: Tensor = torch.linalg.solve_triangular(upper, (q.T @ right)[:, None], upper=True)
    return step[:, 0]
