"""Plan: the rows at which a model is evaluated for one explanation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .columns import Array, Columns
from .neighbourhood import Draws, Locality, Neighbourhood, everywhere


@dataclass(frozen=True, eq=False)
class Plan:
    """The rows, and the point around which they are spread.

    Args:
        draws: rows to fit, to choose and to judge by.
        center: [inputs], the encoded row to explain; None for all of the data.
        reference: [inputs], the encoded row whose nominal values count as 1.
        spread: [inputs], standard deviation around the centre.
    """

    draws: Draws
    center: Array | None
    reference: Array
    spread: Array

    @classmethod
    def around(
        cls, x: Any, data: Any, columns: Columns, locality: Locality, random_state: int
    ) -> Plan:
        """Choose rows around ``x``, or from all of ``data`` [rows, inputs] if ``x`` is None.

        Raises:
            InputError: an ``x`` that is not one row, too few rows of data.
        """
        table = columns.encode(data)
        generator = np.random.default_rng(random_state)
        if x is None:
            draws = everywhere(table, generator)
            common = np.array([_most_common(column) for column in table.T])
            return cls(draws, None, common, draws.fresh.rows.std(axis=0))
        encoded = columns.encode(x)
        if len(encoded) != 1:
            raise InputError(f"x must be one row; got {len(encoded)}")
        near = Neighbourhood.around(encoded[0], table, columns, locality)
        draws = near.draws(locality, generator)
        return cls(draws, near.center, near.center, np.sqrt(near.variance))

    @property
    def rows(self) -> Array:
        """All rows in one table: the centre, if any, then those to fit, choose and judge by."""
        first = [] if self.center is None else [self.center[None]]
        parts = (self.draws.fit, self.draws.judge, self.draws.fresh)
        return np.vstack([*first, *(points.rows for points in parts)])


def _most_common(values: Array) -> float:
    found, counts = np.unique(values, return_counts=True)
    return float(found[counts.argmax()])
