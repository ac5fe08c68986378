import math

import pytest
from helpers import GAUSS, HYPOTENUSE, expressions, trees
from hypothesis import example, given, settings

from symtorch.symbolic.expression import Expression
from symtorch.symbolic.nodes import Call, Constant, Variable, walk
from symtorch.symbolic.operators import OPERATORS
from symtorch.symbolic.printing import exact, readable

CUSTOM = {"gauss": GAUSS, "hypot": HYPOTENUSE}
X, Y = Variable("x"), Variable("y")


def call(name, *args):
    """A tree from names, trees and numbers."""
    return Call(OPERATORS[name], tuple(Constant(a) if isinstance(a, float) else a for a in args))


def signed(node):
    """The constants with their signs, which ``-0.0 == 0.0`` does not compare."""
    return [(n.value, math.copysign(1, n.value)) for n in walk(node) if isinstance(n, Constant)]


@given(trees())
@settings(max_examples=500)
@example(call("^", call("^", X, 2.0), 3.0))
@example(call("^", X, call("^", 2.0, 3.0)))
@example(call("^", -2.0, 2.0))
@example(call("neg", call("^", 2.0, 2.0)))
@example(call("^", call("neg", X), 2.0))
@example(call("neg", call("neg", -2.0)))
@example(call("neg", call("*", -2.0, X)))
@example(call("-", X, call("-", X, Y)))
@example(call("-", call("neg", X), call("neg", Y)))
@example(call("/", X, call("*", X, Y)))
@example(call("*", -0.0, X))
@example(call("^", -0.0, -0.0))
@example(call("+", -1e-300, -1e300))
def test_exact_text_parses_back_to_the_same_tree(tree):
    again = Expression.parse(exact(tree), ["x", "y"], CUSTOM).root
    assert again == tree
    assert signed(again) == signed(tree)


@pytest.mark.parametrize(
    "text",
    [
        "x0**2 + 3*sin(x4) - 4",
        "-1.5*x + 2",
        "-x**2",
        "(-x)**2",
        "(-3)**2",
        "-3 + x",
        "x - (-3)",
        "x*(-3)",
        "x**(-3)",
        "(x**2)**3",
        "x**(2**3)",
        "x - (y - z)",
        "x/(y*z)",
        "x/y/z",
        "-(x*y)",
        "-x*y",
        "neg(3)",
        "--x",
        "2*(x + y)",
        "max(x, -y)",
        "0.1 + 1e-05*x",
        "1e+16 + 1e+20",
        "1000000000000000*x",
        "square(x) + cube(y)",
        "-0.0*x",
    ],
)
def test_exact_text_is_normal(text):
    assert str(Expression.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "digits", "expected"),
    [
        ("3.14159265*square(x0) + -1.5", 3, "3.14*x0**2 - 1.5"),
        ("-2.00001*x + y", 4, "-2*x + y"),
        ("x + -2*y", 4, "x - 2*y"),
        ("x - -2*y", 4, "x + 2*y"),
        ("x + -2*y*z", 4, "x - 2*y*z"),
        ("x + -2*y/z", 4, "x - 2*y/z"),
        ("x + -2/z", 4, "x - 2/z"),
        ("x + neg(y)", 4, "x - y"),
        ("x - neg(y + z)", 4, "x + (y + z)"),
        ("x - -3", 4, "x + 3"),
        ("x + neg(-3)", 4, "x - (-3)"),
        ("inv(x)", 4, "1/x"),
        ("inv(x + 1)", 4, "1/(x + 1)"),
        ("inv(x*y)", 4, "1/(x*y)"),
        ("y*inv(x)", 4, "y*(1/x)"),
        ("inv(x)**2", 4, "(1/x)**2"),
        ("inv(inv(x))", 4, "1/(1/x)"),
        ("cube(x + 1)", 4, "(x + 1)**3"),
        ("square(square(x))", 4, "(x**2)**2"),
        ("square(neg(x))", 4, "(-x)**2"),
        ("square(-3)", 4, "(-3)**2"),
        ("123456.789*x", 4, "1.235e+05*x"),
        ("0.000012345", 3, "1.23e-05"),
        ("gauss(1.23456*x)", 3, "gauss(1.23*x)"),
    ],
)
def test_readable(text, digits, expected):
    assert readable(Expression.parse(text, operators=CUSTOM).root, digits) == expected


@given(expressions(moderate=True))
@settings(max_examples=200)
def test_readable_text_at_full_precision_has_the_same_values(expression):
    again = Expression.parse(expression.pretty(digits=17), ["x", "y"], CUSTOM)
    at = {"x": 0.7, "y": -1.3}
    expected, value = float(expression(at)), float(again(at))
    # cube(x) is x*x*x, x**3 is a power: they may differ in the last digit.
    if math.isfinite(expected) and abs(expected) < 1e100 and not unstable(expression):
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-9)


def unstable(expression):
    """Whether a last digit can decide: steps, and what amplifies without bound."""
    names = {operator.name for operator in expression.operators}
    return names & {"mod", "floor", "ceil", "sign", "greater", "less", "cond", "tan", "atan2"}


def test_a_long_sum_prints_flat():
    text = " + ".join(f"{i}*x{i}" for i in range(2, 90))
    assert str(Expression.parse(text)) == text
