"""Branch and bound for the largest |difference| over a box."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import torch

from .difference import Difference
from .splitting import Subboxes

BATCH = 256
"""Boxes that are cut at a time: enough for fast matrix products, few enough for the cache."""

CANDIDATES = 32
"""Boxes of a batch in which the largest difference is looked for."""

TRIALS = 64
"""Subboxes on which the columns' weights are tried, each halved in every column."""

TRIAL_WIDTH = 0.05
"""Their width as a share of the box's: small enough for the remainder to follow its order."""


@dataclass(frozen=True)
class Effort:
    """When to stop.

    Args:
        tolerance: how far an upper bound may be above the largest difference found, as a
            share of it.
        floor: [equations], differences that count as none.
        deadline: by `time.monotonic`.
        max_boxes: boxes to bound at most.
    """

    tolerance: float
    floor: torch.Tensor
    deadline: float
    max_boxes: float = math.inf


@dataclass
class Found:
    """Proved lower bounds of the largest differences and where they were found.

    Args:
        lower: [equations].
        points: [equations, columns].
    """

    lower: torch.Tensor
    points: torch.Tensor

    def look_at(self, difference: Difference, points: torch.Tensor) -> None:
        """Take points [points, columns] into account."""
        around = difference.at(points)
        # |d| is at least its distance from 0, wherever in the enclosure it is.
        least = torch.maximum(around.lower, -around.upper).clamp(min=0.0)
        best, where = least.max(0)
        better = best > self.lower
        self.lower = torch.where(better, best, self.lower)
        self.points = torch.where(better[:, None], points[where], self.points)


@dataclass(frozen=True)
class Bounds:
    """What branch and bound arrived at.

    Args:
        lower: [equations], proved.
        upper: [equations], proved.
        points: [equations, columns], where the lower bounds were found.
        undecided: [equations], share of the box where the tolerance was not reached.
        boxes: that were bounded.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    points: torch.Tensor
    undecided: torch.Tensor
    boxes: int


@dataclass
class Search:
    """The state of a branch and bound.

    Args:
        difference: what is bounded.
        effort: when to stop.
        order: of the Taylor models, 2 at best, 0 for intervals alone.
        found: the largest differences so far.
    """

    difference: Difference
    effort: Effort
    order: int
    found: Found
    boxes: int = 0
    open: Subboxes = field(init=False)
    upper: torch.Tensor = field(init=False)
    closed: torch.Tensor = field(init=False)
    weights: torch.Tensor = field(init=False)

    def run(self, start: Subboxes) -> Bounds:
        """Bound the differences over some boxes."""
        self.closed = torch.zeros_like(self.found.lower)
        self.open = start[:0]
        self.weights = column_weights(self.difference, start, self.order)
        self.upper = torch.zeros(0, len(self.closed), dtype=torch.float64)
        self._bound(start, torch.full((len(start), len(self.closed)), math.inf).double())
        while len(self.open) and self.boxes < self.effort.max_boxes:
            if time.monotonic() > self.effort.deadline or not self._cut_worst():
                break
        still = self.upper > self._good_enough()
        return Bounds(
            self.found.lower,
            torch.maximum(torch.cat([self.upper, self.closed[None]]).amax(0), self.found.lower),
            self.found.points,
            (still * self.open.share[:, None]).sum(0),
            self.boxes,
        )

    def _good_enough(self) -> torch.Tensor:
        return (1 + self.effort.tolerance) * self.found.lower + self.effort.floor

    def _cut_worst(self) -> bool:
        """Cut the boxes with the highest bounds; whether there was one to cut."""
        excess = (self.upper / self._good_enough()).amax(1)
        excess = torch.where(self.open.divisible, excess, -1.0)
        count = min(BATCH, len(excess))
        best = excess.topk(count)
        worst = best.indices[best.values > 0]
        if not len(worst):
            return False
        parents, upper = self.open[worst], self.upper[worst]
        halves = parents.halves(self.weights * (parents.upper - parents.lower))
        rest = torch.ones(len(excess), dtype=torch.bool)
        rest[worst] = False
        self.open, self.upper = self.open[rest], self.upper[rest]
        self._bound(halves, upper.repeat(2, 1))
        return True

    def _bound(self, boxes: Subboxes, known: torch.Tensor) -> None:
        """Bound new boxes and keep those open that are not good enough."""
        model = self.difference.over(boxes.lower, boxes.upper, self.order)
        upper = torch.minimum(model.range.magnitude, known)
        self.boxes += len(boxes)
        self._look_into(boxes, upper, model.highest_point())
        self.open, self.upper = self.open + boxes, torch.cat([self.upper, upper])
        good = (self.upper <= self._good_enough()).all(1)
        if bool(good.any()):
            self.closed = torch.maximum(self.closed, self.upper[good].amax(0))
            keep = ~good
            self.open, self.upper = self.open[keep], self.upper[keep]

    def _look_into(self, boxes: Subboxes, upper: torch.Tensor, t: torch.Tensor) -> None:
        """Look for large differences where the polynomials of the worst boxes peak."""
        half = 0.5 * boxes.upper - 0.5 * boxes.lower
        points = []
        for k in range(upper.shape[1]):
            worst = upper[:, k].topk(min(CANDIDATES, len(boxes))).indices
            points.append(boxes.centre[worst] + half[worst] * t[:, worst, k].T)
            points[-1] = points[-1].clamp(boxes.lower[worst], boxes.upper[worst])
        self.found.look_at(self.difference, torch.cat(points))


def column_weights(difference: Difference, start: Subboxes, order: int) -> torch.Tensor:
    """How much the width of each column counts: [columns].

    Where the remainder is about ``(sum_i w_i*width_i)**(order + 1)``, halving column i
    leaves the share ``(1 - w_i*width_i/(2*sum))**(order + 1)`` of it, which trials measure.
    Cutting the column with the largest ``w_i*width_i`` then takes most off.
    """
    generator = torch.Generator().manual_seed(0)
    low, high = start.lower.amin(0), start.upper.amax(0)
    width = TRIAL_WIDTH * (high - low)
    columns = len(width)
    at = torch.rand(TRIALS, columns, generator=generator, dtype=torch.float64)
    lower = low + at * (high - low - width)
    widths = width.repeat(columns + 1, 1)
    widths[1:].fill_diagonal_(0.0).add_(torch.diag(0.5 * width))
    corners = lower.repeat(columns + 1, 1)
    sides = widths.repeat_interleave(TRIALS, 0)
    # A shrunk column keeps its middle.
    corners = corners + 0.5 * (width - sides)
    left = difference.over(corners, corners + sides, order).remainder.amax(1)
    shares = left.reshape(columns + 1, TRIALS)
    kept = (shares[1:] / shares[0]).nan_to_num(1.0).clamp(0.0, 1.0) ** (1.0 / (order + 1))
    counts = (1.0 - kept).mean(1)
    # No column is left out altogether: the trials may have missed where it counts.
    counts = counts.clamp(min=0.02 * float(counts.max()) + 1e-12)
    return counts / width.clamp(min=1e-300)
