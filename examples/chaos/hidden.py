"""Latent coordinates of a system that is only seen through 128 numbers.

The observations and the idea are those of K. Champion, B. Lusch, J. N. Kutz, S. L. Brunton,
"Data-driven discovery of coordinates and governing equations", PNAS 116 (2019): an
autoencoder whose latent coordinates are to have simple dynamics. Here these are the best
quadratic ones for the coordinates at hand, found by least squares at each step of the training
instead of being trained beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from .system import lorenz

OBSERVED, SCALE = 128, 1 / 40
LATENT, WIDTH, BATCH, PEAK_RATE = 3, 64, 512, 3e-3
CONSISTENCY, BENDING = 10.0, 10.0
"""Weights of the latent dynamics' relative error, and of how far the encoder is from linear,
beside the relative error of the decoder."""


def observe(states: Tensor) -> tuple[Tensor, Tensor]:
    """Observations and their derivatives: [rows, 3] -> [rows, 128], [rows, 128].

    Six Legendre polynomials over a line of 128 points, three times the scaled state and three
    times its cubes.
    """
    modes = np.polynomial.legendre.legvander(np.linspace(-1, 1, OBSERVED), 5).T
    linear, cubic = torch.from_numpy(modes).split(3)
    s, rate = SCALE * states, SCALE * lorenz(states)
    return s @ linear + s**3 @ cubic, rate @ linear + (3 * s**2 * rate) @ cubic


@dataclass(frozen=True)
class Principal:
    """Standardised principal components of observations: those that are not zero."""

    mean: Tensor
    directions: Tensor

    @classmethod
    def of(cls, observations: Tensor) -> Principal:
        mean = observations.mean(0)
        _, sizes, directions = torch.linalg.svd(observations - mean, full_matrices=False)
        kept = sizes > 1e-8 * sizes[0]
        scale = sizes[kept] / len(observations) ** 0.5
        return cls(mean, directions[kept].T / scale)

    def __call__(self, observations: Tensor) -> Tensor:
        return (observations - self.mean) @ self.directions

    def of_rates(self, rates: Tensor) -> Tensor:
        return rates @ self.directions


class Curved(nn.Module):
    """A linear map and a network's correction to it: [..., inputs] -> [..., outputs]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.straight = nn.Linear(inputs, outputs)
        self.bend = nn.Sequential(
            nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU()
        )
        self.out = nn.Linear(WIDTH, outputs)
        nn.init.zeros_(self.out.weight)

    def correction(self, values: Tensor) -> Tensor:
        return self.out(self.bend(values))

    def forward(self, values: Tensor) -> Tensor:
        return self.straight(values) + self.correction(values)


def quadratic(z: Tensor) -> Tensor:
    """1, the coordinates and their products: [rows, 3] -> [rows, 10]."""
    i, j = torch.triu_indices(z.shape[1], z.shape[1])
    return torch.cat([torch.ones_like(z[:, :1]), z, z[:, i] * z[:, j]], dim=1)


def best_quadratic(z: Tensor, rate: Tensor) -> Tensor:
    """Coefficients of the quadratic dynamics nearest to some rates: [10, 3]."""
    terms = quadratic(z)
    ridge = 1e-6 * len(z) * torch.eye(terms.shape[1], dtype=z.dtype)
    return torch.linalg.solve(terms.T @ terms + ridge, terms.T @ rate)


class LatentDynamics(nn.Module):
    """Latent coordinates [rows, 3] -> their derivatives [rows, 3]."""

    def __init__(self, coefficients: Tensor) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(coefficients)

    def forward(self, z: Tensor) -> Tensor:
        return quadratic(z) @ self.coefficients


@dataclass(frozen=True)
class Hidden:
    """What was learned from observations alone.

    Args:
        encoder: principal components [rows, 6] -> latent coordinates [rows, 3].
        dynamics: of the latent coordinates.
        reconstruction: share of the observations' variance that the decoder misses.
        consistency: share of the latent rates' variance that the dynamics miss.
        missed: what they miss of each rate, [rows, 3].
    """

    encoder: nn.Module
    dynamics: LatentDynamics
    reconstruction: float
    consistency: float
    missed: Tensor


def learn(components: Tensor, rates: Tensor, steps: int) -> Hidden:
    """Train encoder, decoder and latent dynamics on [rows, 6] and its derivatives."""
    count = components.shape[1]
    encoder, decoder = Curved(count, LATENT), Curved(LATENT, count)
    # The first three principal components are a start in which no coordinate is lost.
    with torch.no_grad():
        encoder.straight.weight.copy_(torch.eye(LATENT, count))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)

    def losses(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = components[rows]
        z, rate = torch.func.jvp(encoder, (seen,), (rates[rows],))
        missed = (decoder(z) - seen).square().mean()
        off = rate - quadratic(z) @ best_quadratic(z, rate)
        bent = encoder.correction(seen).square().mean()
        return missed, (off.square().mean(0) / rate.square().mean(0)).mean(), bent

    for _ in range(steps):
        missed, off, bent = losses(torch.randint(len(components), (BATCH,)))
        optimizer.zero_grad()
        (missed + CONSISTENCY * off + BENDING * bent).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        everything = torch.arange(len(components))
        missed, off, _ = losses(everything)
        z, rate = torch.func.jvp(encoder, (components,), (rates,))
        z, rate = z.double(), rate.double()
        dynamics = LatentDynamics(best_quadratic(z, rate))
        left = rate - dynamics(z)
    return Hidden(encoder, dynamics, missed.item(), off.item(), left)


@dataclass(frozen=True)
class Affine:
    """``values @ matrix + offset``: [rows, 3] -> [rows, 3]."""

    matrix: Tensor
    offset: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        return values @ self.matrix + self.offset

    def inverse(self, values: Tensor) -> Tensor:
        return (values - self.offset) @ torch.linalg.inv(self.matrix)

    def explained(self, values: Tensor, targets: Tensor) -> list[float]:
        """Share of each target's variance."""
        left = (targets - self(values)).var(0) / targets.var(0)
        return (1 - left).tolist()


def affine_map(values: Tensor, targets: Tensor) -> Affine:
    """The affine map that is nearest to taking values to targets."""
    columns = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
    solution = torch.linalg.lstsq(columns, targets).solution
    return Affine(solution[:-1], solution[-1])


class StateFrame(nn.Module):
    """Latent dynamics written in other coordinates: states [rows, 3] -> rates [rows, 3]."""

    def __init__(self, dynamics: LatentDynamics, frame: Affine) -> None:
        super().__init__()
        self.dynamics, self.frame = dynamics, frame

    def forward(self, state: Tensor) -> Tensor:
        return self.dynamics(self.frame.inverse(state)) @ self.frame.matrix
