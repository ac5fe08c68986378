"""Forward selection: the terms that explain most of what is left, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .frame import Frame
from .terms import Array, Term, product

COLLINEAR = 0.01
"""Share of a term's power that must be new to the sum."""

EXPLAINED = 1e-20
"""Share of the squared target below which nothing is left to explain."""


class Pool:
    """Terms with their columns, and how much of each the chosen ones already say."""

    def __init__(self, frame: Frame, terms: Sequence[Term]) -> None:
        self.frame = frame
        self.terms: list[Term] = []
        self.residual = frame.target
        self._basis = np.zeros((len(frame.target), 0))
        self._columns = np.zeros((len(frame.target), 0))
        self._power = np.zeros(0)
        self._left = np.zeros(0)
        self.add(terms)

    def add(self, terms: Sequence[Term]) -> None:
        """Put terms into the pool; those that are not finite on all rows stay out."""
        if not terms:
            return
        columns = self.frame.deviations(self.frame.values([term.node for term in terms]))
        usable: npt.NDArray[np.bool_] = np.asarray(np.isfinite(columns).all(axis=0))
        columns = columns[:, usable]
        power = np.square(columns).sum(axis=0)
        self.terms += [term for term, ok in zip(terms, usable, strict=True) if ok]
        self._columns = np.hstack([self._columns, columns])
        self._power = np.concatenate([self._power, power])
        seen = np.square(self._basis.T @ columns).sum(axis=0)
        self._left = np.concatenate([self._left, power - seen])

    def gains(self) -> Array:
        """The squared residual that each term would take away: [terms]."""
        free = np.maximum(self._left, 1e-300)
        new = self._left > np.maximum(COLLINEAR * self._power, 1e-24)
        return np.where(new, np.square(self.residual @ self._columns) / free, 0.0)

    def best(self, among: slice = slice(None)) -> int | None:
        """Position of the term with the largest gain; None where none has any."""
        gains = self.gains()[among]
        limit = EXPLAINED * float(self.frame.target @ self.frame.target)
        if not len(gains) or gains.max() <= limit:
            return None
        return int(gains.argmax()) + (among.start or 0)

    def take(self, position: int) -> Term:
        """Make a term part of the sum."""
        column = self._columns[:, position]
        # Twice, because once leaves rounding errors of the size of what is almost collinear.
        for _ in range(2):
            column = column - self._basis @ (self._basis.T @ column)
        column = column / np.linalg.norm(column)
        self._basis = np.column_stack([self._basis, column])
        self.residual = self.residual - column * (column @ self.residual)
        self._left = self._left - np.square(column @ self._columns)
        return self.terms[position]


def strongest_inputs(pool: Pool, count: int) -> list[int]:
    """Inputs whose best single term gains most, the best first."""
    best: dict[int, float] = {}
    for term, gain in zip(pool.terms, pool.gains().tolist(), strict=True):
        best[term.inputs[0]] = max(gain, best.get(term.inputs[0], 0.0))
    return sorted(best, key=lambda position: -best[position])[:count]


def forward(pool: Pool, partners: Sequence[Term], count: int) -> Iterator[list[Term]]:
    """Sums of 1, 2, ... ``count`` terms.

    After a step or ramp was chosen, its constants are tuned on what the terms before it
    left; after any single term, its products with the partners join the pool, as in MARS
    (Friedman 1991, https://doi.org/10.1214/aos/1176347963).
    """
    chosen: list[Term] = []
    while len(chosen) < count:
        position = pool.best()
        if position is None:
            return
        tuned = pool.terms[position].nearby()
        if tuned:
            first = len(pool.terms)
            pool.add(tuned)
            better = pool.best(slice(first, None))
            if better is not None and pool.gains()[better] > pool.gains()[position]:
                position = better
        term = pool.take(position)
        chosen.append(term)
        pool.add([made for other in partners if (made := product(term, other)) is not None])
        yield list(chosen)
