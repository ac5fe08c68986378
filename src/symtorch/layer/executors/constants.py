"""The constants of a program as tensors."""

from __future__ import annotations

import math

import torch

from ..planning.graph import Number, Parameter
from ..planning.program import Program


class Constants:
    """The constants a program needs, in its order, on one device and in one type.

    Args:
        program: whose.
        dtype: float32 or float64.
        device: of the result.
    """

    def __init__(
        self, program: Program, dtype: torch.dtype, device: torch.device | None = None
    ) -> None:
        leaves = program.constants
        numbers = list(dict.fromkeys(leaf for leaf in leaves if isinstance(leaf, Number)))
        self.numbers = torch.tensor([leaf.value for leaf in numbers], dtype=dtype, device=device)
        place = {leaf: i for i, leaf in enumerate(numbers)}
        factors = [leaf.factor if isinstance(leaf, Parameter) else 1.0 for leaf in leaves]
        # Numbers come first, so that their places do not depend on how many can be trained.
        order = [
            len(numbers) + leaf.position if isinstance(leaf, Parameter) else place[leaf]
            for leaf in leaves
        ]
        self.order = torch.tensor(order, dtype=torch.int64, device=device)
        scaled = any(factor != 1 for factor in factors)
        self.factors = torch.tensor(factors, dtype=dtype, device=device) if scaled else None
        self.fixed = None if program.trainable else self.numbers.index_select(0, self.order)

    def __call__(self, trained: torch.Tensor) -> torch.Tensor:
        """The values now: [trainable constants] -> [constants of the program]."""
        if self.fixed is not None:
            return self.fixed
        pool = torch.cat([self.numbers, trained.to(self.numbers.dtype)])
        values = pool.index_select(0, self.order)
        return values if self.factors is None else values * self.factors

    def pull_back(self, gradient: torch.Tensor, count: int) -> torch.Tensor:
        """Gradient of the trainable constants, [count], from that of the program's."""
        if self.factors is not None:
            gradient = gradient * self.factors
        pool = gradient.new_zeros(len(self.numbers) + count)
        return pool.index_add_(0, self.order, gradient)[len(self.numbers) :]


def in_range(value: float, dtype: torch.dtype) -> float:
    """A number as torch holds it: infinite beyond the type's range, where torch would raise.

    >>> in_range(-1e39, torch.float32), in_range(-1e39, torch.float64)
    (-inf, -1e+39)
    """
    return value if abs(value) <= torch.finfo(dtype).max else value * math.inf


def attached(result: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The result as part of the graph of the inputs, also where it depends on none.

    Then with a gradient of zero, so that backward() works as it did through the block. Not by
    adding 0 * x: that would turn an infinite input into nan.
    """
    if result.requires_grad or not x.requires_grad or not x.shape[-1]:
        return result
    never = torch.zeros((), dtype=torch.bool, device=x.device)
    return torch.where(never, x[..., :1], result)
