"""Reservoir: a uniform sample of rows from a stream of unknown length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


class Reservoir:
    """Keeps ``size`` rows of a stream, each row with equal probability.

    Every row gets a random key, and the rows with the smallest keys stay ("bottom-k"
    sampling). Keys depend on the seed and on how many rows came before, so the sample
    does not depend on how the stream is cut into batches.

    >>> reservoir = Reservoir(size=3, seed=0)
    >>> for batch in torch.arange(100.0).reshape(10, 10, 1):
    ...     rows = reservoir.offer(len(batch))
    ...     reservoir.keep(rows, batch[rows])
    >>> index, (table,) = reservoir.sample()
    >>> table.shape, bool((table[:, 0] == index).all())
    (torch.Size([3, 1]), True)

    Args:
        size: rows to keep; None for all.
        seed: of its own generator.
    """

    def __init__(self, size: int | None, seed: int) -> None:
        self.size = size
        self.seen = 0
        self._generator = np.random.default_rng(seed)
        self._threshold = np.inf
        self._offered: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]] = []
        self._keys = np.empty(0)
        self._index = np.empty(0, dtype=np.int64)
        self._tables: list[torch.Tensor] = []

    def offer(self, rows: int) -> torch.Tensor:
        """Announce the next rows; returns which of them to hand to `keep`."""
        keys = self._generator.random(rows)
        chosen = np.flatnonzero(keys < self._threshold)
        if self.size is not None and len(chosen) > self.size:
            chosen = np.sort(chosen[np.argpartition(keys[chosen], self.size)[: self.size]])
        self._offered.append((keys[chosen], self.seen + chosen))
        self.seen += rows
        return torch.from_numpy(chosen)

    def keep(self, rows: torch.Tensor, *tables: torch.Tensor) -> None:
        """Store the rows that the last open `offer` chose, as one or more tables."""
        # Calls may nest (a block that calls itself), so offers close in reverse order.
        keys, index = self._offered.pop()
        if len(rows) != len(keys):
            raise ValueError(f"offered {len(keys)} rows, handed {len(rows)}")
        if not self._tables:
            self._tables = [table.new_empty(0, *table.shape[1:]) for table in tables]
        self._make_room(len(keys))
        start, stop = len(self._keys), len(self._keys) + len(keys)
        for stored, table in zip(self._tables, tables, strict=True):
            stored[start:stop] = table
        self._keys = np.concatenate([self._keys, keys])
        self._index = np.concatenate([self._index, index])

    def _make_room(self, rows: int) -> None:
        """Grow the tables, up to twice the sample; then drop what will not stay.

        An offer is never larger than the sample, so twice its size always suffices, and
        a row is moved a constant number of times on average.
        """
        filled, capacity = len(self._keys), len(self._tables[0])
        if filled + rows <= capacity:
            return
        if self.size is not None and filled + rows > 2 * self.size:
            self._compact()
            return
        grown = max(2 * capacity, filled + rows)
        if self.size is not None:
            grown = 2 * self.size if grown > self.size else self.size
        for i, table in enumerate(self._tables):
            larger = table.new_empty(grown, *table.shape[1:])
            larger[:filled] = table[:filled]
            self._tables[i] = larger

    def _compact(self) -> None:
        """Drop all but the smallest keys."""
        if self.size is None or len(self._keys) <= self.size:
            return
        best = np.sort(np.argpartition(self._keys, self.size - 1)[: self.size])
        self._threshold = float(self._keys[best].max())
        rows = torch.from_numpy(best)
        for table in self._tables:
            table[: self.size] = table[rows.to(table.device)]
        self._keys, self._index = self._keys[best], self._index[best]

    def sample(self) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The sample so far, in order of arrival: its rows' numbers, and its tables."""
        self._compact()
        order = torch.from_numpy(np.argsort(self._index))
        tables = tuple(table[order.to(table.device)] for table in self._tables)
        return torch.from_numpy(np.sort(self._index)), tables
