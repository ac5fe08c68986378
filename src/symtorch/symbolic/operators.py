"""THE operator table: what every operator is called and what it computes.

One row per operator gives its torch, numpy and SymPy meaning; printing, parsing,
evaluation, simplification and the search engines all read from here. A new operator is
one new row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError, did_you_mean
from ..lazy import LazyModule

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")
special = LazyModule("scipy.special")

Interval = tuple[float, float]

REAL: Interval = (-math.inf, math.inf)
POSITIVE: Interval = (0.0, math.inf)


@dataclass(frozen=True)
class Operator:
    """One row of the table.

    >>> OPERATORS["sqrt"].torch(torch.tensor([4.0, 9.0]))
    tensor([2., 3.])

    Args:
        name: what users type and what is printed for a call, ``"sqrt"`` or ``"+"``.
        arity: number of arguments, 1 or 2.
        torch: on tensors, broadcasting.
        numpy: on arrays, broadcasting.
        sympy: on SymPy expressions.
        domain: per argument, the open interval where the result is finite (a pole
            inside it, as for ``tan``, is not listed).
        complexity: nodes it counts for when nothing else is said; PySR's default is 1.
        definition: for an operator that the user defined, its text, ``"inv(x) = 1/x"``;
            it is what is pickled and saved.
    """

    name: str
    arity: int
    torch: Callable[..., torch.Tensor] = field(repr=False, compare=False)
    numpy: Callable[..., Any] = field(repr=False, compare=False)
    sympy: Callable[..., sympy.Expr] = field(repr=False, compare=False)
    domain: tuple[Interval, ...] = field(default=(REAL,), repr=False, compare=False)
    complexity: int = field(default=1, repr=False, compare=False)
    definition: str | None = None

    def __reduce__(self) -> tuple[Callable[[str], Operator], tuple[str]]:
        """Pickle by name or by definition: the callables themselves never leave."""
        if self.definition is not None:
            from .parsing import define_operator

            return define_operator, (self.definition,)
        return operator_named, (self.name,)


def _cbrt(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x) * torch.abs(x) ** (1.0 / 3.0)


def _sympy(name: str) -> Callable[..., sympy.Expr]:
    """SymPy's function of that name, imported when called."""

    def function(*args: sympy.Expr) -> sympy.Expr:
        return getattr(sympy, name)(*args)

    return function


def _sympy_cbrt(x: sympy.Expr) -> sympy.Expr:
    return sympy.sign(x) * sympy.Abs(x) ** sympy.Rational(1, 3)


