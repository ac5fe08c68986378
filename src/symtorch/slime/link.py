"""Links: the scale on which a prediction is explained, and its inverse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..lazy import LazyModule

special = LazyModule("scipy.special")

Array = npt.NDArray[np.float64]
LinkName = Literal["identity", "logit"]

MARGIN = 0.005
"""Distance that probabilities keep from 0 and 1."""

LEAST_WEIGHT = 0.1
"""Least weight of a row, near probability 0 or 1, relative to a row of probability 1/2."""


class Link(Protocol):
    """A monotonic map between predictions and the scale of the equation."""

    @property
    def name(self) -> LinkName:
        """Name in saved files."""

    def forward(self, prediction: Array) -> Array:
        """From predictions [n] to the equation's scale [n]."""

    def inverse(self, value: Array) -> Array:
        """From the equation's scale [n] to predictions [n]."""

    def slope(self, value: Array) -> Array:
        """Derivative of `inverse` [n]."""

    def importance(self, prediction: Array) -> Array:
        """Factor on a row's weight that makes errors on both scales comparable [n]."""


@dataclass(frozen=True)
class Identity:
    """Predictions are explained as they are."""

    name: LinkName = "identity"

    def forward(self, prediction: Array) -> Array:
        """The prediction."""
        return prediction

    def inverse(self, value: Array) -> Array:
        """The value."""
        return value

    def slope(self, value: Array) -> Array:
        """1."""
        return np.ones_like(value)

    def importance(self, prediction: Array) -> Array:
        """1: the scales are the same."""
        return np.ones_like(prediction)


@dataclass(frozen=True)
class Logit:
    """Probabilities are explained through their log-odds.

    >>> Logit().inverse(Logit().forward(np.array([0.0, 0.3, 1.0])))
    array([0. , 0.3, 1. ])

    Forests predict 0 and 1, whose log-odds are infinite; so probabilities are first shrunk to
    0.005 ... 0.995, and stretched again by the inverse (Smithson & Verkuilen 2006,
    https://doi.org/10.1037/1082-989X.11.1.54).
    """

    name: LinkName = "logit"

    def forward(self, prediction: Array) -> Array:
        """Log-odds of probabilities."""
        found: Array = special.logit(MARGIN + (1 - 2 * MARGIN) * np.clip(prediction, 0, 1))
        return found

    def inverse(self, value: Array) -> Array:
        """Probabilities of log-odds, between 0 and 1 for every value."""
        # Rounded, so that 0.3 is restored as 0.3.
        stretched = (special.expit(value) - MARGIN) / (1 - 2 * MARGIN)
        found: Array = np.clip(np.round(stretched, 14), 0, 1)
        return found

    def slope(self, value: Array) -> Array:
        """``p (1 - p)``, stretched as `inverse` is; 0 where `inverse` is clipped."""
        probability = special.expit(value)
        inside = np.abs(probability - 0.5) <= 0.5 - MARGIN * (1 - 1e-9)
        found: Array = np.where(inside, probability * (1 - probability) / (1 - 2 * MARGIN), 0.0)
        return found

    def importance(self, prediction: Array) -> Array:
        """``(4 p (1 - p))**2``: an error e of the log-odds is an error ``p (1 - p) e`` of p."""
        found: Array = np.maximum(np.square(4 * prediction * (1 - prediction)), LEAST_WEIGHT)
        return found


LINKS: dict[str, Link] = {link.name: link for link in (Identity(), Logit())}
"""The links by name."""
