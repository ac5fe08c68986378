"""All small expressions of any shape, built bottom-up by complexity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..trees.tree import Tree, inp, num
from ..trees.vocabulary import Vocabulary
from .rows import TINY, Deduplicator, Library, distinct

ARITHMETIC = ("*", "/", "-", "+")

ALIKE = 1e-3
"""Ratio of sizes below which a sum is its larger term, written at length."""

PAIRS_AT_ONCE = 20_000


@dataclass
class _Level:
    """The expressions of one complexity."""

    values: list[Tensor] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    def stacked(self) -> Tensor:
        """Their values [m, n]."""
        if len(self.values) != 1:
            self.values = [torch.cat(self.values)]
        return self.values[0]


def enumerate_expressions(
    X: Tensor,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    limit: int,
    max_complexity: int,
    check: Callable[[], None],
) -> Library:
    """All small expressions of the inputs [n, d], simplest first, at most ``limit`` rows (float64).

    The numeral 1 takes part in sums only: ``1 + x`` and ``1 - x`` are common inside laws, and other
    constants are the business of tuned atoms.
    """
    enumeration = _Enumeration(X, vocabulary, generator, limit, check)
    for cost in range(2, max_complexity + 1):
        enumeration.grow(cost)
        if enumeration.full:
            break
    return enumeration.library()


class _Enumeration:
    """Expressions level by level: those of a complexity are made of the levels below it.

    An expression whose values were met before, up to scale, is dropped at once: what would be
    made of it would be equal too. Without that, the levels would grow by a factor of ten.
    """

    def __init__(
        self,
        X: Tensor,
        vocabulary: Vocabulary,
        generator: torch.Generator,
        limit: int,
        check: Callable[[], None],
    ) -> None:
        self.X, self.vocabulary, self.limit, self.check = X, vocabulary, limit, check
        self.dedup = Deduplicator(X.shape[0], generator, X.device)
        self.levels: dict[int, _Level] = {}
        self.total = 0
        self.one = round(vocabulary.constant_cost)
        others = sorted(vocabulary.binary - {*ARITHMETIC, "^"})
        self.binary = [name for name in (*ARITHMETIC, *others) if name in vocabulary.binary]
        costs = [round(vocabulary.complexity(inp(i))) for i in range(X.shape[1])]
        for cost in sorted(set(costs)):
            members = [i for i in range(X.shape[1]) if costs[i] == cost]
            self._push(cost, X[:, members].T.clone(), [inp(i) for i in members])

    @property
    def full(self) -> bool:
        """Whether the limit is reached."""
        return self.total >= self.limit

    def grow(self, cost: int) -> None:
        """Add the level of this complexity, as far as the limit allows."""
        for name in sorted(self.vocabulary.unary):
            self._functions(cost, name)
        if "^" in self.vocabulary.binary and "square" not in self.vocabulary.unary:
            self._squares(cost)
        for name in self.binary:
            if name in "+-":
                self._around_one(cost, name)
            own = self._cost(name)
            for left_cost in range(1, cost - own):
                right_cost = cost - own - left_cost
                if name not in "+-*" or left_cost <= right_cost:
                    self._pairs(cost, name, left_cost, right_cost)

    def library(self) -> Library:
        """All levels, simplest first."""
        levels = [(cost, self.levels[cost]) for cost in sorted(self.levels)]
        levels = [(cost, level) for cost, level in levels if level.trees]
        trees = [tree for _, level in levels for tree in level.trees]
        complexity = torch.tensor(
            [cost for cost, level in levels for _ in level.trees], device=self.X.device
        )
        rows = [level.stacked() for _, level in levels]
        empty = self.X.new_zeros((0, self.X.shape[0]))
        return Library(torch.cat(rows) if rows else empty, complexity, trees.__getitem__)

    def _cost(self, name: str) -> int:
        return round(self.vocabulary.costs.get(name, 1))

    def _level(self, cost: int) -> _Level | None:
        """The expressions of that complexity, where there are some and there is room for more."""
        level = self.levels.get(cost)
        return level if level is not None and level.trees and not self.full else None

    def _push(self, cost: int, value: Tensor, trees: list[Tree]) -> None:
        """Keep the usable, unseen rows among ``value`` [m, n]."""
        keep = distinct(value, self.dedup)[: self.limit - self.total]
        level = self.levels.setdefault(cost, _Level())
        level.values.append(value[keep])
        level.trees += [trees[k] for k in keep.tolist()]
        self.total += len(keep)

    def _functions(self, cost: int, name: str) -> None:
        source = self._level(cost - self._cost(name))
        if source is None:
            return
        allowed = self.vocabulary.allows_nesting
        kept = [k for k, tree in enumerate(source.trees) if allowed(name, tree)]
        if kept:
            value = self.vocabulary.functions[name](source.stacked()[kept])
            self._push(cost, value, [(name, source.trees[k]) for k in kept])

    def _squares(self, cost: int) -> None:
        source = self._level(cost - self._cost("^") - self.one)
        if source is not None:
            trees: list[Tree] = [("^", tree, num(2)) for tree in source.trees]
            self._push(cost, source.stacked() ** 2, trees)

    def _around_one(self, cost: int, name: str) -> None:
        source = self._level(cost - self._cost(name) - self.one)
        if source is None:
            return
        values = source.stacked()
        sizes = values.abs().median(dim=1).values
        alike = ((sizes > ALIKE) & (sizes < 1 / ALIKE)).nonzero()[:, 0]
        shifted = self.vocabulary.functions[name](torch.ones_like(values[alike]), values[alike])
        self._push(cost, shifted, [(name, num(1), source.trees[k]) for k in alike.tolist()])

    def _pairs(self, cost: int, name: str, left_cost: int, right_cost: int) -> None:
        left, right = self.levels.get(left_cost), self.levels.get(right_cost)
        if left is None or right is None or not left.trees or not right.trees:
            return
        a, b = left.stacked(), right.stacked()
        chunk = max(1, PAIRS_AT_ONCE // max(1, b.shape[0]))
        for start in range(0, a.shape[0], chunk):
            self.check()
            if self.full:
                return
            piece = a[start : start + chunk]
            first, second = torch.cartesian_prod(
                torch.arange(piece.shape[0], device=a.device),
                torch.arange(b.shape[0], device=a.device),
            ).unbind(1)
            if name in "+-":
                sizes = (piece.abs().median(1).values[first] + TINY) / (
                    b.abs().median(1).values[second] + TINY
                )
                alike = (sizes > ALIKE) & (sizes < 1 / ALIKE)
                first, second = first[alike], second[alike]
            value = self.vocabulary.functions[name](piece[first], b[second])
            places = zip(first.tolist(), second.tolist(), strict=True)
            trees = [(name, left.trees[start + i], right.trees[j]) for i, j in places]
            self._push(cost, value, trees)
