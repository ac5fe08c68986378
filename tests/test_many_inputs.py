"""Additive models and wide tables: the search's work is bounded, and it never ends empty-handed."""

from __future__ import annotations

import warnings

import pytest
import torch

from symtorch.search import Problem, SearchOptions, search
from symtorch.search.engines.sparse.engine import vocabulary_of
from symtorch.search.engines.sparse.library.arguments import MOST_ENTRIES, argument_library
from symtorch.search.engines.sparse.library.forms import MOST_PAIRED, distances, library_atoms
from symtorch.search.engines.sparse.library.monomials import exponent_vectors
from symtorch.search.engines.sparse.structure.screening import strongest
from symtorch.search.engines.sparse.structure.separability import Choice, joined
from symtorch.symbolic.nodes import Variable
from symtorch.symbolic.operators import operator_named


def additive(count: int) -> tuple[Problem, torch.Tensor]:
    """``sum(a_i * tanh(x_i))`` with its oracle, and the coefficients."""
    a = torch.linspace(0.5, 2, count, dtype=torch.float64)
    X = torch.randn(600, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def law(x: torch.Tensor) -> torch.Tensor:
        return (a * torch.tanh(x)).sum(1)

    return Problem.split(X, law(X), oracle=law), a


def wide(count: int) -> Problem:
    """Five of many columns matter, and no short law holds."""
    X = torch.rand(400, count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.relu(X[:, 3] + X[:, 17] - X[:, 30]) - 2 * X[:, 40] * X[:, 50]
    return Problem.split(X, y)


@pytest.mark.parametrize("count", [6, 12])
def test_additive_laws_of_many_inputs_are_found_whole(count: int) -> None:
    problem, a = additive(count)
    options = SearchOptions(
        unary_operators=("tanh", "exp"), maxsize=5 * count, timeout_in_seconds=120, niterations=4
    )
    best = search(problem, options, engine="sparse").get_best().expression
    values = best({name: torch.eye(count).double()[:, i] for i, name in enumerate(problem.names)})
    torch.testing.assert_close(values, a * torch.tanh(torch.ones(())).double(), rtol=1e-6, atol=0)


def test_combinations_of_pieces_are_a_front_not_a_product() -> None:
    plus = operator_named("+")
    front = [Choice(None, 0.5, 0, 1.0)] + [
        Choice(Variable("x"), 0.0, 2 * size, 0.1**size) for size in range(1, 5)
    ]
    found = joined([front] * 30, plus, 60)
    assert len(found) <= 61
    assert max(choice.size for choice in found) <= 60
    assert [c.size for c in found] == sorted((c.size for c in found), reverse=True)
    assert [c.error for c in found] == sorted(c.error for c in found)


def test_the_best_combination_of_every_size_is_kept() -> None:
    times = operator_named("*")
    fronts = [
        [Choice(None, 2.0, 0, error), Choice(Variable(name), 1.0, 1, 0.01)]
        for name, error in (("a", 3.0), ("b", 1.0), ("c", 2.0))
    ]
    found = joined(fronts, times, 10)
    assert [(choice.size, round(choice.error, 2)) for choice in found] == [
        (5, 0.03),
        (3, 1.02),
        (1, 3.01),
        (0, 6.0),
    ]
    assert [choice.constant for choice in found] == [1.0, 2.0, 4.0, 8.0]


def test_exponents_of_many_inputs_are_not_made_to_be_thrown_away() -> None:
    # All vectors of this size would be more than any machine holds.
    assert len(exponent_vectors(500, 9, 2_000)) == 1001
    assert exponent_vectors(2, 2, 100).shape == (13, 2)


def test_libraries_of_many_inputs_keep_to_their_limits() -> None:
    problem = wide(64)
    X = problem.train.X[:50]
    vocabulary = vocabulary_of(SearchOptions(), problem.names)
    atoms = distances(vocabulary, X)
    assert max(max(_inputs(tree)) for tree in atoms) < MOST_PAIRED
    assert len(library_atoms(vocabulary, X)) < MOST_ENTRIES
    made = argument_library(
        X, [atoms], vocabulary, torch.Generator().manual_seed(0), 300, 5, lambda: None
    )
    assert len(made) == 300


def test_the_strongest_of_many_inputs_are_searched() -> None:
    assert set(strongest(wide(64), 5, 0)) == {3, 17, 30, 40, 50}


@pytest.mark.parametrize("engine", ["sparse", "auto"])
def test_sixty_four_inputs_give_more_than_a_constant(engine: str) -> None:
    options = SearchOptions(niterations=2, timeout_in_seconds=120)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        front = search(wide(64), options, engine=engine)
    assert len(front) > 3
    assert front[-1].validation_loss < 0.3 * front[0].validation_loss


def test_small_tables_leak_no_warning() -> None:
    X = torch.tensor([[0.1, 1.0], [0.7, 2.0], [0.4, 0.5]], dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search(
            Problem.split(X, X[:, 0] * X[:, 1]),
            SearchOptions(niterations=7, timeout_in_seconds=60),
            engine="sparse",
        )


def _inputs(tree: tuple) -> set[int]:
    if tree[0] == "x":
        return {tree[1]}
    return set().union(*(_inputs(child) for child in tree[1:] if isinstance(child, tuple)))
