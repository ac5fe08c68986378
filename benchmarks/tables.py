"""Ordinary tables: scikit-learn's own and generated ones, and models trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from sklearn import datasets
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

Array = np.ndarray
Model = Callable[[Array], Array]
"""[rows, inputs] -> [rows]."""

TEST_SHARE = 0.25
HIDDEN = 32
STEPS = 600


@dataclass(frozen=True)
class Table:
    """A regression task: ``X`` [rows, inputs], ``y`` [rows]; classes are 0 and 1."""

    X: Array
    y: Array

    def split(self) -> tuple[Table, Table]:
        """Rows to train and distil on, and rows that nothing sees."""
        order = np.random.default_rng(0).permutation(len(self.y))
        cut = round(len(order) * (1 - TEST_SHARE))
        return tuple(Table(self.X[rows], self.y[rows]) for rows in (order[:cut], order[cut:]))


def _of_sklearn(load: Callable[..., tuple[Array, Array]], column: int | None = None) -> Table:
    X, y = load(return_X_y=True)
    return Table(X.astype(float), (y if column is None else y[:, column]).astype(float))


def _one_against_rest(load: Callable[..., tuple[Array, Array]], label: int) -> Table:
    X, y = load(return_X_y=True)
    return Table(X.astype(float), (y == label).astype(float))


def _friedman(number: int) -> Table:
    make = getattr(datasets, f"make_friedman{number}")
    noise = {1: 1.0, 2: 100.0, 3: 0.1}[number]
    return Table(*make(n_samples=800, noise=noise, random_state=0))


def _hastie() -> Table:
    X, y = datasets.make_hastie_10_2(n_samples=1500, random_state=0)
    return Table(X, (y > 0).astype(float))


def _additive(inputs: int) -> Table:
    random = np.random.default_rng(1)
    X = random.normal(size=(1000, inputs))
    return Table(X, np.tanh(X) @ np.linspace(0.5, 2, inputs) + 0.1 * random.normal(size=1000))


def _sparse_linear() -> Table:
    random = np.random.default_rng(2)
    X = random.normal(size=(1000, 100))
    y = 2 * X[:, 3] - X[:, 17] + X[:, 40] * X[:, 41] + np.maximum(X[:, 80], 0)
    return Table(X, y + 0.3 * random.normal(size=1000))


def _short_and_wide() -> Table:
    random = np.random.default_rng(3)
    X = random.normal(size=(200, 50))
    return Table(X, X[:, :8] @ np.linspace(1, 0.3, 8) + 0.5 * random.normal(size=200))


def _categorical() -> Table:
    random = np.random.default_rng(4)
    city, kind = random.integers(0, 5, 1200), random.integers(0, 3, 1200)
    size = random.uniform(20, 200, 1200)
    y = np.array([0.0, 5, 3, 8, 1])[city] + 0.05 * size * np.array([1.0, 1.5, 0.7])[kind]
    X = np.column_stack([np.eye(5)[city], np.eye(3)[kind], size])
    return Table(X, y + random.normal(size=1200))


def _steps() -> Table:
    random = np.random.default_rng(5)
    X = random.uniform(size=(1000, 6))
    y = 3.0 * (X[:, 0] > 0.3) + 2.0 * (X[:, 1] > 0.7) * (X[:, 2] > 0.5) - (X[:, 3] > 0.5)
    return Table(X, y + 0.1 * random.normal(size=1000))


def _noise() -> Table:
    random = np.random.default_rng(6)
    return Table(random.normal(size=(600, 10)), random.normal(size=600))


TABLES: Mapping[str, Callable[[], Table]] = {
    "diabetes": lambda: _of_sklearn(datasets.load_diabetes),
    "breast cancer": lambda: _of_sklearn(datasets.load_breast_cancer),
    "wine": lambda: _one_against_rest(datasets.load_wine, 1),
    "digits": lambda: _one_against_rest(datasets.load_digits, 3),
    "iris": lambda: _one_against_rest(datasets.load_iris, 1),
    "linnerud": lambda: _of_sklearn(datasets.load_linnerud, 1),
    "friedman 1": lambda: _friedman(1),
    "friedman 2": lambda: _friedman(2),
    "friedman 3": lambda: _friedman(3),
    "hastie": _hastie,
    "additive 12": lambda: _additive(12),
    "additive 30": lambda: _additive(30),
    "5 of 100": _sparse_linear,
    "200 x 50": _short_and_wide,
    "categorical": _categorical,
    "steps": _steps,
    "noise": _noise,
}


class Network(torch.nn.Module):
    """A small network over raw columns; classes are logits."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        X = torch.tensor(table.X, dtype=torch.float32)
        self.register_buffer("center", X.mean(0))
        self.register_buffer("scale", X.std(0).clamp_min(1e-6))
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(X.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)
        )
        self.classes = set(np.unique(table.y)) == {0.0, 1.0}
        self.level, self.spread = (
            (0.0, 1.0) if self.classes else (float(table.y.mean()), float(table.y.std()))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.level + self.spread * self.layers((x - self.center) / self.scale)


def network(table: Table, seed: int = 0) -> Network:
    """A trained network, on as many steps for every table."""
    torch.manual_seed(seed)
    net = Network(table)
    X = torch.tensor(table.X, dtype=torch.float32)
    y = torch.tensor(table.y, dtype=torch.float32)[:, None]
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3, weight_decay=1e-4)
    for _ in range(STEPS):
        optimizer.zero_grad()
        if net.classes:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(net(X), y)
        else:
            loss = (net(X) - y).square().mean() / net.spread**2
        loss.backward()
        optimizer.step()
    return net


class OfEstimator(torch.nn.Module):
    """An estimator of scikit-learn as a block: [rows, inputs] -> [rows, 1]."""

    def __init__(self, estimator: object) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.estimator.predict(x.double().numpy()))[:, None]


MODELS: Mapping[str, Callable[[Table], torch.nn.Module]] = {
    "network": network,
    "forest": lambda table: OfEstimator(
        RandomForestRegressor(200, min_samples_leaf=3, random_state=0).fit(table.X, table.y)
    ),
    "boosting": lambda table: OfEstimator(
        GradientBoostingRegressor(random_state=0).fit(table.X, table.y)
    ),
}
