"""Progress of several searches as one: a bar, a callback, a log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TypeAlias

from tqdm.auto import tqdm

from ..search import Progress

log = logging.getLogger(__name__)

ProgressArgument: TypeAlias = bool | Callable[[Progress], None] | None
"""True for a bar, False for none, None for a bar where somebody can see it; or a callback."""


def somebody_sees() -> bool:
    """Whether stderr is a terminal, or the code runs in a notebook."""
    # A notebook's kernel gives IPython a shell of this class; its stderr is no terminal.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return sys.stderr.isatty() or type(shell).__name__ == "ZMQInteractiveShell"


class Reporter:
    """Turns the progress of single searches into that of the whole call, which never falls.

    Args:
        progress: what the user asked for.
        searches: how many there are.
        stop: asked at each report; once true, the search under way is interrupted.
    """

    def __init__(
        self,
        progress: ProgressArgument,
        searches: int,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._callback = progress if callable(progress) else None
        wanted = progress is True or (progress is None and somebody_sees())
        self._bar = tqdm(total=100, unit="%", leave=False) if wanted else None
        self._searches = searches
        self._stop = stop
        self._fraction = 0.0

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def of_search(self, position: int, label: str) -> Callable[[Progress], None]:
        """What one search reports to.

        Raises:
            KeyboardInterrupt: from the returned function, when ``stop`` says so. Engines take it
                for Ctrl-C and return what they have.
        """

        def report(progress: Progress) -> None:
            fraction = (position + progress.fraction) / self._searches
            self._show(fraction, progress.best_loss, f"{label}: {progress.message}")
            if self._stop():
                raise KeyboardInterrupt

        return report

    def finished(self, count: int, label: str, loss: float) -> None:
        """One more search has ended, ``count`` in all."""
        log.info("%s: done, loss %.4g", label, loss)
        self._show(count / self._searches, loss, f"{label}: done")

    def _show(self, fraction: float, loss: float, message: str) -> None:
        # The stages of a search are guesses of its length: an engine may fall back a little.
        self._fraction = max(self._fraction, fraction)
        if self._callback is not None:
            self._callback(Progress(self._fraction, loss, message))
        if self._bar is not None:
            known = f", loss {loss:.3g}" if loss < float("inf") else ""
            self._bar.set_postfix_str(f"{message}{known}")
            self._bar.update(int(100 * self._fraction) - self._bar.n)
