"""Subboxes: the open boxes of a branch and bound, best first and in batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Subboxes:
    """Parts of a box.

    Args:
        lower: [boxes, dims], float64.
        upper: [boxes, dims].
        share: [boxes], of the volume. Halving halves it, so that the shares of a split box
            add up exactly, also in a box with columns of no width.
    """

    lower: torch.Tensor
    upper: torch.Tensor
    share: torch.Tensor

    @classmethod
    def whole(cls, lower: torch.Tensor, upper: torch.Tensor) -> Subboxes:
        """One box [1, dims]."""
        return cls(lower, upper, torch.ones(len(lower), dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.share)

    def __getitem__(self, which: torch.Tensor | slice) -> Subboxes:
        """Some of the boxes."""
        return Subboxes(self.lower[which], self.upper[which], self.share[which])

    def __add__(self, other: Subboxes) -> Subboxes:
        return Subboxes(
            torch.cat([self.lower, other.lower]),
            torch.cat([self.upper, other.upper]),
            torch.cat([self.share, other.share]),
        )

    @property
    def centre(self) -> torch.Tensor:
        """[boxes, dims] midpoints."""
        return 0.5 * self.lower + 0.5 * self.upper

    def halves(self, scores: torch.Tensor) -> Subboxes:
        """Each box cut in two across the column with the highest score: lower halves first.

        Args:
            scores: [boxes, dims]; a column that no float divides counts for nothing.
        """
        middle = self.centre
        divisible = (self.lower < middle) & (middle < self.upper)
        scores = torch.where(divisible, scores.nan_to_num(0.0).clamp(min=0.0), -1.0)
        cut = scores.argmax(1, keepdim=True)
        at = middle.gather(1, cut)
        upper = self.upper.scatter(1, cut, at)
        lower = self.lower.scatter(1, cut, at)
        share = 0.5 * self.share
        return Subboxes(self.lower, upper, share) + Subboxes(lower, self.upper, share)

    @property
    def divisible(self) -> torch.Tensor:
        """[boxes], whether a float lies strictly between some bounds."""
        middle = self.centre
        return ((self.lower < middle) & (middle < self.upper)).any(1)
