"""Forward selection: the terms that explain most of what is left, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...selection import ColumnSelection, strongest
from .frame import Frame
from .terms import Term, product

COLLINEAR = 0.01
"""Share of a term's power that must be new to the sum."""

ROUNDING = 1e-12
"""Spread of a term next to its size below which it is a constant but for rounding."""


class Pool:
    """Terms to choose from, with their columns; it may grow while terms are chosen."""

    def __init__(self, frame: Frame, terms: Sequence[Term]) -> None:
        self.frame = frame
        self.terms: list[Term] = []
        target = torch.from_numpy(frame.target)
        self.selection = ColumnSelection(target, target.new_zeros(len(target), 0), COLLINEAR)
        self.add(terms)

    def add(self, terms: Sequence[Term]) -> None:
        """Put terms into the pool, except those that are constant or not finite on all rows."""
        if not terms:
            return
        values = self.frame.values([term.node for term in terms])
        columns = self.frame.deviations(values)
        with np.errstate(all="ignore"):
            spread = np.linalg.norm(columns, axis=0)
            usable = np.isfinite(spread) & (spread > ROUNDING * np.abs(values).max(axis=0))
        self.terms += [term for term, ok in zip(terms, usable, strict=True) if ok]
        self.selection.add(torch.from_numpy(columns[:, usable]))

    def take(self, position: int) -> Term:
        """Make a term part of the sum."""
        self.selection.take(position)
        return self.terms[position]


def best_gains(pool: Pool) -> dict[int, float]:
    """What the best single term of each input gains."""
    best: dict[int, float] = {}
    for term, gain in zip(pool.terms, pool.selection.gains().tolist(), strict=True):
        best[term.inputs[0]] = max(gain, best.get(term.inputs[0], 0.0))
    return best


def strongest_inputs(pool: Pool, count: int) -> list[int]:
    """Inputs whose best single term gains most, the best first."""
    best = best_gains(pool)
    return sorted(best, key=lambda position: -best[position])[:count]


def grown_sums(pool: Pool, partners: Sequence[Term], count: int) -> Iterator[list[Term]]:
    """Sums of 1, 2, ... ``count`` terms.

    After a step or ramp was chosen, its constants are tuned on what the terms before it
    left; after any single term, its products with the partners join the pool, as in MARS
    (Friedman 1991, https://doi.org/10.1214/aos/1176347963).
    """
    chosen: list[Term] = []
    while len(chosen) < count:
        position = strongest(pool.selection)
        if position is None:
            return
        tuned = pool.terms[position].nearby()
        if tuned:
            first = len(pool.terms)
            pool.add(tuned)
            gains = pool.selection.gains()
            better = strongest(pool.selection, first)
            if better is not None and gains[better] > gains[position]:
                position = better
        term = pool.take(position)
        chosen.append(term)
        pool.add([joint for other in partners if (joint := product(term, other)) is not None])
        yield list(chosen)
