"""THE operator table: what every operator is called and what it computes.

One row per operator gives its meaning in torch, NumPy, SymPy and C, the function of SymPy
that it comes back from, its pullback, and where searches do not nest it. Printing, parsing,
evaluation, simplification, layers and exports all read from here: a new operator is one new
row. Search engines that are programs of their own keep tables of what those can do.
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
from . import pullbacks
from .pullbacks import Pullback, divisor, factor

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")
special = LazyModule("scipy.special")

Interval = tuple[float, float]

REAL: Interval = (-math.inf, math.inf)
POSITIVE: Interval = (0.0, math.inf)
UNIT: Interval = (-1.0, 1.0)


@dataclass(frozen=True)
class SympyFunction:
    """SymPy's function of that name, imported when called.

    >>> SympyFunction("Abs")(sympy.Symbol("x"))
    Abs(x)
    """

    name: str

    def __call__(self, *args: sympy.Expr) -> sympy.Expr:
        """The function on expressions."""
        return getattr(sympy, self.name)(*args)


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
        sympy: on SymPy expressions; a `SympyFunction` comes back as the operator it was.
        python: where NumPy's function is no ufunc, which has a name: a Python expression in
            ``x`` and ``y`` with ``np`` and SciPy's ``special``, for source that is exported.
        c: a C99 expression in doubles ``a`` and ``b``; None for operators that users defined,
            whose definitions are written out.
        head: name of the SymPy class that this operator stands for, if it has one.
        is_algebraic: whether SymPy has it as a sum, a product or a power, which come back.
        pullback: how a gradient passes back; None to ask autograd.
        steps_in: positions of arguments in which it is a step function, whose gradient is not
            0 but none: what is infinite in there must not make a nan of it.
        nesting: a class of operators that searches do not put inside each other.
        undoes: operators around whose results searches do not put it.
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
    c: str | None = field(default=None, repr=False, compare=False)
    head: str | None = field(default=None, repr=False, compare=False)
    is_algebraic: bool = field(default=False, repr=False, compare=False)
    pullback: Pullback | None = field(default=None, repr=False, compare=False)
    python: str | None = field(default=None, repr=False, compare=False)
    steps_in: tuple[int, ...] = field(default=(), repr=False, compare=False)
    nesting: str | None = field(default=None, repr=False, compare=False)
    undoes: tuple[str, ...] = field(default=(), repr=False, compare=False)
    domain: tuple[Interval, ...] = field(default=(REAL,), repr=False, compare=False)
    complexity: int = field(default=1, repr=False, compare=False)
    definition: str | None = None

    @property
    def comes_back(self) -> bool:
        """Whether SymPy gives it back as itself, so that it may be simplified there."""
        return self.is_algebraic or isinstance(self.sympy, SympyFunction)

    def __reduce__(self) -> tuple[Callable[[str], Operator], tuple[str]]:
        """Pickle by name or by definition: the callables themselves never leave."""
        if self.definition is not None:
            from .definitions import define_operator

            return define_operator, (self.definition,)
        return operator_named, (self.name,)


def _cbrt(x: torch.Tensor) -> torch.Tensor:
    # Zeros keep their sign, as in NumPy and C: atan2 tells them apart.
    return torch.where(x == 0, x, torch.sign(x) * torch.abs(x) ** (1.0 / 3.0))


def _sign(x: torch.Tensor) -> torch.Tensor:
    # torch.sign makes 0 of nan, which would hide it.
    return torch.sign(x).masked_fill(x.isnan(), math.nan)


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
    c: str,
    domain: Interval = REAL,
    **others: Any,
) -> Operator:
    return _row(name, torch_, numpy_, sympy_, c, domain=(domain,), **others)


def _binary(
    name: str,
    torch_: Callable[..., torch.Tensor],
    numpy_: Callable[..., Any],
    sympy_: Callable[..., sympy.Expr],
    c: str,
    domain: tuple[Interval, Interval] = (REAL, REAL),
    **others: Any,
) -> Operator:
    return _row(name, torch_, numpy_, sympy_, c, domain=domain, **others)


def _row(
    name: str, torch_: Any, numpy_: Any, sympy_: Any, c: str, *, domain: Any, **others: Any
) -> Operator:
    if isinstance(sympy_, SympyFunction):
        others["head"] = sympy_.name
    return Operator(name, len(domain), torch_, numpy_, sympy_, c, domain=domain, **others)


def _function(
    name: str,
    torch_: Callable[..., torch.Tensor],
    numpy_: Callable[..., Any],
    domain: Interval = REAL,
    **others: Any,
) -> Operator:
    """A row of a function that SymPy and C have under the same name."""
    return _unary(name, torch_, numpy_, SympyFunction(name), f"{name}(a)", domain, **others)


_WAVE_OR_GROWTH = "periodic or growing"
"""Inside each other they fit anything, and predict nothing."""

_ROWS: tuple[Operator, ...] = (
    _binary("+", torch.add, np.add, lambda x, y: x + y, "a + b", is_algebraic=True),
    _binary("-", torch.sub, np.subtract, lambda x, y: x - y, "a - b", is_algebraic=True),
    _binary(
        *("*", torch.mul, np.multiply, lambda x, y: x * y, "a * b"),
        is_algebraic=True,
        pullback=pullbacks.multiply,
    ),
    _binary(
        *("/", torch.div, np.divide, lambda x, y: x / y, "a / b"),
        is_algebraic=True,
        pullback=pullbacks.divide,
    ),
    _binary(
        *("^", torch.pow, np.power, lambda x, y: x**y, "pow(a, b)", (POSITIVE, REAL)),
        is_algebraic=True,
        pullback=pullbacks.power,
    ),
    _binary(
        *("max", torch.maximum, np.maximum, SympyFunction("Max"), "a > b || a != a ? a : b"),
        pullback=pullbacks.extreme(torch.lt),
    ),
    _binary(
        *("min", torch.minimum, np.minimum, SympyFunction("Min"), "a < b || a != a ? a : b"),
        pullback=pullbacks.extreme(torch.gt),
    ),
    _binary(
        *("mod", torch.remainder, np.mod, _sympy_mod),
        "fmod(a, b) != 0 && (fmod(a, b) < 0) != (b < 0) ? fmod(a, b) + b : fmod(a, b)",
        (REAL, POSITIVE),
        head="Mod",
    ),
    _binary(
        *("atan2", torch.atan2, np.arctan2, SympyFunction("atan2"), "atan2(a, b)"),
        pullback=pullbacks.angle,
    ),
    _binary(
        "cond",
        lambda x, y: torch.where(x > 0, y, torch.zeros_like(y)),
        lambda x, y: np.where(x > 0, y, 0.0),
        _sympy_cond,
        "a > 0 ? b : 0",
        steps_in=(0,),
        python="np.where(x > 0, y, 0.0)",
    ),
    _binary(
        "greater",
        lambda x, y: torch.gt(x, y).to(x.dtype),
        lambda x, y: np.greater(x, y).astype(np.result_type(x, y)),
        lambda x, y: _sympy_step(x > y),
        "a > b ? 1 : 0",
        steps_in=(0, 1),
        python="np.greater(x, y).astype(float)",
    ),
    _binary(
        "less",
        lambda x, y: torch.lt(x, y).to(x.dtype),
        lambda x, y: np.less(x, y).astype(np.result_type(x, y)),
        lambda x, y: _sympy_step(x < y),
        "a < b ? 1 : 0",
        steps_in=(0, 1),
        python="np.less(x, y).astype(float)",
    ),
    _unary("neg", torch.neg, np.negative, lambda x: -x, "-a", is_algebraic=True, undoes=("-",)),
    _unary(
        *("abs", torch.abs, np.abs, SympyFunction("Abs"), "fabs(a)"),
        pullback=factor(lambda x, y: torch.sgn(x)),
        undoes=("square",),
    ),
    _unary("sign", _sign, np.sign, SympyFunction("sign"), "a == a ? (a > 0) - (a < 0) : a"),
    _unary(
        *("inv", torch.reciprocal, lambda x: 1.0 / x, lambda x: 1 / x, "1 / a"),
        python="1.0 / np.asarray(x)",
        is_algebraic=True,
        undoes=("/",),
    ),
    _unary(
        "square",
        torch.square,
        np.square,
        lambda x: x**2,
        "a * a",
        is_algebraic=True,
        undoes=("sqrt",),
    ),
    _unary(
        *("cube", lambda x: x * x * x, lambda x: x * x * x, lambda x: x**3, "a * a * a"),
        python="x * x * x",
        is_algebraic=True,
    ),
    _function(
        *("sqrt", torch.sqrt, np.sqrt, POSITIVE),
        is_algebraic=True,
        pullback=divisor(lambda x, y: 2 * y),
        undoes=("square",),
    ),
    _unary("cbrt", _cbrt, np.cbrt, _sympy_cbrt, "cbrt(a)"),
    _function(
        *("exp", torch.exp, np.exp),
        pullback=factor(lambda x, y: y),
        nesting=_WAVE_OR_GROWTH,
        undoes=("log",),
    ),
    _unary(
        *("expm1", torch.expm1, np.expm1, lambda x: sympy.exp(x) - 1, "expm1(a)"),
        pullback=factor(lambda x, y: y + 1),
    ),
    _function(
        *("log", torch.log, np.log, POSITIVE),
        pullback=divisor(lambda x, y: x),
        nesting=_WAVE_OR_GROWTH,
        undoes=("exp",),
    ),
    _unary(
        *("log2", torch.log2, np.log2, lambda x: sympy.log(x) / sympy.log(2), "log2(a)", POSITIVE),
    ),
    _unary(
        *("log10", torch.log10, np.log10, lambda x: sympy.log(x) / sympy.log(10), "log10(a)"),
        POSITIVE,
    ),
    _unary(
        *("log1p", torch.log1p, np.log1p, lambda x: sympy.log(1 + x), "log1p(a)"),
        (-1.0, math.inf),
        pullback=divisor(lambda x, y: x + 1),
    ),
    _function(
        *("sin", torch.sin, np.sin),
        pullback=factor(lambda x, y: torch.cos(x)),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function(
        *("cos", torch.cos, np.cos),
        pullback=factor(lambda x, y: torch.sin(x).neg_()),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function(
        *("tan", torch.tan, np.tan),
        pullback=factor(lambda x, y: 1 + y * y),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function("asin", torch.asin, np.arcsin, UNIT),
    _function("acos", torch.acos, np.arccos, UNIT),
    _function("atan", torch.atan, np.arctan, pullback=divisor(lambda x, y: x * x + 1)),
    _function(
        *("sinh", torch.sinh, np.sinh),
        pullback=factor(lambda x, y: torch.cosh(x)),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function(
        *("cosh", torch.cosh, np.cosh),
        pullback=factor(lambda x, y: torch.sinh(x)),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function(
        *("tanh", torch.tanh, np.tanh),
        pullback=factor(lambda x, y: 1 - y * y),
        nesting=_WAVE_OR_GROWTH,
    ),
    _function(
        *("asinh", torch.asinh, np.arcsinh), pullback=factor(lambda x, y: (x * x + 1).rsqrt())
    ),
    _function("acosh", torch.acosh, np.arccosh, (1.0, math.inf)),
    _function("atanh", torch.atanh, np.arctanh, UNIT),
    _function(
        *("erf", torch.erf, lambda x: special.erf(x)),
        python="special.erf(x)",
        pullback=factor(lambda x, y: 2 / math.sqrt(math.pi) * torch.exp(-x * x)),
    ),
    _function("erfc", torch.erfc, lambda x: special.erfc(x), python="special.erfc(x)"),
    _unary(
        *("relu", torch.relu, lambda x: np.maximum(x, 0.0), lambda x: sympy.Max(0, x)),
        "a > 0 || a != a ? a : 0",
        python="np.maximum(x, 0.0)",
    ),
    _unary(
        *("sigmoid", torch.sigmoid, lambda x: special.expit(x), lambda x: 1 / (1 + sympy.exp(-x))),
        "1 / (1 + exp(-a))",
        python="np.exp(-np.logaddexp(0.0, -np.asarray(x)))",
        pullback=factor(lambda x, y: (1 - y) * y),
    ),
    _unary(
        "softplus",
        lambda x: torch.logaddexp(x, torch.zeros_like(x)),
        lambda x: np.logaddexp(x, 0.0),
        lambda x: sympy.log(1 + sympy.exp(x)),
        "a == a ? fmax(a, 0) + log1p(exp(-fabs(a))) : a",
        python="np.logaddexp(x, 0.0)",
    ),
    _function("floor", torch.floor, np.floor),
    _unary("ceil", torch.ceil, np.ceil, SympyFunction("ceiling"), "ceil(a)"),
)

_TABLE = {row.name: row for row in _ROWS}

OPERATORS: Mapping[str, Operator] = MappingProxyType(_TABLE)
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
    return (row for row in OPERATORS.values() if row.arity == arity)
