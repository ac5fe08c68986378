import math
import statistics
import time

import numpy as np
import pytest
import sympy
import torch
from helpers import GAUSS, assert_same_values, expressions
from hypothesis import example, given, settings
from hypothesis import strategies as st

from symtorch.errors import InputError
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.nodes import walk
from symtorch.symbolic.operators import OPERATORS
from symtorch.symbolic.parsing import parse_tree
from symtorch.symbolic.polynomial import shortest_as_written
from symtorch.symbolic.printing import exact
from symtorch.symbolic.simplify import simplify
from symtorch.symbolic.sympy_bridge import from_sympy, sympy_form

x, y, z = sympy.symbols("x y z")
E = Expression.parse


def names(expression):
    return {operator.name for operator in expression.operators}


@given(expressions(moderate=True, max_leaves=6))
@settings(max_examples=150)
def test_sympy_form_has_the_same_values(expression):
    """Against lambdify, which knows nothing of our own evaluation."""
    try:
        form = expression.sympy()
    except InputError:
        return  # max(sqrt(-1), x) and the like; tested below
    assert {symbol.name for symbol in form.free_symbols} <= {"x", "y"}
    if not form.has(sympy.nan, sympy.oo, sympy.zoo, sympy.Piecewise, sympy.I):
        assert_same_values(expression, Lambdified(expression, form))


class Lambdified(Expression):
    """Evaluates a SymPy form with SciPy, in the clothes of an expression."""

    def __init__(self, expression, form):
        super().__init__(expression.root)
        object.__setattr__(self, "function", sympy.lambdify((x, y), form, ["scipy", "numpy"]))

    def __call__(self, variables):
        with np.errstate(all="ignore"):
            value = self.function(*(column.numpy() for column in variables.values()))
        shape = np.broadcast_shapes(*(column.shape for column in variables.values()))
        return torch.as_tensor(np.broadcast_to(np.asarray(value, np.float64), shape).copy())


@given(expressions(moderate=True, max_leaves=8))
@settings(max_examples=200)
def test_round_trip_through_sympy_has_the_same_values(expression):
    try:
        again = Expression.from_sympy(expression.sympy())
    except InputError:
        return
    assert_same_values(expression, again)


@given(expressions(moderate=True, max_leaves=12))
@settings(max_examples=300)
@example(E("x*x + x*x + y*0"))
@example(E("sqrt(x)*sqrt(x)"))
@example(E("sqrt(x*x)"))
@example(E("log(exp(x)) + exp(log(x))"))
@example(E("asin(sin(x)) + sin(asin(x))"))
@example(E("(x**2)**0.5 + (x*y)**0.5"))
@example(E("mod(x + 3, 3) + mod(-x, 2)"))
@example(E("max(x, x + 1) + min(x, -x)"))
@example(E("atan2(y, x) + tan(atan2(y, x))"))
@example(E("abs(x**2) + sign(x)*abs(x)"))
def test_simplify_keeps_the_values_and_gets_no_longer(expression):
    simple = expression.simplify()
    assert simple.complexity() <= expression.complexity()
    assert names(simple) <= names(expression) | {"+", "-", "*"}
    assert set(simple.variables) <= set(expression.variables)
    assert_same_values(expression, simple)


@given(expressions(max_leaves=8))
@settings(max_examples=100)
def test_simplify_bears_any_constant(expression):
    assert expression.simplify().complexity() <= expression.complexity()


@given(expressions(moderate=True))
@settings(max_examples=60)
def test_simplify_follows_the_rule_and_keeps_to_the_operators(expression):
    rule = ComplexityRule(operators={"sin": 5, "*": 3}, constants=2, variables={"x": 4})
    simple = expression.simplify(rule, operators=())
    assert simple.complexity(rule) <= expression.complexity(rule)
    assert names(simple) <= names(expression)


