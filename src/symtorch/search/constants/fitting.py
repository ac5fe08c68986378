"""Levenberg-Marquardt in float64 on any device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

System = Callable[[list[float]], tuple[Tensor, Tensor]]
"""Constants -> residuals [rows], and their derivatives by each constant [constants, rows]."""

GIVE_UP = 1e8
"""Damping at which no step is short enough to help."""

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
    here = _at(system, start, moving, [start[k] for k in moving])
    if not math.isfinite(here.loss):
        return list(start), math.inf
    damping, stalled = _Damping(), 0
    for _ in range(steps if moving else 0):
        unit = torch.where(here.values == 0, torch.ones_like(here.values), here.values.abs())
        scaled = here.jacobian * unit[:, None]
        if damping.hopeless or not bool(torch.isfinite(scaled).all()):
            break
        norms = scaled.norm(dim=1).clamp_min(1e-300)
        scaled = scaled / norms[:, None]
        step = _damped_step(scaled, here.residual, damping.value)
        if step is None:
            damping.value *= 10
            continue
        there = _at(system, start, moving, (here.values + step / norms * unit).tolist())
        gain = here.loss - there.loss
        if not (math.isfinite(there.loss) and gain > 0):
            damping.after_failure()
            continue
        expected = float(step @ (damping.value * step - scaled @ here.residual))
        damping.after_success(gain / expected if expected > 0 else 1.0)
        stalled = stalled + 1 if gain < settled * here.loss else 0
        here = there
        if stalled >= 2 or here.loss <= target:
            break
    return here.constants, here.loss


@dataclass(frozen=True)
class _Point:
    """A system at some constants: all of them, those that move [moving], residuals [rows],
    derivatives [moving, rows], and the sum of the squared residuals."""

    constants: list[float]
    values: Tensor
    residual: Tensor
    jacobian: Tensor
    loss: float


def _at(
    system: System, start: Sequence[float], moving: Sequence[int], values: Sequence[float]
) -> _Point:
    constants = list(start)
    for k, value in zip(moving, values, strict=True):
        constants[k] = value
    residual, jacobian = system(constants)
    # A row where a derivative is not finite (a root at 0) gives no direction; its residual
    # still counts.
    jacobian = torch.nan_to_num(jacobian[list(moving)], 0.0, 0.0, 0.0)
    tensor = torch.tensor(values, dtype=torch.float64).to(residual.device)
    return _Point(constants, tensor, residual, jacobian, float(residual @ residual))


@dataclass
class _Damping:
    """How far a step is from Gauss-Newton's (0) towards a short one downhill."""

    value: float = 1e-3
    growth: float = 2.0

    @property
    def hopeless(self) -> bool:
        """Whether no step is short enough to help."""
        return self.value > GIVE_UP

    def after_failure(self) -> None:
        self.value *= self.growth
        self.growth *= 2

    def after_success(self, ratio: float) -> None:
        """After a step with this ratio of the gain to the one that the linear model foretold."""
        factor = max(1 / 10, 1 - (2 * ratio - 1) ** 3)
        self.value = max(self.value * factor, SMALLEST_DAMPING)
        self.growth = 2.0


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
