"""The quadratic engine: weak products under noise, against least squares."""

from __future__ import annotations

import pytest
import torch
from helpers import keeps_to, randn

from symtorch import InputError, Problem, SearchOptions
from symtorch.search import Budget, SearchRun, search
from symtorch.search.engines.quadratic import QuadraticEngine
from symtorch.search.problem import Sample


def test_weak_products_are_found_under_noise():
    x = randn(20_000, 30).double()
    noise = randn(20_000, seed=1).double()
    y = 0.15 * x[:, 3] * x[:, 7] - 0.1 * x[:, 2] ** 2 + 0.08 * x[:, 11] + 0.3 + noise
    front = search(Problem.split(x, y), SearchOptions(maxsize=40), engine="quadratic")
    last = front[-1].expression
    assert {"x3", "x7", "x2", "x11"} <= set(last.variables)
    three = next(row for row in front if len(row.expression.constants) == 4)
    assert set(three.expression.variables) == {"x2", "x3", "x7", "x11"}


def test_coefficients_are_those_of_least_squares():
    x = randn(500, 3).double() + 5
    y = x[:, 0] * x[:, 1] - 2 * x[:, 2] + randn(500, seed=2).double()
    weights = torch.linspace(0, 1, 500).double()
    problem = Problem.split(x, y, weights=weights, validation_fraction=0)
    options = SearchOptions(maxsize=40, niterations=3)
    last = QuadraticEngine().search(problem, options, SearchRun(0, Budget(20)))[-1]
    rows = problem.train
    loss = rows.loss(problem.predict(last, rows))
    a, b, c = rows.X.unbind(1)
    everything = torch.stack([a, b, c, a * a, a * b, a * c, b * b, b * c, c * c, 0 * a + 1], 1)
    root = rows.weights.sqrt()[:, None]
    best = torch.linalg.lstsq(root * everything, root * rows.y[:, None]).solution
    floor = rows.loss((everything @ best)[:, 0])
    assert floor <= loss < 1.05 * floor


def test_operators_and_sizes_are_kept_to():
    x = randn(300, 4).double()
    problem = Problem.split(x, x[:, 0] * x[:, 1] + x[:, 2])
    for options in (
        SearchOptions(maxsize=5),
        SearchOptions(binary_operators=("+",)),
        SearchOptions(maxdepth=3),
    ):
        front = search(problem, options, engine="quadratic")
        assert max(front.complexities) <= options.maxsize
    assert len(search(problem, SearchOptions(binary_operators=("+",)), engine="quadratic")) == 1


def test_many_inputs_are_screened_for_products():
    x = randn(3000, 100).double()
    y = x[:, 90] + 0.5 * x[:, 91] + x[:, 90] * x[:, 91]
    front = search(Problem.split(x, y), SearchOptions(maxsize=17), engine="quadratic")
    assert front[-1].validation_loss < 1e-20


def test_more_inputs_than_rows():
    x = randn(300, 10_000).double()
    y = 3 * x[:, 9_000] + 2 * x[:, 17] + 1
    problem = Problem.split(x, y)
    options = SearchOptions(niterations=3)
    found = []

    def searched() -> None:
        found.extend(QuadraticEngine().search(problem, options, SearchRun(0, Budget(20))))

    assert keeps_to(20, searched)
    assert set(found[1].variables) == {"x17", "x9000"}


def test_a_table_too_large_is_refused_with_the_figure():
    X = torch.zeros(1, 1, dtype=torch.float64).expand(40_000, 30_000)
    sample = Sample(X, X[:, 0], X[:, 0])
    problem = Problem(sample, sample, tuple(f"x{i}" for i in range(30_000)))
    run = SearchRun(0, Budget(60))
    with pytest.raises(InputError, match="29 GiB for 31176 terms of 30000 inputs on 40000 rows"):
        QuadraticEngine().search(problem, SearchOptions(), run)


def test_rows_are_read_as_far_as_the_time_reaches():
    x = randn(300_000, 30).double()
    y = x[:, 3] * x[:, 7] + x[:, 2]
    problem = Problem.split(x, y)
    found = []

    def searched() -> None:
        run = SearchRun(0, Budget(1.5))
        found.extend(QuadraticEngine().search(problem, SearchOptions(niterations=2), run))

    assert keeps_to(1.5, searched, slack=0.5)
    assert set(found[-1].variables) == {"x2", "x3", "x7"}
