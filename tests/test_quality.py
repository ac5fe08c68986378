"""How good a front is, in words: R2, the line that does as well, the warning."""

import logging
import math

import numpy as np
import pytest
import torch
from helpers import randn

from symtorch import SymbolicModel
from symtorch.errors import PoorFitWarning
from symtorch.search import Front, Problem, SearchOptions, search
from symtorch.search.quality import footer, warn_of_poor_fits

QUICK = {"niterations": 1, "timeout_in_seconds": 60, "unary_operators": []}


def noisy(signal: float) -> Problem:
    X = randn(400, 3).double()
    return Problem.split(X, signal * X[:, 0] + randn(400, seed=1).double())


def test_r2_is_the_held_out_share_of_the_variance():
    problem = noisy(2.0)
    front = search(problem, SearchOptions.from_params(QUICK))
    held = problem.validation
    y = held.y.numpy()
    for row, r2 in zip(front, front.equations_["r2"], strict=True):
        predicted = np.broadcast_to(problem.predict(row.expression, held).numpy(), y.shape)
        expected = 1 - np.mean((predicted - y) ** 2) / np.var(y)
        assert r2 == pytest.approx(expected, rel=1e-9)
        assert f"{r2:.3f}" in front.table(complexity=row.complexity)
    assert Front.from_json(front.to_json()) == front
    assert "R^2" in front.latex_table(columns=["equation", "r2"])


def test_weighted_rows_count_by_their_weights():
    X = randn(400, 1).double()
    y = X[:, 0] + randn(400, seed=1).double()
    weights = torch.rand(400, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    front = search(Problem.split(X, y, weights=weights), SearchOptions.from_params(QUICK))
    held = Problem.split(X, y, weights=weights).validation
    share = (held.weights / held.weights.sum()).numpy()
    mean = share @ held.y.numpy()
    assert front.variance == pytest.approx(share @ (held.y.numpy() - mean) ** 2, rel=1e-9)


def test_a_constant_output_has_no_r2():
    front = search(Problem.split(torch.rand(50, 2), torch.full((50,), 0.1)))
    assert front.r2_of(front[0]) is None
    assert math.isnan(front.equations_["r2"][0])


def test_a_line_that_does_as_well_is_named():
    front = search(noisy(2.0), SearchOptions.from_params({**QUICK, "maxsize": 20}))
    assert "a line does" in front.table() or all(len(row.expression.operators) < 4 for row in front)
    X = randn(800, 40).double()
    wide = search(Problem.split(X, X.sum(1)), SearchOptions.from_params({**QUICK, "maxsize": 15}))
    assert "a line in all 40 inputs does better: R2 1.000; maxsize=161" in wide.table()
    assert footer(search(Problem.split(X, X[:, 0] * X[:, 1]), SearchOptions())) == ""


class Noise(torch.nn.Module):
    def forward(self, x):
        first = x[:, 0] + 0.1 * x[:, 1]
        return torch.stack([torch.sin(1e4 * x[:, 1]), first, torch.sin(1e5 * x[:, 2])], dim=1)


def test_one_warning_names_the_outputs_that_are_not_explained():
    block = SymbolicModel(Noise(), "noise")
    with pytest.warns(PoorFitWarning, match="block 'noise'.*output 0 .*, 2 ") as caught:
        block.distill(randn(300, 3), sr_params=QUICK)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(PoorFitWarning):
        fronts = block.distill(randn(300, 3), output_dim=0, sr_params=QUICK)
    assert fronts[0].r2_of(fronts[0].get_best()) < 0.5


def test_what_is_explained_gives_no_warning(recwarn, caplog):
    front = search(noisy(5.0), SearchOptions.from_params(QUICK))
    with caplog.at_level(logging.INFO, "symtorch"):
        warn_of_poor_fits({0: front}, "block")
    assert not [warning for warning in recwarn if warning.category is PoorFitWarning]
    assert bool(footer(front)) == bool(caplog.records)
