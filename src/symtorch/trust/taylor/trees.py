"""Equations as Taylor models over boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...symbolic.nodes import Constant, Node, Variable
from ..intervals.trees import demands_of
from .algebra import unknown_where
from .model import TaylorModel
from .rules import OPERATIONS


def expand(node: Node, names: Sequence[str], x: TaylorModel) -> TaylorModel:
    """An equation over boxes: [boxes, variables] -> [boxes].

    Where the equation may be undefined on a box, nothing is known about it there.

    Args:
        node: the equation, the user's operators already replaced (`intervals.expanded`).
        names: a variable per column of ``x``.
        x: the boxes' coordinates.
    """
    columns = {name: x[i] for i, name in enumerate(names)}
    return _expand(node, columns, x[0])


def _expand(node: Node, columns: dict[str, TaylorModel], like: TaylorModel) -> TaylorModel:
    if isinstance(node, Constant):
        return TaylorModel.constant(like.basis, node.value, like.remainder)
    if isinstance(node, Variable):
        return columns[node.name]
    args = [_expand(arg, columns, like) for arg in node.args]
    result = OPERATIONS[node.operator.name](*args)
    undefined = torch.zeros_like(like.remainder, dtype=torch.bool)
    for arg in args:
        undefined = undefined | torch.isinf(arg.remainder)
    for demand in demands_of(node, [arg.range for arg in args]):
        undefined = undefined | demand.may_fail
    return unknown_where(undefined, result)
