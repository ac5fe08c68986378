"""PySR as an engine, for those who have Julia.

What was run and what was not: the translation of options is tested against the parameter
names of PySR 2.7.2, and the reading of results against its ``equations_`` format. No
search was run through PySR itself: where this was written, Julia could not be had.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ...errors import EngineUnavailableError, InputError
from ...symbolic.expression import Expression
from ...symbolic.nodes import Node, Variable, substitute
from ...symbolic.operators import Operator, operator_named
from ..engine import FORM_AND_BUDGET, Progress, SearchRun
from ..options import SearchOptions
from ..problem import Problem

_JULIA: Mapping[str, str] = MappingProxyType(
    {
        "inv": "inv(x) = 1/x",
        "atan2": "atan2(y, x) = atan(y, x)",
        "sigmoid": "sigmoid(x) = 1/(1 + exp(-x))",
        "softplus": "softplus(x) = max(x, zero(x)) + log1p(exp(-abs(x)))",
    }
)
"""Operators that PySR has under another name or not at all, as Julia definitions."""

_OWN_SYMPY = frozenset({*_JULIA, "expm1", "asinh", "acosh", "atanh", "relu", "cbrt"})
"""Operators whose SymPy meaning PySR lacks or gives otherwise: ours is passed along."""

_ALIASES: Mapping[str, str] = MappingProxyType({"atanh_clip": "atanh"})
"""Names PySR writes into equations -> names of the operator table."""


class PySREngine:
    """PySR: evolution in Julia, options passed one to one.

    >>> PySREngine().name
    'pysr'
    """

    name = "pysr"
    honours = FORM_AND_BUDGET | {
        "populations",
        "population_size",
        "parsimony",
        "select_k_features",
        "batching",
        "batch_size",
    }

    def require(self) -> None:
        """Check that PySR is installed, without importing it: that would start Julia.

        Raises:
            EngineUnavailableError: says how to install it and what to use instead.
        """
        if importlib.util.find_spec("pysr") is None:
            raise _unavailable("it is not installed")

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Find candidate equations over ``problem.names``.

        Raises:
            EngineUnavailableError: PySR or its Julia cannot start.
        """
        regressor = _regressor_class()(**regressor_arguments(options, problem, run))
        train = problem.train
        with run.until_interrupted():
            regressor.fit(train.X.cpu().numpy(), train.y.cpu().numpy(), **fit_arguments(problem))
        if getattr(regressor, "equations_", None) is None:
            return [*run.seeds]
        found = read_equations(regressor.equations_, problem.names, options.custom)
        run.progress(Progress(1.0, float(regressor.equations_["loss"].min()), "PySR has finished"))
        return [*run.seeds, *found]


def regressor_arguments(options: SearchOptions, problem: Problem, run: SearchRun) -> dict[str, Any]:
    """Keyword arguments of ``PySRRegressor`` for a search; a pure function.

    >>> import torch
    >>> from symtorch.search import Budget
    >>> problem = Problem.split(torch.rand(20, 1), torch.rand(20))
    >>> found = regressor_arguments(SearchOptions(), problem, SearchRun(0, Budget(60)))
    >>> found["binary_operators"], found["unary_operators"][0], found["parallelism"]
    (['+', '-', '*', '/'], 'inv(x) = 1/x', 'serial')

    What the options leave to the engine is left to PySR's own defaults.
    """
    arguments: dict[str, Any] = {
        "binary_operators": [_julia(operator) for operator in options.binary],
        "unary_operators": [_julia(operator) for operator in options.unary],
        "extra_sympy_mappings": {
            operator.name: operator.sympy
            for operator in (*options.binary, *options.unary)
            if operator.definition is not None or operator.name in _OWN_SYMPY
        },
        "maxsize": max(options.maxsize, 7),  # PySR refuses less; build_front drops the longer
        "parsimony": options.parsimony,
        "complexity_of_constants": options.complexity_of_constants,
        "complexity_of_variables": options.complexity_of_variables
        if isinstance(options.complexity_of_variables, int)
        else list(options.complexity_of_variables),
        "batching": options.batching,
        "batch_size": options.batch_size,
        "timeout_in_seconds": run.budget.left(),
        "early_stop_condition": problem.loss_floor,
        "random_state": run.random_state,
        "deterministic": True,
        "parallelism": "serial",
        "precision": 64,
        "progress": False,
        "verbosity": 0,
        "temp_equation_file": True,
        "delete_tempfiles": True,
    }

    def named(name: str) -> str:
        return operator_named(name, options.custom).name

    optional = {
        "niterations": options.niterations,
        "populations": options.populations,
        "population_size": options.population_size,
        "maxdepth": options.maxdepth,
        "select_k_features": options.select_k_features,
        "complexity_of_operators": {
            named(name): count for name, count in options.complexity_of_operators.items()
        },
        "constraints": {named(name): limit for name, limit in options.constraints.items()},
        "nested_constraints": {
            named(outer): {named(inner): most for inner, most in limits.items()}
            for outer, limits in options.nesting.items()
        },
        "guesses": [_numbered(seed, problem.names) for seed in run.seeds],
    }
    arguments |= {name: value for name, value in optional.items() if value not in (None, {}, [])}
    return arguments


def fit_arguments(problem: Problem) -> dict[str, Any]:
    """Keyword arguments of ``PySRRegressor.fit`` beside the table itself."""
    weights = problem.train.weights
    if bool((weights == weights[0]).all()):
        return {}
    return {"weights": weights.cpu().numpy()}


def read_equations(
    equations: Any, names: Sequence[str], custom: Mapping[str, Operator] | None = None
) -> list[Expression]:
    """Expressions from PySR's ``equations_`` table, through this package's own parser.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"complexity": [1, 5], "loss": [2.0, 0.1],
    ...                       "equation": ["x0", "(x1 * 2.5) + inv(x0)"]})
    >>> [str(e) for e in read_equations(table, ["mass", "speed"])]
    ['mass', 'speed*2.5 + inv(mass)']

    Args:
        equations: DataFrame with a column ``equation`` over ``x0, x1, ...``.
        names: what those columns are called.
        custom: the user's own operators.

    Rows that are not arithmetic over finite numbers (``NaN``, ``Inf``) are left out.
    """
    numbered = [f"x{i}" for i in range(len(names))]
    renamed: dict[str, Node] = {
        old: Variable(new) for old, new in zip(numbered, names, strict=True)
    }
    known = {**{alias: operator_named(name) for alias, name in _ALIASES.items()}, **(custom or {})}
    found = []
    for text in equations["equation"]:
        try:
            expression = Expression.parse(str(text), numbered, known)
        except InputError:
            continue
        found.append(Expression(substitute(expression.root, renamed)))
    return found


def _julia(operator: Operator) -> str:
    if operator.definition is not None:
        return operator.definition.replace("**", "^")
    return _JULIA.get(operator.name, operator.name)


def _numbered(expression: Expression, names: Sequence[str]) -> str:
    columns: dict[str, Node] = {name: Variable(f"x{i}") for i, name in enumerate(names)}
    return str(Expression(substitute(expression.root, columns))).replace("**", "^")


def _regressor_class() -> Any:
    try:
        return importlib.import_module("pysr").PySRRegressor
    except Exception as error:  # Julia's set-up fails in many ways: no network, no disk, ...
        raise _unavailable(f"it cannot start: {error}") from error


def _unavailable(reason: str) -> EngineUnavailableError:
    return EngineUnavailableError(
        f"engine 'pysr' cannot run here: {reason}. Install it with "
        "`pip install 'symtorch[pysr]'` (the first use downloads Julia), "
        "or use engine='operon'"
    )
