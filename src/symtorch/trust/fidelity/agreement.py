"""Agreement: how well an equation follows a block on some rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Function: TypeAlias = Callable[[Tensor], Tensor]
"""[rows, columns] -> [rows], both float64."""


@dataclass(frozen=True)
class Agreement:
    """An equation against a block.

    Args:
        rows: how many were compared, those where both are finite.
        r2: share of the block's variance that the equation explains; nan for a constant block.
        rms: root mean square of the difference.
        largest: largest difference.
        worst: [columns], the row of the largest difference.
        spread: the block's own standard deviation on these rows.
        undefined: rows on which the equation is not finite while the block is.
    """

    rows: int
    r2: float
    rms: float
    largest: float
    worst: tuple[float, ...]
    spread: float
    undefined: int

    @classmethod
    def of(cls, equation: Function, block: Function, points: Tensor) -> Agreement | None:
        """On points [rows, columns]; None where the block is finite on none of them."""
        with torch.no_grad():
            expected, values = block(points).double(), equation(points).double()
        known = torch.isfinite(expected)
        if not bool(known.any()):
            return None
        points, expected, values = points[known], expected[known], values[known]
        defined = torch.isfinite(values)
        undefined = int((~defined).sum())
        if not bool(defined.any()):
            return cls(0, math.nan, math.nan, math.inf, (), _spread(expected), undefined)
        points, expected, values = points[defined], expected[defined], values[defined]
        difference = (values - expected).abs()
        worst = int(difference.argmax())
        variance = float(expected.var(correction=0))
        mean_square = float(difference.square().mean())
        return cls(
            len(expected),
            1 - mean_square / variance if variance > 0 else math.nan,
            math.sqrt(mean_square),
            float(difference[worst]),
            tuple(points[worst].tolist()),
            math.sqrt(variance),
            undefined,
        )


@dataclass(frozen=True)
class Surrogates:
    """What simpler stand-ins leave, on the rows held out: root mean squares.

    Args:
        constant: the mean.
        linear: the line of least squares.
    """

    constant: float
    linear: float


def _spread(values: Tensor) -> float:
    return float(values.std(correction=0))


def linear_surrogate(points: Tensor, outputs: Tensor) -> Function:
    """The line of least squares through rows [rows, columns] and outputs [rows]."""
    ones = torch.ones(len(points), 1, dtype=points.dtype)
    # Columns of very different scale are divided by theirs, or the small ones would be rounding.
    scale = points.abs().amax(0).clamp_min(1e-300)
    table = torch.cat([points / scale, ones], dim=1)
    solution = torch.linalg.lstsq(table, outputs[:, None], driver="gelsd").solution[:, 0]
    slopes, offset = solution[:-1] / scale, solution[-1]
    return lambda x: x @ slopes.to(x) + offset.to(x)


def gradient_agreement(equation: Function, block: Function, points: Tensor) -> float:
    """Share of the block's gradients' mean square that the equation's explain; nan if unknown.

    1 where the gradients are equal; an equation that follows the values by wiggling around them
    has a low or negative one.
    """

    def gradients(function: Function) -> Tensor | None:
        x = points.detach().clone().requires_grad_()
        with torch.enable_grad():
            values = function(x)
            if not values.requires_grad:
                return None
            (gradient,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
        return torch.zeros_like(x) if gradient is None else gradient

    try:
        wanted, found = gradients(block), gradients(equation)
    except RuntimeError:  # a block that detaches its output, or is in inference mode
        return math.nan
    if wanted is None or found is None:
        return math.nan
    # Units: a gradient counts by how far the input ranges.
    scale = points.std(0, correction=0)
    wanted, found = wanted * scale, found * scale
    finite = torch.isfinite(wanted).all(1) & torch.isfinite(found).all(1)
    size = float(wanted[finite].square().sum())
    if size == 0:
        return math.nan
    return 1 - float((wanted - found)[finite].square().sum()) / size
