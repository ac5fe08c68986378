"""What the messages of a trained network hold: how many dimensions, and are they the force?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .networks import Forces, pairs
from .simulation import MASS, VX, Law

LIVE = 0.01
"""A dimension is live if its standard deviation is at least this share of the largest."""

RANK = 0.99
"""As many principal components count as rank as hold this share of the variance."""


@dataclass(frozen=True)
class Messages:
    """Messages of a network between the pairs of some systems, and the true forces.

    Args:
        values: [pairs, width], float64.
        force: [pairs, 2], on the receiver.
        mass: [pairs], of the receiver.
        apart: [pairs], distance.
    """

    values: Tensor
    force: Tensor
    mass: Tensor
    apart: Tensor

    @classmethod
    def of(cls, forces: Forces, law: Law, states: Tensor) -> Messages:
        """Of a network on states [systems, particles, 6]."""
        x_i, x_j = (side.flatten(0, 1) for side in pairs(states))
        with torch.no_grad():
            values = forces.edge(x_i, x_j).double()
        x_i, x_j = x_i.double(), x_j.double()
        return cls(values, law.force(x_i, x_j), x_i[:, MASS], distance(x_i, x_j))

    def trimmed(self, nearest: float) -> Messages:
        """Those between pairs further apart than ``nearest``."""
        far = self.apart > nearest
        return Messages(self.values[far], self.force[far], self.mass[far], self.apart[far])

    def targets(self) -> dict[str, Tensor]:
        """What messages may be a linear map of: [pairs, 2] each."""
        return {"F": self.force, "F/m_i": self.force / self.mass[:, None]}

    @property
    def live(self) -> int:
        """Number of live dimensions."""
        spread = self.values.std(0)
        return int((spread >= LIVE * spread.max()).sum())

    @property
    def rank(self) -> int:
        """Number of principal components that hold `RANK` of the variance."""
        return int((self._shares().cumsum(0) < RANK).sum()) + 1

    @property
    def share_of_two(self) -> float:
        """Share of the variance that the first two principal components hold."""
        return float(self._shares()[:2].sum())

    def _shares(self) -> Tensor:
        variances = torch.linalg.eigvalsh(self.values.T.cov()).flip(0).clamp_min(0)
        return variances / variances.sum()

    def widest(self) -> Tensor:
        """The two dimensions that vary most, as the published study picks them: [pairs, 2]."""
        return self.values[:, self.values.std(0).topk(2).indices.sort().values]

    def principal(self) -> Tensor:
        """The first two principal components: [pairs, 2]."""
        return self.values @ principal_directions(self.values)


def distance(x_i: Tensor, x_j: Tensor) -> Tensor:
    """Between receivers and senders, [..., 6] each: [...]."""
    return torch.linalg.vector_norm(x_j[..., :VX] - x_i[..., :VX], dim=-1)


def principal_directions(values: Tensor, count: int = 2) -> Tensor:
    """Directions of largest variance [width, count], orthonormal, of values [rows, width]."""
    return torch.linalg.eigh(values.T.cov()).eigenvectors.flip(1)[:, :count]


def explained(messages: Tensor, target: Tensor) -> list[float]:
    """R^2 of each message [rows, 2] as a linear map of a target [rows, 2] and a constant."""
    columns = torch.cat([target, torch.ones(len(target), 1, dtype=target.dtype)], dim=1)
    left = messages - columns @ torch.linalg.lstsq(columns, messages).solution
    return (1 - left.var(0) / messages.var(0)).tolist()