def _sympy_mod(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    # sympy.Mod(-0.1*y, y) is -0.1*y, not 0.9*y.
    return x - y * sympy.floor(x / y)


def _sympy_cond(x: sympy.Expr, y: sympy.Expr) -> sympy.Expr:
    return sympy.Piecewise((y, x > 0), (0, True))


def _sympy_step(condition: Any) -> sympy.Expr:
    return sympy.Piecewise((1, condition), (0, True))


def _unary(
    name: str,
    torch_: Callable[..., torch.Tensor],
    numpy_: Callable[..., Any],
    sympy_: Callable[..., sympy.Expr],
    domain: Interval = REAL,
) -> Operator:
    return Operator(name, 1, torch_, numpy_, sympy_, (domain,))


def _binary(
    name: str,
    torch_: Callable[..., torch.Tensor],
    numpy_: Callable[..., Any],
    sympy_: Callable[..., sympy.Expr],
    domain: tuple[Interval, Interval] = (REAL, REAL),
) -> Operator:
    return Operator(name, 2, torch_, numpy_, sympy_, domain)


_ROWS: tuple[Operator, ...] = (
    _binary("+", torch.add, np.add, lambda x, y: x + y),
    _binary("-", torch.sub, np.subtract, lambda x, y: x - y),
    _binary("*", torch.mul, np.multiply, lambda x, y: x * y),
    _binary("/", torch.div, np.divide, lambda x, y: x / y),
    _binary("^", torch.pow, np.power, lambda x, y: x**y, (POSITIVE, REAL)),
    _binary("max", torch.maximum, np.maximum, _sympy("Max")),
    _binary("min", torch.minimum, np.minimum, _sympy("Min")),
    _binary("mod", torch.remainder, np.mod, _sympy_mod, (REAL, POSITIVE)),
    _binary("atan2", torch.atan2, np.arctan2, _sympy("atan2")),
    _binary(
        "cond",
        lambda x, y: torch.where(x > 0, y, torch.zeros_like(y)),
        lambda x, y: np.where(x > 0, y, 0.0),
        _sympy_cond,
    ),
    _binary(
        "greater",
        lambda x, y: torch.gt(x, y).to(x.dtype),
        lambda x, y: np.greater(x, y).astype(np.result_type(x, y)),
        lambda x, y: _sympy_step(x > y),
    ),
    _binary(
        "less",
        lambda x, y: torch.lt(x, y).to(x.dtype),
        lambda x, y: np.less(x, y).astype(np.result_type(x, y)),
        lambda x, y: _sympy_step(x < y),
    ),
    _unary("neg", torch.neg, np.negative, lambda x: -x),
    _unary("abs", torch.abs, np.abs, _sympy("Abs")),
    _unary("sign", torch.sign, np.sign, _sympy("sign")),
    _unary("inv", torch.reciprocal, lambda x: 1.0 / x, lambda x: 1 / x),
    _unary("square", torch.square, np.square, lambda x: x**2),
    _unary("cube", lambda x: x * x * x, lambda x: x * x * x, lambda x: x**3),
    _unary("sqrt", torch.sqrt, np.sqrt, _sympy("sqrt"), POSITIVE),
    _unary("cbrt", _cbrt, np.cbrt, _sympy_cbrt),
    _unary("exp", torch.exp, np.exp, _sympy("exp")),
    _unary("expm1", torch.expm1, np.expm1, lambda x: sympy.exp(x) - 1),
    _unary("log", torch.log, np.log, _sympy("log"), POSITIVE),
    _unary("log2", torch.log2, np.log2, lambda x: sympy.log(x) / sympy.log(2), POSITIVE),
    _unary("log10", torch.log10, np.log10, lambda x: sympy.log(x) / sympy.log(10), POSITIVE),
    _unary("log1p", torch.log1p, np.log1p, lambda x: sympy.log(1 + x), (-1.0, math.inf)),
    _unary("sin", torch.sin, np.sin, _sympy("sin")),
    _unary("cos", torch.cos, np.cos, _sympy("cos")),
    _unary("tan", torch.tan, np.tan, _sympy("tan")),
    _unary("asin", torch.asin, np.arcsin, _sympy("asin"), (-1.0, 1.0)),
    _unary("acos", torch.acos, np.arccos, _sympy("acos"), (-1.0, 1.0)),
    _unary("atan", torch.atan, np.arctan, _sympy("atan")),
    _unary("sinh", torch.sinh, np.sinh, _sympy("sinh")),
    _unary("cosh", torch.cosh, np.cosh, _sympy("cosh")),
    _unary("tanh", torch.tanh, np.tanh, _sympy("tanh")),
    _unary("asinh", torch.asinh, np.arcsinh, _sympy("asinh")),
    _unary("acosh", torch.acosh, np.arccosh, _sympy("acosh"), (1.0, math.inf)),
    _unary("atanh", torch.atanh, np.arctanh, _sympy("atanh"), (-1.0, 1.0)),
    _unary("erf", torch.erf, lambda x: special.erf(x), _sympy("erf")),
    _unary("erfc", torch.erfc, lambda x: special.erfc(x), _sympy("erfc")),
    _unary("relu", torch.relu, lambda x: np.maximum(x, 0.0), lambda x: sympy.Max(0, x)),
    _unary("sigmoid", torch.sigmoid, lambda x: special.expit(x), lambda x: 1 / (1 + sympy.exp(-x))),
    _unary(
        "softplus",
        lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        lambda x: np.logaddexp(x, 0.0),
        lambda x: sympy.log(1 + sympy.exp(x)),
    ),
    _unary("floor", torch.floor, np.floor, _sympy("floor")),
    _unary("ceil", torch.ceil, np.ceil, _sympy("ceiling")),
)

OPERATORS: Mapping[str, Operator] = MappingProxyType({row.name: row for row in _ROWS})
"""The table, by name."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "**": "^",
        "pow": "^",
        "plus": "+",
        "add": "+",
        "sub": "-",
        "mult": "*",
        "mul": "*",
        "div": "/",
        "Abs": "abs",
        "arcsin": "asin",
        "arccos": "acos",
        "arctan": "atan",
        "ceiling": "ceil",
        "ln": "log",
        "Max": "max",
        "Min": "min",
    }
)
"""Other spellings users type, and the row each means."""


def operator_named(name: str, custom: Mapping[str, Operator] | None = None) -> Operator:
    """Look an operator up by name or alias, the user's own ones first.

    >>> operator_named("arcsin").name
    'asin'

    Raises:
        InputError: the name is in neither table; the message suggests the closest one.
    """
    if custom and name in custom:
        return custom[name]
    row = OPERATORS.get(ALIASES.get(name, name))
    if row is None:
        known = [*(custom or ()), *OPERATORS, *ALIASES]
        raise InputError(f"unknown operator '{name}'{did_you_mean(name, known)}")
    return row


def operators_of_arity(arity: int) -> Iterator[Operator]:
    """Yield the table's rows with that many arguments, in the table's order."""
    return (row for row in _ROWS if row.arity == arity)
