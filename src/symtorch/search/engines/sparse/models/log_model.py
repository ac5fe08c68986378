"""The logarithm of the target as a weighted linear model: a constant, and the inputs' powers.

The powers of the inputs are always in the model. Nearly every product has some, their exponents
are unknown real numbers, and as columns of a linear model they cost nothing: one fit finds all of
them. The selection is left with what is *not* a power of an input, and that is one or two
factors, where the powers included it would be five or six and no beam wide enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import least_squares, orthonormal
from .context import SearchContext
from .factors import log_abs
from .transforms import IDENTITY, TargetTransform


@dataclass
class LogModel:
    """``log|z| = c + sum p_i log|x_i| + ...`` on the screening rows, z the transformed target.

    Args:
        context: of the search.
        transform: whose ``forward(y)`` is a product.
        relative: whether every row counts the same (exact data over decades) or as in least
            squares of y (noise).

    Attributes:
        z: [n], 1 where there is no logarithm.
        target: ``log|z|`` [n].
        root: square roots of the rows' weights [n].
        powers: the inputs that have a logarithm.
        base: columns of the constant and of these logarithms [n, 1 + len(powers)].
    """

    context: SearchContext
    transform: TargetTransform = IDENTITY
    relative: bool = True

    def __post_init__(self) -> None:
        X, y = self.context.screen.X, self.context.screen.y
        z = self.transform.forward(y)
        good = torch.isfinite(z) & (z != 0)
        self.z = torch.where(good, z, torch.ones_like(z))
        self.target = log_abs(self.z)
        # Weight: rounding and noise in y reach log|z| through its derivative dz/dy / z.
        spread = (self.transform.derivative(y) * y.abs() / self.z).abs()
        weight = torch.where(
            good & torch.isfinite(spread), 1 / spread.clamp_min(1.0), torch.zeros_like(z)
        )
        if not self.relative:
            # An error e of y moves log|z| by e * dz/dy / z: least squares of y weighs by the
            # inverse.
            size = (self.z / self.transform.derivative(y)).abs().nan_to_num(0.0, 0.0, 0.0)
            weight = torch.where(good, size / float(size.max()), torch.zeros_like(z))
        self.root = (weight * self.context.screen.weights.clamp_min(0).sqrt()).clamp_max(1e3)
        self.powers = []
        columns = [torch.ones_like(z)]
        for i in range(X.shape[1]):
            # A zero input does no harm on rows where the target is zero too: those carry no weight.
            logs = log_abs(torch.where(self.root > 0, X[:, i], torch.ones_like(z)))
            if bool(torch.isfinite(logs).all()) and float(logs.std(correction=0)) > 1e-9:
                self.powers.append(i)
                columns.append(logs - logs.mean())
        self.base = torch.stack(columns, dim=1)

    @property
    def empty(self) -> bool:
        """Whether no row has a weight."""
        return not bool((self.root > 0).any())

    def columns(self, rows: Sequence[Tensor]) -> Tensor:
        """The base and further rows [n] each, centred, with the weights' roots: [n, q]."""
        rows = [r.nan_to_num(0.0, 0.0, 0.0) for r in rows]
        rows = [r - r.mean() for r in rows]
        return torch.cat([self.base, *(r[:, None] for r in rows)], dim=1) * self.root[:, None]

    def unexplained(self, rows: Sequence[Tensor] = ()) -> tuple[Tensor, Tensor]:
        """An orthonormal basis of the columns [n, q], and what they leave of the target [n]."""
        basis = orthonormal(self.columns(rows))
        target = self.target * self.root
        return basis, target - basis @ (basis.T @ target)

    def fit(self, rows: Sequence[Tensor] = ()) -> tuple[list[float], float]:
        """Coefficients by weighted least squares, and the relative residual."""
        A = self.columns(rows)
        b = self.target * self.root
        size = A.norm(dim=0).clamp_min(1e-300)
        solution = least_squares(A / size, b) / size
        left = b - A @ solution
        return solution.tolist(), float((left @ left) / (self.root @ self.root).clamp_min(1e-300))


def power_law(context: SearchContext) -> tuple[list[float], Tensor]:
    """The product of powers nearest to the screened target: exponents [d] (0 where there can be
    none), values [n]."""
    model = LogModel(context)
    coefficients, _ = model.fit()
    exponents = [0.0] * context.screen.X.shape[1]
    for i, p in zip(model.powers, coefficients[1:], strict=True):
        exponents[i] = p
    fitted = model.base @ torch.tensor(
        coefficients, dtype=model.base.dtype, device=model.base.device
    )
    return exponents, fitted.exp()
