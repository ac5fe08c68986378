"""Ways to explain a prediction: SLIME, LIME, and plain regressions on SLIME's own rows."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from lime import lime_base, lime_tabular
from sklearn.linear_model import Ridge
from sklearn.preprocessing import PolynomialFeatures
from sklearn.tree import DecisionTreeRegressor

from symtorch import explain
from symtorch.slime.columns import Columns
from symtorch.slime.neighbourhood import Locality, Neighbourhood
from symtorch.symbolic.nodes import Call, Constant, Node

LIME_FEATURES = 10
"""LIME's own default."""


@dataclass(frozen=True)
class Surrogate:
    """An explanation as the benchmark sees it.

    Args:
        predict: [rows, inputs] -> [rows], in units of the model.
        terms: how many a person must read: terms of a sum, leaves of a tree.
        importance: [inputs], not negative.
        seconds: what it took, calls of the model included.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    terms: int
    importance: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Case:
    """A prediction to explain.

    Args:
        answer: the model, [rows, inputs] -> [rows].
        model: the model as it is handed to SLIME and LIME.
        x: [inputs].
        data: [rows, inputs], what the model was trained on.
        output: class to explain; None for a regression.
    """

    answer: Callable[[np.ndarray], np.ndarray]
    model: Callable[[np.ndarray], np.ndarray]
    x: np.ndarray
    data: np.ndarray
    output: int | None

    def neighbourhood(self) -> Neighbourhood:
        columns = Columns.of(self.data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Neighbourhood.around(self.x, self.data, columns, Locality())


def slime(case: Case, seed: int) -> Surrogate:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = explain(case.model, case.x, case.data, output=case.output or 0, random_state=seed)
        effects = found.effects
    seconds = time.perf_counter() - started
    importance = np.array([abs(effects.get(name, 0.0)) for name in found.view.names])
    return Surrogate(found.predict, _terms(found.equation.root), importance, seconds)


def _terms(node: Node) -> int:
    """Summands that are not plain numbers."""
    if isinstance(node, Call) and node.operator.name in "+-":
        return sum(_terms(arg) for arg in node.args)
    return 0 if isinstance(node, Constant) else 1


def lime(case: Case, seed: int) -> Surrogate:
    started = time.perf_counter()
    explainer = lime_tabular.LimeTabularExplainer(
        case.data,
        mode="regression" if case.output is None else "classification",
        random_state=seed,
    )
    label = 1 if case.output is None else case.output
    found = explainer.explain_instance(
        case.x, case.model, labels=(label,), num_features=LIME_FEATURES
    )
    seconds = time.perf_counter() - started
    weights = np.zeros(len(case.x))
    for feature, weight in found.local_exp[label]:
        weights[feature] = weight
    home = explainer.discretizer.discretize(case.x)
    intercept = found.intercept[label]

    def predict(rows: np.ndarray) -> np.ndarray:
        return intercept + (explainer.discretizer.discretize(rows) == home) @ weights

    return Surrogate(predict, np.count_nonzero(weights), np.abs(weights), seconds)


@dataclass(frozen=True)
class Local:
    """SLIME's rows, x and the fitted and judging ones, in standard deviations around x."""

    rows: np.ndarray
    weights: np.ndarray
    answers: np.ndarray
    scaled: Callable[[np.ndarray], np.ndarray]


def same_rows(case: Case, seed: int) -> Local:
    near = case.neighbourhood()
    draws = near.draws(Locality(), np.random.default_rng(seed))
    # x itself too, whose prediction SLIME knows.
    rows = np.vstack([case.x, draws.fit.rows, draws.judge.rows])
    weights = np.concatenate([[1.0], draws.fit.weights, draws.judge.weights])
    spread = np.sqrt(np.where(near.variance > 0, near.variance, 1.0))

    def scaled(rows: np.ndarray) -> np.ndarray:
        return (rows - case.x) / spread

    return Local(scaled(rows), weights, case.answer(rows), scaled)


def lime_same_rows(case: Case, seed: int) -> Surrogate:
    """LIME's own regression on SLIME's rows and weights."""
    started = time.perf_counter()
    local = same_rows(case, seed)
    # It picks features by weight times value in the first row. That is x, which is 0 here;
    # a row of ones without a weight lets it pick the largest weights.
    rows = np.vstack([np.ones(len(case.x)), local.rows])
    answers = np.concatenate([[0.0], local.answers])[:, None]
    weights = np.concatenate([[0.0], local.weights])
    base = lime_base.LimeBase(lambda given: given, random_state=seed)
    intercept, found, _, _ = base.explain_instance_with_data(
        rows, answers, weights, 0, LIME_FEATURES
    )
    seconds = time.perf_counter() - started
    coefficients = np.zeros(len(case.x))
    for feature, weight in found:
        coefficients[feature] = weight

    def predict(rows: np.ndarray) -> np.ndarray:
        return intercept + local.scaled(rows) @ coefficients

    terms = np.count_nonzero(coefficients)
    return Surrogate(predict, terms, np.abs(coefficients), seconds)


def linear_ridge(case: Case, seed: int) -> Surrogate:
    started = time.perf_counter()
    local = same_rows(case, seed)
    fitted = Ridge().fit(local.rows, local.answers, local.weights)
    seconds = time.perf_counter() - started
    return Surrogate(
        lambda rows: fitted.predict(local.scaled(rows)),
        np.count_nonzero(fitted.coef_),
        np.abs(fitted.coef_),
        seconds,
    )


def quadratic_ridge(case: Case, seed: int) -> Surrogate:
    started = time.perf_counter()
    local = same_rows(case, seed)
    squares = PolynomialFeatures(2, include_bias=False)
    fitted = Ridge().fit(squares.fit_transform(local.rows), local.answers, local.weights)
    seconds = time.perf_counter() - started
    importance = (np.abs(fitted.coef_)[:, None] * (squares.powers_ > 0)).sum(axis=0)
    return Surrogate(
        lambda rows: fitted.predict(squares.transform(local.scaled(rows))),
        np.count_nonzero(fitted.coef_),
        importance,
        seconds,
    )


def tree(case: Case, seed: int) -> Surrogate:
    started = time.perf_counter()
    local = same_rows(case, seed)
    fitted = DecisionTreeRegressor(max_depth=3, random_state=0)
    fitted.fit(local.rows, local.answers, local.weights)
    seconds = time.perf_counter() - started
    return Surrogate(
        lambda rows: fitted.predict(local.scaled(rows)),
        fitted.get_n_leaves(),
        fitted.feature_importances_,
        seconds,
    )


METHODS: dict[str, Callable[[Case, int], Surrogate]] = {
    "SLIME": slime,
    "LIME": lime,
    "LIME, same rows": lime_same_rows,
    "linear": linear_ridge,
    "quadratic": quadratic_ridge,
    "tree": tree,
}
"""All of them, each called with a case and a seed."""
