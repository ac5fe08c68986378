"""explain(): an equation that holds around one prediction of any model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..recording.features import Features, Transform
from ..search import SearchOptions
from .columns import Columns
from .explanation import Explanation
from .fitting import Answers, check_options, fit_front, local_params, simplest_good
from .neighbourhood import Locality
from .planning import Plan
from .target import answers, choose_link, choose_output, query_of
from .view import View

POOR = 0.5
"""Weighted R^2 below which a user is warned."""


def explain(
    f: Any,
    x: Any,
    data: Any,
    *,
    n_neighbors: int = 10,
    n_synthetic: int = 500,
    real_weight: float = 1.0,
    kernel_width: float | None = None,
    metric: str = "euclidean",
    variance: Any = None,
    feature_names: Sequence[str] | None = None,
    categorical_features: Sequence[int | str] = (),
    variable_transforms: Mapping[str, Transform] | Sequence[Transform] | None = None,
    output: int = 0,
    link: Literal["auto", "identity", "logit"] = "auto",
    random_state: int = 0,
    timeout_in_seconds: float = 5.0,
    sr_params: Mapping[str, Any] | SearchOptions | None = None,
) -> Explanation:
    """Explain one prediction of a model by an equation that holds around it.

    >>> import numpy as np
    >>> data = np.random.default_rng(0).uniform(0, 2, (400, 3))         # [rows, inputs]
    >>> found = explain(lambda rows: np.sin(rows[:, 0]) * rows[:, 1], data[0], data)
    >>> found.equation.pretty()
    'sin(x0)*x1'
    >>> sorted(found.gradient)
    ['x0', 'x1', 'x2']

    The method is SLIME (Fong & Motani 2025), the symbolic extension of LIME (Ribeiro et
    al. 2016, https://doi.org/10.1145/2939672.2939778). The model is evaluated at the rows of
    the data nearest to x and at synthetic rows z ~ Normal(x, diag(v)). Rows of the data get
    the weight ``real_weight``, synthetic ones ``exp(-sum((z - x)**2 / (width**2 v)))``. A
    search finds equations that fit well under these weights, and the simplest one within 5 %
    of the lowest error on further rows is chosen. Differences from the publication: the
    default width is the square root of the number of inputs that vary, since with width 1
    the weights all but vanish for many inputs; distances are between standardised inputs;
    every equation passes through the model's value at x.

    Synthetic rows look like the data: whole numbers and columns of few values take only
    values in the data, other numbers stay within its range, text and categories keep to
    their labels (an equation sees whether they equal those of x: ``city_is_Rome``). Class
    probabilities are explained through their log-odds, but shown, and judged, as
    probabilities.

    (The function is long because its arguments are: its body only calls the steps.)

    Args:
        f: an `nn.Module`; a function from a table like ``data`` [rows, inputs] to [rows] or
            [rows, outputs]; a method of an estimator, or an estimator, whose
            ``predict_proba`` or else ``predict`` is used. It is called once, with
            ``1 + n_neighbors + 2.5 * n_synthetic`` rows.
        x: the row to explain, [inputs]; None explains all of the data: of at most 10,000 of
            its rows 3/5 are fitted, and the arguments of the neighbourhood have no effect.
        data: [rows, inputs], an array, tensor or DataFrame, such as the training data.
        n_neighbors: nearest rows of the data to use.
        n_synthetic: synthetic rows to fit, at least 20; half as many more choose the
            equation, and as many more measure its fidelity.
        real_weight: weight of the nearest rows.
        kernel_width: of the weights, in standard deviations of the synthetic rows.
        metric: of the distance between standardised rows, any of
            `scipy.spatial.distance.cdist`.
        variance: v of the synthetic rows, in squared units of the inputs: a number or
            [inputs]; half the variance among the nearest rows by default.
        feature_names: one per input; by default those of the DataFrame, or x0, x1, ...
        categorical_features: names or positions of inputs whose numbers are only labels.
        variable_transforms: variables of the equation in place of the inputs, by name:
            ``{"r": "sqrt(dx**2 + dy**2)"}``, or functions, see `Features`.
        output: which output of ``f``, which class for probabilities.
        link: "logit" explains log-odds, "identity" the predictions themselves; "auto" takes
            log-odds for ``predict_proba`` and for rows of outputs that sum to 1.
        random_state: seed of a generator of its own.
        timeout_in_seconds: budget of the search, without the calls of ``f``.
        sr_params: options of the search, see `SearchOptions`; ``niterations`` is the
            number of terms, 12 by default, ``maxsize`` (100) the length.

    Raises:
        InputError: arguments that do not fit, predictions that are not finite numbers.
        UnsupportedTypeError: an ``f`` that is neither a function nor an estimator.
    """
    locality = Locality(n_neighbors, n_synthetic, real_weight, kernel_width, metric, variance)
    params = local_params(sr_params)
    options = SearchOptions.from_params(params)
    if options.timeout_in_seconds is None:
        options = options.replace(timeout_in_seconds=timeout_in_seconds)
    check_options(options)
    query, probabilities = query_of(f)
    columns = Columns.of(data, feature_names, categorical_features)
    plan = Plan.around(x, data, columns, locality, random_state)
    names = View.names_of(columns, plan.reference)
    view = View(columns, plan.reference, Features.plan(names, None, variable_transforms))
    predictions = answers(query, columns, plan.rows)
    scale = choose_link(link, predictions, probabilities=probabilities)
    found = Answers.of(plan, choose_output(predictions, output))
    front = fit_front(found, plan.center, view, scale, options, random_state)
    explanation = Explanation(
        front=front,
        complexity=simplest_good(front),
        link=scale,
        prediction=math.nan if found.at_center is None else found.at_center,
        center=plan.center,
        view=view,
        spread=plan.spread,
        fresh=found.fresh,
        output=output,
        query=query,
    )
    quality = explanation.fidelity.weighted_r2
    if quality < POOR:
        warnings.warn(
            f"the equation explains {max(quality, 0):.0%} of how the model varies around x: "
            f"read it with care; more terms (sr_params={{'niterations': 20}}), more rows "
            f"(n_synthetic) or a smaller variance may help",
            stacklevel=2,
        )
    return explanation
