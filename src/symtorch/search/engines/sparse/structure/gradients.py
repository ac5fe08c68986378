"""Gradients of an oracle at recorded rows, and how they change with the variables.

Relations between them tell which inputs enter together, as in AI Feynman 2.0 (Udrescu et al.
2020, "AI Feynman 2.0: Pareto-optimal symbolic regression exploiting graph modularity").
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....problem import Problem

log = logging.getLogger(__name__)

GRADIENT_ROWS = 512
"""About how many rows an oracle is asked at."""


@dataclass(frozen=True)
class Derivatives:
    """A function at some points: ``X`` [m, d], ``values`` [m], ``gradients`` [m, d]."""

    X: Tensor
    values: Tensor
    gradients: Tensor

    @classmethod
    def of(cls, problem: Problem) -> Derivatives | None:
        """Ask the oracle at recorded rows; None where there is none or it has no answer."""
        if problem.oracle is None:
            return None
        rows = problem.train.X
        points = rows[:: max(1, math.ceil(len(rows) / GRADIENT_ROWS))].clone().requires_grad_()
        try:
            with torch.enable_grad():
                values = problem.oracle(points)
                (gradients,) = torch.autograd.grad(values.sum(), points)
        except Exception as error:  # it may be any code; without it there are only no hints
            log.debug("the oracle has no gradient: %s", error)
            return None
        finite = torch.isfinite(gradients).all(1) & torch.isfinite(values)
        if int(finite.sum()) < 16:
            return None
        points = points.detach()
        return cls(points[finite], values.detach()[finite].double(), gradients[finite].double())

    def influence(self) -> Tensor:
        """How far each input moves the output over its range, relative to the output's spread.

        The mean absolute derivative times the input's standard deviation [d]; a derivative-based
        global sensitivity measure (Sobol & Kucherenko 2009).
        """
        spread = self.values.std().clamp_min(1e-300)
        return self.gradients.abs().mean(0) * self.X.std(0) / spread

    def selected(self, columns: Sequence[int]) -> Derivatives:
        """With only some of the inputs."""
        keep = list(columns)
        return Derivatives(self.X[:, keep], self.values, self.gradients[:, keep])

    def divided(self, factor: Tensor, column: int, slope: Tensor) -> Derivatives:
        """Of ``f / factor``, where the factor [m] reads one column and has the derivative
        ``slope`` [m]."""
        # Errors of values and gradients grow by 1/factor and 1/factor^2.
        rows = usable(factor, 0.3)
        gradients = self.gradients / factor[:, None]
        gradients[:, column] -= self.values * slope / factor**2
        return Derivatives(self.X[rows], (self.values / factor)[rows], gradients[rows])

    def reduced(self, column: int, slope: float) -> Derivatives:
        """Of ``f - slope * column``."""
        gradients = self.gradients.clone()
        gradients[:, column] -= slope
        return Derivatives(self.X, self.values - slope * self.X[:, column], gradients)

    def combined(self, i: int, j: int, u: Tensor, by_i: Tensor, by_j: Tensor) -> Derivatives:
        """Over ``u`` [m], put last, in place of two inputs; its derivatives by them are given.

        By the chain rule ``f_i = f_u u_i`` and ``f_j = f_u u_j``, in the least squares sense.
        """
        by_u = (self.gradients[:, i] * by_i + self.gradients[:, j] * by_j) / (
            by_i**2 + by_j**2
        ).clamp_min(1e-300)
        keep = [k for k in range(self.X.shape[1]) if k not in (i, j)]
        return Derivatives(
            torch.cat([self.X[:, keep], u[:, None]], dim=1),
            self.values,
            torch.cat([self.gradients[:, keep], by_u[:, None]], dim=1),
        )


def usable(factor: Tensor, share: float = 0.05) -> Tensor:
    """Rows where a factor [n] is not below this share of its median size, nor infinite."""
    size = factor.abs()
    return (size > share * size.median()) & torch.isfinite(factor)


def defect(left: Tensor, right: Tensor) -> float:
    """How far ``left = right`` [m] is from true, relative to both; the worst tenth is forgiven.

    >>> defect(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    0.0
    """
    off, size = (left - right) ** 2, left**2 + right**2
    # Near the edges of the data a network's gradient is off by more than elsewhere.
    kept = off <= torch.quantile(off, 0.9)
    total = float(size[kept].sum())
    share = math.sqrt(float(off[kept].sum()) / total) if total > 0 else math.inf
    return share if math.isfinite(share) else math.inf
