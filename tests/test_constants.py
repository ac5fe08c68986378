"""Refining the constants of equations: fits, and numbers where fits have nothing to hold on to."""

from __future__ import annotations

import pytest
import torch

from symtorch.search import Problem
from symtorch.search.engines.sparse.library.atoms import scan
from symtorch.search.refinement import Refiner
from symtorch.symbolic.expression import ComplexityRule, Expression


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
