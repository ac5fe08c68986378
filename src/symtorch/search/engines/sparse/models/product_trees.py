"""Products of powers as equations: exponents rounded, with scale and sign."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ..trees.tree import Tree, inputs_of, is_number, merge_powers, num, values_of
from ..trees.vocabulary import MaybeTree
from .context import SearchContext
from .log_model import LogModel

Powers = list[tuple[Tree, float]]
"""A product: trees and their exponents."""


@dataclass(frozen=True)
class ProductTrees:
    """Writes products and hands them to the context."""

    model: LogModel

    @property
    def context(self) -> SearchContext:
        """Where equations are handed in."""
        return self.model.context

    def consider_rounded(self, parts: Powers) -> None:
        """Hand over the product with its exponents rounded, as `roundings` reads them."""
        for rounded in roundings(parts):
            self.consider(rounded)
            if self.context.solved:
                return

    def consider(self, parts: Powers) -> None:
        """Hand the product of ``tree ** exponent`` to the context, with its scale and sign."""
        context = self.context
        vocabulary = context.vocabulary
        product = vocabulary.product(
            [
                (positive, p)
                for tree, p in merge_powers(parts)
                if (positive := self.positive(tree) if p % 1 else tree) is not None
            ]
        )
        if product is None or not inputs_of(product):
            return
        value = values_of(product, context.screen.X, vocabulary.functions)
        used = self.model.root > 0
        ratio, weight = (self.model.z / value)[used], self.model.z[used].abs()
        if not bool(torch.isfinite(ratio).all()):
            return
        # Which sign most of the target has beside the product; noise may flip it near zero, and
        # only there.
        balance = float((ratio.sign() * weight).sum() / weight.sum())
        if abs(balance) < 0.9:
            return
        scale = math.copysign(float(ratio.abs().median()), balance)
        tree: MaybeTree = vocabulary.scaled(scale, product)
        context.consider(self.model.transform.inverse(vocabulary, tree))

    def positive(self, tree: Tree) -> MaybeTree:
        """``c - u`` for ``u - c`` where that is negative on all rows: only then can a root be
        taken of it."""
        vocabulary = self.context.vocabulary
        value = values_of(tree, self.context.screen.X, vocabulary.functions)
        if not bool((value < 0).all()):
            return tree
        if tree[0] == "-":
            return vocabulary.subtract(tree[2], tree[1])
        if tree[0] == "+" and is_number(tree[1]):
            return vocabulary.subtract((tree[1][0], -tree[1][1]), tree[2])
        return vocabulary.multiply(num(-1), tree)


def roundings(parts: Powers) -> list[Powers]:
    """Exponents rounded to integers, halves and thirds: the closest reading first, zeros
    dropped."""
    readings = []
    for unit in (1.0, 0.5, 1 / 3):
        rounded = [(tree, round(p / unit) * unit) for tree, p in parts]
        error = max(
            (abs(p - r) for (_, p), (_, r) in zip(parts, rounded, strict=True)), default=0.0
        )
        kept = [(tree, float(round(p * 6) / 6)) for tree, p in rounded if abs(p) > 1e-9]
        readings.append((error, kept))
    unique: list[tuple[float, Powers]] = []
    for error, kept in readings:
        if kept not in [k for _, k in unique]:
            unique.append((error, kept))
    best = [kept for error, kept in unique if error < 1e-3]
    if best:
        return best[:1]
    return [kept for _, kept in unique[:2]]
