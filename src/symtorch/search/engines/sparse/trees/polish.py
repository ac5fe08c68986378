"""Fitting the constants of one candidate, and making them readable.

Levenberg-Marquardt in float64 with step control after Nielsen (1999), "Damping parameter in
Marquardt's method". Constants are scaled by their own starting size, so 1e-34 and 1e8 may stand in
one formula.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from .tree import LEAVES, Functions, Tree, constants_of, evaluate_jacobian, with_constants


def fit_constants(
    tree: Tree,
    X: Tensor,
    y: Tensor,
    w: Tensor,
    functions: Functions,
    steps: int = 30,
    target: float = 0.0,
) -> tuple[Tree, float]:
    """Minimise ``mean(w * (tree(X) - y)^2)`` over the free constants.

    X [n, d], y [n], w [n]. Stops below the loss ``target``. Returns the tree with its new
    constants and the loss.
    """
    values = torch.tensor(constants_of(tree), dtype=torch.float64, device=X.device)
    root_w = (w / w.shape[0]).sqrt()

    def residual(at: Tensor) -> tuple[Tensor, Tensor]:
        prediction, jacobian = evaluate_jacobian(
            with_constants(tree, iter(at.tolist())), X, functions
        )
        return root_w * (prediction - y), jacobian * root_w

    r, jac = residual(values)
    loss = float(r @ r)
    if not math.isfinite(loss):
        return tree, math.inf
    if values.numel() == 0:
        return tree, loss
    damping, growth = 1e-3, 2.0
    stalled = 0
    for _ in range(steps):
        unit = torch.where(values == 0, torch.ones_like(values), values.abs())
        scaled = jac * unit[:, None]
        if not bool(torch.isfinite(scaled).all()):
            break
        norms = scaled.norm(dim=1).clamp_min(1e-300)
        scaled = scaled / norms[:, None]
        # The augmented least-squares problem keeps half the digits that normal equations lose.
        eye = math.sqrt(damping) * torch.eye(len(values), dtype=r.dtype, device=r.device)
        system = torch.cat([scaled, eye], dim=1).T
        right = torch.cat([-r, r.new_zeros(len(values))])
        q, upper = torch.linalg.qr(system)
        diagonal = upper.diagonal().abs()
        if float(diagonal.min()) <= 1e-15 * float(diagonal.max()):
            damping *= 10
            if damping > 1e10:
                break
            continue
        step = torch.linalg.solve_triangular(upper, (q.T @ right)[:, None], upper=True)[:, 0]
        moved = values + step / norms * unit
        new_r, new_jac = residual(moved)
        new_loss = float(new_r @ new_r)
        gain = loss - new_loss
        if math.isfinite(new_loss) and gain > 0:
            expected = float(step @ (damping * step - scaled @ r))
            ratio = gain / expected if expected > 0 else 1.0
            stalled = stalled + 1 if gain < 1e-4 * loss else 0
            values, r, jac, loss = moved, new_r, new_jac, new_loss
            damping = max(damping * max(1 / 10, 1 - (2 * ratio - 1) ** 3), 1e-18)
            growth = 2.0
            if stalled >= 2 or loss <= target:
                break
        else:
            damping *= growth
            growth *= 2
            if damping > 1e8:
                break
    return with_constants(tree, iter(values.tolist())), loss


def readable_neighbours(value: float, tolerance: float) -> list[float]:
    """Simple numbers within relative ``tolerance`` of ``value``: integers, small fractions,
    multiples of pi."""
    if value == 0 or not math.isfinite(value):
        return []
    found: list[float] = []
    for unit in (1.0, math.pi):
        ratio = value / unit
        if not 1e-3 < abs(ratio) < 1e4:
            continue
        for denominator in (1, 2, 3, 4, 5, 6, 8, 10):
            if unit != 1.0 and denominator > 4:
                continue
            near = Fraction(round(ratio * denominator), denominator)
            candidate = float(near) * unit
            if near != 0 and abs(candidate - value) <= tolerance * abs(value):
                found.append(candidate)
                break
    return found


def snap_constants(
    tree: Tree,
    X: Tensor,
    y: Tensor,
    w: Tensor,
    functions: Functions,
    loss: float,
    floor: float,
    slack: float,
    tolerance: float = 0.02,
) -> tuple[Tree, float]:
    """Round constants one by one to readable numbers while the loss stays within ``1 + slack`` of
    the start.

    Losses below ``floor`` count as equal. The constants still free are refitted after each
    rounding.
    """
    limit = max(loss * (1 + slack), floor)
    values = constants_of(tree)
    free = [True] * len(values)
    for k in sorted(range(len(values)), key=lambda k: _distance_to_readable(values[k], tolerance)):
        for candidate in readable_neighbours(values[k], tolerance):
            trial_values = [candidate if j == k else value for j, value in enumerate(values)]
            trial_free = [is_free and j != k for j, is_free in enumerate(free)]
            fitted, trial_loss = fit_constants(
                _pinned(tree, trial_values, trial_free), X, y, w, functions, steps=8, target=floor
            )
            if trial_loss <= limit:
                moved = iter(constants_of(fitted))
                values = [
                    next(moved) if is_free else value
                    for value, is_free in zip(trial_values, trial_free, strict=True)
                ]
                free, loss = trial_free, trial_loss
                break
    return with_constants(tree, iter(values)), loss


def _distance_to_readable(value: float, tolerance: float) -> float:
    near = readable_neighbours(value, tolerance)
    return min((abs(number - value) / abs(value) for number in near), default=1.0)


def _pinned(tree: Tree, values: list[float], free: list[bool]) -> Tree:
    """The tree with these constants, those that are not free turned into fixed numerals."""
    pairs = zip(values, free, strict=True)

    def run(node: Tree) -> Tree:
        if node[0] == "c":
            value, is_free = next(pairs)
            return ("c", value) if is_free else ("k", value)
        if node[0] in LEAVES:
            return node
        return (node[0], *(run(child) for child in node[1:]))

    return run(tree)
