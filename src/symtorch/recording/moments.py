"""Moments: mean and covariance of a block's inputs and outputs, streamed over its calls."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from .reservoir import Reservoir


@dataclass(frozen=True)
class Moments:
    """Means and covariances of inputs and outputs, float64.

    >>> x = torch.randn(100, 3, dtype=torch.float64)
    >>> moments = Moments.of(x, 2 * x[:, :1])
    >>> moments.xx.shape, moments.xy.shape, moments.yy.shape
    (torch.Size([3, 3]), torch.Size([3, 1]), torch.Size([1, 1]))

    Args:
        rows: number of rows.
        x_mean: [inputs].
        y_mean: [outputs].
        xx: covariance of the inputs [inputs, inputs].
        xy: [inputs, outputs].
        yy: [outputs, outputs].
    """

    rows: int
    x_mean: torch.Tensor
    y_mean: torch.Tensor
    xx: torch.Tensor
    xy: torch.Tensor
    yy: torch.Tensor

    @classmethod
    def of(cls, x: torch.Tensor, y: torch.Tensor) -> Moments:
        """Moments of tables [rows, inputs] and [rows, outputs]."""
        sums = MomentSums()
        sums.add(x, y)
        return sums.moments()


@dataclass
class MomentSums:
    """Running sums for `Moments`; their size does not depend on the number of rows."""

    rows: int = 0
    _width: int = 0
    _shift: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    _sum: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    _gram: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Add rows: [rows, inputs], [rows, outputs]."""
        # Apple's GPUs have no float64.
        device = torch.device("cpu") if x.device.type == "mps" else x.device
        table = torch.cat([x, y.to(x.device)], dim=-1).to(device, torch.float64)
        if not self.rows:
            self._width = x.shape[1]
            # Around a typical row, sums of squares lose no digits to a large mean.
            self._shift = table[0].clone()
            self._sum = torch.zeros_like(self._shift)
            self._gram = self._sum.new_zeros(len(self._sum), len(self._sum))
        table = table - self._shift
        self.rows += len(table)
        self._sum += table.sum(0)
        self._gram.addmm_(table.mT, table)

    def moments(self) -> Moments:
        """The moments of all rows so far."""
        mean = self._sum / self.rows
        covariance = (self._gram / self.rows - torch.outer(mean, mean)).cpu()
        mean = (mean + self._shift).cpu()
        n = self._width
        return Moments(
            self.rows,
            mean[:n],
            mean[n:],
            covariance[:n, :n],
            covariance[:n, n:],
            covariance[n:, n:],
        )


class MomentReservoir(Reservoir):
    """A reservoir that also sums the moments of all rows, whether it samples them or not.

    >>> reservoir = MomentReservoir(size=3, seed=0)
    >>> rows = reservoir.offer(10)
    >>> reservoir.keep(rows, torch.randn(10, 2), torch.randn(10, 1))
    >>> reservoir.sums.moments().rows, len(reservoir.sample()[0])
    (10, 3)
    """

    def __init__(self, size: int | None, seed: int) -> None:
        super().__init__(size, seed)
        self.sums = MomentSums()
        self._chosen: list[torch.Tensor] = []

    def offer(self, rows: int) -> torch.Tensor:
        """Announce the next rows: all of them are wanted."""
        self._chosen.append(super().offer(rows))
        return torch.arange(rows)

    def keep(self, rows: torch.Tensor, *tables: torch.Tensor) -> None:
        """Add all rows to the sums, and store those of the sample."""
        if len(rows):
            self.sums.add(*tables)
        chosen = self._chosen.pop()
        super().keep(chosen, *(table[chosen.to(table.device)] for table in tables))
