"""Populations evolved one after the other, for as long as the budget allows."""

from __future__ import annotations

import time

import numpy as np

from ....symbolic.complexity import ComplexityRule
from ...engine import Budget, Progress, SearchRun
from ...options import SearchOptions
from ...problem import Problem, Sample
from .finds import raw
from .population import WORST, BestOfLength, Population
from .scaling import ScaledTable

GENERATIONS = 25
POPULATIONS = 3
"""Work of a search that asks for none: 8-12 s on one core with 400 trees each."""

EVOLUTION_SHARE = 0.7
"""Share of the budget after which evolution stops and the refinement of the finds begins."""

_EXACT = 1e-11
"""Share of variance left unexplained that float32, Operon's arithmetic, cannot tell from 0."""


def evolve(
    problem: Problem,
    rows: Sample,
    options: SearchOptions,
    rule: ComplexityRule,
    run: SearchRun,
) -> list[BestOfLength]:
    """Evolve the populations one after another; the best of each length for each that was begun."""
    scaled = ScaledTable.of(problem, rows)
    populations = options.populations or POPULATIONS
    generations = options.niterations or GENERATIONS
    bests: list[BestOfLength] = []
    slowest = 0.0
    with run.until_interrupted():
        for number in range(populations):
            population = Population(scaled, options, rule, _seed(run.random_state, number))
            bests.append({})
            for generation in range(generations):
                if _no_time_for_another(run.budget, slowest):
                    return bests
                begun = time.monotonic()
                population.step(bests[-1])
                slowest = max(slowest, time.monotonic() - begun)
                errors = [error for best_of_length in bests for error, _ in best_of_length.values()]
                best = min(errors, default=WORST)
                done = (number * generations + generation + 1) / (populations * generations)
                run.progress(
                    Progress(
                        max(EVOLUTION_SHARE * done, run.budget.fraction()),
                        best * scaled.y_scale**2,
                        f"population {number + 1}, generation {generation + 1}",
                    )
                )
                run.found(lambda: [*run.seeds, *raw(bests, problem)])
                if best < _EXACT:
                    return bests
    return bests


def _no_time_for_another(budget: Budget, slowest: float) -> bool:
    """Whether a generation like the slowest so far would run into the refinement's time."""
    first = slowest == 0.0
    return not first and budget.fraction() + slowest / budget.seconds > EVOLUTION_SHARE


def _seed(random_state: int, population: int) -> int:
    return int(np.random.SeedSequence([random_state, population]).generate_state(1)[0])
