"""Box: a range for each input column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ..errors import InputError
from ..recording import Recording
from ..symbolic.names import check_names


@dataclass(frozen=True)
class Box:
    """A range for each input column, in the columns' order.

    >>> box = Box.of({"x": (-1, 1), "t": (0, 2.5)})
    >>> box.names, box.lower, box.upper
    (('x', 't'), (-1.0, 0.0), (1.0, 2.5))

    Args:
        names: of the columns.
        lower: finite.
        upper: at least ``lower``; equal for a column that is held fixed.

    Raises:
        InputError: no column, a bound that is not finite, or bounds in the wrong order.
    """

    names: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        check_names(self.names)
        if not self.names:
            raise InputError("a box needs at least one column: {'x0': (-1.0, 1.0)}")
        for name, low, high in zip(self.names, self.lower, self.upper, strict=True):
            if not (math.isfinite(low) and math.isfinite(high)):
                raise InputError(f"'{name}' ranges from {low} to {high}; a box has finite bounds")
            if low > high:
                raise InputError(f"'{name}' ranges from {low} down to {high}; swap the bounds")

    @classmethod
    def of(cls, ranges: BoxLike) -> Box:
        """A box from its ranges by column, ``{"x0": (-1, 1), ...}``, or a box as it is."""
        if isinstance(ranges, Box):
            return ranges
        try:
            pairs = {name: (float(low), float(high)) for name, (low, high) in ranges.items()}
        except (AttributeError, TypeError, ValueError):
            raise InputError(
                f"a box is given as {{'x0': (lower, upper), ...}}, a range for each column in "
                f"order; got {ranges!r}"
            ) from None
        lows, highs = zip(*pairs.values(), strict=True) if pairs else ((), ())
        return cls(tuple(pairs), lows, highs)

    @classmethod
    def around(cls, recording: Recording, margin: float = 0.0) -> Box:
        """The box of recorded rows, widened on each side by a share of its width.

        >>> from symtorch import record
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1))
        >>> rows = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
        >>> box = Box.around(record(net, "0", rows)["0"], margin=0.25)
        >>> box.lower, box.upper
        ((-0.5, 0.0), (2.5, 6.0))

        Raises:
            InputError: a negative margin.
        """
        if not margin >= 0:
            raise InputError(f"margin must be 0 or more; got {margin}")
        low = recording.inputs.double().amin(0)
        high = recording.inputs.double().amax(0)
        more = margin * (high - low)
        return cls(recording.names, tuple((low - more).tolist()), tuple((high + more).tolist()))

    def corners(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Lower and upper corner, [1, columns] float64 each."""
        low, high = (torch.tensor([side], dtype=torch.float64) for side in (self.lower, self.upper))
        return low, high

    def sample(self, rows: int, seed: int = 0) -> torch.Tensor:
        """[rows, columns] uniform points, float64; no global generator is touched."""
        generator = torch.Generator().manual_seed(seed)
        low, high = self.corners()
        share = torch.rand(rows, len(self.names), generator=generator, dtype=torch.float64)
        return torch.minimum(torch.maximum(low + share * (high - low), low), high)

    def __str__(self) -> str:
        ranges = zip(self.names, self.lower, self.upper, strict=True)
        return ", ".join(f"{name} in [{low:.6g}, {high:.6g}]" for name, low, high in ranges)


BoxLike: TypeAlias = Box | Mapping[str, tuple[float, float]]
