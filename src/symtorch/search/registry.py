"""The engines by name, imported on first use, and the one call that runs them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch

from ..errors import EngineUnavailableError, InputError, did_you_mean
from ..recording.contexts import threads
from ..symbolic.expression import ComplexityRule, Expression
from ..symbolic.nodes import Constant
from .engine import Budget, Engine, Progress, SearchRun
from .evidence import EffectiveRows, Evidence, Surroundings
from .front import Candidate, Front
from .limits import within_limits
from .options import SearchOptions
from .problem import Problem

_ENGINES: dict[str, str | Callable[[], Engine]] = {
    "auto": "symtorch.search.engines.auto:AutoEngine",
    "sparse": "symtorch.search.engines.sparse:SparseEngine",
    "operon": "symtorch.search.engines.operon:OperonEngine",
    "local": "symtorch.search.engines.local:LocalEngine",
    "quadratic": "symtorch.search.engines.quadratic:QuadraticEngine",
    "pysr": "symtorch.search.engines.pysr:PySREngine",
}

SECONDS_PER_OUTPUT = 20.0
"""Budget of a search whose options name none."""

TIDYING = 0.05
"""Time beyond the budget for writing equations in their shortest form: this share of it, and as
many seconds. SymPy needs some 10 ms for an equation of 30 nodes."""


def register_engine(name: str, factory: Callable[[], Engine]) -> None:
    """Make an engine of one's own available by name.

    Args:
        name: what users then pass as ``engine=``; an existing name is replaced.
        factory: called without arguments on every use.
    """
    _ENGINES[name] = factory


def engine_named(name: str) -> Engine:
    """The engine of that name, ready to run.

    Raises:
        InputError: no such engine.
        EngineUnavailableError: its software is not installed.
    """
    if name not in _ENGINES:
        raise InputError(
            f"unknown engine '{name}'{did_you_mean(name, _ENGINES)}; known: {', '.join(_ENGINES)}"
        )
    engine = _load(name)
    engine.require()
    return engine


def known_engines() -> list[str]:
    """Names of all engines, those included whose software is not installed.

    >>> "pysr" in known_engines()
    True
    """
    return list(_ENGINES)


def available_engines() -> list[str]:
    """Names of the engines that can run here.

    >>> "operon" in available_engines()
    True
    """
    names = []
    for name in _ENGINES:
        try:
            engine_named(name)
        except EngineUnavailableError:
            continue
        names.append(name)
    return names


def search(
    problem: Problem,
    options: SearchOptions | None = None,
    *,
    engine: str = "auto",
    random_state: int = 0,
    progress: Callable[[Progress], None] | None = None,
) -> Front:
    """Find equations for a problem.

    >>> X = torch.rand(200, 2, dtype=torch.float64) * 4 - 2
    >>> problem = Problem.split(X, 2.5 * X[:, 0] * X[:, 1] - 1)
    >>> front = search(problem, SearchOptions(maxsize=9, niterations=5))
    >>> front.get_best().expression.pretty()
    '2.5*x0*x1 - 1'

    Args:
        problem: the table to explain.
        options: what may occur and how long to look.
        engine: a name; ``"auto"`` runs sparse, then operon on what is left.
        random_state: seed; a search that ends before its timeout gives the same front
            on every run with the same seed.
        progress: called with a `Progress` from time to time.

    Returns:
        The Pareto front of complexity against loss, simplest equation first.

    Raises:
        InputError: unknown engine; an option that the engine cannot honour.
        EngineUnavailableError: the engine's software is missing.
    """
    options = options or SearchOptions()
    guest = engine_named(engine)
    check_honoured(guest, options)
    rule = options.complexity_rule(problem.names)
    # A constant target has one explanation; engines are spared the division by its spread.
    candidates: Sequence[Expression] = ()
    budget = Budget(options.timeout_in_seconds or SECONDS_PER_OUTPUT)
    if not _is_constant(problem):
        run = SearchRun(random_state, budget, progress or (lambda _: None))
        with threads(1):
            candidates = guest.search(problem, options, run)
    mean = float((problem.train.weights * problem.train.y).sum() / problem.train.weights.sum())
    # Engines may use all of their time; writing the equations gets a little more.
    late = budget.seconds * (1 + TIDYING) + TIDYING
    return build_front(
        problem,
        [Expression(Constant(mean)), *candidates],
        options,
        rule,
        stop=lambda: budget.spent() > late,
    )


def build_front(
    problem: Problem,
    candidates: Sequence[Expression],
    options: SearchOptions,
    rule: ComplexityRule,
    stop: Callable[[], bool] = lambda: False,
) -> Front:
    """Score candidates on both halves of a problem and keep the Pareto-optimal ones.

    These are then written in their shortest and most usual form, until ``stop`` says that time
    is up; the others stay as they were found.
    """

    def scored(expression: Expression) -> Candidate | None:
        complexity = rule.of(expression)
        if complexity > max(options.maxsize, 1) or not within_limits(expression, options, rule):
            return None
        loss = problem.train.loss(problem.predict(expression, problem.train))
        validation = problem.validation.loss(problem.predict(expression, problem.validation))
        return Candidate(expression, complexity, loss, validation)

    def tidied(row: Candidate) -> Candidate:
        if stop():
            return row
        shortest = row.expression.simplify(rule, operators=operators)
        if shortest == row.expression:
            return row
        tidy = scored(shortest)
        same = tidy is not None and all(
            after <= before * (1 + 1e-9) + problem.loss_floor
            for before, after in (
                (row.loss, tidy.loss),
                (row.validation_loss, tidy.validation_loss),
            )
        )
        return tidy if same and tidy is not None else row

    operators = [operator.name for operator in (*options.binary, *options.unary)]
    rows = [row for row in map(scored, dict.fromkeys(candidates)) if row is not None]
    front = Front.pareto(rows, variables=problem.names, loss_floor=problem.loss_floor)
    front = Front.pareto(map(tidied, front), variables=problem.names, loss_floor=problem.loss_floor)
    return with_evidence(front, problem)


def with_evidence(front: Front, problem: Problem) -> Front:
    """The front with what all rows of a problem say about each of its equations."""
    X = torch.cat([problem.train.X, problem.validation.X])
    y = torch.cat([problem.train.y, problem.validation.y])
    columns = {name: X[:, i] for i, name in enumerate(problem.names)}
    effective_rows, surroundings = EffectiveRows(X), Surroundings(problem)

    def weighed(row: Candidate) -> Candidate:
        residual = row.expression(columns) - y
        finite = surroundings.allow(row.expression)
        return replace(row, evidence=Evidence(effective_rows(residual), finite))

    return replace(front, candidates=tuple(map(weighed, front)))


def check_honoured(engine: Engine, options: SearchOptions) -> None:
    """Refuse options that an engine would silently ignore.

    Raises:
        InputError: names the option and the engines that follow it.
    """
    for name in sorted(options.changed() - engine.honours - {"timeout_in_seconds"}):
        able = [other for other in _ENGINES if name in _load(other).honours]
        raise InputError(
            f"engine '{engine.name}' cannot honour '{name}'; "
            f"engines that can: {', '.join(able) or 'none'}"
        )


def _load(name: str) -> Engine:
    entry = _ENGINES[name]
    if isinstance(entry, str):
        module, _, attribute = entry.partition(":")
        entry = cast(Callable[[], Engine], getattr(importlib.import_module(module), attribute))
    return entry()


def _is_constant(problem: Problem) -> bool:
    y = problem.train.y
    spread = float(y.max() - y.min())
    return spread <= 4 * problem.precision * max(float(torch.abs(y).max()), 1e-300)
