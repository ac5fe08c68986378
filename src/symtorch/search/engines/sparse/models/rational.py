"""Rational laws ``y = N / (1 + D)``: linear in all coefficients once y multiplies through.

``1 = N/y - D`` is a sum of terms of N over y and of terms of D, and together they explain 1. But
least squares of that has a trivial answer: terms that almost cancel among themselves explain
0 = 0 better than any law. So one term f of N is fixed, with coefficient 1, and the others explain
it: ``f/y = 1 + D - N'/y``. Which term is in N is not known, so the likely ones take turns: the
simplest, and those that run most nearly along with y.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import best_subsets, least_squares
from ..library.rows import Library
from ..trees.tree import Tree, values_of
from ..trees.vocabulary import MaybeTree
from .context import SearchContext
from .sums import SIMPLER, factored

PAIRED = 1_200
"""How many of the simplest terms are tried in all pairs, once per leading term."""

VARIES = 1e-6
"""Spread of a term next to its size below which it is the constant 1 that is there already."""

CLOSE = 0.02
"""How much a node of complexity must bring a leading term closer to the target."""


@dataclass
class RationalSearch:
    """Search for rational laws on the screening rows. typical [n]: expected size of the target
    at each row."""

    context: SearchContext
    library: Library
    typical: Tensor

    def __post_init__(self) -> None:
        y = self.context.screen.y
        self.root = self.context.screen.weights.clamp_min(0).sqrt()
        self.good = y != 0
        self.y = torch.where(self.good, y, torch.ones_like(y))
        spread = self.library.rows.amax(dim=1) - self.library.rows.amin(dim=1)
        self.kept = (spread > VARIES).nonzero()[:, 0]
        self.rows = self.library.rows[self.kept].double()
        over = self.rows / self.y
        self.over = over / over.abs().amax(dim=1, keepdim=True)
        self.cost = self.library.complexity[self.kept]

    def run(self, leading: int, beams: tuple[int, ...], trials: int) -> None:
        """Consider the best laws whose numerator holds one of ``leading`` terms."""
        count = len(self.rows)
        found = sorted(self.explained(self.leading(leading), beams))
        for _, lead, indices in found[:trials]:
            if self.context.solved:
                break
            above = [lead, *(i for i in indices if i < count)]
            self.emit(above, [i - count for i in indices if i >= count])

    def leading(self, most: int) -> list[int]:
        """Terms that are fixed in turn: half for being simple, half for running along with y."""
        sizes = (self.rows / self.typical).abs().log().nan_to_num(0.0, 700.0, -700.0)
        spread = sizes.std(dim=1, correction=0) * (1 + CLOSE * self.cost)
        plain = self.cost.argsort(stable=True)[: most // 2].tolist()
        close = spread.argsort(stable=True)[: most // 2].tolist()
        return list(dict.fromkeys([*plain, *close]))

    def explained(
        self, leading: list[int], beams: tuple[int, ...]
    ) -> Iterator[tuple[float, int, tuple[int, ...]]]:
        """What subsets leave of each leading term; those with a denominator."""
        table = torch.cat([self.over, self.rows]).float()
        cost = torch.cat([self.cost, self.cost])
        simplest = cost.argsort(stable=True)[:PAIRED]
        for lead in leading:
            ratio, multiplier = self.over[lead], self.weights(lead)
            # The leading term must not explain itself.
            own = table[lead].clone()
            table[lead] = 0.0
            subsets = best_subsets(
                table,
                multiplier,
                ratio * multiplier,
                multiplier[:, None],
                beams,
                self.context.check,
                bias=1 + SIMPLER * cost,
                pairs=simplest,
            )
            table[lead] = own
            for subset in subsets:
                if any(i >= len(self.rows) for i in subset.indices):
                    yield subset.unexplained, lead, subset.indices

    def weights(self, lead: int) -> Tensor:
        """Factors on the rows [n] that make errors relative to the leading term over y, kept up
        where that is small for once."""
        ratio = self.over[lead]
        scale = float((ratio * self.y / self.rows[lead]).abs().median())
        usual = (self.rows[lead] / self.typical).abs() * scale
        weights = torch.where(self.good, self.root / (ratio.abs() + usual), 0.0)
        return weights.nan_to_num(0.0, 0.0, 0.0)

    def emit(self, above: list[int], below: list[int]) -> None:
        """Write numerator and denominator rows as equations and hand them to the context."""
        context, vocabulary = self.context, self.context.vocabulary
        up = [self.library.tree_of(int(self.kept[i])) for i in above]
        down = [self.library.tree_of(int(self.kept[i])) for i in below]
        solution = self.coefficients(up, down)
        numerator = list(zip(solution[: len(up)], up, strict=True))
        denominator: MaybeTree = ("k", 1.0)
        for coefficient, tree in zip(solution[len(up) :], down, strict=True):
            denominator = vocabulary.add(denominator, vocabulary.scaled(-coefficient, tree))
        for written in (*factored(numerator, 0.0, vocabulary), vocabulary.linear(numerator)):
            context.consider(vocabulary.divide(written, denominator))
            if context.solved:
                return

    def coefficients(self, up: list[Tree], down: list[Tree]) -> list[float]:
        """Those of ``1 = N/y - D`` in least squares."""
        X, y = self.context.screen.X, self.context.screen.y
        functions = self.context.vocabulary.functions
        rows = [values_of(tree, X, functions).expand(len(y)) / y for tree in up]
        rows += [values_of(tree, X, functions).expand(len(y)) for tree in down]
        A = torch.stack(rows, dim=1) * self.root[:, None]
        finite = torch.isfinite(A).all(dim=1)
        A, b = A[finite], self.root[finite]
        size = A.norm(dim=0).clamp_min(1e-300)
        coefficients: list[float] = (least_squares(A / size, b) / size).tolist()
        return coefficients
