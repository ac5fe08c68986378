"""Branches that are not taken, kept from spoiling gradients."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...symbolic.nodes import Call, Node, walk
from .graph import Input, Kernel, Step
from .products import ProductSharer

BRANCH = Kernel(
    "branch", lambda x, condition: torch.where(condition > 0, x, x.detach()), steps_in=(1,)
)
"""The first operand, which gets a gradient only where the second is positive."""

_FINITE = frozenset({"+", "-", "*", "neg", "square", "cube"})
"""Operators whose slopes are finite wherever their arguments are."""


class LayerBuilder(ProductSharer):
    """Builds what layers run.

    ``cond(x, log(x))`` is 0 where ``x`` is negative, and so is its gradient. By the chain rule
    alone it would be 0 times the slope of a logarithm that is not there, which is nan. So what
    enters a branch from outside, its variables and constants, passes through a `BRANCH` step,
    which has the same value and no gradient where the branch is not taken (known as the double
    where). It costs a copy of each variable, and only where a slope can be infinite at all.
    """

    def __init__(self, inputs: Mapping[str, Input], trainable: bool = False) -> None:
        super().__init__(inputs, trainable)
        self.conditions: list[int] = []

    def leaf(self, i: int) -> int:
        """A variable or constant, as it enters the branches around it."""
        if self.value(i) is not None:
            return i
        for condition in self.conditions:
            i = self.add(Step(BRANCH, (i, condition)))
        return i

    def argument(self, node: Call, before: list[int], scope: Mapping[str, int] | None) -> int:
        """An argument of a call; the second one of ``cond`` is a branch."""
        is_branch = node.operator.name == "cond" and len(before) == 1
        if not is_branch or self.constant(before[0]) or not _can_be_steep(node.args[1]):
            return super().argument(node, before, scope)
        self.conditions.append(before[0])
        try:
            return super().argument(node, before, scope)
        finally:
            self.conditions.pop()


def _can_be_steep(tree: Node) -> bool:
    return any(isinstance(n, Call) and n.operator.name not in _FINITE for n in walk(tree))
