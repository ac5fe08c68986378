"""The greedy walk that all forward selections share, and what it ends in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

EXPLAINED = 1e-20
"""Share of the target's squared size below which a gain is rounding."""


@dataclass(frozen=True)
class LinearFit:
    """A sum of terms with the coefficients of least squares.

    Args:
        terms: positions of the terms, the one chosen first leading.
        coefficients: one per term.
        constant: added to the sum.
        loss: weighted mean squared error.
    """

    terms: tuple[int, ...]
    coefficients: tuple[float, ...]
    constant: float
    loss: float


class Selection(Protocol):
    """Terms to choose from, and the target that they are to explain."""

    @property
    def total(self) -> float:
        """Squared size of the target."""

    def gains(self) -> Tensor:
        """The squared residual that each term would take away, were it next [terms]."""

    def take(self, term: int) -> None:
        """Choose a term; it gains nothing from then on."""


def strongest(selection: Selection, start: int = 0) -> int | None:
    """Position of the term with the largest gain, from ``start`` on; None where none has any."""
    gains = selection.gains()[start:]
    if not len(gains) or float(gains.max()) <= EXPLAINED * selection.total:
        return None
    return int(gains.argmax()) + start


def forward(selection: Selection) -> Iterator[int]:
    """Take the term with the largest gain, again and again, until no term gains anything.

    This is orthogonal least squares (S. Chen, S. A. Billings and W. Luo, "Orthogonal least
    squares methods and their application to non-linear system identification", International
    Journal of Control 50, 1989): a term counts by what the residual loses once *all* chosen
    terms are fitted again, not by how well it alone correlates with the residual.
    """
    while (term := strongest(selection)) is not None:
        selection.take(term)
        yield term
