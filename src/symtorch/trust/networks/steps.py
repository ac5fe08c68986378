"""Steps: the few operations that a traced network is made of.

Each knows what it does to Taylor models over boxes, and how far its float32 execution may
be from the real numbers. Weights are the stored ones, which float64 holds exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

from ...symbolic.nodes import Node
from ..intervals import ACTIVATIONS, RULES, Rule
from ..intervals.interval import above
from ..taylor import TaylorModel, algebra, expand
from ..taylor.functions import leaky, smooth
from ..taylor.model import EPSILON
from ..taylor.rules import OPERATIONS


class Step(Protocol):
    """An operation on the values of earlier steps, [boxes, functions] each."""

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """The values over boxes."""
        ...


@dataclass(frozen=True, eq=False)
class Affine:
    """``weight @ x + bias``.

    Args:
        weight: [out, in], float64.
        bias: [out].
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """[boxes, in] -> [boxes, out]."""
        return algebra.affine(args[0], self.weight, self.bias)


@dataclass(frozen=True, eq=False)
class Scale:
    """``by*x + shift``, elementwise.

    Args:
        by: [functions] or a number.
        shift: [functions] or a number.
        error: how far a factor that was computed, like 1/spread, may be off.
        shift_error: and the shift.
    """

    by: torch.Tensor
    shift: torch.Tensor
    error: torch.Tensor
    shift_error: torch.Tensor

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """Elementwise."""
        scaled = algebra.scale(args[0], self.by, self.error)
        return algebra.shift(scaled, self.shift, self.shift_error)

    @classmethod
    def exact(cls, by: torch.Tensor | float = 1.0, shift: torch.Tensor | float = 0.0) -> Scale:
        """With factors that are known exactly."""
        zero = torch.zeros((), dtype=torch.float64)
        return cls(double(by), double(shift), zero, zero)


@dataclass(frozen=True, eq=False)
class Function:
    """An operator or an activation by its name, elementwise.

    Args:
        name: in the operator table or among `ACTIVATIONS`.
    """

    name: str

    @property
    def rule(self) -> Rule:
        """Its row of the interval table."""
        return ACTIVATIONS.get(self.name) or RULES[self.name]

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """Elementwise; nothing is known where it may be undefined."""
        if self.name in ACTIVATIONS:
            return smooth(args[0], self.rule)
        result = OPERATIONS[self.name](*args)
        unknown = torch.zeros_like(result.remainder, dtype=torch.bool)
        for requirement in self.rule.needs:
            unknown = unknown | requirement(*(arg.range for arg in args)).may_fail
        return algebra.unknown_where(unknown, result)


@dataclass(frozen=True)
class Leaky:
    """A relu with a slope below 0.

    Args:
        slope: below 0.
    """

    slope: float

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """Elementwise."""
        return leaky(args[0], self.slope)


@dataclass(frozen=True)
class Softplus:
    """``log(1 + exp(beta*x))/beta``, and x itself above a threshold, as torch has it.

    Args:
        beta: positive.
        threshold: of ``beta*x``; there the values jump by ``log(1 + exp(-threshold))/beta``.
    """

    beta: float
    threshold: float

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """Elementwise."""
        scaled = algebra.scale(args[0], double(self.beta))
        smoothed = smooth(scaled, RULES["softplus"])
        jump = above(torch.tensor(math.log1p(math.exp(-self.threshold)), dtype=torch.float64))
        jump = torch.where(scaled.range.upper > self.threshold, 2 * jump, 0.0)
        margin = algebra.shift(smoothed, torch.zeros_like(jump), jump)
        inverse = double(1.0 / self.beta)
        return algebra.scale(margin, inverse, EPSILON * inverse)


@dataclass(frozen=True)
class Columns:
    """Some of the functions.

    Args:
        which: their numbers.
    """

    which: tuple[int, ...]

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """[boxes, functions] -> [boxes, chosen]."""
        return args[0][[*self.which]]


@dataclass(frozen=True)
class Concatenation:
    """Functions side by side."""

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """Tables with one row a box, joined."""
        return algebra.concatenate([*args])


@dataclass(frozen=True)
class Equations:
    """The equations of a `SymbolicLayer`.

    Args:
        trees: one per output, expanded.
        names: a variable per column.
    """

    trees: tuple[Node, ...]
    names: tuple[str, ...]

    def __call__(self, *args: TaylorModel) -> TaylorModel:
        """[boxes, variables] -> [boxes, equations]."""
        one = partial(expand, names=self.names, x=args[0])
        return algebra.concatenate([one(tree).as_column() for tree in self.trees])


def double(value: torch.Tensor | float) -> torch.Tensor:
    """A stored tensor or number on the CPU in float64, which holds it exactly."""
    return torch.as_tensor(value).detach().to("cpu", torch.float64)
