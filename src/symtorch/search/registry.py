"""The engines by name, imported on first use, and the one call that runs them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import torch

from ..errors import EngineUnavailableError, InputError, did_you_mean, warn_user
from ..recording.contexts import threads
from ..symbolic.expression import Expression
from .engine import FOLLOWED_BY_ALL, Budget, Engine, Interruption, Progress, SearchRun
from .front import Front
from .judging import Floor, Judge, mean_of, without_offsets
from .options import SearchOptions
from .problem import Problem
from .spellings import seed_of

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

SCREENED = 8
"""With more inputs than these, and no oracle, forests of scikit-learn say which matter."""

TIDYING = 0.05
"""Time beyond the budget for writing equations in their shortest form: this share of it, and as
many seconds. SymPy needs some 10 ms for an equation of 30 nodes."""


KEPT_EVERY = 2.0
"""Seconds between two fronts that are handed on for keeping; scoring one takes milliseconds."""


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
    seeds: Front | None = None,
    keep: Callable[[Front], None] | None = None,
    interruption: Interruption | None = None,
) -> Front:
    """Find equations for a problem.

    Ctrl-C ends the search, not the call: the front so far is returned, marked ``interrupted``.

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
        seeds: a front of the same inputs to start from; none of its equations is lost.
        keep: called with the front so far, every few seconds.
        interruption: shared by searches that one Ctrl-C ends together.

    Returns:
        The Pareto front of complexity against loss, simplest equation first.

    Raises:
        InputError: unknown engine; an option that the engine cannot honour.
        EngineUnavailableError: the engine's software is missing.
    """
    options = options or SearchOptions()
    guest = engine_named(engine)
    options = check_honoured(guest, options)
    rule = options.complexity_rule(problem.names)
    judge = Judge(problem, options, rule)
    _import_first(problem)
    budget = Budget(options.timeout_in_seconds or SECONDS_PER_OUTPUT)
    # A constant target has one explanation; engines are spared the division by its spread.
    if _is_constant(problem):
        return judge.weighed(judge.front(judge.scores([mean_of(problem)])))
    run = SearchRun(
        seed_of(random_state),
        budget,
        progress or (lambda _: None),
        interruption=interruption or Interruption(),
    )
    known = [] if seeds is None else [row.expression for row in seeds]
    candidates: Sequence[Expression] = ()
    with threads(1):
        floor = _floor(judge, run)
        if not run.interrupted:
            start = [*known, *(row.expression for row in floor.rows[1:])]
            report = _kept(judge, floor, known, keep)
            candidates = guest.search(problem, options, replace(run, seeds=start, found=report))
    # Engines may use all of their time; writing the equations gets a little more.
    late = budget.seconds * (1 + TIDYING) + TIDYING
    found = [*candidates, *without_offsets(candidates), *known]
    front = judge.front([*judge.scores(found), *floor.rows], floor.line_r2)
    front = judge.tidied(front, keep=floor.rows, stop=lambda: budget.spent() > late)
    return replace(judge.weighed(front), interrupted=run.interrupted)


def check_honoured(engine: Engine, options: SearchOptions) -> SearchOptions:
    """The options without those that only tune how PySR searches; one warning names them.

    Raises:
        InputError: an option that an engine would silently ignore; names the engines that
            follow it.
    """
    missed = options.changed() - engine.honours - FOLLOWED_BY_ALL
    if "parsimony" in missed:
        warn_user(f"engine '{engine.name}' ignores 'parsimony'; 'pysr' follows it", UserWarning)
        options = options.replace(parsimony=0.0)
    for name in sorted(missed - {"parsimony"}):
        able = [other for other in _ENGINES if name in _load(other).honours]
        raise InputError(
            f"engine '{engine.name}' cannot honour '{name}'; "
            f"engines that can: {', '.join(able) or 'none'}"
        )
    return options


def _kept(
    judge: Judge,
    floor: Floor,
    known: Sequence[Expression],
    keep: Callable[[Front], None] | None,
) -> Callable[[Callable[[], Sequence[Expression]]], None]:
    """What an engine reports candidates to: they become a front, not too often."""
    if keep is None:
        return lambda _: None
    last = -KEPT_EVERY

    def found(candidates: Callable[[], Sequence[Expression]]) -> None:
        nonlocal last
        if time.monotonic() - last >= KEPT_EVERY:
            rows = [*judge.scores([*candidates(), *known]), *floor.rows]
            keep(replace(judge.front(rows, floor.line_r2), interrupted=True))
            last = time.monotonic()

    return found


def _floor(judge: Judge, run: SearchRun) -> Floor:
    # Imported when called, for it is made of parts of the engines.
    module = importlib.import_module("symtorch.search.floor")
    return cast(Floor, module.readable_floor(judge, run))


def _import_first(problem: Problem) -> None:
    """Import what engines import on first use, so that no search pays seconds for it."""
    for module in ("sympy", "scipy.optimize", "symtorch.search.floor"):
        importlib.import_module(module)
    if len(problem.names) > SCREENED and problem.oracle is None:
        importlib.import_module("sklearn.ensemble")


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
