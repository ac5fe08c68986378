"""The local engine: anchors, steps, ramps, and the options it promises to follow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import keeps_to
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch import Expression, Problem, SearchOptions, available_engines
from symtorch.search import search
from symtorch.search.engine import Budget, SearchRun
from symtorch.search.engines.local import Anchor, LocalEngine
from symtorch.search.engines.local.terms import rounded

OPTIONS = SearchOptions(
    binary_operators=("+", "-", "*", "/", "greater"),
    unary_operators=("square", "tanh", "sin", "exp"),
    maxsize=100,
)
TABLE = torch.rand(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def problem(law: str, **arguments) -> Problem:
    columns = {f"x{i}": column for i, column in enumerate(TABLE.unbind(-1))}
    return Problem.split(TABLE, Expression.parse(law)(columns), **arguments)


def run(seconds: float = 20.0) -> SearchRun:
    return SearchRun(0, Budget(seconds))


def test_it_is_an_engine_by_name():
    assert "local" in available_engines()
    front = search(problem("2*x0 - x1"), OPTIONS, engine="local")
    assert front.get_best().equation == "2*x0 - x1"


@pytest.mark.parametrize(
    ("law", "found"),
    [
        ("x0*x1", "x0*x1"),
        ("sin(x0)*exp(x2) + x1", "sin(x0)*exp(x2) + x1"),
        ("2*greater(x1, 0.4) + x0", None),
        ("tanh((x2 - 0.5)/0.05)", None),
        ("(x0 - 0.3)*greater(x1, 0.5)", None),
    ],
)
def test_laws(law, found):
    front = search(problem(law), OPTIONS, engine="local")
    lowest = min(row.validation_loss for row in front)
    assert lowest < 0.03 * front[0].validation_loss
    if found is not None:
        columns = {f"x{i}": column for i, column in enumerate(TABLE.unbind(-1))}
        best = front.get_best().expression
        torch.testing.assert_close(best(columns), Expression.parse(found)(columns))
        assert best.complexity() <= Expression.parse(found).complexity()


@settings(max_examples=15)
@given(st.lists(st.floats(-1, 2), min_size=3, max_size=3), st.floats(-100, 100))
def test_all_equations_pass_through_an_anchor(point, value):
    engine = LocalEngine(Anchor(tuple(point), value))
    options = OPTIONS.replace(niterations=3)
    for expression in engine.search(problem("x0*x1 + sin(x2)"), options, run()):
        at = {f"x{i}": np.array([place]) for i, place in enumerate(point)}
        assert expression(at)[0] == pytest.approx(value, rel=1e-8, abs=1e-8)


def test_without_an_anchor_the_weighted_mean_is_met():
    weights = torch.linspace(0.1, 1, 300, dtype=torch.float64)
    task = problem("x0*x1 + sin(x2)", weights=weights)
    sample = task.train
    for expression in LocalEngine().search(task, OPTIONS.replace(niterations=4), run()):
        residual = sample.weights * (task.predict(expression, sample) - sample.y)
        assert float(residual.sum()) == pytest.approx(0, abs=1e-8)


@pytest.mark.parametrize(
    "changes",
    [
        {"maxsize": 12},
        {"binary_operators": ("+", "*"), "unary_operators": ()},
        {"binary_operators": ("+", "*", "greater"), "unary_operators": ()},
        {"unary_operators": ("sin",)},
        {"constraints": {"tanh": 3}},
        {"maxdepth": 4},
    ],
)
def test_options_are_followed(changes):
    options = OPTIONS.replace(**changes)
    task = problem("sin(5*x0)*x1 + 0.3*greater(x2, 0.5)")
    found = LocalEngine().search(task, options, run())
    assert found
    assert all(e.complexity() <= options.maxsize for e in found)
    allowed = {op.name for op in (*options.binary, *options.unary)} | {"neg", "-"}
    assert {op.name for e in found for op in e.operators} <= allowed


def test_few_terms_and_few_inputs():
    task = problem("x0 + 0.5*x1**2 + 0.1*sin(9*x2)")
    short = LocalEngine().search(task, OPTIONS.replace(niterations=1), run())
    assert short[0].complexity() <= 10
    narrow = LocalEngine().search(task, OPTIONS.replace(select_k_features=1), run())
    assert {name for e in narrow for name in e.variables} == {"x0"}


def test_seeds_and_budgets():
    task = problem("sin(9*x0)*x1")
    first, again = (LocalEngine().search(task, OPTIONS, run()) for _ in range(2))
    assert first == again
    assert len(LocalEngine().search(task, OPTIONS, run(1e-6))) <= 1


def test_inputs_that_do_not_vary():
    y = TABLE[:, 0] * 2
    flat = TABLE.clone()
    flat[:, 1:] = 3.0
    front = search(Problem.split(flat, y), OPTIONS, engine="local")
    assert front.get_best().equation == "2*x0"
    flat[:, 0] = 1.0
    assert LocalEngine().search(Problem.split(flat, y), OPTIONS, run()) == []


def test_rows_beyond_what_is_looked_at():
    X = torch.rand(5000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    front = search(Problem.split(X, X[:, 0] * 3 - X[:, 1]), OPTIONS, engine="local")
    assert front.get_best().equation == "3*x0 - x1"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_rounding_keeps_what_matters_next_to_a_scale(value, scale):
    assert abs(rounded(value, scale) - value) <= 0.05 * scale


def test_more_inputs_than_can_be_held_at_once():
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(300, 10_000, generator=generator, dtype=torch.float64)
    y = 3 * X[:, 9_000] + 4 * (X[:, 17] > 0.3)
    task = Problem.split(X, y)
    found = []

    def searched() -> None:
        options = OPTIONS.replace(niterations=2)
        found.extend(LocalEngine().search(task, options, SearchRun(0, Budget(15))))

    assert keeps_to(15, searched)
    assert set(found[1].variables) == {"x17", "x9000"}
