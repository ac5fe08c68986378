"""What each operator does to Taylor models: most rows follow from the interval table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import torch

from ..intervals import RULES, Interval, Rule
from ..intervals import elementary as f
from ..intervals.elementary import PI, constant
from ..intervals.interval import choose
from . import algebra
from .functions import absolute, divide, leaky, maximum, minimum, smooth
from .model import TaylorModel

Operation = Callable[..., TaylorModel]


def power_rule(exponent: torch.Tensor) -> Rule:
    """``x**p`` for fixed powers as a function of one argument."""
    p, p1, p2 = Interval.of(exponent), _lowered(exponent, 1.0), _lowered(exponent, 2.0)

    def first(x: Interval) -> Interval:
        return p * f.power(x, p1)

    def second(x: Interval) -> Interval:
        return p * p1 * f.power(x, p2)

    return Rule(lambda x: f.power(x, p), RULES["^"].needs, first, second)


def _lowered(exponent: torch.Tensor, by: float) -> Interval:
    """``exponent - by``; of whole numbers it is exact, and must stay whole for x < 0."""
    whole = (torch.floor(exponent) == exponent) & (exponent.abs() < 2.0**52)
    return choose(whole, Interval.of(exponent - by), Interval.of(exponent) - constant(by))


def _power(x: TaylorModel, y: TaylorModel) -> TaylorModel:
    if bool(y.range.is_point.all()):
        return smooth(x, power_rule(y.range.lower))
    # x**y = exp(y*log(x)) for positive x; elsewhere only the range is known.
    positive = x.range.lower > 0
    logarithm = algebra.unknown_where(~positive, smooth(x, RULES["log"]))
    power = smooth(algebra.multiply(y, logarithm), RULES["exp"])
    known = f.power(x.range, y.range)
    return TaylorModel.of(x.basis, power.coefficients, power.remainder, known)


def _modulo(x: TaylorModel, y: TaylorModel) -> TaylorModel:
    """``x - y*k`` where x/y stays between two whole numbers."""
    turns = f.floor(x.range / y.range)
    known = f.modulo(x.range, y.range)
    fixed = turns.is_point & torch.isfinite(turns.lower)
    count = torch.where(fixed, turns.lower, 0.0)
    shifted = algebra.unknown_where(~fixed, algebra.add(x, algebra.scale(y, count), -1.0))
    return TaylorModel.of(x.basis, shifted.coefficients, shifted.remainder, known)


def _angle(y: TaylorModel, x: TaylorModel) -> TaylorModel:
    """``atan(y/x)`` where x is positive, and from the other axis where y keeps its sign."""
    right = smooth(divide(y, x, RULES["inv"]), RULES["atan"])
    turned = smooth(divide(x, y, RULES["inv"]), RULES["atan"])
    quarter = f.constant(0.5) * PI
    side = torch.where(y.range.lower > 0, 1.0, -1.0).to(torch.float64)
    from_above = algebra.add(
        algebra.shift(
            TaylorModel.constant(x.basis, 0.0, x.remainder),
            side * quarter.middle,
            quarter.radius_about(quarter.middle),
        ),
        turned,
        -1.0,
    )
    beside = (y.range.lower > 0) | (y.range.upper < 0)
    model = algebra.choose(x.range.lower > 0, right, algebra.unknown_where(~beside, from_above))
    known = f.angle(y.range, x.range)
    return TaylorModel.of(x.basis, model.coefficients, model.remainder, known)


def _where_positive(x: TaylorModel, y: TaylorModel) -> TaylorModel:
    nothing = TaylorModel.constant(y.basis, 0.0, y.remainder)
    decided = (x.range.lower > 0) | (x.range.upper <= 0)
    model = algebra.choose(x.range.lower > 0, y, nothing)
    known = f.where_positive(x.range, y.range)
    open_ = algebra.unknown_where(~decided, model)
    return TaylorModel.of(y.basis, open_.coefficients, open_.remainder, known)


def _by_range(rule: Rule, *args: TaylorModel) -> TaylorModel:
    """An operator of which only the range is known, a step for example."""
    first = args[0]
    return TaylorModel.of(
        first.basis,
        torch.zeros_like(first.coefficients),
        torch.full_like(first.remainder, torch.inf),
        rule.value(*(arg.range for arg in args)),
    )


def _square(x: TaylorModel) -> TaylorModel:
    product = algebra.multiply(x, x)
    known = x.range.square()
    return TaylorModel.of(x.basis, product.coefficients, product.remainder, known)


_OWN: Mapping[str, Operation] = {
    "+": algebra.add,
    "-": partial(algebra.add, sign=-1.0),
    "*": algebra.multiply,
    "/": partial(divide, reciprocal=RULES["inv"]),
    "^": _power,
    "max": maximum,
    "min": minimum,
    "mod": _modulo,
    "atan2": _angle,
    "cond": _where_positive,
    "neg": algebra.negated,
    "abs": absolute,
    "relu": partial(leaky, slope=0.0),
    "square": _square,
}


def _follows(name: str, rule: Rule) -> Operation:
    if name in _OWN:
        return _OWN[name]
    return partial(smooth, rule=rule) if rule.first else partial(_by_range, rule)


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {name: _follows(name, rule) for name, rule in RULES.items()}
)
"""By the operators' names."""
