"""One search of the benchmark, scored: each function takes a task and runs in a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from laws import EIGHT, Array, Law
from networks import Training, noisy, trained
from scoring import (
    Target,
    complexity_of,
    same_function,
    same_structure,
    shown_by_sympy,
    time_limit,
)
from torch import nn
from workers import peak_mib

from symtorch import Expression, SymbolicModel
from symtorch.search import Candidate, Front, Problem, SearchOptions, search

TEST_ROWS = 200

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Trial:
    """A law, how it is sampled, and who looks for it.

    Args:
        engine: name of the search engine.
        law: what is to be found.
        seconds: budget of the search.
        group: the row of the table that it counts for.
        accepted: other formulas that count as the law.
        rows: training points.
        held_out: share of them that judges.
        noise: of the targets, as a share of their spread.
        idle: inputs added that the law does not read.
        options: of the search, other than its budget.
        floor: see `scoring.Target`.
        seed: of sample, noise and search.
    """

    engine: str
    law: Law
    seconds: float
    group: str = ""
    accepted: tuple[str, ...] = ()
    rows: int = 1_000
    held_out: float = 0.25
    noise: float = 0.0
    idle: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    floor: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a trial.

    Args:
        recovered: some equation of the front has the law's values to 1e-8 and at most
            1.5 times its complexity.
        chosen: the one `get_best` chooses does.
        equal: that equation is the law or an accepted form, also on wider ranges.
        shown: SymPy shows so by expanding.
        structure: what `get_best` chooses is the law up to small changes of its constants.
        on_front: some equation of the front is.
        seconds: the search took.
        complexity: of the equation reported.
        reference: complexity of the law.
        error: largest relative error of the equation reported, on test points.
        equation: the recovered one, or else what `get_best` chooses.
        network_error: of the network distilled from, as a share of the law's spread.
        training_seconds: of that network.
    """

    recovered: bool
    chosen: bool
    equal: bool
    shown: bool
    structure: bool
    on_front: bool
    seconds: float
    complexity: int
    reference: int
    error: float
    equation: str
    network_error: float = 0.0
    training_seconds: float = 0.0


def run_trial(trial: Trial) -> Outcome:
    """Search from samples."""
    law = trial.law
    X, y = law.sample(trial.rows + TEST_ROWS, trial.seed)
    idle = np.random.default_rng(trial.seed).standard_normal((len(X), trial.idle))
    table = np.hstack([X, idle])
    names = (*law.names, *(f"idle{i}" for i in range(trial.idle)))
    train, test = slice(trial.rows), slice(trial.rows, None)
    problem = Problem.split(
        torch.from_numpy(table[train]),
        torch.from_numpy(noisy(y[train], trial.noise, trial.seed)),
        names,
        validation_fraction=trial.held_out,
        random_state=trial.seed,
    )
    options = SearchOptions.from_params({**trial.options, "timeout_in_seconds": trial.seconds})
    front, seconds = _timed(
        lambda: search(problem, options, engine=trial.engine, random_state=trial.seed),
        trial.seconds,
    )
    columns = dict(zip(names, table[test].T, strict=True))
    target = Target(columns, y[test], complexity_of(law), trial.floor)
    # At ten percent noise the data themselves do not know constants to five.
    outcome = judged(front, law, target, seconds, tolerance=max(0.05, trial.noise))
    return _compared(outcome, law, trial.accepted) if outcome.recovered else outcome


def judged(
    front: Front, law: Law, target: Target, seconds: float, tolerance: float = 0.05
) -> Outcome:
    """Score a front against a law."""
    best = front.get_best()
    hit = target.reached_on(front)
    told: Candidate = hit or best
    return Outcome(
        recovered=hit is not None,
        chosen=target.reached_by(best),
        equal=False,
        shown=False,
        structure=same_structure(best.expression, law, tolerance),
        on_front=any(same_structure(row.expression, law, tolerance) for row in front),
        seconds=seconds,
        complexity=told.complexity,
        reference=target.complexity,
        error=target.error(told.expression),
        equation=told.equation,
    )


def _compared(outcome: Outcome, law: Law, accepted: tuple[str, ...]) -> Outcome:
    found = Expression.parse(outcome.equation)
    references = [law.expression, *(Expression.parse(text, law.names) for text in accepted)]
    return replace(
        outcome,
        equal=same_function(found, law.expression, law),
        shown=shown_by_sympy(found, references),
    )


def _timed(call: Callable[[], Answer], budget: float) -> tuple[Answer, float]:
    """The answer and how long it took; an engine far over its budget is cut off."""
    started = time.perf_counter()
    with time_limit(2 * budget + 30):
        answer = call()
    return answer, time.perf_counter() - started


