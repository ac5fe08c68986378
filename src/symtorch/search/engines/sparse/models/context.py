"""What every stage shares: rows, vocabulary, clock, and the store of candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ....constants import System
from ....problem import Sample
from ..trees.folding import folded
from ..trees.polish import fitted, rounded, system_of
from ..trees.tree import Tree, constants_of, inputs_of, skeleton, values_of
from ..trees.vocabulary import Vocabulary

EXACT = 1e-11
"""Relative error, root mean square over the rows, below which a candidate counts as the law
itself."""


@dataclass
class FittedTree:
    """A fitted tree and its losses on the rows that fitted it and on those that judge."""

    tree: Tree
    complexity: float
    loss: float
    holdout: float


@dataclass
class Archive:
    """Best candidate per complexity, by held-out loss."""

    best: dict[float, FittedTree] = field(default_factory=dict)

    def add(self, candidate: FittedTree) -> None:
        """Keep the candidate where it is the best of its size."""
        held = self.best.get(candidate.complexity)
        if held is None or candidate.holdout < held.holdout:
            self.best[candidate.complexity] = candidate

    def front(self, rows: int) -> list[FittedTree]:
        """Simplest first; each better on the held-out ``rows`` than all simpler ones, by more
        than chance.

        One superfluous constant changes a mean over m rows by about 1/m of itself.
        """
        kept: list[FittedTree] = []
        needed = 1 - min(0.05, 6 / rows)
        for cost in sorted(self.best):
            if not kept or self.best[cost].holdout < kept[-1].holdout * needed:
                kept.append(self.best[cost])
        return kept


class OutOfTimeError(Exception):
    """The budget is spent; raised deep inside a stage and caught by the engine."""


@dataclass
class SearchContext:
    """One search.

    screen: rows on which libraries are evaluated; fit: rows on which constants are fitted;
    holdout: rows that judge. expired: whether the time is up. floor: squared error that rounding
    alone leaves. precision: relative, of the numbers.
    exact_size: complexity of the simplest exact law so far.
    """

    screen: Sample
    fit: Sample
    holdout: Sample
    vocabulary: Vocabulary
    generator: torch.Generator
    maxsize: float
    floor: float
    precision: float
    expired: Callable[[], bool]
    acceptable: Callable[[Tree], bool] = lambda tree: True
    archive: Archive = field(default_factory=Archive)
    tried: dict[Tree, int] = field(default_factory=dict)
    exact_size: float = math.inf
    short_enough: float = math.inf

    @property
    def solved(self) -> bool:
        """Whether an exact law is known that the current stage could hardly shorten
        (``short_enough``)."""
        return self.exact_size < math.inf and self.exact_size <= self.short_enough

    def check(self) -> None:
        """Raise when the budget is spent. Called at least every tenth of a second or so of work."""
        if self.expired():
            raise OutOfTimeError

    def relative_weights(self, sample: Sample) -> Tensor:
        """Weights that make the loss a mean squared *relative* error [n], tempered near zeros of
        the target."""
        size = sample.y.abs()
        size = size.clamp_min(1e-6 * float(size.median()) + 1e-300)
        return sample.weights / sample.weights.mean() / size**2

    def consider(self, tree: Tree | None, steps: int = 25) -> float:
        """Fit, judge and store one candidate. Returns its mean squared relative error (inf if
        unusable)."""
        self.check()
        if (
            tree is None
            or self.vocabulary.complexity(tree) >= min(self.maxsize + 1, self.exact_size + 3)
            or not inputs_of(tree)
        ):
            return math.inf
        if not all(math.isfinite(value) for value in constants_of(tree)):
            return math.inf
        key = skeleton(tree)
        # The same form from other starting constants may find another valley: three chances.
        if self.tried.get(key, 0) >= 3 or not self.acceptable(tree):
            return math.inf
        self.tried[key] = self.tried.get(key, 0) + 1
        relative = self._system(tree, self.relative_weights(self.fit))
        candidate, error = fitted(tree, relative, steps, target=1e-26)
        if error <= EXACT**2:
            floor = max(100 * error, 1e-24)
            candidate, error = rounded(candidate, relative, error, floor, 0.0, 1e-5)
            self.store(candidate)
            return error
        start = candidate if math.isfinite(error) else tree
        plain = self._system(start, self.fit.weights / self.fit.weights.mean())
        candidate, loss = fitted(start, plain, steps)
        if math.isfinite(loss):
            self.store(candidate)
            simple, _ = rounded(candidate, plain, loss, self.floor, 0.01, 0.02)
            if constants_of(simple) != constants_of(candidate):
                self.store(simple)
        return error

    def _system(self, tree: Tree, weights: Tensor) -> System:
        return system_of(tree, self.fit.X, self.fit.y, weights, self.vocabulary.functions)

    def store(self, tree: Tree) -> None:
        """Judge a fitted tree and keep it where it is the best of its size."""
        tree = folded(tree, self.vocabulary)
        complexity = self.vocabulary.complexity(tree)
        if complexity > self.maxsize:
            return
        functions = self.vocabulary.functions
        train = self.fit.loss(values_of(tree, self.fit.X, functions).expand(len(self.fit)))
        held = self.holdout.loss(
            values_of(tree, self.holdout.X, functions).expand(len(self.holdout))
        )
        if math.isfinite(train) and math.isfinite(held):
            self.archive.add(FittedTree(tree, complexity, train, max(held, self.floor)))
            if complexity < self.exact_size and self.is_exact(tree):
                self.exact_size = complexity

    def is_exact(self, tree: Tree) -> bool:
        """Whether the tree meets every row to about the precision of the numbers.

        Row by row, as the mean square is decided by the largest values alone.
        """
        for sample in (self.fit, self.holdout):
            value = values_of(tree, sample.X, self.vocabulary.functions)
            size = sample.y.abs()
            # Numbers computed in single precision (by a network, say) are off by as much
            # as the larger ones they came from.
            coarse = self.precision > EXACT
            # Where the target crosses zero no digit is certain, but small values are to be
            # met as well as large ones: those of an exponential span many decades.
            small = float(size.quantile(0.1)) or float(size.mean())
            size = size + (float(size.median()) if coarse else 1e-6 * small) + 1e-300
            limit = 64 * self.precision if coarse else 30 * EXACT
            if not float(((value - sample.y).abs() / size).max()) < limit:
                return False
        return True
