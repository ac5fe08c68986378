"""Difference: block minus equations over boxes, with the parts they share cancelled."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..symbolic.nodes import Node
from .intervals import Interval
from .networks import Network
from .taylor import Basis, TaylorModel, algebra, expand


@dataclass(frozen=True)
class Difference:
    """Outputs of a block minus an equation each.

    Args:
        network: the block.
        trees: an equation by output, the user's operators replaced.
        names: a variable per column.
    """

    network: Network
    trees: dict[int, Node]
    names: tuple[str, ...]

    def over(self, lower: torch.Tensor, upper: torch.Tensor, order: int) -> TaylorModel:
        """The differences over boxes, [boxes, equations].

        Args:
            lower: [boxes, columns] corners.
            upper: opposite corners.
            order: of the Taylor models.
        """
        x = TaylorModel.variables(Basis(len(self.names), order), lower, upper)
        outputs = self.network(x)
        equations = [expand(tree, self.names, x).as_column() for tree in self.trees.values()]
        return algebra.add(outputs[[*self.trees]], algebra.concatenate(equations), -1.0)

    def at(self, points: torch.Tensor) -> Interval:
        """Enclosures of the differences at points: [points, columns] -> [points, equations]."""
        return self.over(points, points, order=0).range
