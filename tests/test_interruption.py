"""Ctrl-C during a search: it ends at once, says so, and what was found is returned."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from symtorch.search import Budget, Problem, Progress, SearchOptions, SearchRun
from symtorch.search.engine import Engine
from symtorch.search.engines.local import LocalEngine
from symtorch.search.engines.operon import OperonEngine
from symtorch.search.engines.quadratic import QuadraticEngine
from symtorch.search.engines.sparse import SparseEngine


def noisy_problem() -> Problem:
    """No law fits it, so that no search ends early."""
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    return Problem.split(X, torch.sin(3 * X[:, 0]) * X[:, 1] + X[:, 2] + 0.1 * noise)


ENGINES = [SparseEngine(), OperonEngine(), LocalEngine(), QuadraticEngine()]


@pytest.mark.parametrize("at", [1, 3])
@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_interrupted_engine_stops_at_once_and_says_so(engine: Engine, at: int) -> None:
    reports: list[Progress] = []

    def interrupt(report: Progress) -> None:
        reports.append(report)
        if len(reports) == at:
            raise KeyboardInterrupt

    run = SearchRun(0, Budget(600), interrupt)
    options = SearchOptions(niterations=4, populations=1) if at == 1 else SearchOptions()
    found = engine.search(noisy_problem(), options, run)
    assert run.interrupted
    assert len(reports) == at
    # The first stage of the sparse engine reports before it has found anything.
    assert found or (engine.name, at) == ("sparse", 1)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_a_search_that_ends_by_itself_was_not_interrupted(engine: Engine) -> None:
    run = SearchRun(0, Budget(600))
    engine.search(noisy_problem(), SearchOptions(niterations=2, maxsize=9), run)
    assert not run.interrupted


def test_evolution_that_is_interrupted_while_constants_are_fitted_keeps_its_finds() -> None:
    def interrupt(report: Progress) -> None:
        if report.message == "fitting constants":
            raise KeyboardInterrupt

    run = SearchRun(0, Budget(600), interrupt)
    options = SearchOptions(niterations=3, populations=1)
    assert OperonEngine().search(noisy_problem(), options, run)
    assert run.interrupted


def test_parts_of_a_run_share_its_interruption() -> None:
    whole = SearchRun(0, Budget(60))
    part = replace(whole, budget=Budget(5))
    with part.until_interrupted():
        raise KeyboardInterrupt
    assert whole.interrupted
    assert not SearchRun(0, Budget(60)).interrupted


def test_other_errors_pass_through() -> None:
    run = SearchRun(0, Budget(60))
    with pytest.raises(ZeroDivisionError), run.until_interrupted():
        raise ZeroDivisionError
    assert not run.interrupted
