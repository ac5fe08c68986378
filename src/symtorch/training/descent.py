"""Descent: steps down a loss, and the best numbers on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn


class Descent:
    """Steps of an optimizer down a loss, ever smaller ones.

    Args:
        parameters: what is trained.
        optimizer: makes one from parameters and a learning rate; Adam if None, at rates
            relative to the size of each parameter's entries.
        learning_rate: of the first step.
        steps: after so many the learning rate is 0.
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
        """One step down the slope of a loss; none where the slope is not finite."""
        slopes = torch.autograd.grad(value, self._parameters, allow_unused=True)
        # One batch in which an equation comes near a pole must not undo all the others.
        finite = all(slope is None or bool(slope.isfinite().all()) for slope in slopes)
        if finite:
            for parameter, slope in zip(self._parameters, slopes, strict=True):
                parameter.grad = slope
            self._optimizer.step()
            self._optimizer.zero_grad()
        self._schedule.step()


def _size(parameter: torch.Tensor) -> float:
    """Root mean square of its entries, or 1 where there is none to speak of."""
    size = float(parameter.detach().double().square().mean().sqrt())
    return size if size > 1e-8 else 1.0


class Kept:
    """The best numbers so far, put back at the end; those from before, unless accepted.

    Args:
        parameters: whose numbers.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self._before = [p.detach().clone() for p in parameters]
        self._best = self._before
        self._accepted = False

    def keep(self) -> None:
        """The numbers as they are now are the best."""
        self._best = [p.detach().clone() for p in self._parameters]

    def accept(self) -> None:
        """The best ones are to stay."""
        self._accepted = True

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        numbers = self._best if self._accepted else self._before
        with torch.no_grad():
            for parameter, value in zip(self._parameters, numbers, strict=True):
                parameter.copy_(value)