SIMPLIFIED = {
    "1*x": "x",
    "x*1 + 0": "x",
    "1.0*x + 0.0*y": "x",
    "x + 0*y": "x",
    "0.5*x + 0.5*x": "x",
    "0.5*x - 0.5*x + y": "y",
    "x/1": "x",
    "x**1": "x",
    "x**0.5*x**0.5": "x",
    "x + x + x": "3*x",
    "2*x + 3*x + y": "5*x + y",
    "x + -1*y": "x - y",
    "-(-x)": "x",
    "2*(3*(4*x))": "24*x",
    "(x + 2) + 3": "x + 5",
    "(x + 1) - (x - 1)": "2",
    "x/y*y": "x",
    "x*x*x*x**2": "x**5",
    "exp(log(x))": "x",
    "sin(x)*2 + sin(x)": "3*sin(x)",
    "sigmoid(x) + sigmoid(x)*2": "3*sigmoid(x)",
    "gauss(x + 0)*1": "gauss(x)",
    "gauss(x) - gauss(x) + y": "y",
    "relu(2*x + x)": "relu(3*x)",
    "log1p(x*1) + 0": "log1p(x)",
    "greater(x + 0, y)*1": "greater(x, y)",
    "2 + 3*4": "14",
    "sin(0) + x": "x",
    "square(square(x))*1": "square(square(x))",
    "square(x)*square(x)*1": "square(square(x))",
    "inv(inv(x))": "x",
    "y*inv(x)*1": "y*inv(x)",
    "x*2/4": "x/2",
    "0.1*x + 0.2*x": "0.3*x",
}


@pytest.mark.parametrize("text", SIMPLIFIED)
def test_simplify_examples(text):
    simple = E(text, operators={"gauss": GAUSS}).simplify()
    assert simple.pretty() == E(SIMPLIFIED[text], operators={"gauss": GAUSS}).pretty()


@pytest.mark.parametrize("name", list(OPERATORS))
def test_simplify_keeps_each_operator_as_it_is(name):
    arguments = "x" if OPERATORS[name].arity == 1 else "x, y"
    expression = E(f"{name}({arguments})" if name.isidentifier() else f"x {name} y")
    padded = E(f"({expression})*1 + 0*y")
    assert padded.simplify() == expression


@pytest.mark.parametrize(
    "text",
    ["max(sqrt(-1), x)", "mod(x, 0)", "cond(log(-1), x)", "1/0 + x", "0**(-1)*x", "acos(2)*x"],
)
def test_forms_sympy_cannot_hold_stay(text):
    assert str(E(text).simplify()) == text


@pytest.mark.parametrize("text", ["max(sqrt(-1), x)", "cond(log(-1), x)"])
def test_forms_sympy_cannot_hold_are_input_errors(text):
    with pytest.raises(InputError, match="SymPy cannot express"):
        E(text).sympy()


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        (None, "x**2"),
        (["^", "*"], "x**2"),
        (["^", "square"], "square(x)"),
        (["square"], "square(x)"),
        (["*"], "x*x"),
    ],
)
def test_allowed_operators_choose_the_form_of_a_square(operators, expected):
    assert str(Expression.from_sympy(x**2, operators)) == expected


@pytest.mark.parametrize(
    ("form", "operators", "expected"),
    [
        (x**3, ["cube"], "cube(x)"),
        (x**4, ["*"], "x*x*x*x"),
        (x**4, ["square"], "square(square(x))"),
        (x**6, ["square", "cube"], "square(cube(x))"),
        (x**5, ["square", "*"], "square(square(x))*x"),
        (1 / x, ["inv"], "inv(x)"),
        (1 / x, ["/"], "1/x"),
        (1 / x, ["^"], "x**(-1)"),
        (y / x, ["inv", "*"], "y*inv(x)"),
        (y / x, ["/"], "y/x"),
        (y / x, ["^", "*"], "x**(-1)*y"),
        (y / x**2, ["/", "square"], "y/square(x)"),
        (sympy.sqrt(x), ["sqrt"], "sqrt(x)"),
        (sympy.sqrt(x), ["^"], "x**0.5"),
        (1 / sympy.sqrt(x), ["sqrt", "/"], "1/sqrt(x)"),
        (x ** sympy.Rational(3, 2), ["sqrt", "cube"], "sqrt(cube(x))"),
        (x ** sympy.Rational(3, 2), None, "x**1.5"),
        (-x, ["neg"], "-x"),
        (-x, ["*"], "-1*x"),
        (x / 4, ["/"], "x/4"),
        (x / 4, ["*"], "0.25*x"),
        (x - y, ["-"], "x - y"),
        (sympy.Max(x, y, z), None, "max(max(x, y), z)"),
        (sympy.Max(0, x), None, "max(0, x)"),
        (sympy.exp(-x), None, "exp(-x)"),
        (sympy.sqrt(2) * x, None, "1.4142135623730951*x"),
        (sympy.Piecewise((1, x > y), (0, True)), None, "greater(x, y)"),
        (sympy.Piecewise((y, x > 0), (0, True)), None, "cond(x, y)"),
    ],
)
def test_from_sympy(form, operators, expected):
    assert str(Expression.from_sympy(form, operators)) == expected


