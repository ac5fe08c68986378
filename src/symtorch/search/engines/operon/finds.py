"""What evolution found, as equations over the columns of the problem."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from ....symbolic.expression import Expression
from ....symbolic.nodes import Call, Constant, Node
from ....symbolic.operators import OPERATORS
from ...problem import Problem
from .population import BestOfLength

_GAIN = 0.95
"""A longer tree is refined where it leaves at most this share of the error of shorter ones."""


def raw(bests: Sequence[BestOfLength], problem: Problem) -> Iterator[Expression]:
    """The finds as they are, with scale and offset fitted."""
    for best_of_length in bests:
        for _, root in best_of_length.values():
            yield Expression(anchored(root, problem))


def worth_refining(best_of_length: BestOfLength) -> Iterator[Node]:
    """The lengths that gain over all shorter ones, and the most accurate one."""
    lowest = math.inf
    last = min((error for error, _ in best_of_length.values()), default=0.0)
    for _, (error, root) in sorted(best_of_length.items(), key=lambda item: item[0]):
        if error < _GAIN * lowest or (error == last and error < lowest):
            lowest = error
            yield root


def anchored(root: Node, problem: Problem) -> Node:
    """``a*root + b`` with the a and b of least squares."""
    train = problem.train
    columns = {name: train.X[:, i] for i, name in enumerate(problem.names)}
    values = Expression(root)(columns)
    if not bool(torch.isfinite(values).all()):
        return root
    total = train.weights.sum()
    center = (train.weights * values).sum() / total
    offset = (train.weights * train.y).sum() / total
    spread = (train.weights * (values - center) ** 2).sum()
    if float(spread) <= 0:
        return Constant(float(offset))
    slope = float((train.weights * (values - center) * (train.y - offset)).sum() / spread)
    scaled = Call(OPERATORS["*"], (Constant(slope), root))
    return Call(OPERATORS["+"], (scaled, Constant(float(offset - slope * center))))
