"""engine="auto": sparse first, operon on what is left."""

import pytest
import torch

from symtorch import Expression, InputError
from symtorch.search import Problem, SearchOptions, search


def table(law: str, rows: int = 300, noise: float = 0.0) -> Problem:
    generator = torch.Generator().manual_seed(0)
    X = torch.rand(rows, 2, generator=generator, dtype=torch.float64) * 3 + 0.5
    y = Expression.parse(law)({"x0": X[:, 0], "x1": X[:, 1]})
    y = y + noise * y.std() * torch.randn(rows, generator=generator, dtype=torch.float64)
    return Problem.split(X, y)


def test_an_exact_law_ends_the_search_at_once():
    reports = []
    front = search(table("2*x0*x1 + 1"), engine="auto", progress=reports.append)
    assert front.get_best().expression.pretty() == "2*x0*x1 + 1"
    assert reports[-1].fraction < 0.5
    assert not any("generation" in report.message for report in reports)


def test_noise_is_handed_on_to_evolution():
    messages = []
    front = search(
        table("2*x0*x1 + 1", noise=0.05),
        SearchOptions(timeout_in_seconds=600, niterations=2),
        progress=lambda report: messages.append(report.message),
    )
    best = front.get_best()
    assert best.complexity == 7
    assert best.expression.variables == ("x0", "x1")
    assert "fitting constants" in messages


def test_an_option_of_one_engine_leaves_the_other_out():
    options = SearchOptions(populations=1, niterations=4)
    front = search(table("x0*x1"), options, engine="auto")
    assert front == search(table("x0*x1"), options, engine="operon")


def test_options_no_single_engine_follows_are_refused():
    options = SearchOptions(populations=1, select_k_features=1)
    with pytest.raises(InputError, match="no single engine honours all of"):
        search(table("x0*x1"), options, engine="auto")


def test_an_operator_operon_lacks_is_searched_by_sparse_alone():
    options = SearchOptions(
        binary_operators=("+", "*"), unary_operators=("sigmoid",), niterations=3
    )
    front = search(table("3*sigmoid(x0) + x1"), options, engine="auto")
    assert front.get_best().expression.pretty() == "x1 + 3*sigmoid(x0)"


def test_the_same_seed_gives_the_same_front():
    options = SearchOptions(niterations=2)
    first, second = (
        search(table("x0/x1 + sin(x0)", noise=0.1), options, random_state=5) for _ in range(2)
    )
    assert first == second
