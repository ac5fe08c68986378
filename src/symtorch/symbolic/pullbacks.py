"""Pullbacks: how a gradient passes back through an operator, added up in place.

With torch's own formulas, so that infinities and nan come out as torch has them. Operators
without one in their row ask autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch


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


Pullback: TypeAlias = Callable[
    [Sequence[Sink], torch.Tensor, torch.Tensor, Sequence[torch.Tensor]], None
]
"""Sinks of the operands, gradient of the result, the result, the operands."""


def factor(slope: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
    """``g * slope(x, y)``, of an operator of one argument."""

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        into[0].addcmul_(g, slope(args[0], y))

    return pull


def divisor(inverse: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
    """``g / inverse(x, y)``, where the slope's inverse is the simpler form."""

    def pull(
        into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
    ) -> None:
        into[0].addcdiv_(g, inverse(args[0], y))

    return pull


def extreme(loses: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Pullback:
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


def multiply(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    """Of a product."""
    a, b = args
    into[0].addcmul_(g, b)
    into[1].addcmul_(g, a)


def divide(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    """Of a quotient."""
    _, b = args
    into[0].addcdiv_(g, b)
    if not isinstance(into[1], Ignored):
        into[1].addcmul_(g, y / b, value=-1)


def power(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    """Of a power."""
    a, b = args
    into[0].add_((g * (b * a.pow(b - 1))).masked_fill(b == 0, 0))
    if not isinstance(into[1], Ignored):
        into[1].addcmul_(g, (y * a.log()).masked_fill((a == 0) & (b >= 0), 0))


def angle(
    into: Sequence[Sink], g: torch.Tensor, y: torch.Tensor, args: Sequence[torch.Tensor]
) -> None:
    """Of atan2."""
    a, b = args
    squares = a * a + b * b
    scaled = g * squares.reciprocal().masked_fill(squares == 0, 0)
    into[0].addcmul_(scaled, b)
    into[1].addcmul_(scaled, a, value=-1)