@pytest.mark.parametrize(
    ("form", "operators", "message"),
    [
        (sympy.gamma(x), None, "no operator stands for SymPy's gamma in gamma(x)"),
        (sympy.Function("f")(x), None, "no operator stands for SymPy's f in f(x)"),
        (sympy.Derivative(sympy.Function("f")(x), x), None, "Derivative"),
        (sympy.I * x, None, "not a finite real number: I"),
        (sympy.oo + x, None, "not a finite real number: oo"),
        (sympy.nan, None, "not a finite real number: nan"),
        (sympy.zoo, None, "not a finite real number: zoo"),
        (sympy.Integer(10) ** 400, None, "not a finite real number"),
        (x**13, ["*"], "needs operator '^', which is not allowed here"),
        (x + y, ["*"], "needs operator '+'"),
        (sympy.sin(x), ["cos"], "needs operator 'sin'"),
        (sympy.Piecewise((y, x > 0), (z, True)), None, "no operator stands for Piecewise"),
        (sympy.Eq(x, y), None, "Equality"),
    ],
)
def test_from_sympy_refuses(form, operators, message):
    with pytest.raises(InputError) as caught:
        Expression.from_sympy(form, operators)
    assert message in str(caught.value)


def test_custom_operators_by_function_name():
    node = from_sympy(sympy.Function("gauss")(2 * x), custom={"gauss": GAUSS})
    assert exact(node) == "gauss(2*x)"


def test_custom_operators_are_written_out_in_sympy():
    assert sympy_form(E("gauss(2*y)", operators={"gauss": GAUSS}).root) == sympy.exp(-4 * y**2)
    nested = define_operator("ratio(a, b) = a/(1 + b^2)")
    form = E("ratio(x, ratio(y, x))", operators={"ratio": nested}).sympy()
    assert sympy.simplify(form - x / (1 + (y / (1 + x**2)) ** 2)) == 0


def test_mod_of_a_multiple():
    """SymPy's own Mod takes -0.1*y for a remainder."""
    expression = E("mod(-0.1*y, y) + 0*x")
    assert expression.sympy().subs(y, 2) == pytest.approx(1.8)
    assert float(expression.simplify()({"y": 2.0})) == pytest.approx(1.8)


def test_simplify_takes_milliseconds():
    text = (
        "((0.5*x + 2*y)*sin(3*x*y + 1) + exp(-0.5*x*x)*(y + x - 0.3)/(1 + x*x)"
        " + 2.5*x*y - 3*cos(x/2))"
    )
    expression = E(text)
    assert expression.complexity() > 40
    times = []
    for step in range(7):
        # Other constants each time: SymPy remembers what it has seen.
        fresh = expression.with_constants([c + step / 7 for c in expression.constants])
        started = time.process_time()
        fresh.simplify()
        times.append(time.process_time() - started)
    assert statistics.median(times) < 0.25


# ---------------------------------------------------------------- long polynomials

MONOMIALS = ["x", "y", "z", "x*y", "x*z", "y*z", "square(x)", "y**3", "x*y*z", "square(x)*z"]


def size(node):
    return sum(1 for _ in walk(node))


@given(st.lists(st.sampled_from(MONOMIALS), min_size=12, max_size=24), st.booleans())
def test_long_polynomials_are_as_short_as_sympy_makes_them(monomials, constant):
    text = " + ".join(f"{i + 0.5}*{monomial}" for i, monomial in enumerate(monomials))
    tree = parse_tree(text + " - 2.5" * constant)
    found = simplify(tree, size, {"square", "+", "-", "*", "^"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("symtorch.symbolic.simplify._LONG", math.inf)
        assert size(found) == size(simplify(tree, size, {"square", "+", "-", "*", "^"}))
    # Only what has like terms, or a factor in common, is changed.
    assert (found == tree) == (len(set(monomials)) == len(monomials))


@pytest.mark.parametrize(
    "text",
    [
        "2*x + 3*x",
        "x*y + 1*x + 2",
        "0*x + 2",
        "2*x*x + 1",
        "2*3*x + 1",
        "x**2 + 1",
        "x**2.5 + 1",
        "2*x*y + 3*x",
        "sin(x) + 1",
        "1 + x + 2",
    ],
)
def test_what_can_be_shorter_is_not_the_shortest(text):
    assert not shortest_as_written(parse_tree(text), {"square", "^"})
