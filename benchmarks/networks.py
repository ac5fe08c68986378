"""Networks trained on a law's samples, fixed by their seed: what distilling starts from."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from laws import Array, Law
from torch import nn


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Args:
        law: what it learns.
        noise: standard deviation of the noise on the targets, as a share of theirs.
        rows: training points.
        widths: of the hidden layers.
        steps: of Adam, the learning rate falling along a cosine.
        batch: rows of a step.
        seed: of data, first weights and batches.
    """

    law: Law
    noise: float = 0.0
    rows: int = 10_000
    widths: tuple[int, ...] = (64, 64, 64)
    steps: int = 10_000
    batch: int = 512
    seed: int = 0

    @property
    def key(self) -> str:
        """A file name for the trained network."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Trained:
    """A trained network, the inputs it saw and how good it is.

    Args:
        network: [rows, inputs] -> [rows, 1], float32.
        X: [rows, inputs] training points.
        error: root mean square difference from the law on fresh points, as a share of
            the law's spread.
        seconds: spent training.
    """

    network: nn.Module = field(repr=False)
    X: torch.Tensor = field(repr=False)
    error: float
    seconds: float


class Standardised(nn.Module):
    """A multilayer perceptron with SiLU that keeps the scales of inputs and outputs inside."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last = X.shape[1]
        for width in widths:
            layers += [nn.Linear(last, width), nn.SiLU()]
            last = width
        self.net = nn.Sequential(*layers, nn.Linear(last, 1))
        for name, value in {
            "x_mean": X.mean(0),
            "x_spread": X.std(0),
            "y_mean": y.mean(0),
            "y_spread": y.std(0),
        }.items():
            self.register_buffer(name, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((x - self.x_mean) / self.x_spread) * self.y_spread + self.y_mean


def trained(training: Training, folder: Path) -> Trained:
    """The network of a training, read from ``folder`` where it was trained before."""
    path = folder / f"{training.key}.pt"
    X, y = _data(training)
    torch.manual_seed(training.seed)
    network = Standardised(X, y, training.widths)
    if path.exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
        seconds = state["seconds"]
    else:
        seconds = _train(network, X, y, training)
        torch.save({"network": network.state_dict(), "seconds": seconds}, path)
    network.eval()
    return Trained(network, X, _error(network, training.law), seconds)


def noisy(y: Array, noise: float, seed: int) -> Array:
    """Values with Gaussian noise of a share of their spread."""
    return y + noise * y.std() * np.random.default_rng(seed).standard_normal(len(y))


def _data(training: Training) -> tuple[torch.Tensor, torch.Tensor]:
    X, y = training.law.sample(training.rows, training.seed)
    y = noisy(y, training.noise, training.seed)
    return torch.from_numpy(X).float(), torch.from_numpy(y).float()[:, None]


def _train(network: Standardised, X: torch.Tensor, y: torch.Tensor, training: Training) -> float:
    started = time.perf_counter()
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
    for _ in range(training.steps):
        rows = torch.randint(len(X), (training.batch,))
        optimizer.zero_grad()
        residual = (network(X[rows]) - y[rows]) / network.y_spread
        residual.square().mean().backward()
        optimizer.step()
        schedule.step()
    return time.perf_counter() - started


@torch.no_grad()
def _error(network: nn.Module, law: Law) -> float:
    X, y = law.sample(5_000, seed=1_000)
    answers = network(torch.from_numpy(X).float())[:, 0].double().numpy()
    return float(np.sqrt(np.mean((answers - y) ** 2)) / y.std())
