"""The Lorenz system, its trajectories, and how long others follow them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
STATE = ("x", "y", "z")
TERMS = {
    "x": {"x": -SIGMA, "y": SIGMA},
    "y": {"x": RHO, "y": -1.0, "x*z": -1.0},
    "z": {"z": -BETA, "x*y": 1.0},
}
"""The law: coefficients of the terms in the derivative of each coordinate."""
LYAPUNOV_TIME = 1 / 0.9056
"""Time in which a small error grows by e (Sprott, "Chaos and Time-Series Analysis", 2003)."""

Flow = Callable[[Tensor], Tensor]
"""Derivatives of states, [..., 3] -> [..., 3]."""


def lorenz(state: Tensor) -> Tensor:
    """The true flow."""
    x, y, z = state.unbind(-1)
    return torch.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z], dim=-1)


def roll_out(flow: Flow, start: Tensor, step: float, steps: int) -> Tensor:
    """Runge-Kutta of fourth order: starts [..., 3] -> trajectories [steps + 1, ..., 3]."""
    states = [start]
    with torch.no_grad():
        for _ in range(steps):
            state = states[-1]
            a = flow(state)
            b = flow(state + step / 2 * a)
            c = flow(state + step / 2 * b)
            d = flow(state + step * c)
            states.append(state + step / 6 * (a + 2 * b + 2 * c + d))
    return torch.stack(states)


def on_attractor(count: int, generator: torch.Generator) -> Tensor:
    """States on the attractor, each from a trajectory of its own: [count, 3], float64."""
    start = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 8
    start[:, 2] += 25
    return roll_out(lorenz, start, 0.01, 500)[-1]


def time_to_divergence(truth: Tensor, path: Tensor, step: float) -> Tensor:
    """When trajectories [steps, starts, 3] leave the true ones by a tenth of the attractor's
    spread: [starts]; the last time where they never do."""
    spread = truth.flatten(0, 1).std(0).norm()
    # Not a number is away too: trajectories of a network may leave for good.
    left = ~((path - truth).norm(dim=-1) <= 0.1 * spread)
    return torch.where(left.any(0), left.double().argmax(0), len(truth) - 1) * step
