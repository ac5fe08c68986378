"""Data sets that come inside scikit-learn, and the models that are explained on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ROWS = 800


@dataclass(frozen=True)
class DataSet:
    """A table [rows, inputs], its targets [rows], split into what trains and what is explained."""

    name: str
    train: np.ndarray
    test: np.ndarray
    train_targets: np.ndarray
    test_targets: np.ndarray
    is_classes: bool


def _hastie() -> tuple[np.ndarray, np.ndarray]:
    table, targets = datasets.make_hastie_10_2(ROWS, random_state=0)
    return table, (targets > 0).astype(int)


SOURCES: dict[str, tuple[Callable[[], Any], bool]] = {
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), False),
    "breast cancer": (lambda: datasets.load_breast_cancer(return_X_y=True), True),
    "wine": (lambda: datasets.load_wine(return_X_y=True), True),
    "iris": (lambda: datasets.load_iris(return_X_y=True), True),
    "digits": (lambda: datasets.load_digits(return_X_y=True), True),
    "friedman1": (lambda: datasets.make_friedman1(ROWS, noise=1.0, random_state=0), False),
    "friedman2": (lambda: datasets.make_friedman2(ROWS, noise=50.0, random_state=0), False),
    "friedman3": (lambda: datasets.make_friedman3(ROWS, noise=0.1, random_state=0), False),
    "hastie": (_hastie, True),
}
"""What loads each set, and whether its targets are classes."""


def load(name: str) -> DataSet:
    source, is_classes = SOURCES[name]
    table, targets = source()
    parts = train_test_split(table, targets, test_size=0.3, random_state=0)
    return DataSet(name, *parts, is_classes)


def models(is_classes: bool) -> dict[str, Any]:
    """Untrained models by name, as scikit-learn makes them; networks on scaled columns."""
    layers = {"hidden_layer_sizes": (64, 32), "max_iter": 500, "random_state": 0}
    if is_classes:
        return {
            "forest": RandomForestClassifier(random_state=0),
            "boosting": GradientBoostingClassifier(random_state=0),
            "network": make_pipeline(StandardScaler(), MLPClassifier(**layers)),
        }
    network = make_pipeline(StandardScaler(), MLPRegressor(**layers))
    return {
        "forest": RandomForestRegressor(random_state=0),
        "boosting": GradientBoostingRegressor(random_state=0),
        "network": TransformedTargetRegressor(network, transformer=StandardScaler()),
    }


def answers_of(model: Any, is_classes: bool) -> Callable[[np.ndarray], np.ndarray]:
    """The function to explain: probabilities [rows, classes], or numbers [rows]."""
    return model.predict_proba if is_classes else model.predict
