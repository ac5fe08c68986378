"""What an engine is: a guest that turns a `Problem` into candidate equations."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from ..symbolic.expression import Expression
from .options import SearchOptions
from .problem import Problem

log = logging.getLogger(__name__)

FORM_AND_BUDGET = frozenset(
    {
        "binary_operators",
        "unary_operators",
        "maxsize",
        "maxdepth",
        "niterations",
        "timeout_in_seconds",
        "complexity_of_operators",
        "complexity_of_constants",
        "complexity_of_variables",
        "constraints",
        "nested_constraints",
    }
)
"""Options that every engine here follows: what equations may look like, how long to look."""


FOLLOWED_BY_ALL = frozenset({"timeout_in_seconds", "approximation_operators"})
"""Options that `search` sees to itself, whatever the engine."""


@dataclass(frozen=True)
class Progress:
    """What a search reports while it runs.

    Args:
        fraction: share of the work or of the time spent so far, 0 to 1.
        best_loss: lowest training loss so far, mean squared error.
        message: what is going on, a few words.
    """

    fraction: float
    best_loss: float
    message: str


@dataclass(frozen=True)
class Budget:
    """A wall-clock budget that starts when it is made.

    >>> Budget(60).left() > 59
    True
    """

    seconds: float
    started: float = field(default_factory=lambda: time.monotonic())

    def spent(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def left(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.seconds - self.spent())

    def fraction(self) -> float:
        """Share spent, 0 to 1."""
        return 1.0 - self.left() / self.seconds


@dataclass
class Interruption:
    """Whether Ctrl-C was pressed during a search. All parts of a search share one."""

    seen: bool = False


@dataclass(frozen=True)
class SearchRun:
    """The circumstances of one search.

    An engine does its work inside `until_interrupted`, so that Ctrl-C ends the work and not
    the search: what was found so far is returned, and whoever runs several engines, or several
    outputs, sees ``interrupted`` and starts nothing more. Copies made by
    `dataclasses.replace` share it.

    >>> run, found = SearchRun(0, Budget(60)), []
    >>> with run.until_interrupted():
    ...     found.append("x0 + x1")
    ...     raise KeyboardInterrupt
    ...     found.append("never reached")
    >>> found, run.interrupted
    (['x0 + x1'], True)

    Args:
        random_state: seed of all its randomness.
        budget: when to stop at the latest.
        progress: called from time to time.
        seeds: equations to start from, where the engine can.
        interruption: whether Ctrl-C was pressed.
        found: handed a function that makes the candidates so far, from time to time, so that
            they can be kept; it is called only when they are.
    """

    random_state: int
    budget: Budget
    progress: Callable[[Progress], None] = lambda _: None
    seeds: Sequence[Expression] = ()
    interruption: Interruption = field(default_factory=Interruption)
    found: Callable[[Callable[[], Sequence[Expression]]], None] = lambda _: None

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed: return what there is, at once."""
        return self.interruption.seen

    @contextmanager
    def until_interrupted(self) -> Iterator[None]:
        """Leave the block on KeyboardInterrupt, and remember it."""
        try:
            yield
        except KeyboardInterrupt:
            self.interruption.seen = True
            log.info("interrupted; returning what was found so far")


class Engine(Protocol):
    """A search engine.

    ``search`` returns candidates in any order, good ones at every complexity; scoring
    them, dropping dominated ones and judging on held-out rows is not its job. It works inside
    ``run.until_interrupted()``, so that on KeyboardInterrupt it returns what it has.
    """

    @property
    def name(self) -> str:
        """What users type."""

    @property
    def honours(self) -> frozenset[str]:
        """The options it can follow; asking for another one is an error."""

    def require(self) -> None:
        """Check that it can run here.

        Raises:
            EngineUnavailableError: what is missing, how to install it, what else to use.
        """

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Find candidate equations over ``problem.names``."""
