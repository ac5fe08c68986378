"""THE interval table: for each row of the operator table its range, domain and derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from . import elementary as f
from . import requirements as need
from .elementary import PI, Function, constant
from .interval import Interval
from .requirements import Requirement
from .shapes import shaped, with_turns


@dataclass(frozen=True)
class Rule:
    """What intervals know about an operator.

    >>> RULES["sqrt"].value(Interval.of(4.0, 9.0)).contains(2.5)
    tensor(True)

    Args:
        value: the range, intervals to an interval, where it is defined.
        needs: where it has no finite value.
        first: for a smooth function of one argument, its derivative.
        second: and its second derivative.
        continuous: whether it is, wherever it is defined. Between two values of a
            continuous function there are all others, which proves that a pole exists.
    """

    value: Callable[..., Interval]
    needs: tuple[Requirement, ...] = ()
    first: Function | None = None
    second: Function | None = None
    continuous: bool = True


_ONE, _TWO = constant(1.0), constant(2.0)
_TWO_OVER_ROOT_PI = _TWO / f.sqrt(PI)
_LOG_2, _LOG_10 = f.log(_TWO), f.log(constant(10.0))


def _nothing(x: Interval) -> Interval:
    return x * constant(0.0)


def _ones(x: Interval) -> Interval:
    return _nothing(x) + _ONE


def _one_minus_square(x: Interval) -> Interval:
    # As a product: 1 - x**2 would lose what it has near 1.
    return (_ONE - x) * (_ONE + x)


def _scaled(scale: Interval, function: Function) -> Function:
    return lambda x: scale * function(x)


def _sqrt_first(x: Interval) -> Interval:
    return (_TWO * f.sqrt(x)).reciprocal()


def _sqrt_second(x: Interval) -> Interval:
    return -(constant(4.0) * x.clamp(0.0, math.inf) * f.sqrt(x)).reciprocal()


def _cbrt_first(x: Interval) -> Interval:
    return (constant(3.0) * f.cbrt(x).square()).reciprocal()


def _cbrt_second(x: Interval) -> Interval:
    return -_TWO / (constant(9.0) * x * f.cbrt(x).square())


def _log_first(x: Interval) -> Interval:
    return x.clamp(0.0, math.inf).reciprocal()


def _log_second(x: Interval) -> Interval:
    return -x.clamp(0.0, math.inf).square().reciprocal()


def _tan_first(x: Interval) -> Interval:
    return _ONE + f.tan(x).square()


def _tan_second(x: Interval) -> Interval:
    tangent = f.tan(x)
    return _TWO * tangent * (_ONE + tangent.square())


def _asin_first(x: Interval) -> Interval:
    return f.sqrt(_one_minus_square(x.clamp(-1.0, 1.0))).reciprocal()


def _asin_second(x: Interval) -> Interval:
    x = x.clamp(-1.0, 1.0)
    inside = _one_minus_square(x)
    return x / (inside * f.sqrt(inside))


def _atan_second(x: Interval) -> Interval:
    return -_TWO * x / (_ONE + x.square()).square()


def _asinh_first(x: Interval) -> Interval:
    return f.sqrt(_ONE + x.square()).reciprocal()


def _asinh_second(x: Interval) -> Interval:
    inside = _ONE + x.square()
    return -x / (inside * f.sqrt(inside))


def _acosh_first(x: Interval) -> Interval:
    x = x.clamp(1.0, math.inf)
    return f.sqrt((x - _ONE) * (x + _ONE)).reciprocal()


def _acosh_second(x: Interval) -> Interval:
    x = x.clamp(1.0, math.inf)
    inside = (x - _ONE) * (x + _ONE)
    return -x / (inside * f.sqrt(inside))


def _atanh_first(x: Interval) -> Interval:
    return _one_minus_square(x.clamp(-1.0, 1.0)).reciprocal()


def _atanh_second(x: Interval) -> Interval:
    x = x.clamp(-1.0, 1.0)
    return _TWO * x / _one_minus_square(x).square()


def _erf_first(x: Interval) -> Interval:
    return _TWO_OVER_ROOT_PI * f.exp(-x.square())


def _erf_second(x: Interval) -> Interval:
    return -_TWO * x * _erf_first(x)


"""Derivatives of networks' functions by rounding errors, with u = 2**-53 and the values of
torch off by 16u at most, as `ULPS` has it: s*(1 - s) is off by 22u, so that x*s*(1 - s) is by
22u|x| + u, and so on; the numbers given to `shaped` are above what adds up."""


def _tanh_first(x: torch.Tensor) -> torch.Tensor:
    return 1.0 - torch.tanh(x).square()


def _tanh_second(x: torch.Tensor) -> torch.Tensor:
    value = torch.tanh(x)
    return -2.0 * value * (1.0 - value.square())


def _sigmoid_first(x: torch.Tensor) -> torch.Tensor:
    value = torch.sigmoid(x)
    return value * (1.0 - value)


def _sigmoid_second(x: torch.Tensor) -> torch.Tensor:
    value = torch.sigmoid(x)
    return value * (1.0 - value) * (1.0 - 2.0 * value)


def _silu(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(x)


def _silu_first(x: torch.Tensor) -> torch.Tensor:
    value = torch.sigmoid(x)
    return value + x * (value * (1.0 - value))


def _silu_second(x: torch.Tensor) -> torch.Tensor:
    value = torch.sigmoid(x)
    return value * (1.0 - value) * (2.0 + x * (1.0 - 2.0 * value))


def _normal(x: torch.Tensor) -> torch.Tensor:
    """The density of the normal distribution."""
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def _normal_share(x: torch.Tensor) -> torch.Tensor:
    """Its distribution function; erfc keeps what is left far below 0."""
    return 0.5 * torch.erfc(-x / math.sqrt(2))


def _gelu(x: torch.Tensor) -> torch.Tensor:
    return x * _normal_share(x)


def _gelu_first(x: torch.Tensor) -> torch.Tensor:
    return _normal_share(x) + x * _normal(x)


def _gelu_second(x: torch.Tensor) -> torch.Tensor:
    return _normal(x) * (2.0 - x.square())


# Exact where the natural extension is not, for x occurs twice; monotone but for a turn at 0.
_asin_slope = with_turns(_asin_first, 0.0)
_atanh_slope = with_turns(_atanh_first, 0.0)
_asin_curvature = with_turns(_asin_second)
_atanh_curvature = with_turns(_atanh_second)
_acosh_curvature = with_turns(_acosh_second)
_TANH_TURN = math.atanh(1 / math.sqrt(3))
_tanh_slope = shaped(_tanh_first, (0.0,), (128.0, 0.0))
_tanh_curvature = shaped(_tanh_second, (-_TANH_TURN, _TANH_TURN), (256.0, 0.0))
_sigmoid_slope = shaped(_sigmoid_first, (0.0,), (64.0, 0.0))
_sigmoid_curvature = shaped(_sigmoid_second, (-2 * _TANH_TURN, 2 * _TANH_TURN), (64.0, 0.0))


def _smooth(
    value: Function, first: Function, second: Function, needs: tuple[Requirement, ...] = ()
) -> Rule:
    return Rule(value, needs, first, second)


def _logarithm(value: Function, base: Interval) -> Rule:
    share = base.reciprocal()
    first, second = _scaled(share, _log_first), _scaled(share, _log_second)
    return _smooth(value, first, second, need.LOGARITHM)


def _relu(x: Interval) -> Interval:
    return x.clamp(0.0, math.inf)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "+": Rule(lambda x, y: x + y),
        "-": Rule(lambda x, y: x - y),
        "*": Rule(lambda x, y: x * y),
        "/": Rule(lambda x, y: x / y, need.DIVISOR),
        "^": Rule(f.power, need.POWER),
        "max": Rule(f.maximum),
        "min": Rule(f.minimum),
        "mod": Rule(f.modulo, need.DIVISOR, continuous=False),
        "atan2": Rule(f.angle, continuous=False),
        "cond": Rule(f.where_positive, continuous=False),
        "greater": Rule(f.is_greater, continuous=False),
        "less": Rule(f.is_less, continuous=False),
        "neg": Rule(lambda x: -x),
        "abs": Rule(lambda x: x.abs()),
        "sign": Rule(f.sign, continuous=False),
        "inv": _smooth(
            f.reciprocal,
            lambda x: -x.square().reciprocal(),
            lambda x: _TWO / f.cube(x),
            need.RECIPROCAL,
        ),
        "square": _smooth(f.square, lambda x: _TWO * x, lambda x: _TWO * _ones(x)),
        "cube": _smooth(f.cube, lambda x: constant(3.0) * x.square(), lambda x: constant(6.0) * x),
        "sqrt": _smooth(f.sqrt, _sqrt_first, _sqrt_second, need.ROOT),
        "cbrt": _smooth(f.cbrt, _cbrt_first, _cbrt_second),
        "exp": _smooth(f.exp, f.exp, f.exp),
        "expm1": _smooth(f.expm1, f.exp, f.exp),
        "log": _smooth(f.log, _log_first, _log_second, need.LOGARITHM),
        "log2": _logarithm(f.log2, _LOG_2),
        "log10": _logarithm(f.log10, _LOG_10),
        "log1p": _smooth(
            f.log1p,
            lambda x: _log_first(x + _ONE),
            lambda x: _log_second(x + _ONE),
            need.LOGARITHM_1P,
        ),
        "sin": _smooth(f.sin, f.cos, lambda x: -f.sin(x)),
        "cos": _smooth(f.cos, lambda x: -f.sin(x), lambda x: -f.cos(x)),
        "tan": _smooth(f.tan, _tan_first, _tan_second, need.TANGENT),
        "asin": _smooth(f.asin, _asin_slope, _asin_curvature, need.UNIT),
        "acos": _smooth(
            f.acos, lambda x: -_asin_slope(x), lambda x: -_asin_curvature(x), need.UNIT
        ),
        "atan": _smooth(
            f.atan,
            lambda x: (_ONE + x.square()).reciprocal(),
            with_turns(_atan_second, -1 / math.sqrt(3), 1 / math.sqrt(3)),
        ),
        "sinh": _smooth(f.sinh, f.cosh, f.sinh),
        "cosh": _smooth(f.cosh, f.sinh, f.cosh),
        "tanh": _smooth(f.tanh, _tanh_slope, _tanh_curvature),
        "asinh": _smooth(
            f.asinh,
            _asinh_first,
            with_turns(_asinh_second, -1 / math.sqrt(2), 1 / math.sqrt(2)),
        ),
        "acosh": _smooth(f.acosh, _acosh_first, _acosh_curvature, need.FROM_ONE),
        "atanh": _smooth(f.atanh, _atanh_slope, _atanh_curvature, need.OPEN_UNIT),
        "erf": _smooth(
            f.erf, _erf_first, with_turns(_erf_second, -1 / math.sqrt(2), 1 / math.sqrt(2))
        ),
        "erfc": _smooth(
            f.erfc,
            lambda x: -_erf_first(x),
            with_turns(lambda x: -_erf_second(x), -1 / math.sqrt(2), 1 / math.sqrt(2)),
        ),
        "relu": Rule(_relu),
        "sigmoid": _smooth(f.sigmoid, _sigmoid_slope, _sigmoid_curvature),
        "softplus": _smooth(f.softplus, f.sigmoid, _sigmoid_slope),
        "floor": Rule(f.floor, continuous=False),
        "ceil": Rule(f.ceil, continuous=False),
    }
)
"""By the operators' names."""

ACTIVATIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "silu": _smooth(
            shaped(_silu, (-1.27846454276107,), (64.0, 32.0)),
            shaped(_silu_first, (-2.39935728052052, 2.39935728052052), (64.0, 64.0)),
            shaped(_silu_second, (-3.43584099353511, 0.0, 3.43584099353511), (64.0, 64.0)),
        ),
        "gelu": _smooth(
            shaped(_gelu, (-0.751791524693565,), (64.0, 64.0)),
            shaped(_gelu_first, (-math.sqrt(2), math.sqrt(2)), (128.0, 0.0)),
            shaped(_gelu_second, (-2.0, 0.0, 2.0), (128.0, 0.0)),
        ),
    }
)
"""Functions of networks that are no operators of equations."""
