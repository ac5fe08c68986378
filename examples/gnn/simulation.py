"""Particles in the plane that push and pull on each other in pairs: laws, simulations, data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SOFTENING = 0.01
"""Added to every distance, as in the published study (arXiv 2006.11287)."""

X, Y, VX, VY, CHARGE, MASS = range(6)
"""Columns of a particle's state."""

STEPS, SNAPSHOTS = 1_000, 20
"""Leapfrog steps of a simulation, and how many of its states become data."""


@dataclass(frozen=True)
class Law:
    """A pair force.

    Args:
        name: of the law.
        slope: dV/dd of (d, m_i, m_j, q_i, q_j), where d is distance + `SOFTENING`; positive
            is attraction.
        time_step: of the simulations.
        nearest: pairs closer than this are left out where a fit says "trimmed".
        text: of the potential.
    """

    name: str
    slope: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
    time_step: float
    nearest: float
    text: str

    def force(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        """Force on i from j, both [..., 6]: [..., 2]."""
        apart = x_j[..., :VX] - x_i[..., :VX]
        r = torch.linalg.vector_norm(apart, dim=-1)
        slope = self.slope(
            r + SOFTENING, x_i[..., MASS], x_j[..., MASS], x_i[..., CHARGE], x_j[..., CHARGE]
        )
        return (slope / r).unsqueeze(-1) * apart

    def acceleration(self, state: Tensor) -> Tensor:
        """[..., particles, 6] -> [..., particles, 2]."""
        i, j = torch.triu_indices(state.shape[-2], state.shape[-2], 1)
        force = self.force(state[..., i, :], state[..., j, :])
        total = torch.zeros_like(state[..., :VX])
        # Action and reaction: each pair is computed once.
        total.index_add_(-2, i, force)
        total.index_add_(-2, j, -force)
        return total / state[..., MASS, None]


LAWS = {
    law.name: law
    for law in (
        Law("spring", lambda d, mi, mj, qi, qj: 2 * (d - 1), 0.01, 0.0, "(d - 1)^2"),
        Law("r1", lambda d, mi, mj, qi, qj: mi * mj / d, 0.005, 0.1, "m1 m2 log d"),
        Law("r2", lambda d, mi, mj, qi, qj: mi * mj / d**2, 0.001, 0.2, "-m1 m2 / d"),
        Law("charge", lambda d, mi, mj, qi, qj: -qi * qj / d**2, 0.001, 0.2, "q1 q2 / d"),
    )
}


@dataclass(frozen=True)
class Snapshots:
    """States [rows, particles, 6] and accelerations [rows, particles, 2], both float32.

    Snapshots in which some acceleration exceeds a cut are left out: one near-collision in
    a thousand would otherwise be most of the variance.
    """

    states: Tensor
    accelerations: Tensor
    kept: float
    """Share of the snapshots that passed the cut."""

    @classmethod
    def of(cls, law: Law, states: Tensor, largest: float = 100.0) -> Snapshots:
        """Label states [rows, particles, 6] in float64 and cut."""
        accelerations = law.acceleration(states)
        size = torch.linalg.vector_norm(accelerations, dim=-1).amax(-1)
        keep = size < largest
        return cls(states[keep].float(), accelerations[keep].float(), float(keep.double().mean()))


def random_state(
    simulations: int, particles: int, generator: torch.Generator, spread: float = 1.0
) -> Tensor:
    """Positions N(0, spread^2), velocities N(0, 1), charges +-1, masses exp(N(0, 1))."""

    def normal(columns: int) -> Tensor:
        shape = (simulations, particles, columns)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    return torch.cat([spread * normal(2), normal(2), normal(1).sign(), normal(1).exp()], dim=-1)


def leapfrog(
    acceleration: Callable[[Tensor], Tensor], state: Tensor, time_step: float, steps: int
) -> Tensor:
    """Trajectory [steps + 1, ..., particles, 6] from a state (kick, drift, kick)."""
    state = state.clone()
    trajectory = [state.clone()]
    kick = acceleration(state)
    for _ in range(steps):
        state[..., VX:CHARGE] += 0.5 * time_step * kick
        state[..., :VX] += time_step * state[..., VX:CHARGE]
        kick = acceleration(state)
        state[..., VX:CHARGE] += 0.5 * time_step * kick
        trajectory.append(state.clone())
    return torch.stack(trajectory)


def simulate(law: Law, simulations: int, generator: torch.Generator) -> Tensor:
    """States at random times: [simulations, SNAPSHOTS, 4, 6], float64."""
    found = []
    # In portions, since a whole trajectory is kept until its snapshots are drawn.
    for start in range(0, simulations, 500):
        count = min(500, simulations - start)
        state = random_state(count, 4, generator)
        trajectory = leapfrog(law.acceleration, state, law.time_step, STEPS)
        times = torch.rand(count, STEPS + 1, generator=generator).argsort(1)[:, :SNAPSHOTS]
        found.append(trajectory[times, torch.arange(count)[:, None]])
    return torch.cat(found)


@dataclass(frozen=True)
class Data:
    """Snapshots for training and for testing, from different simulations."""

    train: Snapshots
    test: Snapshots

    @classmethod
    def of(cls, law: Law, simulations: int, seed: int) -> Data:
        """Simulate; a fifth of the simulations is for testing."""
        generator = torch.Generator().manual_seed(seed)
        states = simulate(law, simulations, generator)
        held_out = simulations // 5
        return cls(
            Snapshots.of(law, states[held_out:].flatten(0, 1)),
            Snapshots.of(law, states[:held_out].flatten(0, 1)),
        )
