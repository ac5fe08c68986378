"""What is usually fitted to a model's answers: a line, a ridge, a tree, an additive model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor
from tables import Array, Model

from symtorch.search import Budget, Front, Problem, SearchOptions, SearchRun
from symtorch.search.judging import Judge, mean_of
from symtorch.search.registry import engine_named
from symtorch.search.selection import forward_fits

SHORT = 7
"""Inputs of a line that thirty nodes hold."""

LIME_FEATURES = 10
"""LIME's own default."""


def line(X: Array, y: Array) -> Model:
    """Least squares on all inputs."""
    return LinearRegression().fit(X, y).predict


def short_line(X: Array, y: Array) -> Model:
    """Least squares on the seven inputs of forward selection."""
    table = torch.from_numpy(X)
    fits = forward_fits(table, torch.from_numpy(y), torch.ones(len(y), dtype=torch.float64))
    terms: tuple[int, ...] = ()
    for fit in fits:
        terms = fit.terms
        if len(terms) >= SHORT:
            break
    columns = list(terms)
    fitted = LinearRegression().fit(X[:, columns], y)
    return lambda rows: fitted.predict(rows[:, columns])


def ridge(X: Array, y: Array) -> Model:
    """A ridge on the ten inputs with the largest factors, as LIME fits one, but to all rows."""
    scaler = StandardScaler().fit(X)
    first = Ridge(alpha=1.0).fit(scaler.transform(X), y)
    columns = np.argsort(-np.abs(first.coef_))[:LIME_FEATURES]
    last = Ridge(alpha=1.0).fit(scaler.transform(X)[:, columns], y)
    return lambda rows: last.predict(scaler.transform(rows)[:, columns])


def tree(X: Array, y: Array) -> Model:
    """A tree of depth 3."""
    return DecisionTreeRegressor(max_depth=3, random_state=0).fit(X, y).predict


def additive(X: Array, y: Array) -> Model | None:
    """`interpret`'s explainable boosting machine: the ceiling of additive models.

    With fewer bags and rounds than by default, which take a minute for thirty inputs.
    """
    try:
        from interpret.glassbox import ExplainableBoostingRegressor
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ExplainableBoostingRegressor(
            outer_bags=2, interactions=0, max_rounds=500, n_jobs=1, random_state=0
        )
        return model.fit(X, y).predict


RIVALS: Mapping[str, Callable[[Array, Array], Model | None]] = {
    "line": line,
    "short line": short_line,
    "ridge": ridge,
    "tree": tree,
    "EBM": additive,
}


def engine_alone(name: str, problem: Problem, options: SearchOptions, seconds: float) -> Front:
    """An engine's front without the floor that `search` puts under it."""
    judge = Judge(problem, options, options.complexity_rule(problem.names))
    run = SearchRun(0, Budget(seconds))
    found = engine_named(name).search(problem, options, run)
    return judge.tidied(judge.front(judge.scores([mean_of(problem), *found])))
