"""Problem: one regression task, split into rows to fit and rows to judge by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import InputError, warn_user
from ..symbolic.expression import Expression

Oracle = Callable[[torch.Tensor], torch.Tensor]
"""The function being distilled, on new points: [m, inputs] -> [m], differentiable."""


LARGEST = 1e100
"""Size of a column's values beyond which its squares and products leave float64; the inverse is
where they vanish."""

OUTLYING = 1e8
"""Interquartile ranges from the median beyond which an output is named as an outlier."""

FEWEST_ROWS = 10
QUANTILE_ROWS = 100_000


@dataclass(frozen=True)
class Sample:
    """Rows of a table: ``X`` [rows, inputs], ``y`` [rows], ``weights`` [rows], float64."""

    X: torch.Tensor
    y: torch.Tensor
    weights: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: torch.Tensor) -> Sample:
        """The rows with these indices."""
        return Sample(self.X[rows], self.y[rows], self.weights[rows])

    @property
    def variance(self) -> float:
        """Weighted variance of ``y``."""
        share = self.weights / self.weights.sum()
        return float(share @ (self.y - share @ self.y).square())

    def loss(self, prediction: torch.Tensor) -> float:
        """Weighted mean squared error; inf where the prediction is not finite."""
        squared = self.weights * (prediction - self.y) ** 2
        loss = float(squared.sum() / self.weights.sum())
        return loss if math.isfinite(loss) else math.inf


@dataclass(frozen=True)
class Problem:
    """What an engine is asked to explain.

    >>> X = torch.rand(100, 2)
    >>> problem = Problem.split(X, X[:, 0] * 2 + 1, ["a", "b"], validation_fraction=0.2)
    >>> problem.train.X.shape, len(problem.validation), problem.names
    (torch.Size([80, 2]), 20, ('a', 'b'))

    Args:
        train: rows to fit.
        validation: rows that decide between candidates; never fitted.
        names: a name per input column.
        precision: relative precision of the numbers (machine epsilon of the type they
            were recorded in); residuals below it carry no information.
        oracle: the function itself, where it can be queried.
    """

    train: Sample
    validation: Sample
    names: tuple[str, ...]
    precision: float = 2.2e-16
    oracle: Oracle | None = None

    @classmethod
    def split(
        cls,
        X: torch.Tensor,
        y: torch.Tensor,
        names: Sequence[str] | None = None,
        *,
        weights: torch.Tensor | None = None,
        validation_fraction: float = 0.25,
        random_state: int = 0,
        oracle: Oracle | None = None,
        precision: float | None = None,
    ) -> Problem:
        """Check a table and split it at random.

        Args:
            X: [rows, inputs].
            y: [rows].
            names: a name per column of ``X``; ``x0, x1, ...`` by default.
            weights: [rows], non-negative; 1 by default.
            validation_fraction: share of the rows held out, 0 to below 1. With 0 the
                rows that are fitted are also the ones that judge.
            random_state: seed of the split.
            oracle: see the class.
            precision: see the class; machine epsilon of ``y``'s type by default.

        Raises:
            InputError: shapes that do not fit, no rows, values that are not finite.
        """
        if X.ndim != 2 or y.shape != X.shape[:1]:
            raise InputError(f"need X [rows, inputs] and y [rows]; got {[*X.shape]}, {[*y.shape]}")
        names = tuple(names) if names is not None else tuple(f"x{i}" for i in range(X.shape[1]))
        if len(names) != X.shape[1]:
            raise InputError(f"{len(names)} names for {X.shape[1]} input columns: {[*names]}")
        if not 0 <= validation_fraction < 1:
            raise InputError(f"validation_fraction must be in [0, 1); got {validation_fraction}")
        rows = len(y)
        if rows < 2:
            raise InputError(f"a law cannot be found from {rows} row(s); record more data")
        if precision is None:
            precision = torch.finfo(y.dtype).eps if y.dtype.is_floating_point else 2.2e-16
        table = Sample(
            X.detach().double(),
            y.detach().double(),
            torch.ones_like(y, dtype=torch.float64)
            if weights is None
            else _checked_weights(weights, rows).to(y.device, torch.float64),
        )
        _check_finite(table.X, names, "input")
        _check_finite(table.y[:, None], ("target",), "output")
        _check_size(table.X, names, "input")
        _check_size(table.y[:, None], ("target",), "output")
        _warn_of_outliers(table.y)
        # Rows without weight say nothing, and a half made of them alone could not judge.
        table = table.take((table.weights > 0).nonzero().flatten())
        if (rows := len(table)) < 2:
            raise InputError(f"a law cannot be found from {rows} row(s) with a weight")
        generator = torch.Generator().manual_seed(random_state)
        order = torch.randperm(rows, generator=generator).to(y.device)
        held_out = min(math.ceil(rows * validation_fraction), rows - 1)
        train = table.take(order[held_out:].sort().values)
        validation = table.take(order[:held_out].sort().values) if held_out else train
        return cls(train, validation, names, precision, oracle)

    @property
    def loss_floor(self) -> float:
        """Mean squared error that rounding alone leaves; below it, losses are equal."""
        scale = float((self.train.weights * self.train.y**2).sum() / self.train.weights.sum())
        return max((64 * self.precision) ** 2 * scale, 1e-300)

    def predict(self, expression: Expression, sample: Sample) -> torch.Tensor:
        """Evaluate a candidate on the rows of a sample: [rows]."""
        # Thousands of columns need not be touched for the two that an equation reads; a
        # constant takes its shape from the first.
        used = set(expression.variables) or {self.names[0]}
        columns = {name: sample.X[:, i] for i, name in enumerate(self.names) if name in used}
        return expression(columns)

    def select(self, columns: Sequence[int]) -> Problem:
        """The problem with only some of the input columns (no oracle: it needs all)."""
        keep = list(columns)
        return replace(
            self,
            train=replace(self.train, X=self.train.X[:, keep]),
            validation=replace(self.validation, X=self.validation.X[:, keep]),
            names=tuple(self.names[i] for i in keep),
            oracle=None,
        )


def _checked_weights(weights: torch.Tensor, rows: int) -> torch.Tensor:
    if weights.shape != (rows,):
        raise InputError(f"weights must be [rows] = [{rows}]; got {[*weights.shape]}")
    if not bool(torch.isfinite(weights).all()) or bool((weights < 0).any()):
        raise InputError("weights must be finite and not negative")
    if not bool((weights > 0).any()):
        raise InputError("all weights are zero")
    return weights


def _check_finite(table: torch.Tensor, names: Sequence[str], kind: str) -> None:
    bad = (~torch.isfinite(table)).sum(0)
    for name, count in zip(names, bad.tolist(), strict=True):
        if count:
            raise InputError(
                f"{kind} column '{name}' has {count} value(s) that are NaN or infinite "
                f"in {len(table)} rows; clean the data before distilling"
            )


def _check_size(table: torch.Tensor, names: Sequence[str], kind: str) -> None:
    """Refuse columns whose squares, or the squares of products, leave float64."""
    largest = table.abs().amax(0).tolist() if len(table) else []
    for name, size in zip(names, largest, strict=False):
        if size > LARGEST or 0 < size < 1 / LARGEST:
            raise InputError(
                f"{kind} column '{name}' has values of the size {size:.1e}, whose squares leave "
                f"float64; divide it by {10.0 ** math.floor(math.log10(size)):.0e}"
            )


def _warn_of_outliers(y: torch.Tensor) -> None:
    """Name a few rows beside which all others look alike."""
    if len(y) < FEWEST_ROWS:
        return
    some = y[:: math.ceil(len(y) / QUANTILE_ROWS)]
    low, middle, high = some.quantile(some.new_tensor([0.25, 0.5, 0.75])).tolist()
    far = (y - middle).abs() > OUTLYING * (high - low)
    if high > low and bool(far.any()):
        warn_user(
            f"{int(far.sum())} of {len(y)} outputs are more than {OUTLYING:.0e} times as far from "
            f"the median as most (the first in row {int(far.nonzero()[0])}); they alone decide "
            f"what fits, so leave them out, give them weights, or fit the logarithm",
            UserWarning,
        )
