"""Pullbacks: how a gradient passes back through a kernel, added up in place.

One for each of the commonest kernels, with torch's own formulas, so that infinities and
nan come out as torch has them. All others ask autograd.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

import torch

from ..planning.graph import AFFINE, Kernel


class Sink(Protocol):
    """Where the gradient of an operand is added up: a tensor, or what sums into one."""

    def add_(self, other: torch.Tensor, /) -> object:
        """Add a tensor."""

    def addcmul_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> object:
        """Add ``value * a * b``."""

    def addcdiv_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> object:
        """Add ``value * a / b``."""


class Ignored:
    """The gradient of what needs none."""

    def add_(self, other: torch.Tensor, /) -> None:
        """Do nothing."""

    def addcmul_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> None:
        """Do nothing."""

    def addcdiv_(self, a: torch.Tensor, b: torch.Tensor, /, *, value: float = 1) -> None:
        """Do nothing."""


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


Pullback: TypeAlias = Callable[
    [Sequence[Sink], torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], None
]
"""Sinks of the operands, gradient of the result, the result, the operands."""


def _multiply(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    a, b = args
    into[0].addcmul_(g, b)
    into[1].addcmul_(g, a)


def _divide(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    _, b = args
    into[0].addcdiv_(g, b)
    if not isinstance(into[1], Ignored):
        into[1].addcmul_(g, y / b, value=-1)


def _affine(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    _, b, c = args
    into[0].add_(g)
    into[1].addcmul_(g, c)
    into[2].addcmul_(g, b)


def _factor(factor: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
    """``g * factor(x, y)``."""

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        into[0].addcmul_(g, factor(args[0], y))

    return pull


def _divisor(divisor: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
    """``g / divisor(x, y)``."""

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        into[0].addcdiv_(g, divisor(args[0], y))

    return pull


def _extreme(loses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
    """Of max or min: all to the argument that was taken, half to each of two equal ones.

    Args:
        loses: ``loses(a, b)``, where the first of two arguments is not taken.
    """

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        a, b = args
        halved = torch.where(a == b, g / 2, g)
        into[0].add_(halved.masked_fill(loses(a, b), 0))
        into[1].add_(halved.masked_fill(loses(b, a), 0))

    return pull


def _power(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    a, b = args
    into[0].add_((g * (b * a.pow(b - 1))).masked_fill(b == 0, 0))
    if not isinstance(into[1], Ignored):
        into[1].addcmul_(g, (y * a.log()).masked_fill((a == 0) & (b >= 0), 0))


def _angle(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    a, b = args
    squares = a * a + b * b
    scaled = g * squares.reciprocal().masked_fill(squares == 0, 0)
    into[0].addcmul_(scaled, b)
    into[1].addcmul_(scaled, a, value=-1)


_KNOWN: Mapping[str, Pullback] = {
    "*": _multiply,
    "/": _divide,
    AFFINE.name: _affine,
    "^": _power,
    "atan2": _angle,
    "max": _extreme(torch.lt),
    "min": _extreme(torch.gt),
    "sin": _factor(lambda x, y: torch.cos(x)),
    "cos": _factor(lambda x, y: torch.sin(x).neg_()),
    "tan": _factor(lambda x, y: 1 + y * y),
    "sinh": _factor(lambda x, y: torch.cosh(x)),
    "cosh": _factor(lambda x, y: torch.sinh(x)),
    "tanh": _factor(lambda x, y: 1 - y * y),
    "atan": _divisor(lambda x, y: x * x + 1),
    "asinh": _factor(lambda x, y: (x * x + 1).rsqrt()),
    "abs": _factor(lambda x, y: torch.sgn(x)),
    "exp": _factor(lambda x, y: y),
    "expm1": _factor(lambda x, y: y + 1),
    "log": _divisor(lambda x, y: x),
    "log1p": _divisor(lambda x, y: x + 1),
    "sqrt": _divisor(lambda x, y: 2 * y),
    "sigmoid": _factor(lambda x, y: (1 - y) * y),
    "erf": _factor(lambda x, y: 2 / math.sqrt(math.pi) * torch.exp(-x * x)),
}


def pullback_of(kernel: Kernel) -> Pullback:
    """The pullback of a kernel that works elementwise."""
    known = _KNOWN.get(kernel.name)
    if known is not None:
        return known

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
