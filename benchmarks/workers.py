"""Work in processes of its own: side by side, measured, and without taking the run along."""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch

Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Done(Generic[Task, Answer]):
    """A task and its answer, or the text of what went wrong."""

    task: Task
    answer: Answer | None
    error: str = ""


def run_in_processes(
    work: Callable[[Task], Answer],
    tasks: Sequence[Task],
    jobs: int = 1,
    *,
    fresh: bool = False,
) -> Iterator[Done[Task, Answer]]:
    """Yield each task when it is done, in any order.

    Args:
        work: called in another process; an exception in it, even the death of its
            process, is the answer of that task alone.
        tasks: what it is called with.
        jobs: processes side by side, which share the cores.
        fresh: a new process for every task, so that `peak_mib` is that task's.
    """
    waiting = list(tasks)
    one_by_one = False
    while waiting:
        batch = waiting[:1] if one_by_one else waiting
        lost: list[Task] = []
        with _pool(jobs, fresh) as pool:
            try:
                futures = {pool.submit(work, task): task for task in batch}
                for future in as_completed(futures):
                    done = _done(future, futures[future])
                    if done is None:
                        lost.append(futures[future])
                    else:
                        yield done
            except BaseException:
                # Without this, leaving the block would wait for the searches under way.
                _end(pool)
                raise
        if one_by_one:
            yield from (Done(task, None, "its process died") for task in lost)
            waiting = waiting[1:]
        else:
            # Which of them killed the pool is found out by running them one by one.
            waiting, one_by_one = lost, True


def peak_mib() -> float:
    """Peak memory of this process."""
    # Not getrusage: its peak starts from the parent's, across fork and exec.
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def _pool(jobs: int, fresh: bool) -> ProcessPoolExecutor:
    cores = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    return ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=torch.set_num_threads,
        initargs=(max(1, cores // jobs),),
        max_tasks_per_child=1 if fresh else None,
    )


def _done(future: Future[Answer], task: Task) -> Done[Task, Answer] | None:
    try:
        return Done(task, future.result())
    except BrokenProcessPool:
        return None
    except Exception as error:  # whatever an engine raises is a result of the benchmark
        places = re.findall(r'File "([^"]+)", line (\d+)', str(error.__cause__))
        where = f" ({Path(places[-1][0]).name}:{places[-1][1]})" if places else ""
        return Done(task, None, f"{type(error).__name__}: {error}{where}")


def _end(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
