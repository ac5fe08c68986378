"""Fitting: from queried rows to a front of local equations."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError
from ..recording.contexts import threads
from ..search import Problem, Sample, SearchOptions
from ..search.engine import Budget, SearchRun
from ..search.front import Candidate, Front
from ..search.registry import check_honoured
from ..symbolic.expression import Expression
from ..symbolic.nodes import Constant
from .columns import Array
from .link import Link
from .neighbourhood import Points
from .planning import Plan
from .view import View

SECONDS = 5.0
"""Default budget of the search, which usually needs a tenth of it."""

DEFAULTS: Mapping[str, Any] = {
    "binary_operators": ("+", "-", "*", "/", "greater"),
    "unary_operators": ("square", "tanh", "inv", "sqrt", "exp", "log", "sin", "cos"),
    "maxsize": 100,
}
"""Search options of a local explanation that differ from those of other searches."""

ACCEPTED = 1.05
"""The chosen equation is the simplest one with a loss up to this times the lowest."""

LEAST_USABLE = 0.5
"""Share of the rows at which the variable transforms must be finite."""

EXACT = 1e-12
"""A loss below this share of the simplest equation's counts as 0."""


def check_options(options: SearchOptions) -> None:
    """Refuse options that the local engine does not honour.

    Raises:
        InputError: there is such an option.
    """
    from ..search.engines.local import LocalEngine

    check_honoured(LocalEngine(), options)


def local_params(
    sr_params: Mapping[str, Any] | SearchOptions | None,
) -> Mapping[str, Any] | SearchOptions:
    """A user's ``sr_params`` over the defaults of local explanations."""
    if isinstance(sr_params, SearchOptions):
        return sr_params
    return {**DEFAULTS, **(sr_params or {})}


@dataclass(frozen=True, eq=False)
class Answered:
    """Rows, their weights, and the model's predictions for them [n]."""

    points: Points
    predictions: Array


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's predictions for the rows of a plan.

    Args:
        fit: rows to fit.
        judge: rows to choose by.
        fresh: rows for the fidelity.
        at_center: at the explained row; None for a global explanation.
        precision: relative, of the model's numbers.
    """

    fit: Answered
    judge: Answered
    fresh: Answered
    at_center: float | None
    precision: float

    @classmethod
    def of(cls, plan: Plan, predictions: npt.NDArray[Any]) -> Answers:
        """Split predictions for all rows of a plan into its parts."""
        computed_in = predictions.dtype if predictions.dtype.kind == "f" else np.dtype(np.float64)
        predictions = predictions.astype(np.float64)
        parts = (plan.draws.fit, plan.draws.judge, plan.draws.fresh)
        first = 0 if plan.center is None else 1
        edges = [first, *(first + n for n in itertools.accumulate(map(len, parts)))]
        fit, judge, fresh = (
            Answered(points, predictions[low:high])
            for points, (low, high) in zip(parts, itertools.pairwise(edges), strict=True)
        )
        at_center = float(predictions[0]) if first else None
        return cls(fit, judge, fresh, at_center, float(np.finfo(computed_in).eps))


def fit_front(
    answers: Answers,
    center: Array | None,
    view: View,
    link: Link,
    options: SearchOptions,
    random_state: int,
) -> Front:
    """Search equations on the scale of the link; with a centre, all pass through the model's value.

    Raises:
        InputError: variable transforms that are not finite at x, or for more than half of the rows.
    """
    # Imported on use: it imports SymPy and half of SciPy.
    from ..search.engines.local import Anchor, LocalEngine

    train = _sample(answers.fit, view, link)
    validation = _sample(answers.judge, view, link)
    problem = Problem(train, validation, view.features.names, answers.precision)
    anchor = None
    level = float((train.weights * train.y).sum() / train.weights.sum())
    if center is not None and answers.at_center is not None:
        point = view.variables(center[None])[0]
        if not np.isfinite(point).all():
            raise InputError(f"variable transforms are not finite at x: {point.tolist()}")
        level = float(link.forward(np.array([answers.at_center]))[0])
        anchor = Anchor(tuple(point.tolist()), level)
    found = [Expression(Constant(level))]
    if train.loss(torch.full_like(train.y, level)) > problem.loss_floor:
        budget = Budget(options.timeout_in_seconds or SECONDS)
        with threads(1):
            found += LocalEngine(anchor).search(problem, options, SearchRun(random_state, budget))
    rule = options.complexity_rule(problem.names)
    candidates = [
        Candidate(
            expression,
            rule.of(expression),
            train.loss(problem.predict(expression, train)),
            validation.loss(problem.predict(expression, validation)),
        )
        for expression in dict.fromkeys(found)
    ]
    return Front.pareto(candidates, variables=problem.names, loss_floor=problem.loss_floor)


def simplest_good(front: Front) -> int:
    """Complexity of the simplest equation that is nearly as good as the best."""
    lowest = min(row.validation_loss for row in front)
    limit = max(ACCEPTED * lowest, EXACT * front[0].validation_loss, front.loss_floor)
    return front.select(max_loss=limit).complexity


def _sample(answered: Answered, view: View, link: Link) -> Sample:
    table = view.variables(answered.points.rows)
    # A transform may be undefined at some synthetic rows: the log of a negative number.
    usable = np.asarray(np.isfinite(table).all(axis=1))
    if usable.mean() < LEAST_USABLE:
        raise InputError(
            f"variable transforms are not finite on {np.sum(~usable)} of {len(usable)} rows "
            f"around x"
        )
    predictions = answered.predictions[usable]
    weights = answered.points.weights[usable] * link.importance(predictions)
    if not (math.isfinite(weights.sum()) and weights.sum() > 0):
        raise InputError("all weights are zero; a larger kernel_width keeps more rows")
    return Sample(
        torch.from_numpy(table[usable]),
        torch.from_numpy(link.forward(predictions)),
        torch.from_numpy(weights),
    )
