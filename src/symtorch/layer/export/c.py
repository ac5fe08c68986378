"""C source: equations as one C99 function, printed by SymPy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...lazy import LazyModule
from ...symbolic.expression import Expression
from ...symbolic.nodes import evaluate_sympy
from ...symbolic.operators import Operator

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

_MATH = frozenset({"cbrt", "expm1", "log1p", "log2", "log10"})
"""Operators that C has and SymPy writes out: log(1 + x) loses the digits of a small x."""

_HELPERS: Mapping[str, str] = {
    "max": "(double a, double b) { return a > b || a != a ? a : b; }",
    "min": "(double a, double b) { return a < b || a != a ? a : b; }",
    "mod": "(double a, double b) { double r = fmod(a, b); return r != 0 && (r < 0) != (b < 0) "
    "? r + b : r; }",
    "relu": "(double a) { return a > 0 || a != a ? a : 0; }",
    "sigmoid": "(double a) { return 1 / (1 + exp(-a)); }",
    "sign": "(double a) { return (a > 0) - (a < 0); }",
    "softplus": "(double a) { return a == a ? fmax(a, 0) + log1p(exp(-fabs(a))) : a; }",
}
"""Operators that C lacks, or has with another answer: fmax(nan, 1) is 1."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_KEYWORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "main",
    ]
)


def c_source(expressions: Sequence[Expression], variables: Sequence[str], name: str) -> str:
    """One function ``void name(const double *x, double *y)`` that writes all equations.

    >>> print(c_source([Expression.parse("2*u + sin(v)")], ["u", "v"], "law"))
    #include <math.h>
    <BLANKLINE>
    /* x: u, v; y: 1 value. */
    void law(const double *x, double *y);
    <BLANKLINE>
    void law(const double *x, double *y)
    {
        y[0] = 2*x[0] + sin(x[1]);
    }
    <BLANKLINE>

    Args:
        expressions: one per value of ``y``.
        variables: one per value of ``x``.
        name: of the function.

    Raises:
        InputError: a name that C does not take.
    """
    if not _NAME.match(name) or name in _KEYWORDS:
        raise InputError(f"'{name}' cannot be the name of a function in C")
    used: dict[str, None] = {}

    def meaning(operator: Operator) -> Callable[..., sympy.Expr]:
        if operator.name in _MATH or operator.name in _HELPERS:
            used[operator.name] = None
            function: Callable[..., sympy.Expr] = sympy.Function(_c_name(operator.name))
            return function
        return operator.sympy

    inputs = {variable: sympy.Symbol(f"x[{i}]", real=True) for i, variable in enumerate(variables)}
    # As written: to SymPy x/x is 1, at 0 as well.
    with sympy.evaluate(False):
        forms = [evaluate_sympy(expression.root, inputs, meaning) for expression in expressions]
        shared, results = sympy.cse(forms, symbols=sympy.numbered_symbols("t"))
    printer = _printer([_c_name(operator) for operator in used])
    body = [f"const double {symbol} = {_line(printer, form)};" for symbol, form in shared]
    body += [f"y[{i}] = {_line(printer, form)};" for i, form in enumerate(results)]
    text = "\n".join(body)
    head = ["#include <math.h>", ""]
    for operator in used:
        if operator in _HELPERS:
            head += [f"static double {_c_name(operator)}{_HELPERS[operator]}", ""]
    if "x[" not in text:
        body.insert(0, "(void)x;")
    count = "1 value" if len(expressions) == 1 else f"{len(expressions)} values"
    signature = f"void {name}(const double *x, double *y)"
    return "\n".join(
        [
            *head,
            f"/* x: {', '.join(variables).encode('ascii', 'replace').decode()}; y: {count}. */",
            f"{signature};",
            "",
            signature,
            "{",
            *(f"    {line}" for line in body),
            "}",
            "",
        ]
    )


def _c_name(operator: str) -> str:
    return operator if operator in _MATH else f"{operator}_"


def _printer(functions: Sequence[str]) -> Any:
    from sympy.printing.c import C99CodePrinter

    class Printer(C99CodePrinter):  # type: ignore[misc]
        """Prints forms that SymPy has not simplified."""

        def _print_Pow(self, form: sympy.Pow) -> str:
            # What is divided by comes as a power of one.
            if form.exp == 1:
                text = self._print(form.base)
                return str(text if form.base.is_Atom or form.base.is_Function else f"({text})")
            return str(super()._print_Pow(form))

    return Printer({"user_functions": {name: name for name in functions}})


def _line(printer: Any, form: sympy.Expr) -> str:
    return " ".join(printer.doprint(form).split())
