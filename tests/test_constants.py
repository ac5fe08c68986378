"""Refining the constants of equations: fits, and numbers where fits have nothing to hold on to."""

from __future__ import annotations

import pytest
import scipy.optimize
import torch
from hypothesis import given
from hypothesis import strategies as st

from symtorch.search import Problem
from symtorch.search.constants import System, fit_constants, round_constants, simple_numbers
from symtorch.search.engines.sparse.library.atoms import scan
from symtorch.search.refinement import Refiner
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression


def refiner(law: str) -> Refiner:
    x = torch.linspace(0, 5, 50, dtype=torch.float64)
    y = Expression.parse(law)({"x": x})
    problem = Problem.split(x[:, None], y, ["x"], validation_fraction=0)
    return Refiner(problem, problem.train, ComplexityRule())


@pytest.mark.parametrize(
    ("law", "start"),
    [
        ("2*sqrt(3*x) + 1", "2.1*sqrt(2.7*x) + 1.1"),
        # The second constant of each changes nothing at any point.
        ("2*x", "2.1*max(x, -5.3)"),
        ("2*x + 1", "2.1*x + floor(1.3 + 0.01*sin(0.7*x))"),
        # Squares of differences between such numbers are infinite.
        ("3.3*x", "3.1e180*x/1.1e180"),
    ],
)
def test_constants_are_fitted(law, start):
    polished = refiner(law).polish(Expression.parse(start).root)
    x = torch.linspace(0, 5, 11, dtype=torch.float64)
    found, expected = (e({"x": x}) for e in (Expression(polished.root), Expression.parse(law)))
    torch.testing.assert_close(found, expected)


def test_a_scan_of_nothing_is_empty():
    for families, rows in (([], 4), ([], 0)):
        found = scan(families, torch.zeros(rows, 7), False, 100, lambda: None)
        assert found.rows.shape == (0, 7)
        assert len(found.family) == len(found.argument) == len(found.theta) == 0


def test_the_first_part_of_a_difference_is_dropped_where_the_data_do_not_need_it():
    generator = torch.Generator().manual_seed(0)
    X = 0.3 + 2 * torch.rand(400, 3, generator=generator, dtype=torch.float64)
    names = ["dx", "dy", "r"]
    columns = dict(zip(names, X.unbind(-1), strict=True))
    y = Expression.parse("(1.29 - 1.3*r)*(0.057*dx + dy)/r + 0.134")(columns)
    y = y + 0.005 * torch.randn(400, generator=generator, dtype=torch.float64)
    problem = Problem.split(X, y, names, validation_fraction=0)
    rule = ComplexityRule()
    short = Refiner(problem, problem.train, rule)
    # The sign of what is left is turned by the constants of the other factor.
    short.shorten(Expression.parse("(0.003 - (0.06*dx + dy)/r)*(1.31*r - 1.28) + 0.13").root)
    losses = {rule.of(form.root): form.loss for form in short.best_of_each_size()}
    assert losses[15] < 1.1 * 0.005**2


# -- the vector of constants, against SciPy ------------------------------------------------------


def exponential(noise: float = 0.0) -> System:
    """``a*exp(b*x) + c`` against the law with 2, -1.3 and 0.5."""
    x = torch.linspace(0, 3, 60, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    y = 2 * torch.exp(-1.3 * x) + 0.5
    y = y + noise * torch.randn(60, generator=generator, dtype=torch.float64)

    def system(at: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
        power = torch.exp(at[1] * x)
        rows = [power, at[0] * x * power, torch.ones_like(x)]
        return at[0] * power + at[2] - y, torch.stack(rows)

    return system


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_fit_is_that_of_scipy(noise):
    system = exponential(noise)
    values, loss = fit_constants(system, [1.0, -0.5, 0.0], steps=60, settled=1e-12)
    reference = scipy.optimize.least_squares(
        lambda at: system(at)[0].numpy(), [1.0, -0.5, 0.0], xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    assert values == pytest.approx(reference.x.tolist(), rel=1e-6)
    assert loss == pytest.approx(2 * reference.cost, rel=1e-9, abs=1e-20)


def test_constants_that_are_not_free_stay():
    values, _ = fit_constants(
        exponential(), [2.0, -1.0, 0.4], steps=40, free=[True, False, True], settled=1e-12
    )
    assert values[1] == -1.0
    assert fit_constants(exponential(), values, steps=9, free=[False] * 3)[0] == values


def test_a_fit_never_ends_above_its_start():
    generator = torch.Generator().manual_seed(0)
    for start in torch.randn(20, 3, generator=generator, dtype=torch.float64).tolist():
        residual, _ = exponential()(start)
        assert fit_constants(exponential(), start, steps=3)[1] <= float(residual @ residual)


def test_rows_without_a_derivative_do_not_stop_a_fit():
    x = torch.linspace(0, 2, 30, dtype=torch.float64)

    def root(at):
        # At x = 0 the derivative is 0/0.
        return torch.sqrt(at[0] * x) - torch.sqrt(3 * x), (x / (2 * torch.sqrt(at[0] * x)))[None]

    assert fit_constants(root, [1.0], steps=30)[0] == pytest.approx([3.0])


def test_a_start_without_values_is_left_alone():
    def nowhere(at):
        return torch.full((5,), torch.nan), torch.ones(1, 5)

    assert fit_constants(nowhere, [1.5], steps=5) == ([1.5], float("inf"))


def test_rounding_keeps_what_the_data_insist_on():
    x = torch.linspace(1, 2, 50, dtype=torch.float64)
    y = 2 * x + 1.23456

    def line(at):
        return at[0] * x + at[1] - y, torch.stack([x, torch.ones_like(x)])

    fitted, loss = fit_constants(line, [1.9, 1.0], steps=30)
    values, after = round_constants(line, fitted, loss, floor=1e-18, slack=0.01)
    assert values == [2.0, pytest.approx(1.23456)]
    assert after <= 1e-18
    loose, _ = round_constants(line, fitted, loss, floor=1e-2, slack=0.01)
    assert loose[1] in simple_numbers(1.23456)
    assert round_constants(line, fitted, loss, floor=1.0, slack=0.0, out_of_time=lambda: True) == (
        fitted,
        loss,
    )


@given(st.floats(-1e8, 1e8), st.floats(1e-6, 0.3))
def test_simple_numbers_are_near_and_new(value, tolerance):
    found = simple_numbers(value, tolerance)
    assert all(abs(number - value) <= tolerance * abs(value) for number in found)
    assert value not in found
    assert len(found) == len(set(found))
