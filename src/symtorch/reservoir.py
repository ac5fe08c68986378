"""Reservoir: a uniform sample of rows from a stream of unknown length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch


class Reservoir:
    """Keeps ``size`` of all rows that pass, each row equally likely.

    Every row draws a random key and the rows with the smallest keys stay ("bottom-k"
    sampling). Keys depend on the seed and on how many rows came before, so the sample
    is the same however the stream is cut into batches.

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
        self._keys: list[npt.NDArray[np.float64]] = []
        self._index: list[npt.NDArray[np.int64]] = []
        self._tables: list[tuple[torch.Tensor, ...]] = []

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
        self._keys.append(keys)
        self._index.append(index)
        self._tables.append(tables)
        if self.size is not None and sum(map(len, self._keys)) > 2 * self.size:
            self._compact()

    def _compact(self) -> None:
        """Drop all but the smallest keys; amortised, so a row costs constant time."""
        assert self.size is not None
        keys = np.concatenate(self._keys)
        if len(keys) > self.size:
            best = np.argpartition(keys, self.size - 1)[: self.size]
            self._threshold = float(keys[best].max())
        else:
            best = np.arange(len(keys))
        rows = torch.from_numpy(best)
        self._tables = [
            tuple(
                torch.cat(column)[rows.to(column[0].device)]
                for column in zip(*self._tables, strict=True)
            )
        ]
        self._keys = [keys[best]]
        self._index = [np.concatenate(self._index)[best]]

    def sample(self) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The sample so far, in order of arrival: its rows' numbers, and its tables."""
        if not self._tables:
            return torch.empty(0, dtype=torch.int64), ()
        if self.size is not None:
            self._compact()
        index = np.concatenate(self._index)
        order = torch.from_numpy(np.argsort(index))
        tables = tuple(
            torch.cat(column)[order.to(column[0].device)]
            for column in zip(*self._tables, strict=True)
        )
        return torch.from_numpy(np.sort(index)), tables
