"""Training on a few labelled points, with and without physics."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from .physics import Condition, Physics

HIDDEN, LAYERS = 32, 3
LABELLED = 10
INSIDE, EDGE = 128, 64
"""Points drawn anew at each step: for the differential equation, and for each condition."""
PEAK_RATE = 2e-2


class Centred(nn.Module):
    """Coordinates scaled from their domain to [-1, 1], which tanh layers learn faster from."""

    def __init__(self, physics: Physics) -> None:
        super().__init__()
        low, high = torch.tensor([*physics.domain.values()]).T
        self.register_buffer("middle", (low + high) / 2)
        self.register_buffer("reach", (high - low) / 2)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return (points - self.middle) / self.reach


def network_for(physics: Physics) -> nn.Sequential:
    """Three layers of 32 tanh: [rows, coordinates] -> [rows, 1]."""
    widths = [len(physics.coordinates), *[HIDDEN] * LAYERS]
    layers: list[nn.Module] = [Centred(physics)]
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


@dataclass(frozen=True)
class Trained:
    """A network and what it has learned about the unknown constants."""

    network: nn.Sequential
    constants: dict[str, float]


def train(
    physics: Physics, labelled: torch.Tensor, steps: int, polish: int = 0, *, informed: bool
) -> Trained:
    """Fit a network to labelled points; an informed one to the physics as well.

    Args:
        physics: gives the labels, the equation and the conditions.
        labelled: [points, coordinates].
        steps: of Adam, each on fresh points.
        polish: iterations of L-BFGS afterwards, on points that stay.
        informed: whether the loss has the physics in it.
    """
    network = network_for(physics)
    constants = nn.ParameterDict({name: torch.zeros(()) for name in physics.constants})
    labels = physics.solution(labelled)
    parameters = [*network.parameters(), *constants.parameters()]

    def loss(points: Points) -> torch.Tensor:
        misfit = (network(labelled)[:, 0] - labels).square().mean()
        return misfit + physics_loss(physics, network, constants, points) if informed else misfit

    optimizer = torch.optim.Adam(parameters, lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    for _ in range(steps):
        optimizer.zero_grad()
        loss(Points.draw(physics, 1)).backward()
        optimizer.step()
        schedule.step()
    if polish:
        finisher = torch.optim.LBFGS(
            parameters, max_iter=polish, history_size=50, line_search_fn="strong_wolfe"
        )
        points = Points.draw(physics, 4)

        def closure() -> torch.Tensor:
            finisher.zero_grad()
            value = loss(points)
            value.backward()
            return value

        finisher.step(closure)
    return Trained(network, {name: value.item() for name, value in constants.items()})


@dataclass(frozen=True)
class Points:
    """Where the physics is asked for: inside the domain, and for each condition."""

    inside: torch.Tensor
    edges: tuple[torch.Tensor, ...]

    @classmethod
    def draw(cls, physics: Physics, times: int) -> Points:
        """As many as for one step of training, or several times as many."""
        edges = tuple(physics.on_edge(c, times * EDGE) for c in physics.conditions)
        return cls(physics.spread(times * INSIDE), edges)


def physics_loss(
    physics: Physics, network: nn.Module, constants: nn.ParameterDict, points: Points
) -> torch.Tensor:
    """Mean squared residuals of the equation and the conditions, weighted."""
    field = physics.network_field(network, points.inside)
    loss = physics.weight * physics.residual(field, constants).square().mean()
    for condition, edge in zip(physics.conditions, points.edges, strict=True):
        loss = loss + condition.weight * misses(physics, network, condition, edge)
    return loss


def misses(
    physics: Physics, network: nn.Module, condition: Condition, edge: torch.Tensor
) -> torch.Tensor:
    """Mean squared residual of a condition."""
    value = physics.network_field(network, edge)(condition.derivative)
    return (value - physics.values(condition.equals, edge)).square().mean()


def known_misfit(physics: Physics, network: nn.Module, labelled: torch.Tensor) -> float:
    """Mean squared error of a network where its values are known: the largest of the labelled
    points' and the conditions'.

    An equation that is closer to the network than this explains the network's errors.
    """
    known = [error(physics, network, labelled)]
    known += [
        misses(physics, network, condition, physics.on_edge(condition, 500)).item()
        for condition in physics.conditions
        if not condition.derivative
    ]
    return max(known)


def error(physics: Physics, network: nn.Module, points: torch.Tensor) -> float:
    """Mean squared error against the solution."""
    with torch.no_grad():
        return (network(points)[:, 0] - physics.solution(points)).square().mean().item()
