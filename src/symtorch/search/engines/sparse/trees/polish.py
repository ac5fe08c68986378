"""Fitting the constants of one candidate, and making them simple."""

from __future__ import annotations

import math

from torch import Tensor

from ....constants import System, fit_constants, round_constants
from .tree import Functions, Tree, constants_of, values_and_jacobian, with_constants


def system_of(tree: Tree, X: Tensor, y: Tensor, w: Tensor, functions: Functions) -> System:
    """Residuals whose squares add up to ``mean(w * (tree(X) - y)^2)``, for X [n, d], y, w [n]."""
    root = (w / w.shape[0]).sqrt()

    def system(values: list[float]) -> tuple[Tensor, Tensor]:
        prediction, jacobian = values_and_jacobian(with_constants(tree, iter(values)), X, functions)
        return root * (prediction - y), jacobian * root

    return system


def fitted(tree: Tree, system: System, steps: int, target: float = 0.0) -> tuple[Tree, float]:
    """The tree with fitted constants, and its loss; infinite, with the tree as it was, where the
    values are not finite."""
    values, loss = fit_constants(system, constants_of(tree), steps=steps, target=target)
    return (with_constants(tree, iter(values)) if math.isfinite(loss) else tree), loss


def rounded(
    tree: Tree, system: System, loss: float, floor: float, slack: float, tolerance: float
) -> tuple[Tree, float]:
    """The tree with simple constants as far as the loss allows, and its loss."""
    values, loss = round_constants(
        system,
        constants_of(tree),
        loss,
        floor=floor,
        slack=slack,
        tolerance=tolerance,
        steps=8,
    )
    return with_constants(tree, iter(values)), loss
