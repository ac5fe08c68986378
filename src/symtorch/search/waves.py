"""Waves that the rows cannot tell from noise.

With a free frequency a cosine follows any handful of residuals: among enough frequencies there is
one that fits, and held-out rows, asked often enough, say so too. In one input, n rows tell waves
up to n/2 periods apart (Nyquist); in d inputs there are about ``n**(1/d)`` rows along each. A
faster wave is only believed where it explains most of what is there without it, as the one in a
law does, and chance cannot.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ..symbolic.expression import Expression
from ..symbolic.nodes import Call, Constant, Node
from .options import WAVES
from .problem import Problem, Sample

ROWS = 1_000
"""Rows on which a wave's periods are counted."""

BELIEVED = 0.5
"""Share of the loss without a fast wave that it may leave and be believed."""


def follows_noise(expression: Expression, problem: Problem) -> bool:
    """Whether an equation has a wave too fast for the rows that explains little.

    >>> X = torch.rand(200, 8, dtype=torch.float64)
    >>> problem = Problem.split(X, X[:, 0] + 0.3 * torch.rand(200, dtype=torch.float64))
    >>> follows_noise(Expression.parse("x0 + 0.1*cos(80*x5)", problem.names), problem)
    True
    >>> follows_noise(Expression.parse("x0 + 0.1*cos(3*x5)", problem.names), problem)
    False
    """
    waves = list(_waves(expression.root))
    if not waves:
        return False
    train = problem.train
    most = max(1.0, len(train) ** (1 / len(problem.names)) / 2)
    step = math.ceil(len(train) / ROWS)
    few = train.take(torch.arange(0, len(train), step, device=train.y.device))
    fast = [call for call in waves if _periods(call.args[0], problem, few) > most]
    return any(_explains_little(expression, call, problem, few) for call in fast)


def _waves(node: Node) -> Iterator[Call]:
    if isinstance(node, Call):
        if node.operator.name in WAVES:
            yield node
        for arg in node.args:
            yield from _waves(arg)


def _periods(argument: Node, problem: Problem, rows: Sample) -> float:
    """Periods that a wave of this argument has over most of the rows."""
    values = problem.predict(Expression(argument), rows)
    low, high = values.quantile(values.new_tensor([0.05, 0.95])).tolist()
    return (high - low) / (2 * math.pi) if math.isfinite(high - low) else math.inf


def _explains_little(expression: Expression, wave: Call, problem: Problem, rows: Sample) -> bool:
    level = Constant(float(problem.predict(Expression(wave), rows).nanmean()))
    without = Expression(_replaced(expression.root, wave, level))
    held = problem.validation
    return held.loss(problem.predict(expression, held)) > BELIEVED * _fitted_loss(
        problem.predict(without, held), held
    )


def _fitted_loss(prediction: torch.Tensor, sample: Sample) -> float:
    """Loss of a prediction with the best offset and factor; infinite where it is not finite."""
    share = sample.weights / sample.weights.sum()
    x, y = prediction - share @ prediction, sample.y - share @ sample.y
    power = float(share @ x.square())
    slope = float(share @ (x * y)) / power if power > 0 else 0.0
    loss = float(share @ (y - slope * x).square())
    return loss if math.isfinite(loss) else math.inf


def _replaced(node: Node, old: Node, new: Node) -> Node:
    if node is old:
        return new
    if isinstance(node, Call):
        return Call(node.operator, tuple(_replaced(arg, old, new) for arg in node.args))
    return node
