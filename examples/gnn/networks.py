"""A graph network for accelerations: messages between pairs, summed, read by each particle."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from .simulation import MASS

HIDDEN = 64


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    """Three hidden layers of `HIDDEN`, SiLU between."""
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.SiLU(),
        nn.Linear(HIDDEN, outputs),
    )


class EdgeNetwork(nn.Module):
    """Message to particle i from particle j: two tensors [..., 6] -> [..., width].

    Args:
        width: numbers in a message.
        sees_receiver_mass: whether m_i is among its inputs. The node network knows m_i, so
            that a message which may depend on it too can be F, F/m_i or anything between.
    """

    seen: Tensor

    def __init__(self, width: int, sees_receiver_mass: bool) -> None:
        super().__init__()
        self.layers = perceptron(12, width)
        seen = torch.ones(6)
        seen[MASS] = float(sees_receiver_mass)
        self.register_buffer("seen", seen)

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.layers(torch.cat([x_i * self.seen, x_j], dim=-1))


class GaussianEdgeNetwork(nn.Module):
    """Messages drawn from N(mu, exp(logvar)) in training; their means otherwise."""

    def __init__(self, width: int, sees_receiver_mass: bool) -> None:
        super().__init__()
        self.parameters_of = EdgeNetwork(2 * width, sees_receiver_mass)

    def distribution(self, x_i: Tensor, x_j: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, [..., width] each."""
        mu, logvar = self.parameters_of(x_i, x_j).chunk(2, dim=-1)
        return mu, logvar

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.distribution(x_i, x_j)[0]


class NodeNetwork(nn.Module):
    """Acceleration of a particle: [..., 6] and its summed messages -> [..., 2]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = perceptron(6 + width, 2)

    def forward(self, x: Tensor, messages: Tensor) -> Tensor:
        return self.layers(torch.cat([x, messages], dim=-1))


class Forces(nn.Module):
    """Edge and node network over all pairs of small systems of equal size.

    For a handful of particles that all see each other, this is several times faster than
    message passing over an index of edges, and computes the same.
    """

    def __init__(self, edge: nn.Module, node: nn.Module) -> None:
        super().__init__()
        self.edge = edge
        self.node = node

    def forward(self, states: Tensor) -> Tensor:
        """Accelerations [..., particles, 2] from states [..., particles, 6]."""
        return self.accelerations(states, self.edge(*pairs(states)))

    def accelerations(self, states: Tensor, messages: Tensor) -> Tensor:
        """The same from the messages of all `pairs`."""
        return self.node(states, messages.unflatten(-2, (states.shape[-2], -1)).sum(-2))


def pairs(states: Tensor) -> tuple[Tensor, Tensor]:
    """Receivers and senders [..., n (n - 1), 6] of all ordered pairs, sorted by receiver."""
    receivers, senders = all_edges(states.shape[-2])
    return states.index_select(-2, receivers), states.index_select(-2, senders)


@cache
def all_edges(particles: int) -> tuple[Tensor, Tensor]:
    """Receivers and senders of all ordered pairs: [n (n - 1)] each."""
    edges = [(i, j) for i in range(particles) for j in range(particles) if i != j]
    receivers, senders = torch.tensor(edges).T
    return receivers, senders
