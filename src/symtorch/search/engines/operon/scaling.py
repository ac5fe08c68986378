"""The table as Operon sees it, and the way to it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...problem import Problem, Sample

UNSCALED = 16
"""Sizes of a column up to this, and down to its inverse, need no scale: Operon's constants, which
start near 1, can cope."""


@dataclass(frozen=True)
class ScaledTable:
    """The table as Operon sees it: float32, columns near 1, target near unit spread.

    Powers of two leave the digits alone, so that folding a scale back is exact.
    """

    table: Any
    names: tuple[str, ...]
    x_scales: Mapping[str, float]
    y_scale: float
    y_shift: float

    @classmethod
    def of(cls, problem: Problem, rows: Sample) -> ScaledTable:
        """Scale some rows of a problem."""
        x_scales = {
            name: _near_one(float(rows.X[:, i].square().mean().sqrt()))
            for i, name in enumerate(problem.names)
        }
        y_shift = float(rows.y.mean())
        y_scale = _power_of_two(float((rows.y - y_shift).square().mean().sqrt()))
        X = rows.X / rows.X.new_tensor([x_scales[name] for name in problem.names])
        y = (rows.y - y_shift) / y_scale
        table = np.asfortranarray(torch.column_stack([X, y]).numpy())
        return cls(table, problem.names, x_scales, y_scale, y_shift)


def _power_of_two(value: float) -> float:
    return 2.0 ** round(math.log2(value)) if value > 0 else 1.0


def _near_one(value: float) -> float:
    """A scale for a column: 1 as long as Operon's constants can cope without."""
    return 1.0 if 1 / UNSCALED <= value <= UNSCALED else _power_of_two(value)
