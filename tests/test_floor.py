"""The floor of every search: what a front holds before any engine has begun."""

import math

import numpy as np
import pytest
import torch
from helpers import randn

from symtorch import Expression
from symtorch.search import (
    Budget,
    Problem,
    SearchOptions,
    SearchRun,
    register_engine,
    registry,
    search,
)
from symtorch.search.engine import FORM_AND_BUDGET
from symtorch.search.engines.local.frame import Frame
from symtorch.search.floor import readable_floor
from symtorch.search.floor.shared import shared_lines
from symtorch.search.floor.sums import forward_lines
from symtorch.search.judging import Judge
from symtorch.search.limits import within_limits
from symtorch.search.quality import is_line
from symtorch.search.refinement import Refiner
from symtorch.symbolic.complexity import ComplexityRule


def floor_of(problem: Problem, seconds: float = 600.0, seed: int = 0, **options):
    chosen = SearchOptions(**options)
    judge = Judge(problem, chosen, chosen.complexity_rule(problem.names))
    return readable_floor(judge, SearchRun(seed, Budget(seconds)))


def additive(rows: int = 600, inputs: int = 9) -> Problem:
    X = randn(rows, inputs).double()
    y = torch.tanh(X) @ torch.linspace(0.5, 2, inputs, dtype=torch.float64)
    return Problem.split(X, y + 0.1 * randn(rows, seed=1).double())


def least_squares(problem: Problem, columns: list[int]) -> float:
    """Held-out loss of the line in these columns."""
    design = torch.cat([problem.train.X[:, columns], torch.ones_like(problem.train.y)[:, None]], 1)
    fitted = torch.linalg.lstsq(design, problem.train.y[:, None]).solution
    held = torch.cat(
        [problem.validation.X[:, columns], torch.ones_like(problem.validation.y)[:, None]], 1
    )
    return problem.validation.loss((held @ fitted)[:, 0])


def test_lines_of_one_two_and_more_inputs_are_those_of_least_squares():
    problem = additive()
    lines, order = forward_lines(Frame(problem, problem.train, None), SearchOptions())
    assert sorted(order) == [*range(9)]
    floor = floor_of(problem).rows
    for count, line in enumerate(lines, start=1):
        assert is_line(line.root)
        columns = [problem.names.index(name) for name in line.variables]
        assert len(columns) == count
        loss = problem.validation.loss(problem.predict(line, problem.validation))
        assert loss == pytest.approx(least_squares(problem, columns), rel=1e-6)
        best = min(row.loss for row in floor if row.complexity <= 4 * count + 1)
        assert best <= problem.train.loss(problem.predict(line, problem.train)) * (1 + 1e-9)


def test_steps_and_ramps_are_found_where_there_are_some():
    X = randn(800, 5).double()
    y = 3.0 * (X[:, 1] > 0.3) + torch.clamp(X[:, 2], min=-0.5) + 0.05 * randn(800, seed=1).double()
    last = floor_of(Problem.split(X, y)).rows[-1]
    assert {"greater", "max"} <= {operator.name for operator in last.expression.operators}
    assert last.validation_loss < 0.02


@pytest.mark.parametrize(
    "options",
    [
        {"maxsize": 1},
        {"maxsize": 3},
        {"maxsize": 11},
        {"maxdepth": 3},
        {"binary_operators": ("+",)},
        {"binary_operators": ("*", "/"), "unary_operators": ("exp",)},
        {"binary_operators": ("+", "*"), "unary_operators": ()},
        {"approximation_operators": ()},
        {"approximation_operators": ("relu", "max")},
        {"complexity_of_variables": (5, 1, 1, 1, 1, 1, 1, 1, 1)},
        {"complexity_of_constants": 3, "complexity_of_operators": {"+": 2}},
        {"constraints": {"*": (1, 1), "max": (1, 1)}},
        {"select_k_features": 2},
    ],
)
def test_it_keeps_to_the_options(options):
    problem = additive()
    chosen = SearchOptions(**options)
    rule = chosen.complexity_rule(problem.names)
    rows = floor_of(problem, **options).rows
    assert rows
    for row in rows:
        assert rule.of(row.expression) == row.complexity <= chosen.maxsize
        assert within_limits(row.expression, chosen, rule)
    if chosen.select_k_features:
        assert len({name for row in rows for name in row.expression.variables}) <= 2


def test_additive_laws_of_many_inputs_are_found_whole():
    X = randn(1_000, 12).double()
    y = torch.tanh(X) @ torch.linspace(0.5, 2, 12, dtype=torch.float64)
    options = {"unary_operators": ("tanh", "exp"), "maxsize": 72}
    last = floor_of(Problem.split(X, y), **options).rows[-1]
    assert last.validation_loss < 1e-18
    assert last.complexity == 12 * 5 - 1


def test_weights_count():
    X = randn(400, 2).double()
    left = X[:, 0] < 0
    y = torch.where(left, X[:, 1], -X[:, 1])
    problem = Problem.split(X, y, weights=torch.where(left, 1.0, 1e-9))
    assert "x1" in [str(row.expression) for row in floor_of(problem).rows]


def test_wide_and_long_tables_are_bounded():
    X = randn(250, 10_000).double()
    wide = Problem.split(X, X[:, 77] - 2 * X[:, 9_000])
    assert floor_of(wide).rows[-1].expression.pretty() == "-2*x9000 + x77"
    X = randn(300_000, 3).double()
    long = Problem.split(X, X[:, 0] + 0.5 * X[:, 2] + 0.01 * randn(300_000, seed=2).double())
    assert floor_of(long).rows[-1].validation_loss < 1.05e-4


