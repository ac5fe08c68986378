"""Pullbacks of kernels: those of the operator table's rows, or what autograd says."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...symbolic.operators import OPERATORS
from ...symbolic.pullbacks import Ignored, Pullback, Sink
from ..planning.graph import AFFINE, Kernel


class Summed:
    """The gradient of an operand that was broadcast along an axis."""

    def __init__(self, target: torch.Tensor, axis: int) -> None:
        self.target = target
        self.axis = axis

    def add_(self, other: torch.Tensor, /) -> None:
        """Add a tensor, summed."""
        self.target.add_(other.sum(self.axis, keepdim=True))

    def addcmul_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> None:
        """Add ``value * a * b``, summed."""
        self.target.add_((a * b).sum(self.axis, keepdim=True), alpha=value)

    def addcdiv_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> None:
        """Add ``value * a / b``, summed."""
        self.target.add_((a / b).sum(self.axis, keepdim=True), alpha=value)


def _affine(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    _, b, c = args
    into[0].add_(g)
    into[1].addcmul_(g, c)
    into[2].addcmul_(g, b)


def pullback_of(kernel: Kernel) -> Pullback:
    """The pullback of a kernel that works elementwise."""
    if kernel is AFFINE:
        return _affine
    row = OPERATORS.get(kernel.name)
    if row is not None and row.pullback is not None:
        return row.pullback

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        asked = [i for i, sink in enumerate(into) if not isinstance(sink, Ignored)]
        with torch.enable_grad():
            # At full size, so that the sinks do the summing.
            leaves = [
                arg.expand_as(y).detach().requires_grad_(i in asked) for i, arg in enumerate(args)
            ]
            result = kernel.function(*leaves)
        if not result.requires_grad:  # a step, such as x > y
            return
        wanted = [leaves[i] for i in asked]
        for i, gradient in zip(
            asked, torch.autograd.grad(result, wanted, g, allow_unused=True), strict=True
        ):
            if gradient is not None:
                into[i].add_(gradient)

    return pull
