"""Training, with the variants of keeping messages few (arXiv 2006.11287)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from symtorch import SymbolicModel, wrap
from symtorch.regularisers import kl_to_standard_normal, l1

from .networks import EdgeNetwork, Forces, GaussianEdgeNetwork, NodeNetwork, pairs
from .simulation import VX, Snapshots

BATCH = 32
PEAK_RATE = 5e-3
TUNING_STEPS, TUNING_RATE = 2_000, 1e-3
SHIFT = 3.0
"""Standard deviation of the random shift of a system; the laws know no place."""

RANKED = 500
"""Systems whose messages decide what is pruned."""


class Variant:
    """Messages of 100 numbers, nothing asked of them."""

    width = 100

    def edge_network(self, sees_receiver_mass: bool) -> nn.Module:
        return EdgeNetwork(self.width, sees_receiver_mass)

    def begin(self, edge: SymbolicModel, steps: int) -> None:
        """Called before the first step."""

    def before_step(self, edge: SymbolicModel, step: int, sample: tuple[Tensor, Tensor]) -> None:
        """Called before each step; sample: pairs [rows, 6] each, always the same."""

    def messages(self, edge: SymbolicModel, x_i: Tensor, x_j: Tensor) -> tuple[Tensor, Tensor]:
        """Messages [batch, pairs, width], and a penalty for the loss of a particle."""
        return edge(x_i, x_j), torch.zeros(())


class Bottleneck(Variant):
    """Messages of two numbers, as many as a force has."""

    width = 2


class L1(Variant):
    """The size of messages costs."""

    weight = 1e-2

    def messages(self, edge: SymbolicModel, x_i: Tensor, x_j: Tensor) -> tuple[Tensor, Tensor]:
        messages = edge(x_i, x_j)
        return messages, self.weight * l1(messages).mean()


class KL(Variant):
    """Messages are noisy, and what they tell beyond noise costs."""

    weight = 1.0

    def edge_network(self, sees_receiver_mass: bool) -> nn.Module:
        return GaussianEdgeNetwork(self.width, sees_receiver_mass)

    def messages(self, edge: SymbolicModel, x_i: Tensor, x_j: Tensor) -> tuple[Tensor, Tensor]:
        mu, logvar = edge.block.distribution(x_i, x_j)
        drawn = mu + (logvar / 2).exp() * torch.randn_like(mu)
        return drawn, self.weight * kl_to_standard_normal(mu, logvar).mean()


class Pruning(Variant):
    """Messages of 100 numbers, of which the two that vary most are left in the end."""

    def begin(self, edge: SymbolicModel, steps: int) -> None:
        edge.setup_pruning(self.width, 2, steps, end_step_frac=0.65, decay_rate="cosine")

    def before_step(self, edge: SymbolicModel, step: int, sample: tuple[Tensor, Tensor]) -> None:
        edge.prune(step, sample)


VARIANTS: dict[str, Variant] = {
    "bottleneck": Bottleneck(),
    "pruning": Pruning(),
    "standard": Variant(),
    "l1": L1(),
    "kl": KL(),
}


def network(variant: Variant, sees_receiver_mass: bool) -> Forces:
    """A new network of a variant, its edge network wrapped."""
    forces = Forces(variant.edge_network(sees_receiver_mass), NodeNetwork(variant.width))
    wrap(forces, "edge")
    return forces


def train(
    variant: Variant, snapshots: Snapshots, steps: int, sees_receiver_mass: bool, seed: int
) -> Forces:
    """A network trained on the absolute error of accelerations, summed over a system."""
    torch.manual_seed(seed)
    forces = network(variant, sees_receiver_mass)
    variant.begin(forces.edge, steps)
    _descend(forces, variant, snapshots, steps, PEAK_RATE)
    return forces.eval()


def tune(forces: Forces, snapshots: Snapshots, seed: int) -> None:
    """Train the constants of equations that were switched in, and the node network with them."""
    torch.manual_seed(seed)
    forces.train()
    _descend(forces, Variant(), snapshots, TUNING_STEPS, TUNING_RATE)
    forces.eval()


def _descend(
    forces: Forces, variant: Variant, snapshots: Snapshots, steps: int, rate: float
) -> None:
    optimizer = torch.optim.Adam(forces.parameters(), lr=rate, weight_decay=1e-8, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps, pct_start=0.3, cycle_momentum=False
    )
    sample = tuple(side.flatten(0, 1) for side in pairs(snapshots.states[:RANKED]))
    particles = snapshots.states.shape[1]
    for step in range(steps):
        variant.before_step(forces.edge, step, sample)
        rows = torch.randint(len(snapshots.states), (BATCH,))
        states = snapshots.states[rows]
        states[..., :VX] += SHIFT * torch.randn(BATCH, 1, 2)
        messages, penalty = variant.messages(forces.edge, *pairs(states))
        error = forces.accelerations(states, messages) - snapshots.accelerations[rows]
        # The published loss is that of a particle; here it is the sum over a system.
        loss = error.abs().sum() / BATCH + particles * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
