"""Searches on another device give the front that they give on the processor."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch
from pretend_device import PretendDevice

from symtorch.search import Problem, SearchOptions, search
from symtorch.search.engines.sparse.engine import vocabulary_of
from symtorch.search.engines.sparse.models.context import OutOfTimeError, SearchContext
from symtorch.search.engines.sparse.stages import stages
from symtorch.search.front import Front
from symtorch.search.problem import Oracle
from symtorch.search.refinement import Refiner
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression


def columns(rows: int = 200) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(rows, 3, generator=generator, dtype=torch.float64) + 0.5


def noisy(X: torch.Tensor) -> torch.Tensor:
    return torch.sin(3 * X[:, 0]) * X[:, 1] + X[:, 2] ** 2 + 0.01 * torch.sin(97 * X[:, 1])


def product(X: torch.Tensor) -> torch.Tensor:
    return 1.7 * X[:, 0] * X[:, 1] / X[:, 2] ** 2


def behind_a_difference(X: torch.Tensor) -> torch.Tensor:
    return X[:, 2] / torch.sqrt(1 + (X[:, 0] - X[:, 1]) ** 2)


def front_on(device: torch.device, law: Oracle, engine: str, ask: bool, niterations: int) -> Front:
    X = columns()
    y = law(X)
    problem = Problem.split(X.to(device), y.to(device), oracle=law if ask else None)
    options = SearchOptions(timeout_in_seconds=600, niterations=niterations)
    return search(problem, options, engine=engine)


@pytest.mark.parametrize(
    ("law", "engine", "ask", "niterations"),
    [
        (product, "sparse", False, 3),
        (behind_a_difference, "sparse", True, 3),
        (noisy, "local", False, 6),
        (noisy, "quadratic", False, 6),
        (noisy, "operon", False, 2),
    ],
)
def test_the_front_does_not_depend_on_the_device(
    law: Oracle, engine: str, ask: bool, niterations: int
) -> None:
    here = front_on(torch.device("cpu"), law, engine, ask, niterations)
    with PretendDevice() as device:
        there = front_on(device, law, engine, ask, niterations)
    assert [row.equation for row in there] == [row.equation for row in here]


CHECKS = 12
"""How often a stage may look at the clock before it is told that time is up."""


def test_every_stage_of_the_sparse_engine_runs_elsewhere() -> None:
    X = columns(40)[:, :2]
    options = SearchOptions(unary_operators=("sin", "exp"), maxsize=9)
    names = ["x0", "x1"]
    with PretendDevice() as device:
        sample = Problem.split(X.to(device), noisy(columns(40)).to(device)).train
        left = 0

        def expired() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        context = SearchContext(
            screen=sample,
            fit=sample,
            holdout=sample,
            vocabulary=vocabulary_of(options, names),
            generator=torch.Generator().manual_seed(0),
            maxsize=9,
            floor=1e-20,
            precision=2e-16,
            expired=expired,
        )
        for stage in stages(context):
            left = CHECKS
            with suppress(OutOfTimeError):
                stage.run()
    assert len(context.archive.best) > 2


def test_constants_are_refined_where_the_rows_are() -> None:
    X = columns()
    root = Expression.parse("(1.1*x0 + 0.3)*exp(0.9*x1) + 0.02*x2").root
    law = Expression.parse("x0*exp(1.2*x1)")
    y = law({f"x{i}": column for i, column in enumerate(X.unbind(-1))})
    found = []
    with PretendDevice() as device:
        for place in (torch.device("cpu"), device):
            problem = Problem.split(X.to(place), y.to(place))
            refiner = Refiner(problem, problem.train, ComplexityRule())
            found.append(refiner.polish(refiner.shorten(root).root).root)
    assert found[0] == found[1]
    assert str(Expression(found[1])) == str(law)


def test_mixing_is_noticed() -> None:
    with PretendDevice() as device:
        x = torch.arange(3.0, device=device)
        with pytest.raises(RuntimeError, match="mixes devices"):
            x + torch.ones(3)
        assert (x[torch.tensor([2, 0])] + torch.tensor(1.0)).tolist() == [3.0, 1.0]
        assert x.cpu().numpy().tolist() == [0.0, 1.0, 2.0]
