"""Reduction: a user's request for the few coordinates that stand in for a wide block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import torch

from ..errors import InputError, UnsupportedTypeError, did_you_mean
from .directions import RIDGE

Method: TypeAlias = Literal["supervised", "gradient", "pca"]

Loss: TypeAlias = Callable[[Any, Any], torch.Tensor]
"""``loss(output, batch)``: the model's output and the batch it was called with, to a number."""


@dataclass(frozen=True, eq=False)
class Reduction:
    """Few coordinates for a block that is too wide to search.

    >>> from torch import nn
    >>> from symtorch import SymbolicModel
    >>> block = SymbolicModel(nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64)))
    >>> x = torch.randn(2000, 3) @ torch.randn(3, 64)      # wide, but of three dimensions
    >>> few = Reduction(inputs=3, outputs=2, linear=True)
    >>> fronts = block.distill(x, reduce=few, sr_params={"niterations": 2, "maxsize": 7})
    >>> fronts[0].variables
    ('z0', 'z1', 'z2')
    >>> with block.symbolic():
    ...     block(x).shape
    torch.Size([2000, 64])

    Args:
        inputs: coordinates that equations are written in.
        outputs: how many equations; each moves the block's output along one direction.
        method: ``"supervised"`` takes the input coordinates that predict the outputs best
            (reduced-rank regression; if fewer than requested predict more than chance, the
            directions of largest curvature follow). ``"gradient"`` takes the active
            subspace: directions along which the block's output, less the linear path,
            changes most; it needs a block that can be differentiated row by row, and is the
            better choice beside a linear path. Both take the output directions that
            quadratic functions of the coordinates predict best. ``"pca"`` takes principal
            components on both sides.
        linear: a linear path from inputs to outputs beside the equations: True for a full
            matrix, a number for its rank (reduced to what predicts more than chance). Under
            ``"supervised"`` a path of limited rank shares the first coordinates with the
            equations; otherwise it has its own.
        loss: ``loss(output, batch)``, averaged or summed over rows: errors of the outputs
            are weighed by the second moment of its gradient at the block's outputs. This
            takes one more pass over the data, with gradients.
        weight: [outputs, outputs], such a second moment if it is known already (see
            `symtorch.reduction.gradient_moment`), instead of ``loss``.
        ridge: added to the inputs' covariance, times their mean variance.

    Raises:
        InputError: numbers below 1, an unknown method.
    """

    inputs: int = 32
    outputs: int = 8
    method: Method = "supervised"
    linear: bool | int = False
    loss: Loss | None = None
    weight: torch.Tensor | None = None
    ridge: float = RIDGE

    def __post_init__(self) -> None:
        for name in ("inputs", "outputs", "linear"):
            value = getattr(self, name)
            if not isinstance(value, int) or (name != "linear" and isinstance(value, bool)):
                raise UnsupportedTypeError(f"{name} must be a whole number; got {value!r}")
            if value < (name != "linear"):
                raise InputError(f"{name} must be at least {int(name != 'linear')}; got {value}")
        known = get_args(Method)
        if self.method not in known:
            hint = did_you_mean(str(self.method), known)
            raise InputError(f"unknown method '{self.method}'{hint}; known: {', '.join(known)}")
        if self.loss is not None and self.weight is not None:
            raise InputError("give loss or weight, not both")
        if not self.ridge >= 0:
            raise InputError(f"ridge must not be negative; got {self.ridge}")

    @property
    def rank(self) -> int:
        """Rank of the linear path; 0 if it is a full matrix or there is none."""
        return 0 if isinstance(self.linear, bool) else self.linear
