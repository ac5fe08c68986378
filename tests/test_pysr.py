"""The pysr engine: translation to PySR's parameters and from its table; PySR itself not needed."""

from __future__ import annotations

import importlib.util
import inspect

import numpy as np
import pandas as pd
import pytest
import torch

from symtorch.errors import EngineUnavailableError
from symtorch.search import Budget, Problem, SearchOptions, SearchRun, search
from symtorch.search.engines import pysr as pysr_module
from symtorch.search.engines.pysr import (
    PySREngine,
    fit_arguments,
    read_equations,
    regressor_arguments,
)
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.operators import OPERATORS

# The parameters of PySRRegressor in PySR 2.7.2 that this package uses.
PARAMETERS = {
    "batch_size",
    "batching",
    "binary_operators",
    "complexity_of_constants",
    "complexity_of_operators",
    "complexity_of_variables",
    "constraints",
    "delete_tempfiles",
    "deterministic",
    "early_stop_condition",
    "extra_sympy_mappings",
    "guesses",
    "maxdepth",
    "maxsize",
    "nested_constraints",
    "niterations",
    "parallelism",
    "parsimony",
    "population_size",
    "populations",
    "precision",
    "progress",
    "random_state",
    "select_k_features",
    "temp_equation_file",
    "timeout_in_seconds",
    "unary_operators",
    "verbosity",
}

EVERYTHING = {
    "binary_operators": ["+", "**", "atan2"],
    "unary_operators": ["inv(x) = 1/x", "arcsin", "gauss(x) = exp(-x**2)", "sigmoid"],
    "maxsize": 20,
    "maxdepth": 5,
    "niterations": 40,
    "populations": 8,
    "population_size": 50,
    "parsimony": 0.01,
    "timeout_in_seconds": 30,
    "complexity_of_operators": {"arcsin": 3},
    "complexity_of_constants": 2,
    "complexity_of_variables": [1, 2],
    "constraints": {"**": (-1, 3)},
    "nested_constraints": {"arcsin": {"arcsin": 0}},
    "select_k_features": 1,
    "batching": True,
    "batch_size": 32,
}


def small_problem(weights: torch.Tensor | None = None) -> Problem:
    X = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Problem.split(X, X[:, 0] + X[:, 1], ["mass", "speed"], weights=weights)


def translated(params: dict, seeds: tuple[Expression, ...] = ()) -> dict:
    run = SearchRun(7, Budget(30.0), seeds=seeds)
    return regressor_arguments(SearchOptions.from_params(params), small_problem(), run)


def test_every_option_is_translated_under_pysrs_name():
    seed = Expression.parse("2*mass**2 + speed")
    found = translated(EVERYTHING, (seed,))
    assert set(found) == PARAMETERS
    assert found["binary_operators"] == ["+", "^", "atan2(y, x) = atan(y, x)"]
    assert found["unary_operators"] == [
        "inv(x) = 1/x",
        "asin",
        "gauss(x) = exp(-x^2)",
        "sigmoid(x) = 1/(1 + exp(-x))",
    ]
    for name in ("maxsize", "maxdepth", "niterations", "populations", "population_size"):
        assert found[name] == EVERYTHING[name]
    for name in ("parsimony", "complexity_of_constants", "complexity_of_variables"):
        assert found[name] == EVERYTHING[name]
    for name in ("select_k_features", "batching", "batch_size"):
        assert found[name] == EVERYTHING[name]
    assert found["complexity_of_operators"] == {"asin": 3}
    assert found["constraints"] == {"^": (-1, 3)}
    assert found["nested_constraints"] == {"asin": {"asin": 0}}
    assert found["guesses"] == ["2*x0^2 + x1"]
    assert found["random_state"] == 7
    assert 29 < found["timeout_in_seconds"] <= 30


def test_a_search_is_serial_deterministic_silent_and_leaves_no_files():
    found = translated({})
    assert found["deterministic"] is True
    assert found["parallelism"] == "serial"
    assert found["progress"] is False
    assert found["verbosity"] == 0
    assert found["temp_equation_file"] is True
    assert found["delete_tempfiles"] is True


def test_what_is_not_asked_for_is_left_to_pysr():
    found = translated({})
    assert not {"niterations", "populations", "maxdepth", "constraints", "guesses"} & set(found)


def test_a_maxsize_that_pysr_refuses_is_raised():
    assert translated({"maxsize": 3})["maxsize"] == 7


