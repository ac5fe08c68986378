"""Libraries: many subexpressions, evaluated as the rows of one tensor.

Rows are kept up to scale: two expressions whose ratio is constant on the sample are the same
regressor, and the simpler one stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..trees.tree import Tree

TINY = 1e-280
HUGE = 1e280
"""Sizes beyond which a row's squares, or their inverses, leave float64 even after scaling."""

VARIES = 1e-9
"""Spread of a row next to its size below which it is a constant."""


@dataclass
class Library:
    """Rows [m, n] scaled to unit maximum, with their trees and complexities.

    ``rows`` are float64 for small libraries that serve as arguments and float32 for large ones that
    are only correlated. ``tree_of`` builds the tree of one row on demand.
    """

    rows: Tensor
    complexity: Tensor
    tree_of: Callable[[int], Tree]

    def __len__(self) -> int:
        return self.rows.shape[0]

    def joined(self, other: Library) -> Library:
        """The rows of both, as float32."""
        count = len(self)
        return Library(
            torch.cat([self.rows.float(), other.rows.float()]),
            torch.cat([self.complexity, other.complexity]),
            lambda row: self.tree_of(row) if row < count else other.tree_of(row - count),
        )


def normalised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [m, n] over their largest absolute value, and the mask [m] of rows fit to be used."""
    size = rows.abs().amax(dim=1)
    usable = torch.isfinite(size) & (size > TINY) & (size < HUGE)
    safe = torch.where(usable, size, torch.ones_like(size))
    return torch.nan_to_num(rows / safe[:, None]), usable


class Deduplicator:
    """Remembers rows up to a factor, by two random projections of the normalised row."""

    def __init__(self, n: int, generator: torch.Generator, device: torch.device) -> None:
        self.probes = (
            torch.rand(n, 2, generator=generator, dtype=torch.float64).add_(0.5).to(device)
        )
        self.seen: set[tuple[int, int]] = set()

    def fresh(self, unit_rows: Tensor) -> Tensor:
        """Mask [m] of the rows that were not met before, in order."""
        scaled = unit_rows / unit_rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
        marks = scaled @ self.probes
        marks = marks * torch.where(marks[:, :1] < 0, -1.0, 1.0)
        # Rounding splits values that straddle a boundary; a duplicate kept now and then does no
        # harm.
        keys = (marks * 1e8).round().to(torch.int64).tolist()
        mask = torch.zeros(len(keys), dtype=torch.bool)
        for k, (first, second) in enumerate(keys):
            if (first, second) not in self.seen:
                self.seen.add((first, second))
                mask[k] = True
        return mask.to(unit_rows.device)


def distinct(rows: Tensor, dedup: Deduplicator) -> Tensor:
    """Positions of the rows [m, n] that vary, are finite, and were not met before."""
    unit, usable = normalised(rows)
    usable &= (unit.amax(dim=1) - unit.amin(dim=1)) > VARIES
    keep = usable.nonzero()[:, 0]
    return keep[dedup.fresh(unit[keep])]
