"""Waves: those of a law stay, those that follow noise do not."""

import pytest
import torch
from helpers import randn

from symtorch import Expression
from symtorch.search import Budget, Problem, SearchOptions, SearchRun
from symtorch.search.engines.operon import OperonEngine
from symtorch.search.judging import Judge
from symtorch.search.limits import keeps_constraints
from symtorch.search.waves import follows_noise


def problem_of(law, rows=300, inputs=2, noise=0.0):
    X = randn(rows, inputs).double()
    y = Expression.parse(law)({f"x{i}": X[:, i] for i in range(inputs)})
    return Problem.split(X, y + noise * randn(rows, seed=1).double())


@pytest.mark.parametrize(
    ("law", "text", "noise", "refused"),
    [
        ("x0", "x0 + 0.1*cos(13*x1)", 0.5, True),
        ("x0", "x0 + 0.1*cos(0.5*x1)", 0.5, False),
        ("x0 + 0.1*cos(60*x1)", "x0 + 0.1*cos(60*x1)", 0.0, False),
        ("sin(70*x0*x1)", "sin(70*x0*x1)", 0.1, False),
        ("sin(x0) + x1", "sin(x0) + x1", 0.0, False),
        ("x0", "x0", 0.0, False),
    ],
)
def test_fast_waves_are_believed_where_they_explain_most(law, text, noise, refused):
    problem = problem_of(law, inputs=30 if refused else 2, noise=noise)
    assert follows_noise(Expression.parse(text), problem) == refused
    judge = Judge(problem, SearchOptions(), SearchOptions().complexity_rule(problem.names))
    assert (judge.score(Expression.parse(text)) is None) == refused


def test_waves_in_waves_are_off_unless_asked_for():
    problem = problem_of("x0")
    nested = Expression.parse("sin(x0 + cos(x1))")
    rule = SearchOptions().complexity_rule(problem.names)
    assert Judge(problem, SearchOptions(), rule).score(nested) is None
    allowed = SearchOptions(nested_constraints={})
    assert Judge(problem, allowed, rule).score(nested) is not None


def test_operon_finds_no_wave_in_a_wave():
    problem = problem_of("x0*x1", rows=120, noise=1.0)
    options = SearchOptions(niterations=6, populations=1, unary_operators=["sin", "cos"])
    found = OperonEngine().search(problem, options, SearchRun(0, Budget(60)))
    rule = options.complexity_rule(problem.names)
    assert found
    assert all(keeps_constraints(e.root, options, rule) for e in found)


def test_rows_with_infinite_arguments():
    X = torch.tensor([[0.0], [1.0], [2.0], [3.0]] * 10, dtype=torch.float64)
    assert follows_noise(Expression.parse("sin(1/x0)"), Problem.split(X, X[:, 0]))
