"""Forward selection in all its ways, against least squares on every possible choice."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from symtorch.search.selection import (
    ColumnSelection,
    Covariances,
    best_pairs,
    best_subsets,
    forward,
    forward_fits,
)


def table(rows: int, terms: int, seed: int = 0) -> torch.Tensor:
    """Correlated columns with means of their own: [rows, terms]."""
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(rows, terms, generator=generator, dtype=torch.float64)
    return X + 0.5 * X.roll(1, 1) + torch.arange(terms)


def least_squares(
    X: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, terms: list[int]
) -> tuple[np.ndarray, float]:
    """Coefficients with the constant last, and the weighted mean squared error."""
    design = np.column_stack([X[:, terms].numpy(), np.ones(len(y))])
    root = np.sqrt(weights.numpy() / weights.sum().item())
    solution, *_ = np.linalg.lstsq(root[:, None] * design, root * y.numpy(), rcond=None)
    return solution, float(np.square(root * (design @ solution - y.numpy())).sum())


def in_chunks(X: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> Covariances:
    rows = [slice(0, 50), slice(50, None)]
    return Covariances.of((X[r], y[r], weights[r]) for r in rows)


@pytest.mark.parametrize("way", ["columns", "covariances"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_step_takes_the_term_that_least_squares_over_all_likes_best(way, seed):
    X = table(120, 9, seed)
    generator = torch.Generator().manual_seed(seed + 10)
    y = X[:, 1] - 2 * X[:, 4] + 0.3 * X[:, 7]
    y = y + 0.2 * torch.randn(120, generator=generator, dtype=torch.float64)
    weights = torch.rand(120, generator=generator, dtype=torch.float64)
    fits = forward_fits(X, y, weights) if way == "columns" else in_chunks(X, y, weights).fits()
    chosen: list[int] = []
    for fit in itertools.islice(fits, 6):
        free = [k for k in range(9) if k not in chosen]
        chosen.append(min(free, key=lambda k: least_squares(X, y, weights, [*chosen, k])[1]))
        coefficients, loss = least_squares(X, y, weights, chosen)
        assert fit.terms == tuple(chosen)
        np.testing.assert_allclose([*fit.coefficients, fit.constant], coefficients, rtol=1e-8)
        assert fit.loss == pytest.approx(loss, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_an_exact_sum_ends_the_selection_at_any_scale(scale):
    X = table(60, 200) * scale
    y = 3 * X[:, 17] - X[:, 150]
    last = [*forward_fits(X, y, torch.ones(60, dtype=torch.float64))][-1]
    assert {17, 150} <= set(last.terms)
    assert len(last.terms) <= 6
    assert last.loss <= 1e-20 * float(y.var())


def test_constant_and_repeated_columns_are_not_chosen():
    X = table(40, 3)
    X = torch.cat([X, X[:, :1] * 2, torch.full((40, 1), 0.1, dtype=torch.float64)], dim=1)
    weights = torch.linspace(0.1, 1, 40, dtype=torch.float64)
    y = X[:, 0] + torch.sin(5 * X[:, 2])
    terms = [*forward_fits(X, y, weights)][-1].terms
    assert 4 not in terms
    assert len({0, 3} & set(terms)) == 1
    assert [*forward_fits(X, torch.full((40,), 7.0, dtype=torch.float64), weights)] == []


def test_columns_that_join_later_gain_what_they_would_have_gained_from_the_start():
    X = table(50, 8)
    X = X - X.mean(0)
    y = X[:, 0] + 0.5 * X[:, 6] + X[:, 3].square() - X[:, 3].square().mean()
    whole, grown = ColumnSelection(y, X), ColumnSelection(y, X[:, :5])
    for selection in (whole, grown):
        selection.take(0)
        selection.take(3)
    grown.add(X[:, 5:])
    torch.testing.assert_close(grown.gains(), whole.gains())
    assert list(forward(grown)) == list(forward(whole))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_wide_beam_finds_the_best_of_all_subsets(dtype):
    rows = table(60, 10).T.contiguous().to(dtype)
    root = torch.linspace(0.5, 1.5, 60, dtype=torch.float64)
    y = rows[2].double() * rows[5].double()
    base = root[:, None]
    found = best_subsets(rows, root, y * root, base, (100, 100, 200), lambda: None)
    start = least_squares(rows.double().T, y, root**2, [])[1]
    for size in (1, 2, 3):
        losses = {
            terms: least_squares(rows.double().T, y, root**2, [*terms])[1] / start
            for terms in itertools.combinations(range(10), size)
        }
        best = min((s for s in found if len(s.indices) == size), key=lambda s: s.unexplained)
        assert best.indices == min(losses, key=losses.__getitem__)
        assert best.unexplained == pytest.approx(losses[best.indices], rel=1e-4)


def test_pairs_whose_terms_are_worthless_alone_are_found():
    rows = table(100, 30).T.contiguous()
    noise = torch.randn(100, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    rows[4] = rows[3] + 0.1 * noise
    target = rows[4] - rows[3]
    target = target - target.mean()
    rows[20] = target + 0.1 * noise.flip(0)  # good alone, and no part of the answer
    one = torch.ones(100, dtype=torch.float64)
    basis = (one / 10)[:, None]
    assert best_pairs(rows, one, target, basis, 1) == [(3, 4)]
    greedy = best_subsets(rows, one, target, basis, (1, 1), lambda: None)
    paired = best_subsets(rows, one, target, basis, (1, 1), lambda: None, pairs=torch.arange(30))
    assert (3, 4) in {s.indices for s in paired}
    assert (3, 4) not in {s.indices for s in greedy}


def test_nothing_to_choose_and_nothing_to_explain():
    one = torch.ones(5, dtype=torch.float64)
    rows = torch.eye(5, dtype=torch.float64)
    assert best_subsets(rows[:0], one, one, rows[:, :0], (2,), lambda: None) == []
    assert best_subsets(rows, one, one, one[:, None], (2,), lambda: None) == []
    assert best_subsets(rows, 0 * one, 0 * one, one[:, None], (2,), lambda: None) == []
    assert [*forward_fits(rows[:, :0], one, one)] == []


def test_the_clock_is_asked_and_may_end_it():
    def check() -> None:
        raise TimeoutError

    rows = table(20, 6).T
    one = torch.ones(20, dtype=torch.float64)
    with pytest.raises(TimeoutError):
        best_subsets(rows, one, rows[0] * rows[1], rows[:0].T, (2, 2), check)
