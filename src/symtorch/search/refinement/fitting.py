"""The constants of an equation on one sample: fitted, and rounded."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...symbolic.nodes import (
    Call,
    Constant,
    Node,
    Variable,
    evaluate,
    free_constants,
    is_structural,
    replace_constants,
)
from ..constants import System, fit_constants, round_constants
from ..problem import Problem, Sample

SETTLED = 1e-10
"""Share of the loss that a step of the final fits must gain: constants are to be read off."""

ROUNDING = 0.4
"""Share of the slack that rounding one constant may use up."""


@dataclass(frozen=True)
class Fitted:
    """A tree with fitted constants and its loss on the rows it was fitted to."""

    root: Node
    loss: float


class Fitter:
    """Fits and rounds the constants of equations against one sample.

    Args:
        problem: gives the names and the loss below which differences are rounding.
        sample: the rows to fit.
        out_of_time: asked between fits; once true, work in hand is returned as it is.
    """

    def __init__(
        self, problem: Problem, sample: Sample, out_of_time: Callable[[], bool] = lambda: False
    ) -> None:
        self.floor = problem.loss_floor
        self.sample = sample
        self.out_of_time = out_of_time
        self._columns = {name: sample.X[:, i] for i, name in enumerate(problem.names)}
        self._root_weights = (sample.weights / sample.weights.sum()).sqrt()
        # Fixing a constant at its true value raises the loss by about 1/rows.
        self.slack = min(0.05, 10.0 / len(sample))

    def loss(self, root: Node) -> float:
        """Weighted mean squared error; inf where a value is not finite."""
        prediction = evaluate(root, self._columns, "torch", _number)
        residual = self._root_weights * (prediction - self.sample.y)
        loss = float((residual * residual).sum())
        return loss if math.isfinite(loss) else math.inf

    def fit(self, root: Node, evaluations: int = 40) -> Fitted:
        """Least squares over all free constants; never worse than the start.

        Args:
            root: the tree.
            evaluations: at most this many.
        """
        start = list(free_constants(root))
        before = self.loss(root)
        if not start or not math.isfinite(before) or before <= 0 or self.out_of_time():
            return Fitted(root, before)
        values, after = fit_constants(self._system(root), start, steps=evaluations, settled=SETTLED)
        return Fitted(replace_constants(root, iter(values)), after)

    def _system(self, root: Node) -> System:
        """Residuals of a tree on the rows, and their derivatives by its constants."""
        marked = _named_constants(root)
        target = self.sample.y

        def system(values: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
            # A constant spread over the rows has in row i the derivative of row i alone, so
            # one backward pass gives the whole jacobian.
            spread = torch.tensor(values, dtype=target.dtype, device=target.device)[:, None]
            spread = spread.repeat(1, len(target)).requires_grad_()
            columns = {**self._columns, **{f"_c{i}": row for i, row in enumerate(spread.unbind())}}
            with torch.enable_grad():
                prediction = evaluate(marked, columns, "torch", _number)
                # The thresholds of steps alone give no gradient to follow.
                (gradient,) = (
                    torch.autograd.grad(prediction.sum(), spread)
                    if prediction.requires_grad
                    else (torch.zeros_like(spread),)
                )
            residual = self._root_weights * (prediction.detach() - target)
            return residual, gradient * self._root_weights

        return system

    def round(self, best: Fitted) -> Fitted:
        """Round constants to simple numbers, refitting the others, where the data allow it."""
        values, loss = round_constants(
            self._system(best.root),
            list(free_constants(best.root)),
            best.loss,
            floor=self.floor,
            slack=ROUNDING * self.slack,
            out_of_time=self.out_of_time,
        )
        return Fitted(replace_constants(best.root, iter(values)), loss)


def _named_constants(root: Node) -> Node:
    """The tree with variables ``_c0``, ``_c1``, ... in the place of its tunable constants."""
    counter = itertools.count()

    def run(node: Node) -> Node:
        if isinstance(node, Constant):
            return Variable(f"_c{next(counter)}")
        if isinstance(node, Call):
            return Call(
                node.operator,
                tuple(a if is_structural(node, i) else run(a) for i, a in enumerate(node.args)),
            )
        return node

    return run(root)


def _number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)
