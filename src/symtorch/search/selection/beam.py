"""Best subsets of library rows: orthogonal least squares with a beam instead of one greedy path.

The greedy path takes the best single row first, and a sum whose terms are good only together is
lost at its first step. A beam carries the best few hundred subsets of each size on; the library
is correlated with all of their residuals in one matrix product, in float32, and only the rows
that come out on top are projected in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .greedy import EXPLAINED
from .projection import COLLINEAR, ROWS_AT_ONCE, best_pairs, orthonormal

COLUMNS_AT_ONCE = 48
"""Columns of basis and residual in one product with the library; the clock is asked in between."""


@dataclass(frozen=True)
class Subset:
    """Rows chosen for a target, and the squared residual they leave, over that of the base
    alone."""

    indices: tuple[int, ...]
    unexplained: float


@dataclass(frozen=True)
class _State:
    """A subset under way: an orthonormal basis of its rows [n, size], and what they leave [n]."""

    indices: tuple[int, ...]
    basis: Tensor
    residual: Tensor


class _Rows:
    """The library as one target sees it: its rows weighted, less what the base says."""

    def __init__(
        self, rows: Tensor, multiplier: Tensor, target: Tensor, base: Tensor, bias: Tensor | None
    ) -> None:
        self.rows = rows
        self.bias = bias
        self.base = orthonormal(base)
        residual = target - self.base @ (self.base.T @ target)
        self.start = _State((), self.base[:, :0], residual)
        self.total = float(residual @ residual)
        # Rows are compared with their own size only, so the multiplier's scale (1e50 at times)
        # may go.
        self.multiplier = multiplier / multiplier.abs().max().clamp_min(1e-300)
        weights = self.multiplier.to(rows.dtype)
        self.power = torch.cat(
            [(chunk * weights).square().sum(dim=1) for chunk in torch.split(rows, ROWS_AT_ONCE)]
        )
        weighted_base = (self.base * self.multiplier[:, None]).to(rows.dtype)
        on_base = torch.cat([chunk @ weighted_base for chunk in torch.split(rows, 200_000)])
        self.free = self.power - on_base.square().sum(dim=1)

    def left(self, states: Sequence[_State]) -> Tensor:
        """What each row leaves of the target when it joins each state [m, states], as a share,
        with the bias."""
        size = len(states[0].indices)
        columns = torch.cat([torch.cat([s.residual[:, None], s.basis], dim=1) for s in states], 1)
        norms = torch.stack([s.residual.norm() for s in states]).clamp_min(1e-300)
        scale = torch.ones(columns.shape[1], dtype=columns.dtype, device=columns.device)
        scale[:: size + 1] = 1 / norms
        seen = self.rows @ (columns * scale * self.multiplier[:, None]).to(self.rows.dtype)
        seen = seen.view(self.rows.shape[0], len(states), size + 1)
        remaining = self.free[:, None] - seen[:, :, 1:].square().sum(dim=2)
        gain = seen[:, :, 0].square() / remaining.clamp_min(1e-30)
        new = remaining > COLLINEAR * self.power[:, None]
        gain = torch.where(new, gain, torch.zeros_like(gain)).clamp_max(1.0)
        left = (1 - gain) * (norms**2 / self.total).to(self.rows.dtype)
        return left if self.bias is None else left * self.bias[:, None].to(self.rows.dtype)

    def ranked(
        self, states: Sequence[_State], count: int, check: Callable[[], None]
    ) -> list[tuple[_State, int]]:
        """The best ``count`` rows for each state, all of them together in order."""
        best: list[tuple[float, int, int]] = []
        group = max(1, COLUMNS_AT_ONCE // (len(states[0].indices) + 1))
        for first in range(0, len(states), group):
            check()
            batch = states[first : first + group]
            left = self.left(batch)
            values, where = left.topk(min(count, self.rows.shape[0]), dim=0, largest=False)
            for k in range(len(batch)):
                best += [
                    (value, first + k, row)
                    for value, row in zip(values[:, k].tolist(), where[:, k].tolist(), strict=True)
                ]
        best.sort()
        return [(states[parent], row) for _, parent, row in best]

    def grown(self, state: _State, row: int) -> _State | None:
        """The state with one more row, in float64; None where the row adds nothing new."""
        column = self.rows[row].double() * self.multiplier
        size = float(column.norm())
        # Twice, because once leaves rounding errors of the size of what is almost collinear.
        for basis in (self.base, state.basis, self.base, state.basis):
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

    def extended(
        self, states: Sequence[_State], beam: int, check: Callable[[], None]
    ) -> Iterator[_State]:
        """The ``beam`` best states of one more row, each subset once."""
        taken: set[tuple[int, ...]] = set()
        # A state's own rows are among its best, so that many more are asked for.
        for state, row in self.ranked(states, beam + len(states[0].indices), check):
            indices = tuple(sorted((*state.indices, row)))
            if row in state.indices or indices in taken:
                continue
            taken.add(indices)
            grown = self.grown(state, row)
            if grown is not None:
                yield grown
                beam -= 1
                if beam == 0:
                    return

    def paired(self, pairs: Tensor, keep: int) -> Iterator[_State]:
        """The ``keep`` best pairs of the rows at ``pairs``."""
        rows = self.rows[pairs]
        for i, j in best_pairs(rows, self.multiplier, self.start.residual, self.base, keep):
            one = self.grown(self.start, int(pairs[i]))
            both = None if one is None else self.grown(one, int(pairs[j]))
            if both is not None:
                yield both


def best_subsets(
    rows: Tensor,
    multiplier: Tensor,
    target: Tensor,
    base: Tensor,
    beams: Sequence[int],
    check: Callable[[], None],
    bias: Tensor | None = None,
    pairs: Tensor | None = None,
) -> list[Subset]:
    """Subsets of 1..len(beams) rows that leave the least of ``target``.

    >>> rows = torch.eye(3, 4, dtype=torch.float64)                     # [m, n]
    >>> target = torch.tensor([1.0, 0.0, 2.0, 0.0], dtype=torch.float64)
    >>> one = torch.ones(4, dtype=torch.float64)
    >>> best_subsets(rows, one, target, rows[:0].T, (1, 1), lambda: None)
    [Subset(indices=(2,), unexplained=0.2), Subset(indices=(0, 2), unexplained=0.0)]

    Args:
        rows: the library [m, n], float32 or float64.
        multiplier: factor on every row's samples [n]: the roots of the weights, perhaps over the
            target.
        target: [n], float64, already weighted.
        base: columns that are always in the model [n, q], float64, already weighted.
        beams: how many subsets survive at each size.
        check: called at least every tenth of a second or so of work; may raise.
        bias: factor >= 1 on what a row leaves [m], to prefer simple rows.
        pairs: rows of which all pairs are tried, which no beam can lose.
    """
    if rows.shape[0] == 0:
        return []
    library = _Rows(rows, multiplier, target, base, bias)
    if library.total <= EXPLAINED * float(target @ target):
        return []
    states = [library.start]
    found: list[_State] = []
    for size, beam in enumerate(beams, start=1):
        states = list(library.extended(states, beam, check))
        if size == 2 and pairs is not None:
            known = {state.indices for state in states}
            states += [s for s in library.paired(pairs, beam) if s.indices not in known]
        found += states
        if not states:
            break
    return [Subset(s.indices, float(s.residual @ s.residual) / library.total) for s in found]
