"""How far predictions are from answers, so that wild answers count little; intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

TUKEY = 4.685
"""Cut of Tukey's biweight in standard deviations: 95 % efficient on normal errors."""

MAD = 1.4826
"""Standard deviations in a median absolute deviation, for normal errors."""


class Measure(Protocol):
    """Errors of rows, and what they come to."""

    name: str

    def errors(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """[..., rows] and [rows] -> [..., rows]."""

    def summary(self, errors: torch.Tensor) -> torch.Tensor:
        """[..., rows] -> [...]."""

    def first_weights(self, answers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What rows may count in a least squares fit while nothing is known: [rows] each."""

    def weights(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        """What they count near these predictions: [rows]."""


@dataclass(frozen=True)
class BoundedRelative:
    """The mean of ``|predicted - answer| / max(1, |answer|)``, where none counts more than 1.

    A median would resist wild answers as well, but where half of the answers follow a rule
    and half do not it jumps from nearly 0 to nearly 1 with a single row.
    """

    name: str = "relative error, at most 1"

    def errors(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        off = (predicted - answers).abs() / answers.abs().clamp(min=1)
        return off.nan_to_num(1.0).clamp(max=1)

    def summary(self, errors: torch.Tensor) -> torch.Tensor:
        return errors.mean(-1)

    def first_weights(self, answers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        # By relative errors small answers lead, by absolute errors large ones.
        size = answers.abs().clamp(min=1)
        return size**-2, size**-1, size**0

    def weights(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        errors = self.errors(predicted, answers)
        cut = (TUKEY * MAD * errors.median()).clamp(1e-3, 1)
        trust = (1 - (errors / cut).clamp(max=1) ** 2) ** 2
        return trust / answers.abs().clamp(min=1) ** 2


@dataclass(frozen=True)
class ShareMissed:
    """The share of answers that are missed by half a unit or more: for single digits."""

    name: str = "share missed"

    def errors(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return (~hits(predicted, answers)).double()

    def summary(self, errors: torch.Tensor) -> torch.Tensor:
        return errors.mean(-1)

    def first_weights(self, answers: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.ones_like(answers),)

    def weights(self, predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return hits(predicted, answers).double()


def hits(predicted: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Whether predictions are the answers, to the nearest whole number."""
    return (predicted - answers).abs() < 0.5


@dataclass(frozen=True)
class Interval:
    """A bootstrap interval: percentiles 2.5 and 97.5 of resampled rows."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"


def advantage(
    measure: Measure,
    errors: torch.Tensor,
    rivals: Sequence[torch.Tensor],
    seed: int,
    resamples: int = 2_000,
) -> Interval:
    """How much lower the error is than the best rival's on the same rows; paired bootstrap.

    Which rival is best is decided anew in every resample, so that a lucky choice is none.

    Args:
        measure: summarises rows.
        errors: [rows].
        rivals: [rows] each.
        seed: of the resampling.
        resamples: how many.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(errors), (resamples, len(errors)), generator=generator)

    def gain(rows: torch.Tensor | slice) -> torch.Tensor:
        best = torch.stack([measure.summary(rival[rows]) for rival in rivals]).amin(0)
        return best - measure.summary(errors[rows])

    # Rivals of no finite error at all leave no number to take quantiles of.
    gains = torch.nan_to_num(gain(rows), nan=0.0, posinf=1e9, neginf=-1e9)
    low, high = torch.quantile(gains, torch.tensor([0.025, 0.975], dtype=gains.dtype)).tolist()
    return Interval(float(gain(slice(None))), low, high)
