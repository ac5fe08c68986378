"""Several searches, one after the other or side by side, that an interrupt ends well."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType

from ..lazy import LazyModule
from ..search import Engine, Front, Problem, Progress, SearchOptions, register_engine, search
from ..search.engine import Interruption
from .checkpoint import Checkpoint
from .progress import Reporter

joblib = LazyModule("joblib")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What searches found.

    Args:
        fronts: by output; of a search that was interrupted, its front so far.
        missing: outputs whose search had not begun, or had found nothing yet.
    """

    fronts: Mapping[int, Front]
    missing: tuple[int, ...] = ()


@dataclass(frozen=True)
class Searches:
    """What all searches of a call have in common.

    Args:
        options: of each; the timeout is that of one search.
        engine: its name.
        random_state: seed of each.
        checkpoint: where fronts are kept as they are found.
    """

    options: SearchOptions
    engine: str
    random_state: int
    checkpoint: Checkpoint | None = None


def run_searches(
    problems: Mapping[int, Problem],
    searches: Searches,
    reporter: Reporter,
    guest: Engine,
    jobs: int = 1,
) -> Outcome:
    """Search problems by output.

    The first Ctrl-C, or the first SIGTERM where the process has no handler of its own, ends the
    search under way and starts no other; what was found is returned. The second one raises.

    Args:
        problems: by output.
        searches: how.
        reporter: of progress.
        guest: the engine, which other processes may not know.
        jobs: processes side by side.

    Raises:
        KeyboardInterrupt: interrupted before anything was found, or twice.
    """
    fronts: dict[int, Front] = {}
    if searches.checkpoint is not None:
        for dim in problems:
            found = searches.checkpoint.finished(dim)
            if found is not None:
                fronts[dim] = found
                reporter.finished(len(fronts), f"output {dim}", found[-1].loss)
    waiting = {dim: problem for dim, problem in problems.items() if dim not in fronts}
    run = _side_by_side if jobs > 1 else _one_by_one
    with termination_as_interrupt():
        for dim, front in run(waiting, searches, reporter, guest, jobs):
            fronts[dim] = front
            _keep(searches.checkpoint, dim, front)
            reporter.finished(len(fronts), f"output {dim}", front[-1].loss)
    if not fronts:
        raise KeyboardInterrupt
    missing = tuple(dim for dim in problems if dim not in fronts)
    return Outcome({dim: fronts[dim] for dim in problems if dim in fronts}, missing)


def _keep(checkpoint: Checkpoint | None, dim: int, front: Front) -> None:
    if checkpoint is None:
        return
    if front.interrupted:
        checkpoint.keep(dim, front)
    else:
        checkpoint.finish(dim, front)


def _one_by_one(
    problems: Mapping[int, Problem],
    searches: Searches,
    reporter: Reporter,
    guest: Engine,
    jobs: int,
) -> Iterator[tuple[int, Front]]:
    interruption = Interruption()
    for position, (dim, problem) in enumerate(problems.items()):
        if interruption.seen:
            return
        try:
            report = reporter.of_search(position, f"output {dim}")
            yield dim, _search(dim, problem, searches, searches.engine, report, interruption)
        except KeyboardInterrupt:
            if interruption.seen:
                raise  # the second one
            return


def _side_by_side(
    problems: Mapping[int, Problem],
    searches: Searches,
    reporter: Reporter,
    guest: Engine,
    jobs: int,
) -> Iterator[tuple[int, Front]]:
    tasks = [
        joblib.delayed(_search_elsewhere)(guest, dim, problem, searches)
        for dim, problem in problems.items()
    ]
    try:
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(tasks)
    except KeyboardInterrupt:
        # Workers end with their pool; a checkpoint holds what they had found.
        if searches.checkpoint is not None:
            for dim in problems:
                front = searches.checkpoint.front(dim)
                if front is not None and searches.checkpoint.finished(dim) is None:
                    yield dim, replace(front, interrupted=True)


def _search_elsewhere(
    guest: Engine, dim: int, problem: Problem, searches: Searches
) -> tuple[int, Front]:
    # Another process knows only the engines that come with the package.
    register_engine("here", lambda: guest)
    return dim, _search(dim, problem, searches, "here")


def _search(
    dim: int,
    problem: Problem,
    searches: Searches,
    engine: str,
    progress: Callable[[Progress], None] | None = None,
    interruption: Interruption | None = None,
) -> Front:
    """Search one output from what its checkpoint holds, and keep what is found there."""
    kept = searches.checkpoint
    return search(
        problem,
        searches.options,
        engine=engine,
        random_state=searches.random_state,
        progress=progress,
        interruption=interruption,
        seeds=None if kept is None else kept.front(dim),
        keep=None if kept is None else lambda front: kept.keep(dim, front),
    )


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """SIGTERM acts as Ctrl-C inside, where the process would otherwise just end.

    Batch systems send it some seconds before they kill. A handler of the process's own stays.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
