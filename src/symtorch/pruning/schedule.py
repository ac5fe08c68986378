"""PruningSchedule: how many outputs of a block stay at each training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral
from types import MappingProxyType

from ..errors import InputError, did_you_mean

EXP_RATE = 3.0
"""Decay rate of the schedule "exp": it starts e^3 times as fast as it ends."""


def exp(progress: float) -> float:
    """Most of the pruning early: ``(1 - e^(-3p)) / (1 - e^-3)``."""
    return math.expm1(-EXP_RATE * progress) / math.expm1(-EXP_RATE)


def linear(progress: float) -> float:
    """The same number at every step: ``p``."""
    return progress


def cosine(progress: float) -> float:
    """Slow at both ends: ``(1 - cos(pi p)) / 2``."""
    return (1 - math.cos(math.pi * progress)) / 2


DECAYS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {"exp": exp, "linear": linear, "cosine": cosine}
)
"""Share of training -> share of the pruning done, [0, 1] -> [0, 1], by the name users type."""


@dataclass(frozen=True)
class PruningSchedule:
    """How many outputs stay at each training step.

    >>> schedule = PruningSchedule(100, 2, total_steps=1000, decay_rate="linear")
    >>> [schedule.dimensions_at(step) for step in (0, 100, 250, 500, 1000)]
    [100, 81, 51, 2, 2]

    Args:
        initial_dim: outputs of the block.
        target_dim: outputs that stay in the end.
        total_steps: of the training, in the unit of the steps given to `prune`: batches or
            epochs.
        end_step_frac: share of the training after which pruning is complete, above 0 up to 1;
            the rest of it trains the outputs that stayed.
        decay_rate: ``"exp"``, ``"linear"`` or ``"cosine"``, see `DECAYS`.

    Raises:
        InputError: values out of range.
    """

    initial_dim: int
    target_dim: int
    total_steps: int
    end_step_frac: float = 0.5
    decay_rate: str = "exp"

    def __post_init__(self) -> None:
        for name in ("initial_dim", "target_dim", "total_steps"):
            value = getattr(self, name)
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
                raise InputError(f"{name} must be a whole number of at least 1; got {value!r}")
            object.__setattr__(self, name, int(value))  # JSON has no NumPy integers
        if self.target_dim > self.initial_dim:
            raise InputError(
                f"target_dim={self.target_dim} is more than initial_dim={self.initial_dim}: "
                f"pruning only takes outputs away"
            )
        share = self.end_step_frac
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
            raise InputError(f"end_step_frac must be above 0 and at most 1; got {share!r}")
        if not isinstance(self.decay_rate, str) or self.decay_rate not in DECAYS:
            raise InputError(
                f"unknown decay_rate {self.decay_rate!r}; use one of {', '.join(DECAYS)}"
                f"{did_you_mean(str(self.decay_rate), DECAYS)}"
            )

    def dimensions_at(self, step: int) -> int:
        """How many outputs stay at a step, counted from 0; never more than at the step before.

        Raises:
            InputError: a negative step.
        """
        if step < 0:
            raise InputError(f"steps are counted from 0; got {step}")
        progress = min(1.0, step / (self.end_step_frac * self.total_steps))
        removed = (self.initial_dim - self.target_dim) * DECAYS[self.decay_rate](progress)
        # The billionth keeps rounding in the decay from delaying an output by a step.
        return self.initial_dim - math.floor(removed + 1e-9)
