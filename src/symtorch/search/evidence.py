"""Evidence: how many independent rows a residual is worth, and where an equation breaks down.

What a network has wrong is a smooth function of its inputs, not noise: neighbouring rows are off by
the same amount, so ten thousand rows of it may say no more than fifty independent ones. Counting
rows as independent would let every long equation that follows the network's own error a little
more closely win over the law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..symbolic.expression import Expression
from .problem import Problem

COMPARED_ROWS = 2_000
"""Rows whose neighbours are looked up: all pairs of them are 32 MB of distances."""

NEIGHBOURS = 128
"""Neighbours asked of each row. A residual that is correlated beyond them counts as about
`COMPARED_ROWS` / 128 = 16 rows, few enough for every decision."""

WIDENING = 0.2
"""Share of an input's range that is added on both sides where finiteness is tried."""

PROBES = 512
"""Points of the widened box at which finiteness is tried."""


@dataclass(frozen=True)
class Evidence:
    """What a table says about one equation beside its loss.

    Args:
        effective_rows: how many independent rows the residual is worth; of an equation that was
            put on a front by hand nothing is known, and fifty are assumed.
        finite_nearby: whether the equation is finite on a box a fifth wider than the recorded
            one, wherever the block is.
    """

    effective_rows: float = 50.0
    finite_nearby: bool = True


ASSUMED = Evidence()
"""Of an equation about which no rows were asked."""


class EffectiveRows:
    """Counts independent rows by the correlation of neighbouring residuals.

    The variance of a mean of n equally distributed residuals with correlations rho_ij is that of
    ``n / (1 + sum over j of rho_ij)`` independent ones (the variance inflation of a correlated
    sample, Kish 1965). The correlation is taken by rank: of all rows with their nearest
    neighbour, with their second nearest, ..., up to the first rank where it is lost in chance.

    >>> X = torch.rand(1000, 2, dtype=torch.float64)
    >>> count = EffectiveRows(X)
    >>> noise = torch.randn(1000, dtype=torch.float64)
    >>> count(noise) > 500, count(torch.sin(3 * X[:, 0])) < 50
    (True, True)

    Args:
        X: [rows, inputs].
    """

    def __init__(self, X: Tensor) -> None:
        self.rows = len(X)
        self.compared = torch.arange(0, self.rows, math.ceil(self.rows / COMPARED_ROWS))
        table = X[self.compared.to(X.device)].cpu().double()
        # Columns count alike, whatever their units; constant ones tell no rows apart.
        table = (table - table.mean(0)) / table.std(0, correction=0).clamp_min(1e-300)
        distances = torch.cdist(table, table)
        distances.fill_diagonal_(math.inf)
        count = min(NEIGHBOURS, len(table) - 1)
        self.nearest = distances.topk(count, largest=False).indices

    def __call__(self, residual: Tensor) -> float:
        """Independent rows that a residual [rows] is worth, 1 to ``rows``."""
        values = residual[self.compared.to(residual.device)].cpu().double()
        power = float(values.square().mean())
        if not (power > 0 and math.isfinite(power)):
            return float(self.rows)
        correlation = (values[:, None] * values[self.nearest]).mean(0) / power
        chance = (correlation < 2 / math.sqrt(len(values))).nonzero()
        related = correlation[: int(chance[0])] if len(chance) else correlation
        # Rows that were not compared lie between those that were, with neighbours as near.
        density = self.rows / len(values)
        return max(1.0, self.rows / (1 + density * float(related.sum())))


class Surroundings:
    """Points around a problem's rows, where its function is finite.

    Without an oracle nothing is known outside of the rows, and every equation passes.
    """

    def __init__(self, problem: Problem) -> None:
        X = problem.train.X
        self.names = problem.names
        self.points = X[:0]
        if problem.oracle is None:
            return
        low, high = X.amin(0), X.amax(0)
        margin = WIDENING * (high - low)
        generator = torch.Generator().manual_seed(0)
        unit = torch.rand(PROBES, X.shape[1], generator=generator, dtype=X.dtype).to(X.device)
        points = low - margin + unit * (high - low + 2 * margin)
        try:
            with torch.no_grad():
                known = torch.isfinite(problem.oracle(points))
        except Exception:  # a block may refuse points it was not made for, for any reason
            return
        self.points = points[known.to(points.device)]

    def allow(self, expression: Expression) -> bool:
        """Whether an equation is finite wherever the function is."""
        columns = {name: self.points[:, i] for i, name in enumerate(self.names)}
        return bool(torch.isfinite(expression(columns)).all())
