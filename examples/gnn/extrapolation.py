"""Network against equations, where the network was trained and where it was not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .networks import Forces
from .simulation import VX, Law, Snapshots, leapfrog, random_state

SYSTEMS, STEPS = 200, 200


@dataclass(frozen=True)
class Setting:
    """Systems to predict: number of particles and spread of their places (1 in training)."""

    name: str
    particles: int = 4
    spread: float = 1.0


SETTINGS = (
    Setting("as in training"),
    Setting("larger r", spread=3.0),
    Setting("more particles", particles=6),
)


@dataclass(frozen=True)
class Errors:
    """Of predictions against the truth.

    Args:
        one_step: mean absolute error of an acceleration's component.
        roll_out: median over systems of the mean distance to the true places after each
            number of steps, [STEPS + 1].
    """

    one_step: float
    roll_out: Tensor


def errors(forces: Forces, law: Law, setting: Setting, seed: int) -> Errors:
    """Of a network, or of its equations when it is switched."""
    generator = torch.Generator().manual_seed(seed)
    start = random_state(SYSTEMS, setting.particles, generator, setting.spread)
    snapshots = Snapshots.of(law, start)
    with torch.no_grad():
        wrong = forces(snapshots.states) - snapshots.accelerations
        places = leapfrog(_in_double(forces), start, law.time_step, STEPS)[..., :VX]
    truth = leapfrog(law.acceleration, start, law.time_step, STEPS)[..., :VX]
    distances = torch.linalg.vector_norm(places - truth, dim=-1).mean(-1)
    return Errors(float(wrong.abs().mean()), distances.nan_to_num(torch.inf).median(-1).values)


def _in_double(forces: Forces) -> Callable[[Tensor], Tensor]:
    return lambda state: forces(state.float()).double()
