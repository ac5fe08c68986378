"""LayoutRequest: how a user describes a block's calls, before any was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FeatureDim: TypeAlias = int | Literal["auto"] | None
"""Axis of the features. ``"auto"`` is the last one; None means that there is no such
axis: every element is a row and every argument one column."""

OutputPath: TypeAlias = int | str | None
"""Which part of an output is the table: a position, a key or an attribute; None for all of it."""


@dataclass(frozen=True)
class LayoutRequest:
    """How a user describes a block's calls.

    Args:
        inputs: names of the parameters that are columns; None for all that hold tensors.
        output: position, key or attribute of the table in the output.
        feature_dim: axis of the features, in inputs and output alike.
        mask: name of the parameter that is 0 for rows that do not count (padding).
    """

    inputs: tuple[str, ...] | None = None
    output: OutputPath = None
    feature_dim: FeatureDim = "auto"
    mask: str | None = None