def test_sympy_mappings_are_ours():
    mappings = translated(EVERYTHING)["extra_sympy_mappings"]
    assert set(mappings) == {"inv", "gauss", "sigmoid", "atan2"}
    assert str(mappings["gauss"](Expression.parse("x").sympy())) == "exp(-x**2)"


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_has_a_julia_spelling(name):
    arity = OPERATORS[name].arity
    found = translated({("unary_operators" if arity == 1 else "binary_operators"): [name]})
    spelled = found["unary_operators" if arity == 1 else "binary_operators"][0]
    assert spelled.partition("(")[0] == name


def test_weights_are_passed_only_where_they_differ():
    assert fit_arguments(small_problem()) == {}
    weights = torch.arange(1.0, 41.0)
    problem = small_problem(weights)
    np.testing.assert_array_equal(fit_arguments(problem)["weights"], problem.train.weights)


def test_parameters_exist_in_the_installed_pysr():
    if importlib.util.find_spec("pysr") is None:
        pytest.skip("PySR is not installed")
    pysr = pytest.importorskip("pysr")
    assert set(inspect.signature(pysr.PySRRegressor.__init__).parameters) >= PARAMETERS


def test_equations_are_read_by_our_own_parser():
    table = pd.DataFrame(
        {
            "complexity": [1, 3, 6, 8, 9, 10],
            "loss": [3.0, 2.0, 1.0, 0.5, 0.4, 0.3],
            "score": [0.0, 0.4, 0.2, 0.3, 0.2, 0.1],
            "equation": [
                "-1.5e-5",
                "x0 ^ 2.0",
                "square(sin(x1 * -3.0)) / x0",
                "gauss(x0) + atanh_clip(x1)",
                "NaN * x0",
                "__import__('os').system('true')",
            ],
        }
    )
    options = SearchOptions.from_params({"unary_operators": ["gauss(x) = exp(-x^2)"]})
    found = read_equations(table, ["mass", "speed"], options.custom)
    assert [str(expression) for expression in found] == [
        "-1.5e-05",
        "mass**2",
        "square(sin(speed*(-3)))/mass",
        "gauss(mass) + atanh(speed)",
    ]


def test_names_that_look_like_columns_are_not_mixed_up():
    table = pd.DataFrame({"equation": ["x0 - x1"]})
    assert str(read_equations(table, ["x1", "x0"])[0]) == "x1 - x0"


@pytest.mark.skipif(importlib.util.find_spec("pysr") is not None, reason="PySR is installed")
def test_without_pysr_the_error_says_how_to_install_it_and_what_else_to_use():
    with pytest.raises(EngineUnavailableError) as caught:
        search(small_problem(), engine="pysr")
    for hint in ("pip install 'symtorch[pysr]'", "Julia", "engine='operon'"):
        assert hint in str(caught.value)


@pytest.mark.skipif(importlib.util.find_spec("pysr") is None, reason="PySR is not installed")
def test_real_search():  # pragma: no cover - needs Julia
    options = SearchOptions(niterations=5, timeout_in_seconds=120)
    try:
        front = search(small_problem(), options, engine="pysr")
    except EngineUnavailableError as error:
        pytest.skip(str(error))
    assert front.get_best().validation_loss < 1e-6


class Recorder:
    """Stands where PySRRegressor does, to see what the engine hands over; it finds nothing."""

    def __init__(self, **arguments):
        self.arguments = arguments
        self.equations_ = None

    def fit(self, X, y, *, weights=None):
        assert X.shape == (30, 2)
        assert y.shape == (30,)
        self.equations_ = pd.DataFrame({"loss": [0.5], "equation": ["x0 + x1"]})


class Interrupted(Recorder):
    def fit(self, X, y, *, weights=None):
        raise KeyboardInterrupt


def test_hand_over_and_reading_back(monkeypatch):
    monkeypatch.setattr(pysr_module, "_regressor_class", lambda: Recorder)
    found = PySREngine().search(small_problem(), SearchOptions(), SearchRun(0, Budget(5)))
    assert [str(expression) for expression in found] == ["mass + speed"]


def test_interrupt_before_the_first_equation_gives_the_seeds(monkeypatch):
    monkeypatch.setattr(pysr_module, "_regressor_class", lambda: Interrupted)
    seed = Expression.parse("mass")
    run = SearchRun(0, Budget(5), seeds=[seed])
    assert PySREngine().search(small_problem(), SearchOptions(), run) == [seed]


def test_honours_every_option():
    assert set(EVERYTHING) == PySREngine.honours
