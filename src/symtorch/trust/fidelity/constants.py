"""How well the rows determine an equation's constants."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...search.evidence import Neighbours
from ...symbolic.expression import Expression
from ...symbolic.nodes import name_constants

QUANTILE = 1.96
"""Of the normal distribution, for 95 %."""

LOOSE = 0.5
"""Half width of an interval, relative to the constant, from which it counts as not determined."""


@dataclass(frozen=True)
class ConstantInterval:
    """A fitted constant, and the range that other rows of the same kind would have led to.

    Args:
        value: in the equation.
        standard_error: inf where the rows do not determine it.
    """

    value: float
    standard_error: float

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return self.value - QUANTILE * self.standard_error

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval."""
        return self.value + QUANTILE * self.standard_error

    @property
    def determined(self) -> bool:
        """Whether the interval is narrow against the value."""
        return QUANTILE * self.standard_error <= LOOSE * abs(self.value)


def intervals_of(
    expression: Expression, variables: Mapping[str, Tensor], residual: Tensor, X: Tensor
) -> tuple[ConstantInterval, ...]:
    """Standard errors from the sandwich estimate at the fitted constants.

    ``(J'J)^-1 J' diag(r^2) J (J'J)^-1`` (White 1980) is what a bootstrap over rows tends to, with
    no refits: it needs no independent noise of equal size. A deterministic block has no noise at
    all; the intervals then say how the constants would move with other rows, because the form is
    not quite the block's. Rows whose residuals are correlated count as the fewer independent ones
    that they are worth.

    Args:
        expression: with its constants as fitted.
        variables: columns [rows] by name.
        residual: [rows], equation less block.
        X: [rows, columns], where neighbours are looked for.
    """
    values = expression.constants
    if not values:
        return ()
    jacobian = _jacobian(expression, variables, len(residual))
    finite = torch.isfinite(jacobian).all(1) & torch.isfinite(residual)
    jacobian, residual, X = jacobian[finite], residual[finite], X[finite]
    if len(residual) <= len(values):
        return tuple(ConstantInterval(value, math.inf) for value in values)
    size = jacobian.norm(dim=0).clamp_min(1e-300)
    scaled = jacobian / size
    inverse = torch.linalg.pinv(scaled.T @ scaled, hermitian=True, rtol=1e-10)
    weighted = scaled * residual[:, None]
    covariance = inverse @ (weighted.T @ weighted) @ inverse
    correlated = len(residual) / Neighbours(X).independent(residual)
    errors = (covariance.diagonal().clamp_min(0) * correlated).sqrt() / size
    # What the pseudoinverse leaves out is a combination that moves without a trace in the rows.
    seen = (inverse @ (scaled.T @ scaled)).diagonal() > 0.5
    return tuple(
        ConstantInterval(value, error if known else math.inf)
        for value, error, known in zip(values, errors.tolist(), seen.tolist(), strict=True)
    )


def _jacobian(expression: Expression, variables: Mapping[str, Tensor], rows: int) -> Tensor:
    """[rows, constants]: each constant has a copy per row, so that one backward pass is enough."""
    like = next(iter(variables.values()))
    leaves = [
        torch.full((rows,), value, dtype=like.dtype, requires_grad=True)
        for value in expression.constants
    ]
    names = {i: f"_constant_{i}" for i in range(len(leaves))}
    opened = Expression(name_constants(expression.root, names))
    with torch.enable_grad():
        values = opened({**variables, **dict(zip(names.values(), leaves, strict=True))})
        gradients = torch.autograd.grad(values.sum(), leaves, allow_unused=True)
    columns = [
        torch.zeros_like(leaf) if gradient is None else gradient
        for leaf, gradient in zip(leaves, gradients, strict=True)
    ]
    return torch.stack(columns, dim=1).detach()
