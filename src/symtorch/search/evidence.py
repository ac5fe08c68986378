"""Evidence: how many rows a residual is worth, and where an equation breaks down.

What a network has wrong is a smooth function of its inputs, not noise: neighbouring rows are off
together, and ten thousand of them say no more than a few. Counting rows as independent would let
every long equation that follows the network's own error a little more closely win over the law.
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
`COMPARED_ROWS` / 128 = 16 independent rows, few enough for every decision."""

TEACHER_ROWS = 30.0
"""What all rows of a smooth residual count together where it may be the teacher's own error. A
node then has to take away 15 % of the loss. On 37 fronts of networks that hold the law, 25 to 35
choose it every time; with 40 the first longer equation wins."""

SIGNAL_ROWS = 250.0
"""What they count where it is too large to be that: a node then has to take away 2 %, less than
which no reader would want another node for."""

TEACHER_ERROR = 0.01
"""Share of its variance that a network worth distilling may have wrong."""

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


class Neighbours:
    """Which rows of a table are near each other.

    >>> _ = torch.manual_seed(0)
    >>> X = torch.rand(1000, 2, dtype=torch.float64)
    >>> near = Neighbours(X)
    >>> noise, smooth = torch.randn(1000, dtype=torch.float64), torch.sin(3 * X[:, 0])
    >>> round(near.shared(noise), 1), round(near.shared(smooth), 1)
    (0.0, 1.0)

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

    def shared(self, residual: Tensor) -> float:
        """Share of a residual's [rows] mean square that a row has in common with its nearest."""
        related = self._related(residual)
        return min(1.0, float(related[0])) if len(related) else 0.0

    def independent(self, residual: Tensor) -> float:
        """How many independent rows the mean of a residual [rows] is as certain as.

        The variance of a mean of n equally distributed values with correlations rho_ij is that of
        ``n / (1 + sum over j of rho_ij)`` independent ones (Kish 1965). The correlation is taken
        by rank: of all rows with their nearest neighbour, with their second nearest, and so on.
        """
        related = self._related(residual)
        # Rows that were not compared lie between those that were, with neighbours as near.
        density = self.rows / len(self.compared)
        return max(1.0, self.rows / (1 + density * float(related.sum())))

    def _related(self, residual: Tensor) -> Tensor:
        """Correlations with the nearest, the second nearest, ..., up to where chance begins."""
        values = residual[self.compared.to(residual.device)].cpu().double()
        power = float(values.square().mean())
        if not (power > 0 and math.isfinite(power)):
            return values[:0]
        correlation = (values[:, None] * values[self.nearest]).mean(0) / power
        chance = (correlation < 2 / math.sqrt(len(values))).nonzero()
        return correlation[: int(chance[0])] if len(chance) else correlation


def effective_rows(residual: Tensor, shared: float, variance: float) -> float:
    """How many rows count when equations are compared, 1 to all.

    Noise that neighbours do not share counts row by row. What they do share is systematic: the
    form is not quite the block's, and more rows will not change that. Such a likelihood is
    coarsened to a fixed number of rows (Miller & Dunson 2019, "Robust Bayesian inference via
    coarsening"): to few where the residual may be the teacher's own error, to more where it is
    larger than a teacher's error can be.

    Args:
        residual: [rows].
        shared: see `Neighbours.shared`.
        variance: of the block's output.
    """
    mean_square = float(residual.square().mean())
    excess = min(1.0, mean_square / max(TEACHER_ERROR * variance, 1e-300))
    if math.isnan(excess):
        return 1.0
    coarse = TEACHER_ROWS + (SIGNAL_ROWS - TEACHER_ROWS) * excess
    return max(1.0, 1 / ((1 - shared) / len(residual) + shared / coarse))


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
