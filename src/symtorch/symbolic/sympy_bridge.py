"""Between trees and SymPy."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..lazy import LazyModule
from .nodes import Call, Constant, Node, Variable, evaluate_sympy, sympy_number
from .operators import OPERATORS, Operator
from .printing import readable

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

_MULTIPLIED_OUT = 12
"""Largest integer power written as a product where ``^`` is not allowed."""


SYMPY_REFUSES = (TypeError, ValueError, ArithmeticError, RecursionError, AttributeError)
"""What SymPy raises on forms it cannot hold: comparisons with nan, ``mod(x, 0)``, ..."""


def sympy_form(node: Node) -> sympy.Expr:
    """The tree as a SymPy expression over plain symbols.

    Numbers beyond the range of float64 are infinite, as they are when evaluated.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> sympy_form(parse_tree("square(x) + 2*x*3"))
    x**2 + 6*x

    Raises:
        InputError: SymPy has no such form, ``mod(x, 0)`` for example.
    """
    try:
        return evaluate_sympy(node, Symbols())
    except SYMPY_REFUSES as error:
        raise InputError(f"SymPy cannot express '{readable(node, 4)}': {error}") from None


def from_sympy(
    expression: sympy.Expr,
    operators: Collection[str] | None = None,
    custom: Mapping[str, Operator] | None = None,
) -> Node:
    """A SymPy expression as a tree of few nodes.

    >>> from symtorch.symbolic.printing import exact
    >>> exact(from_sympy(sympy.sympify("x**2 - 3*sin(y)/z - 4")))
    'x**2 - 3*sin(y)/z - 4'

    Args:
        expression: real; functions without a row in the operator table are refused.
        operators: names that may be used, which decides between ``square(x)``,
            ``x**2`` and ``x*x``; None for all, preferring ``x**2``.
        custom: operators beside the table's, met as functions of their name.

    Raises:
        InputError: a function, number or construct that no operator stands for.
    """
    return _FromSympy(operators, custom or {}).build(_whole_numbers(expression))


class Symbols(dict[str, Any]):
    """A plain symbol for each name that is asked for."""

    def __missing__(self, name: str) -> sympy.Symbol:
        return sympy.Symbol(name)


class _FromSympy:
    def __init__(self, operators: Collection[str] | None, custom: Mapping[str, Operator]) -> None:
        self.operators = operators
        self.custom = custom
        self.rows = {row.head: row for row in OPERATORS.values() if row.head is not None}

    def allows(self, name: str) -> bool:
        return self.operators is None or name in self.operators

    @property
    def divides(self) -> bool:
        """Whether a negative power may become a quotient."""
        return self.allows("/") or self.allows("inv")

    def call(self, name: str, *args: Node) -> Node:
        if not self.allows(name):
            raise InputError(f"needs operator '{name}', which is not allowed here")
        return Call(OPERATORS[name], args)

    def build(self, e: sympy.Expr) -> Node:
        if isinstance(e, sympy.Symbol):
            return Variable(e.name)
        if e.is_number:
            return self.number(e)
        if isinstance(e, sympy.Add):
            return self.sum(e)
        if isinstance(e, sympy.Mul):
            return self.product(e)
        if isinstance(e, sympy.Pow):
            return self.power(e.base, e.exp)
        unknown = isinstance(e, sympy.core.function.AppliedUndef)
        if unknown and e.func.__name__ in self.custom:
            return Call(self.custom[e.func.__name__], tuple(self.build(a) for a in e.args))
        if isinstance(e, sympy.Piecewise):
            return self.step(e)
        row = self.rows.get(e.func.__name__)
        if row is None or unknown:
            raise InputError(f"no operator stands for SymPy's {e.func.__name__} in {e}")
        args = [self.build(arg) for arg in e.args]
        if row.arity == 2 < len(args):  # SymPy's Max and Min take any number
            return functools.reduce(lambda a, b: self.call(row.name, a, b), args)
        if len(args) != row.arity:
            raise InputError(f"SymPy's {e.func.__name__} with {len(args)} arguments in {e}")
        return self.call(row.name, *args)

    def step(self, e: sympy.Piecewise) -> Node:
        (value, condition), *others = e.args
        strict = isinstance(condition, sympy.StrictGreaterThan | sympy.StrictLessThan)
        if not strict or others != [sympy.functions.elementary.piecewise.ExprCondPair(0, True)]:
            raise InputError(f"no operator stands for {e}; only 'y where x > 0, else 0' has one")
        more, less = condition.gts, condition.lts
        if value == 1:
            return self.call("greater", self.build(more), self.build(less))
        return self.call("cond", self.build(more - less), self.build(value))

    def number(self, e: sympy.Expr) -> Node:
        try:
            value = complex(e.evalf(17))
        except (TypeError, OverflowError):
            value = complex(math.nan)
        if value.imag != 0 or not math.isfinite(value.real):
            raise InputError(f"not a finite real number: {e}")
        return Constant(value.real)

    def sum(self, e: sympy.Add) -> Node:
        # Numbers come last, and a term with a plus sign first, so that no leading
        # negation is needed.
        terms = sorted(e.as_ordered_terms(), key=lambda term: bool(term.is_number))
        first = next((i for i, term in enumerate(terms) if not _is_negative(term)), 0)
        terms.insert(0, terms.pop(first))
        node = self.build(terms[0])
        for term in terms[1:]:
            if _is_negative(term):
                node = self.call("-", node, self.build(-term))
            else:
                node = self.call("+", node, self.build(term))
        return node

    def product(self, e: sympy.Mul) -> Node:
        coefficient, rest = e.as_coeff_Mul()
        above: list[Node] = []
        below: list[Node] = []
        for factor in rest.as_ordered_factors():
            base, exponent = factor.as_base_exp()
            is_divisor = exponent.is_number and exponent.is_negative and base is not sympy.E
            if is_divisor and self.divides:
                below.append(self.power(base, -exponent))
            else:
                above.append(self.build(factor))
        unit = coefficient.is_Rational and coefficient.p in (1, -1) and coefficient.q != 1
        if unit and self.allows("/"):
            below.insert(0, Constant(float(coefficient.q)))  # x/3, not 0.333*x
            coefficient = sympy.Integer(coefficient.p)
        negative = coefficient == -1
        if coefficient not in (1, -1):
            above.insert(0, self.number(coefficient))
        if not above:
            above.append(Constant(-1.0 if negative else 1.0))
            negative = False
        if negative:
            if self.allows("neg"):
                above[0] = self.call("neg", above[0])
            else:
                above.insert(0, Constant(-1.0))
        if below and not self.allows("/"):
            inverse = self.call("inv", self.chain(below))
            return inverse if above == [Constant(1.0)] else self.chain([*above, inverse])
        node = self.chain(above)
        return self.call("/", node, self.chain(below)) if below else node

    def chain(self, factors: list[Node]) -> Node:
        node = factors[0]
        for factor in factors[1:]:
            node = self.call("*", node, factor)
        return node

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> Node:
        if base is sympy.E:
            return self.call("exp", self.build(exponent))
        if exponent.is_number and exponent.is_negative and self.divides:
            below = self.power(base, -exponent)
            if self.allows("/"):
                return self.call("/", Constant(1.0), below)
            return self.call("inv", below)
        node = self.build(base)
        if exponent == 1:
            return node
        named = {2: "square", 3: "cube"}.get(exponent)
        if named and self.operators is not None and self.allows(named):
            return self.call(named, node)
        halved = exponent.is_Rational and exponent.q == 2 and self.allows("sqrt")
        if halved and (exponent.p == 1 or not self.allows("^")):
            return self.call("sqrt", self.power(base, sympy.Integer(exponent.p)))
        if self.allows("^"):
            return self.call("^", node, self.build(exponent))
        if exponent.is_Integer and 2 <= exponent <= _MULTIPLIED_OUT:
            return self.multiplied(base, int(exponent))
        return self.call("^", node, self.build(exponent))

    def multiplied(self, base: sympy.Expr, exponent: int) -> Node:
        """A power without ``^``, by squaring and cubing where that is allowed."""
        for name, divisor in (("square", 2), ("cube", 3)):
            if exponent % divisor == 0 and self.allows(name):
                return self.call(name, self.power(base, sympy.Integer(exponent // divisor)))
        return self.chain([self.power(base, sympy.Integer(exponent - 1)), self.build(base)])


def _whole_numbers(expression: sympy.Expr) -> sympy.Expr:
    """Floats that are whole as integers: SymPy keeps ``1.0*x``, and drops ``1*x``."""
    whole = {f: sympy_number(float(f)) for f in expression.atoms(sympy.Float)}
    return expression.xreplace({f: n for f, n in whole.items() if n.is_Integer})


def _is_negative(term: sympy.Expr) -> bool:
    return bool(term.as_coeff_Mul()[0].is_negative)