# -- networks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class NetworkTrial:
    """A network and who distills it."""

    engine: str
    training: Training
    seconds: float
    folder: Path
    group: str = ""

    @property
    def law(self) -> Law:
        """What the network learned."""
        return self.training.law


def run_network_trial(trial: NetworkTrial) -> Outcome:
    """Train a network, unless it is there, and distill it as users do."""
    law = trial.law
    source = trained(trial.training, trial.folder)
    model = SymbolicModel(source.network, block_name="network")
    fronts, seconds = _timed(
        lambda: model.distill(
            source.X,
            variable_names=law.names,
            engine=trial.engine,
            sr_params={"timeout_in_seconds": trial.seconds},
            random_state=trial.training.seed,
        ),
        trial.seconds,
    )
    X, y = law.sample(TEST_ROWS, seed=1)
    target = Target(law.columns(X), y, complexity_of(law), floor=1e-3)
    outcome = judged(fronts[0], law, target, seconds)
    return replace(outcome, network_error=source.error, training_seconds=source.seconds)


# -- cost -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a search took, and whether it found what there was to find."""

    seconds: float
    mib: float
    found: str


@dataclass(frozen=True)
class WideTrial:
    """A block with many inputs and the eight laws as outputs, each on columns of its own."""

    engine: str
    seconds: float
    inputs: int = 32
    rows: int = 5_000


class WideBlock(nn.Module):
    """[rows, inputs] -> [rows, 8]: law after law on the next columns; the rest is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = np.cumsum([0, *(len(law.inputs) for law in EIGHT)]).tolist()

    def columns(self, table: Any, number: int) -> dict[str, Any]:
        """The columns that a law reads, by its names."""
        law, first = EIGHT[number], self.first[number]
        return {name: table[:, first + i] for i, name in enumerate(law.names)}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = [law.expression(self.columns(x, i)) for i, law in enumerate(EIGHT)]
        return torch.stack(outputs, dim=-1)

    def sample(self, rows: int, inputs: int, seed: int) -> Array:
        """Inputs within the laws' ranges."""
        tables = [law.sample(rows, seed)[0] for law in EIGHT]
        idle = np.random.default_rng(seed).standard_normal((rows, inputs - self.first[-1]))
        return np.hstack([*tables, idle])


def run_wide_trial(trial: WideTrial) -> Cost:
    """Distill the wide block; count the outputs whose law is found."""
    block = WideBlock()
    X, X_test = (
        block.sample(n, trial.inputs, seed) for seed, n in enumerate((trial.rows, TEST_ROWS))
    )
    fronts, seconds = _timed(
        lambda: SymbolicModel(block, block_name="wide").distill(
            torch.from_numpy(X),
            engine=trial.engine,
            sr_params={"timeout_in_seconds": trial.seconds},
        ),
        trial.seconds,
    )
    columns = {f"x{i}": column for i, column in enumerate(X_test.T)}
    found = 0
    for number, law in enumerate(EIGHT):
        values = law.expression(block.columns(X_test, number))
        goal = Target(columns, values, complexity_of(law), floor=1e-3)
        found += goal.reached_on(fronts[number]) is not None
    return Cost(seconds, peak_mib(), f"{found} of {len(EIGHT)}")


@dataclass(frozen=True)
class ScalingTrial:
    """A search of a given size.

    Args:
        engine: name of the search engine.
        what: the row of the table: rows, inputs, maxsize or budget.
        size: its value.
        rows: points.
        inputs: columns; the law reads two.
        seconds: budget.
        maxsize: largest equation.
        hopeless: the target is a random network, which no short law fits, so that the
            search does all it can.
    """

    engine: str
    what: str
    size: float
    rows: int = 1_000
    inputs: int = 5
    seconds: float = 20.0
    maxsize: int = 30
    hopeless: bool = False


def run_scaling_trial(trial: ScalingTrial) -> Cost:
    """Search, and see what it costs."""
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(trial.rows, trial.inputs, generator=generator, dtype=torch.float64) * 6 - 3
    y = _random_network(X) if trial.hopeless else X[:, 0] ** 2 + 3 * torch.sin(X[:, 1]) - 4
    options = SearchOptions(timeout_in_seconds=trial.seconds, maxsize=trial.maxsize)
    front, seconds = _timed(
        lambda: search(Problem.split(X, y), options, engine=trial.engine), trial.seconds
    )
    best = front.get_best()
    left = (best.validation_loss / float(y.var())) ** 0.5
    return Cost(seconds, peak_mib(), f"{best.complexity} nodes, error {left:.1e}")


def _random_network(X: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    into = torch.randn(X.shape[1], 16, generator=generator, dtype=torch.float64)
    out = torch.randn(16, generator=generator, dtype=torch.float64)
    return torch.tanh(X @ into) @ out
