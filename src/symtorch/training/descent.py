"""Descent: optimizer steps on a loss, and the best parameters on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

_LEAST_SIZE = 1e-8
"""Below this root mean square a parameter would hardly move at a rate relative to its size."""


class Descent:
    """Optimizer steps on a loss, at a learning rate that falls to 0.

    Args:
        parameters: what is trained.
        optimizer: builds one from parameters and a learning rate; Adam if None, with rates
            relative to the size of each parameter's entries.
        learning_rate: of the first step.
        steps: number of steps until the learning rate is 0.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] | None,
        learning_rate: float,
        steps: int,
    ) -> None:
        self._parameters = parameters
        if optimizer is not None:
            self._optimizer = optimizer(parameters, learning_rate)
        else:
            groups = [{"params": [p], "lr": learning_rate * _size(p)} for p in parameters]
            self._optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95))
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, steps)

    def step(self, value: torch.Tensor) -> None:
        """One step along the gradient of a loss; none if the gradient is not finite."""
        gradients = torch.autograd.grad(value, self._parameters, allow_unused=True)
        # One batch in which an equation comes near a pole must not undo all the others.
        finite = all(g is None or bool(g.isfinite().all()) for g in gradients)
        if finite:
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
            self._optimizer.step()
            self._optimizer.zero_grad()
        self._schedule.step()


def _size(parameter: torch.Tensor) -> float:
    """Root mean square of its entries, or 1 if that is almost 0."""
    size = float(parameter.detach().double().square().mean().sqrt())
    return size if size > _LEAST_SIZE else 1.0


class Kept:
    """Keeps the best values of parameters, and restores them at the end if they are accepted.

    Otherwise, as after an error, the values from the beginning are restored.

    Args:
        parameters: whose values are kept.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self._before = [p.detach().clone() for p in parameters]
        self._best = self._before
        self._accepted = False

    def keep(self) -> None:
        """Take the present values as the best ones."""
        self._best = [p.detach().clone() for p in self._parameters]

    def accept(self) -> None:
        """Let the best values stay at the end."""
        self._accepted = True

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        values = self._best if self._accepted else self._before
        with torch.no_grad():
            for parameter, value in zip(self._parameters, values, strict=True):
                parameter.copy_(value)
