"""Grouping: which steps of a graph run together, and in which order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from .graph import LINEAR, LONG_SUMS, Graph, Step


def _kind(step: Step) -> tuple[object, ...]:
    match step.kernel.name:
        case LINEAR.name:
            return LINEAR.name, step.args
        case LONG_SUMS.name:
            return LONG_SUMS.name, len(step.args)
        case name:
            return (name,)


@dataclass(frozen=True)
class Ready:
    """Steps of one kind whose operands are computed."""

    steps: list[int]
    waiting: int
    """How many of the kind are not computed, these included."""
    height: int
    """Longest way from them to an output."""


RULES: tuple[Callable[[Ready], tuple[float, ...]], ...] = (
    lambda ready: (ready.height, len(ready.steps)),
    lambda ready: (len(ready.steps) == ready.waiting, ready.height, len(ready.steps)),
    lambda ready: (len(ready.steps) / ready.waiting, ready.height),
)
"""What to run next: what most depends on, or what will not come again, ..."""


def grouped(graph: Graph, rule: Callable[[Ready], tuple[float, ...]]) -> list[list[int]]:
    """All steps in groups of one kind, each group after those it needs."""
    steps = dict(graph.steps)
    users: dict[int, list[int]] = defaultdict(list)
    missing: dict[int, int] = {}
    for i, step in steps.items():
        needed = {arg for arg in step.args if arg in steps}
        missing[i] = len(needed)
        for arg in needed:
            users[arg].append(i)
    heights: dict[int, int] = {}
    for i in sorted(steps, reverse=True):
        heights[i] = 1 + max((heights[user] for user in users[i]), default=0)
    kinds = {i: (i in graph.live, *_kind(step)) for i, step in steps.items()}
    waiting: dict[tuple[object, ...], int] = defaultdict(int)
    ready: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for i, kind in kinds.items():
        waiting[kind] += 1
        if not missing[i]:
            ready[kind].append(i)
    groups = []
    while ready:
        kind = max(
            ready,
            key=lambda kind: rule(
                Ready(ready[kind], waiting[kind], max(heights[i] for i in ready[kind]))
            ),
        )
        group = ready.pop(kind)
        waiting[kind] -= len(group)
        groups.append(group)
        for i in group:
            for user in users[i]:
                missing[user] -= 1
                if not missing[user]:
                    ready[kinds[user]].append(user)
    return groups
