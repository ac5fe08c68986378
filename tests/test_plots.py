"""Figures: what is in them, on data of every shape. How they look was looked at."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from symtorch import Candidate, Expression, Front, Problem, SymbolicModel
from symtorch.errors import InputError, StateError
from symtorch.reduction import Reduction
from symtorch.show.comparison import compare_block, compare_problem
from symtorch.show.plots import plot_agreement, plot_front, plot_terms
from symtorch.show.plots.style import SHOWN
from symtorch.show.slices import slices
from symtorch.show.terms import terms

matplotlib = pytest.importorskip("matplotlib")


def candidate(text: str, complexity: int, loss: float) -> Candidate:
    return Candidate(Expression.parse(text), complexity, loss, loss * 1.1)


@pytest.fixture
def front() -> Front:
    rows = [candidate("3", 1, 4.0), candidate("2*u", 3, 0.01), candidate("2*u + 1e-3*v", 7, 0.0099)]
    return Front.pareto(rows, variables=["u", "v"])


def comparison(text: str, X: np.ndarray, y: np.ndarray | None = None):
    names = [f"x{i}" for i in range(X.shape[1])]
    table = torch.from_numpy(X)
    law = Expression.parse(text)
    target = law(dict(zip(names, table.T, strict=True))) if y is None else torch.from_numpy(y)
    problem = Problem.split(table, torch.nan_to_num(target, 0.0, 0.0, 0.0), names)
    return compare_problem(Front((candidate(text, 9, 1.0),), tuple(names)), problem, title="t")


def texts_of(figure) -> str:
    """All text in a figure that is drawn."""
    figure.canvas.draw()
    return "\n".join(
        text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible()
    )


def test_the_front_marks_the_chosen_equation_and_lists_all(front):
    figure = front.plot()
    [axes] = figure.axes
    marked = axes.lines[-1]
    assert [*marked.get_xdata()] == [front.get_best().complexity]
    assert axes.get_yscale() == "log"
    for line in ("  1  3", "  3  2*u", "  7  2*u + 0.001*v"):
        assert line in texts_of(figure)


def test_axes_can_be_handed_in_and_nothing_global_changes(front):
    before = dict(matplotlib.rcParams)
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    assert front.plot(left) is figure
    assert (
        plot_terms(comparison("x0 + 2*x1", np.random.default_rng(0).normal(size=(50, 2))), right)
        is figure
    )
    assert left.lines
    assert right.patches
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys\nfrom symtorch import *\n"
        "Front.pareto([Candidate(Expression.parse('x'), 1, 1., 1.)], variables=['x']).plot()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("losses", [(0.0, 0.0), (1e-300, 1e-310), (1e100, 1.0)])
def test_losses_without_a_logarithm(losses):
    rows = tuple(
        Candidate(Expression.parse("x"), size, loss, loss)
        for size, loss in enumerate(losses, start=1)
    )
    for some in (rows, rows[:1]):
        figure = plot_front(Front(some, ("x",)))
        figure.canvas.draw()
        low, high = figure.axes[0].get_ylim()
        assert 0 < low < high


def test_long_equations_and_long_fronts_are_cut():
    long = " + ".join(f"{i}.5*sin(a_long_name*{i})" for i in range(20))
    rows = [candidate(long, size, 2.0**-size) for size in range(1, 40)]
    text = texts_of(plot_front(Front(tuple(rows), ("a_long_name",))))
    assert "14 of 39 equations listed" in text
    assert max(map(len, text.splitlines())) < 80


def test_many_rows_are_thinned_and_the_figure_says_so():
    X = np.random.default_rng(0).uniform(-1, 1, (1_000_000, 2))
    figure = plot_agreement(comparison("x0*x1", X))
    assert f"{SHOWN:,} of 1,000,000 rows drawn" in texts_of(figure)
    assert len(figure.axes[0].lines[0].get_xdata()) == SHOWN


def test_many_inputs_show_those_that_matter():
    X = np.random.default_rng(0).normal(size=(200, 40))
    data = comparison("x7 + 5*x30**2", X)
    assert [one.name for one in slices(data, 2)] == ["x7", "x30"]
    assert "6 of 40 inputs, those that matter most" in texts_of(plot_agreement(data))


def test_rows_that_are_not_finite_are_left_out_and_counted():
    X = np.random.default_rng(0).uniform(-1, 1, (100, 1))
    bad = int((X < 0).sum())
    data = comparison("log(x0)", X)
    assert f"{bad} rows left out, not finite" in texts_of(plot_agreement(data))
    with pytest.raises(InputError, match="no row on which both are finite"):
        plot_agreement(comparison("log(x0)", -np.abs(X)))


@pytest.mark.parametrize("text", ["3", "x0", "1/x0", "x0/x0"])
@pytest.mark.parametrize("rows", [2, 300])
def test_flat_data_poles_and_two_rows(text, rows):
    X = np.random.default_rng(0).uniform(-1, 1, (rows, 1))
    for data in (comparison(text, X), comparison(text, np.ones((rows, 1)), np.ones(rows))):
        plot_agreement(data).canvas.draw()
        plot_terms(data).canvas.draw()


def test_terms_are_sorted_by_what_they_move():
    X = np.random.default_rng(0).normal(size=(500, 2))
    found = terms(comparison("x0 - (3*x1 - 4) + 0.5", X))
    assert [str(term.expression) for term in found] == ["-(3*x1)", "x0", "4", "0.5"]
    np.testing.assert_allclose(found[0].values.std(), 3 * X[:, 1].std())
    total = sum(term.values for term in found)
    np.testing.assert_allclose(total, comparison("x0 - (3*x1 - 4) + 0.5", X).fitted)


# ------------------------------------------------------------------ wrapped blocks


@pytest.fixture
def block() -> SymbolicModel:
    torch.manual_seed(0)
    block = SymbolicModel(nn.Linear(3, 2), "head")
    block.distill(torch.randn(200, 3), sr_params={"niterations": 1, "maxsize": 9})
    return block


def test_a_block_is_queried_along_each_input(block):
    recording = block.record(torch.randn(200, 3))
    data = compare_block(block, 1, recording)
    weight = block.block.weight[1].detach().numpy()
    for one, slope in zip(slices(data.finite(), 3), weight, strict=True):
        assert one.block is not None
        np.testing.assert_allclose(np.gradient(one.block, one.at), slope, rtol=1e-3)
    text = texts_of(block.plot(1, recording))
    assert "head, output 1" in text
    assert "block - equation" in text
    assert "R² " in text
    assert "head, output 1: terms" in texts_of(block.plot_terms(1, recording))


def test_transforms_and_functions():
    function = SymbolicModel(lambda table: table[:, :1] ** 2 + table[:, 1:] ** 2, "f")
    X = np.random.default_rng(0).normal(size=(200, 2))
    function.distill(
        X, variable_transforms={"r": "sqrt(x0**2 + x1**2)"}, sr_params={"niterations": 1}
    )
    data = compare_block(function, 0, function.record(X))
    assert data.block is not None
    np.testing.assert_allclose(data.block(X), (X**2).sum(1), rtol=1e-6)
    assert data.r2 > 0.999
    assert [*data.variables] == ["r"]
    assert [one.name for one in slices(data, 3)] == ["x0", "x1"]
    function.plot(0, function.record(X)).canvas.draw()


def test_wrong_recordings_are_told(block):
    other = SymbolicModel(nn.Linear(2, 2), "other").record(torch.randn(20, 2))
    with pytest.raises(InputError, match="was distilled with columns"):
        block.plot(0, other)
    with pytest.raises(StateError, match="asked for output 5"):
        block.plot(5, block.record(torch.randn(20, 3)))


def test_reduced_blocks_say_why_not():
    torch.manual_seed(0)
    block = SymbolicModel(nn.Linear(6, 3), "wide")
    x = torch.randn(300, 6)
    block.distill(x, reduce=Reduction(inputs=2, outputs=1), sr_params={"niterations": 1})
    with pytest.raises(StateError, match="reduced coordinates"):
        block.plot(0, block.record(x))