def test_a_spent_budget_leaves_the_constant():
    assert floor_of(additive(), seconds=1e-9).rows[0].complexity == 1


def test_the_same_seed_gives_the_same_floor():
    problem = additive(rows=6_000)
    assert floor_of(problem, seed=3).rows == floor_of(problem, seed=3).rows


def test_an_exact_line_has_the_numbers_that_a_person_would_write():
    X = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) * 4
    rows = floor_of(Problem.split(X, 3 * X[:, 0] - X[:, 2] / 4 + 1)).rows
    assert rows[-1].expression.pretty() == "3*x0 - 0.25*x2 + 1"


class Silent:
    name = "silent"
    honours = FORM_AND_BUDGET

    def require(self):
        pass

    def search(self, problem, options, run):
        self.seeds = run.seeds
        return []


def test_every_engine_starts_from_it(monkeypatch):
    monkeypatch.setattr(registry, "_ENGINES", dict(registry._ENGINES))
    guest = Silent()
    register_engine("silent", lambda: guest)
    front = search(additive(), engine="silent")
    assert len(front) > 5
    assert [row.expression for row in front[1:] if row] == [*guest.seeds]


@pytest.mark.parametrize("engine", ["sparse", "operon", "local", "quadratic", "auto"])
def test_no_front_is_worse_than_the_floor(engine):
    problem = additive(rows=300, inputs=4)
    options = SearchOptions(niterations=1, populations=1) if engine == "operon" else None
    options = options or SearchOptions(niterations=1, timeout_in_seconds=60)
    front = search(problem, options, engine=engine)
    for row in floor_of(problem).rows:
        assert min(r.validation_loss for r in front if r.complexity <= row.complexity) <= (
            row.validation_loss * (1 + 1e-6)
        )


def test_the_line_in_all_inputs_is_there_to_compare_with():
    X = randn(1_000, 40).double()
    y = X.sum(1) + 0.1 * randn(1_000, seed=1).double()
    problem = Problem.split(X, y)
    found = floor_of(problem)
    expected = 1 - least_squares(problem, [*range(40)]) / problem.validation.variance
    assert found.line_r2 == pytest.approx(expected, rel=1e-9)
    assert floor_of(Problem.split(X[:60], y[:60])).line_r2 is None


def test_one_column_two_rows_and_flat_columns():
    one = Problem.split(torch.tensor([[0.0], [1.0]]), torch.tensor([1.0, 2.0]))
    assert floor_of(one).rows
    X = torch.cat([torch.ones(50, 2), torch.arange(50.0)[:, None]], dim=1)
    rows = floor_of(Problem.split(X, X[:, 2])).rows
    assert str(rows[0].expression) == "x2"
    assert all(math.isfinite(row.loss) for row in rows)


def test_is_line_against_derivatives():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 50))
    for text in ("x", "3", "2*x - y", "(x + y)*2", "x/3 + 1", "x*y", "x/y", "3/x", "square(x)"):
        expression = Expression.parse(text, ["x", "y"])
        design = np.column_stack([x, y, np.ones(50)])
        values = expression({"x": x, "y": y})
        fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
        assert is_line(expression.root) == np.allclose(fitted, values), text


def test_inputs_share_factors_where_that_is_shorter():
    X = randn(800, 20).double()
    y = 0.7 * (X[:, :6].sum(1) - X[:, 6:10].sum(1)) + 0.2 * X[:, 10:14].sum(1)
    rows = floor_of(Problem.split(X, y + 0.01 * randn(800, seed=1).double()), maxsize=40).rows
    best = rows[-1]
    assert set(best.expression.variables) >= {f"x{i}" for i in range(14)}
    assert best.validation_loss < 3e-4
    assert best.complexity < 4 * 14


def test_shared_lines_are_least_squares_given_their_groups():
    X = randn(300, 6).double()
    y = X @ torch.tensor([1.0, 0.9, 0.5, -0.4, 0.1, 0.0], dtype=torch.float64)
    problem = Problem.split(X, y)
    frame = Frame(problem, problem.train, None)
    for root in shared_lines(frame, 40):
        expression = Expression(root)
        predicted = problem.predict(expression, problem.train)
        residual = problem.train.y - predicted
        # No factor can be changed for the better: the residual is orthogonal to each group's sum.
        start = torch.tensor(expression.constants, dtype=torch.float64)
        for i in range(len(start)):
            moved = start.clone()
            moved[i] += 1e-4
            other = problem.predict(expression.with_constants(moved.tolist()), problem.train)
            assert abs(float((other - predicted) @ residual)) < 1e-9


def test_inputs_that_count_only_in_a_product_are_among_those_looked_at():
    X = randn(1_500, 200).double()
    y = X[:, 3] + 2 * X[:, 101] * X[:, 150]
    best = floor_of(Problem.split(X, y)).rows[-1]
    assert best.expression.variables == ("x101", "x150", "x3")
    assert best.validation_loss < 1e-20


def test_refinement_takes_equations_whose_constants_have_no_gradient():
    X = randn(200, 2).double()
    problem = Problem.split(X, (X[:, 0] > 0.3).double() + X[:, 1])
    root = Expression.parse("greater(x0, 0.4) + x1", ["x0", "x1"]).root
    refiner = Refiner(problem, problem.train, ComplexityRule(), {"+", "greater"})
    assert str(Expression(refiner.fit(root).root)) == "greater(x0, 0.4) + x1"
