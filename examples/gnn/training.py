"""Training, with the variants of keeping messages few."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .networks import EdgeNetwork, Forces, NodeNetwork, pairs
from .simulation import VX, Snapshots

BATCH = 32
PEAK_RATE = 5e-3
SHIFT = 3.0
"""Standard deviation of the random shift of a system; the laws know no place."""


class Variant:
    """Messages of 100 numbers, nothing asked of them."""

    width = 100

    def edge_network(self, sees_receiver_mass: bool, steps: int) -> nn.Module:
        return EdgeNetwork(self.width, sees_receiver_mass)

    def messages(self, edge: nn.Module, x_i: Tensor, x_j: Tensor) -> tuple[Tensor, Tensor]:
        """Messages [batch, pairs, width], and a penalty to add to the loss of a system."""
        return edge(x_i, x_j), torch.zeros(())

    def before_step(self, edge: nn.Module, step: int, states: Tensor) -> None:
        """What changes the network in the course of training."""


class Bottleneck(Variant):
    """Messages of two numbers, as many as a force has."""

    width = 2


def train(
    variant: Variant, snapshots: Snapshots, steps: int, sees_receiver_mass: bool, seed: int
) -> Forces:
    """A network trained on the absolute error of accelerations, summed over a system."""
    torch.manual_seed(seed)
    forces = Forces(
        variant.edge_network(sees_receiver_mass, steps), NodeNetwork(variant.width)
    )
    optimizer = torch.optim.Adam(forces.parameters(), lr=PEAK_RATE, weight_decay=1e-8, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.3, cycle_momentum=False
    )
    for step in range(steps):
        rows = torch.randint(len(snapshots.states), (BATCH,))
        states = snapshots.states[rows]
        states[..., :VX] += SHIFT * torch.randn(BATCH, 1, 2)
        variant.before_step(forces.edge, step, states)
        messages, penalty = variant.messages(forces.edge, *pairs(states))
        error = forces.accelerations(states, messages) - snapshots.accelerations[rows]
        loss = error.abs().sum() / BATCH + penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return forces.eval()
