"""Forward selection on the columns themselves: for few rows, and for terms that come and go."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .greedy import LinearFit, forward

COLLINEAR = 1e-8
"""Share of a column's power that must be new to the model, unless the caller knows better."""

ROUNDING = 1e-12
"""Spread of a column next to its size below which it is a constant but for rounding."""


class ColumnSelection:
    """Columns, and how much of each the chosen ones already say.

    A gain needs two numbers per column: its product with the residual, and its power outside
    the chosen columns. The second is kept up to date with one product per choice, so that
    columns are never deflated and new ones may join at any time.

    >>> table = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    >>> selection = ColumnSelection(torch.tensor([1.0, 3.0, 0.0], dtype=torch.float64), table)
    >>> selection.gains().tolist(), list(forward(selection)), selection.residual.tolist()
    ([1.0, 9.0], [1, 0], [0.0, 0.0, 0.0])

    Args:
        target: [rows], already centred and multiplied by the roots of the weights.
        columns: [rows, terms], the same; finite.
        collinear: share of a column's power that must be new to the model.
    """

    def __init__(self, target: Tensor, columns: Tensor, collinear: float = COLLINEAR) -> None:
        self.total = float(target @ target)
        self.residual = target
        self.collinear = collinear
        self.columns = columns
        self.chosen: list[int] = []
        self._target = target
        self._basis = columns[:, :0]
        self._power = columns.square().sum(dim=0)
        self._free = self._power

    def add(self, columns: Tensor) -> None:
        """Let further columns take part: [rows, terms]."""
        power = columns.square().sum(dim=0)
        seen = (self._basis.T @ columns).square().sum(dim=0)
        self.columns = torch.cat([self.columns, columns], dim=1)
        self._power = torch.cat([self._power, power])
        self._free = torch.cat([self._free, power - seen])

    def gains(self) -> Tensor:
        """The squared residual that each term would take away, were it next [terms]."""
        gains = self.overlaps() / self._free.clamp_min(1e-300)
        return torch.where(self._free > self.collinear * self._power, gains, 0.0)

    def overlaps(self) -> Tensor:
        """Squared product of each column with the residual [terms], what matching pursuit ranks
        by: the gain, were the column orthogonal to the chosen ones and of unit length."""
        return (self.residual @ self.columns).square()

    def take(self, term: int) -> None:
        """Choose a term; it gains nothing from then on."""
        column = self.columns[:, term]
        # Twice, because once leaves rounding errors of the size of what is almost collinear.
        for _ in range(2):
            column = column - self._basis @ (self._basis.T @ column)
        column = column / column.norm()
        self._basis = torch.cat([self._basis, column[:, None]], dim=1)
        self.residual = self.residual - column * (column @ self.residual)
        self._free = self._free - (column @ self.columns).square()
        self._free[term] = 0.0
        self.chosen.append(term)

    def coefficients(self) -> Tensor:
        """Those of the chosen columns in least squares [chosen]."""
        upper = self._basis.T @ self.columns[:, self.chosen]
        right = (self._basis.T @ self._target)[:, None]
        solution: Tensor = torch.linalg.solve_triangular(upper, right, upper=True)
        return solution[:, 0]


def forward_fits(table: Tensor, y: Tensor, weights: Tensor) -> Iterator[LinearFit]:
    """Sums of one term, of two, ... each with the coefficients of weighted least squares.

    Only as many are worked out as are asked for; time and memory grow with rows times terms.

    >>> X = torch.rand(50, 400, dtype=torch.float64)                    # [rows, terms]
    >>> y = 2 * X[:, 7] - X[:, 300] + 0.5
    >>> fits = forward_fits(X, y, torch.ones(50, dtype=torch.float64))
    >>> first, second = next(fits), next(fits)
    >>> first.terms, second.terms, [round(c, 6) for c in second.coefficients]
    ((7,), (7, 300), [2.0, -1.0])

    Args:
        table: [rows, terms], float64, finite.
        y: [rows].
        weights: [rows], not negative, not all zero.

    Yields:
        Fits until no term adds anything; none where the target does not vary.
    """
    weights = weights / weights.sum()
    root = weights.sqrt()
    means, level = weights @ table, weights @ y
    columns = (table - means) * root[:, None]
    # What varies by rounding alone explains nothing.
    varies = columns.square().sum(dim=0).sqrt() > ROUNDING * table.abs().amax(dim=0)
    selection = ColumnSelection((y - level) * root, torch.where(varies, columns, 0.0))
    for _ in forward(selection):
        coefficients = selection.coefficients()
        yield LinearFit(
            tuple(selection.chosen),
            tuple(coefficients.tolist()),
            float(level - coefficients @ means[selection.chosen]),
            float(selection.residual @ selection.residual),
        )
