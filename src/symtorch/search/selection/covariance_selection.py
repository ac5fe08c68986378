"""Forward selection on covariances: all rows count, and a step costs the same for any number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .greedy import LinearFit, forward

COLLINEAR = 1e-8
"""Share of a term's variance that must be new: covariances carry half the digits of columns."""


@dataclass(frozen=True)
class Covariances:
    """All that least squares asks of the rows: weighted means, and covariances around them.

    Args:
        terms: covariance of the terms [terms, terms].
        target: of the terms with the target [terms].
        means: of the terms [terms].
        level: mean of the target.
        spread: its variance.
    """

    terms: Tensor
    target: Tensor
    means: Tensor
    level: float
    spread: float

    @classmethod
    def of(cls, chunks: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Covariances:
        """From the rows, a chunk at a time.

        Args:
            chunks: terms [rows, terms], target [rows] and weights [rows]. At least one chunk.
        """
        products = sums = torch.zeros((), dtype=torch.float64)
        total = 0.0
        for terms, target, weights in chunks:
            table = torch.cat([terms, target[:, None]], dim=1)
            products = products + table.mT @ (weights[:, None] * table)
            sums = sums + weights @ table
            total += float(weights.sum())
        products, sums = products / total, sums / total
        covariance = products - torch.outer(sums, sums)
        return cls(
            covariance[:-1, :-1],
            covariance[:-1, -1],
            sums[:-1],
            float(sums[-1]),
            float(covariance[-1, -1]),
        )

    def fits(self) -> Iterator[LinearFit]:
        """Sums of one term, of two, ... until no term adds anything."""
        selection = CovarianceSelection(self)
        for _ in forward(selection):
            chosen = selection.chosen
            target = self.target[chosen]
            coefficients = torch.linalg.solve(self.terms[chosen][:, chosen], target)
            yield LinearFit(
                tuple(chosen),
                tuple(coefficients.tolist()),
                self.level - float(coefficients @ self.means[chosen]),
                max(self.spread - float(coefficients @ target), 0.0),
            )


class CovarianceSelection:
    """Terms known by their covariances, and what of these the chosen ones leave."""

    def __init__(self, covariances: Covariances) -> None:
        self.total = covariances.spread
        self.chosen: list[int] = []
        self._before = covariances.terms.diagonal().clone()
        self._terms = covariances.terms.clone()
        self._target = covariances.target.clone()

    def gains(self) -> Tensor:
        """The variance that each term would take away from the residual, were it next [terms]."""
        free = self._terms.diagonal()
        new = free > COLLINEAR * self._before.clamp(min=1e-300)
        return torch.where(new, self._target.square() / free.clamp(min=1e-300), 0.0)

    def take(self, term: int) -> None:
        """Choose a term; it gains nothing from then on."""
        # What the term says is taken off all others and off the target (a Gram-Schmidt step).
        share = self._terms[:, term] / self._terms[term, term]
        self._target = self._target - share * self._target[term]
        self._terms = self._terms - torch.outer(share, self._terms[term])
        self._terms[term] = self._terms[:, term] = 0.0
        self.chosen.append(term)
