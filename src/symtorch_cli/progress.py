"""How far a search is, on stderr."""

from __future__ import annotations

import sys

STEP = 10
"""Percent between two lines where stderr is not a terminal, so that logs stay short."""


class Progress:
    """A line that is written over on a terminal, a line every ten percent elsewhere.

    Args:
        parts: searches, one after the other.
        shown: whether anything is written.
    """

    def __init__(self, parts: int, *, shown: bool) -> None:
        self._parts = parts
        self._shown = shown
        self._rewrites = sys.stderr.isatty()
        self._last = -STEP if not self._rewrites else -1

    def show(self, part: int, fraction: float, message: str, loss: float) -> None:
        """Tell how far one of the searches is."""
        percent = int(100 * (part + min(1.0, fraction)) / self._parts)
        due = percent > self._last if self._rewrites else percent >= self._last + STEP
        if not self._shown or not due:
            return
        self._last = percent
        line = f"{percent:3d} %  loss {loss:<10.3g} {message}"
        if self._rewrites:
            print(f"\r{line[:78]:78}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._rewrites and self._last >= 0:
            print(f"\r{'':78}\r", end="", file=sys.stderr, flush=True)
