"""What rows add to a model that is there already: one at a time, or all pairs at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor

COLLINEAR = 1e-5
"""Share of a row's power that must be new to the model: below it, float32 rounding could pass for
a finding."""

ROWS_AT_ONCE = 50_000
"""Library rows in one product: of 256 samples in float32, 50 MB."""

PAIRS_AT_ONCE = 1024
"""Rows whose pairs with all others are scored in one product."""


def orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal basis [n, r] of the column space of ``columns`` [n, q] (r <= q)."""
    if columns.shape[1] == 0:
        return columns
    scaled = columns / columns.norm(dim=0, keepdim=True).clamp_min(1e-300)
    u, s, _ = torch.linalg.svd(scaled, full_matrices=False)
    basis: Tensor = u[:, s > 1e-12 * s[0].clamp_min(1e-300)]
    return basis


def least_squares(columns: Tensor, target: Tensor) -> Tensor:
    """Coefficients [q] of the columns [n, q], also dependent ones, nearest to ``target`` [n]."""
    if columns.device.type == "cpu":
        solution: Tensor = torch.linalg.lstsq(columns, target[:, None], driver="gelsd").solution
        return solution[:, 0]
    # Elsewhere lstsq takes independent columns only.
    inverse: Tensor = torch.linalg.pinv(columns)
    return inverse @ target


def leftovers(rows: Tensor, multiplier: Tensor, residual: Tensor, basis: Tensor) -> Tensor:
    """Share [m] of the squared ``residual`` [n] that each row leaves when it joins ``basis`` [n,
    q].

    Args:
        rows: [m, n], float32 or float64.
        multiplier: [n], acts on the rows' samples.
        residual: [n], already weighted, orthogonal to the basis.
        basis: [n, q], already weighted, orthonormal.
    """
    multiplier = multiplier / multiplier.abs().max()
    norm = residual.norm().clamp_min(1e-300)
    columns = (torch.cat([residual[:, None] / norm, basis], dim=1) * multiplier[:, None]).to(
        rows.dtype
    )
    weights = multiplier.to(rows.dtype)
    parts = []
    for chunk in torch.split(rows, ROWS_AT_ONCE):
        seen = chunk @ columns
        power = (chunk * weights).square().sum(dim=1)
        remaining = power - seen[:, 1:].square().sum(dim=1)
        gain = seen[:, 0].square() / remaining.clamp_min(1e-30)
        parts.append(
            torch.where(
                remaining > COLLINEAR * power, 1 - gain.clamp_max(1.0), torch.ones_like(gain)
            )
        )
    return torch.cat(parts)


def best_pairs(
    rows: Tensor, multiplier: Tensor, residual: Tensor, basis: Tensor, keep: int
) -> list[tuple[int, int]]:
    """The ``keep`` pairs of rows [m, n] that leave the least of ``residual``, out of all m^2/2
    pairs.

    With both rows of unit length outside the basis, at an angle of cosine g, and with shares a
    and b of the residual, the plane that they span holds ``(a^2 + b^2 - 2 a b g) / (1 - g^2)``
    of it. All g are one matrix product, so that a million pairs take less than a second, and no
    pair is lost because neither of its rows is good alone.
    """
    norm = residual.norm().clamp_min(1e-300)
    unit = rows.double() * multiplier
    size = unit.norm(dim=1, keepdim=True)
    unit = unit - (unit @ basis) @ basis.T
    left = unit.norm(dim=1, keepdim=True)
    unit = torch.where(
        left > math.sqrt(COLLINEAR) * size, unit / left.clamp_min(1e-300), torch.zeros_like(unit)
    )
    score = (unit @ (residual / norm)).float()
    unit = unit.float()
    values, pairs = [], []
    m = rows.shape[0]
    for start in range(0, m, PAIRS_AT_ONCE):
        gram = unit[start : start + PAIRS_AT_ONCE] @ unit.T
        a, b = score[start : start + PAIRS_AT_ONCE, None], score[None]
        independent = 1 - gram**2
        gain = (a**2 + b**2 - 2 * a * b * gram) / independent.clamp_min(1e-6)
        # Two rows this close are one row to float32.
        gain = torch.where(independent > 1e-4, gain, torch.zeros_like(gain)).triu(start + 1)
        value, where = gain.reshape(-1).topk(min(keep, gain.numel()))
        values.append(value)
        pairs.append(torch.stack([where // m + start, where % m], dim=1))
    best = torch.cat(values).topk(min(keep, sum(len(v) for v in values))).indices
    return [(int(i), int(j)) for i, j in torch.cat(pairs)[best].tolist()]
