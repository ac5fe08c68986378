"""Best subsets of library rows: orthogonal matching pursuit with a beam instead of one greedy
path."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

COLLINEAR = 1e-5
"""Share of a row's power that must be new to the model: below it, float32 rounding could pass for
a finding."""


@dataclass(frozen=True)
class Subset:
    """Rows chosen for a target, and the squared residual they leave, over that of the base
    alone."""

    indices: tuple[int, ...]
    left: float


@dataclass(frozen=True)
class _State:
    indices: tuple[int, ...]
    basis: Tensor
    residual: Tensor


def orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal basis [n, r] of the column space of ``columns`` [n, q] (r <= q)."""
    if columns.shape[1] == 0:
        return columns
    scaled = columns / columns.norm(dim=0, keepdim=True).clamp_min(1e-300)
    u, s, _ = torch.linalg.svd(scaled, full_matrices=False)
    basis: Tensor = u[:, s > 1e-12 * s[0].clamp_min(1e-300)]
    return basis


def leftovers(rows: Tensor, multiplier: Tensor, residual: Tensor, basis: Tensor) -> Tensor:
    """Share [m] of the squared ``residual`` [n] that each row leaves when it joins ``basis`` [n,
    q].

    rows [m, n]; multiplier [n] acts on the rows' samples; basis and residual are already
    weighted, and orthogonal.
    """
    multiplier = multiplier / multiplier.abs().max()
    norm = residual.norm().clamp_min(1e-300)
    columns = (torch.cat([residual[:, None] / norm, basis], dim=1) * multiplier[:, None]).to(
        rows.dtype
    )
    weights = multiplier.to(rows.dtype)
    parts = []
    for chunk in torch.split(rows, 50_000):
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
    pairs."""
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
    for start in range(0, m, 1024):
        gram = unit[start : start + 1024] @ unit.T
        a, b = score[start : start + 1024, None], score[None]
        independent = 1 - gram**2
        gain = (a**2 + b**2 - 2 * a * b * gram) / independent.clamp_min(1e-6)
        gain = torch.where(independent > 1e-4, gain, torch.zeros_like(gain)).triu(start + 1)
        value, where = gain.reshape(-1).topk(min(keep, gain.numel()))
        values.append(value)
        pairs.append(torch.stack([where // m + start, where % m], dim=1))
    best = torch.cat(values).topk(min(keep, sum(len(v) for v in values))).indices
    return [(int(i), int(j)) for i, j in torch.cat(pairs)[best].tolist()]


def _with_row(
    state: _State, row: int, rows: Tensor, multiplier: Tensor, q0: Tensor
) -> _State | None:
    """The state with one more row, in float64; None where the row brings nothing new."""
    column = rows[row].double() * multiplier
    size = float(column.norm())
    for basis in (q0, state.basis, q0, state.basis):
        column = column - basis @ (basis.T @ column)
    norm = column.norm()
    if not float(norm) > math.sqrt(COLLINEAR) * size:
        return None
    column = column / norm
    return _State(
        tuple(sorted((*state.indices, row))),
        torch.cat([state.basis, column[:, None]], dim=1),
        state.residual - column * (column @ state.residual),
    )


def select(
    rows: Tensor,
    multiplier: Tensor,
    target: Tensor,
    base: Tensor,
    beams: tuple[int, ...],
    check: Callable[[], None],
    bias: Tensor | None = None,
    pairs: Tensor | None = None,
) -> list[Subset]:
    """Subsets of 1..len(beams) rows that leave the least of ``target``.

    rows [m, n]: the library (float32 or float64). multiplier [n]: factor on every row's samples
    (square root of the weights, perhaps over the target). target [n] and base [n, q], float64:
    already weighted; base columns are always in the model. beams: how many subsets survive at
    each size. bias [m]: factor >= 1 on what a row leaves, to prefer simple rows. pairs: rows of
    which all pairs are tried, which no beam can lose.
    """
    q0 = orthonormal(base)
    residual = target - q0 @ (q0.T @ target)
    start = float(residual @ residual)
    if start == 0 or rows.shape[0] == 0:
        return []
    # Rows are compared with their own size only, so the multiplier's scale (1e50 at times) may go.
    multiplier = multiplier / multiplier.abs().max()
    weights = multiplier.to(rows.dtype)
    power = torch.cat(
        [(chunk * weights).square().sum(dim=1) for chunk in torch.split(rows, 50_000)]
    )
    on_base = torch.cat(
        [chunk @ (q0 * multiplier[:, None]).to(rows.dtype) for chunk in torch.split(rows, 200_000)]
    )
    free_power = power - on_base.square().sum(dim=1)
    states = [_State((), q0[:, :0], residual)]
    results: list[Subset] = []
    for depth, beam in enumerate(beams):
        best: list[tuple[float, int, int]] = []
        group = max(1, 48 // (depth + 1))
        for first in range(0, len(states), group):
            check()
            batch = states[first : first + group]
            columns = torch.cat(
                [torch.cat([s.residual[:, None], s.basis], dim=1) for s in batch], dim=1
            )
            norms = torch.stack([s.residual.norm() for s in batch]).clamp_min(1e-300)
            scale = torch.ones(columns.shape[1], dtype=columns.dtype, device=columns.device)
            scale[:: depth + 1] = 1 / norms
            seen = rows @ (columns * scale * multiplier[:, None]).to(rows.dtype)
            seen = seen.view(rows.shape[0], len(batch), depth + 1)
            remaining = free_power[:, None] - seen[:, :, 1:].square().sum(dim=2)
            gain = seen[:, :, 0].square() / remaining.clamp_min(1e-30)
            gain = torch.where(
                remaining > COLLINEAR * power[:, None], gain, torch.zeros_like(gain)
            ).clamp_max(1.0)
            left = (1 - gain) * (norms**2 / start).to(rows.dtype)
            if bias is not None:
                left = left * bias[:, None].to(rows.dtype)
            count = min(beam + depth, rows.shape[0])
            values, where = left.topk(count, dim=0, largest=False)
            for k in range(len(batch)):
                best += [
                    (value, first + k, row)
                    for value, row in zip(values[:, k].tolist(), where[:, k].tolist(), strict=True)
                ]
        best.sort()
        following: list[_State] = []
        taken: set[tuple[int, ...]] = set()
        for _, parent, row in best:
            state = states[parent]
            indices = tuple(sorted((*state.indices, row)))
            if row in state.indices or indices in taken:
                continue
            taken.add(indices)
            grown = _with_row(state, row, rows, multiplier, q0)
            if grown is None:
                continue
            following.append(grown)
            results.append(Subset(indices, float(grown.residual @ grown.residual) / start))
            if len(following) >= beam:
                break
        if depth == 1 and pairs is not None:
            for i, j in best_pairs(rows[pairs], multiplier, residual, q0, beam):
                first, second = int(pairs[i]), int(pairs[j])
                indices = (min(first, second), max(first, second))
                one = _with_row(_State((), q0[:, :0], residual), first, rows, multiplier, q0)
                both = None if one is None else _with_row(one, second, rows, multiplier, q0)
                if both is not None and indices not in taken:
                    following.append(both)
                    results.append(Subset(indices, float(both.residual @ both.residual) / start))
        states = following
        if not states:
            break
    return results
