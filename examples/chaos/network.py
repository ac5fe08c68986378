"""A network from states to derivatives, trained on noisy samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH, BATCH, PEAK_RATE = 128, 512, 5e-3


class Derivatives(nn.Module):
    """States [..., 3] -> derivatives [..., 3], standardised inside."""

    def __init__(self, states: Tensor, derivatives: Tensor) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 3)
        )
        for name, table in (("state", states), ("derivative", derivatives)):
            self.register_buffer(f"{name}_mean", table.mean(0))
            self.register_buffer(f"{name}_size", table.std(0))

    def forward(self, state: Tensor) -> Tensor:
        standard = self.layers((state - self.state_mean) / self.state_size)
        return standard * self.derivative_size + self.derivative_mean


def train(states: Tensor, derivatives: Tensor, steps: int) -> Derivatives:
    """Fit a network to a table [rows, 3], [rows, 3]."""
    network = Derivatives(states, derivatives)
    optimizer = torch.optim.Adam(network.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    size = network.derivative_size
    for _ in range(steps):
        rows = torch.randint(len(states), (BATCH,))
        error = (network(states[rows]) - derivatives[rows]) / size
        optimizer.zero_grad()
        error.square().mean().backward()
        optimizer.step()
        schedule.step()
    return network
