import math
import time
import tracemalloc

import pytest
from helpers import GAUSS
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch.errors import InputError, UnsupportedTypeError
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.names import check_names
from symtorch.symbolic.nodes import Call, Constant, Variable
from symtorch.symbolic.operators import OPERATORS
from symtorch.symbolic.parsing import MAX_DEPTH, MAX_TEXT, parse_tree


def value(text, **variables):
    """An equation's value, at numbers."""
    return float(Expression.parse(text)(variables))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 3*4", 14),
        ("2 - 3 - 4", -5),
        ("24/4/2", 3),
        ("2^3^2", 512),
        ("2**3**2", 512),
        ("(2^3)^2", 64),
        ("2*3^2", 18),
        ("1 + 2^2", 5),  # Python's own ^ would bind below +
        ("-3^2", -9),
        ("(-3)^2", 9),
        ("2^-1", 0.5),
        ("--3", 3),
        ("+3", 3),
        ("2*-3", -6),
        ("2 - -3", 5),
        ("-2*3", -6),
        ("1e-3", 0.001),
        (".5 + 1.", 1.5),
        ("1_000", 1000),
        ("  7 ", 7),
        ("(1\n + 2)", 3),
        ("pow(2, 3)", 8),
        ("max(2, 3) - min(2, 3)", 1),
        ("mod(-1, 3)", 2),
        ("cond(1, 5) + cond(-1, 5)", 5),
        ("greater(2, 1) + less(2, 1)", 1),
        ("ln(E)", 1),
        ("cos(pi)", -1),
        ("log2(8) + log10(100)", 5),
    ],
)
def test_values(text, expected):
    assert value(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-2", Constant(-2.0)),
        ("-x", Call(OPERATORS["neg"], (Variable("x"),))),
        ("neg(2)", Call(OPERATORS["neg"], (Constant(2.0),))),
        ("+x", Variable("x")),
        ("x^2", Call(OPERATORS["^"], (Variable("x"), Constant(2.0)))),
        ("x - 2", Call(OPERATORS["-"], (Variable("x"), Constant(2.0)))),
        ("pi", Constant(math.pi)),
        ("arcsin(x)", Call(OPERATORS["asin"], (Variable("x"),))),
        ("3", Constant(3.0)),
        ("θ", Variable("θ")),
        ("add", Variable("add")),
    ],
)
def test_trees(text, expected):
    assert parse_tree(text) == expected


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x0 ^ 2 * x1", "(x0**2)*x1"),
        ("-x0 ^ 2", "-(x0**2)"),
        ("2 ^ x0 ^ x1", "2**(x0**x1)"),
        ("x0 + x1 ^ 2 - x2", "(x0 + (x1**2)) - x2"),
        ("x0 / x1 ^ -2.5", "x0/(x1**(-2.5))"),
        ("square(x0 ^ 3) ^ 0.5", "square(x0**3)**0.5"),
    ],
)
def test_caret_binds_as_in_pysr(text, same):
    assert parse_tree(text) == parse_tree(same)


def test_named_numbers_are_variables_where_declared():
    assert parse_tree("E") == Constant(math.e)
    assert parse_tree("E*pi", ["E"]) == Call(OPERATORS["*"], (Variable("E"), Constant(math.pi)))
    assert parse_tree("pi", ["pi"]) == Variable("pi")
    assert parse_tree("pi", []) == Constant(math.pi)


def test_custom_operators():
    assert parse_tree("gauss(x)", ["x"], {"gauss": GAUSS}) == Call(GAUSS, (Variable("x"),))


REFUSED = {
    "x.real": "'x.real' is not allowed",
    "x.__class__": "'x.__class__' is not allowed",
    "().__class__.__bases__[0]": "is not allowed",
    "sin.func(x)": "'sin.func(x)' is not allowed",
    "x[0]": "'x[0]' is not allowed",
    "lambda: 3": "'lambda: 3' is not allowed",
    "(lambda x: x)(3)": "'(lambda x: x)(3)' is not allowed",
    "[x for x in (1, 2)]": "'[x for x in (1, 2)]' is not allowed",
    "sum(x for x in y)": "unknown operator 'sum'",
    "sin(x for x in y)": "'(x for x in y)' is not allowed",
    "{1: 2}": "'{1: 2}' is not allowed",
    "{1, 2}": "'{1, 2}' is not allowed",
    "(1, 2)": "'(1, 2)' is not allowed",
    "[1]": "'[1]' is not allowed",
    "__import__('os').system('true')": "__import__('os')",
    "__import__('os')": "unknown operator '__import__'",
    "eval('1')": "unknown operator 'eval'",
    "exec('1')": "unknown operator 'exec'",
    "open('f')": "unknown operator 'open'",
    "f'{x}'": "is not allowed",
    "(y := 3)": "'y := 3' is not allowed",
    "y = 3": "not an equation: 'y = 3'",
    "x; y": "not an equation: 'x; y'",
    "x\ny": "not an equation",
    "import os": "not an equation: 'import os'",
    "await x": "is not allowed",
    "(yield x)": "is not allowed",
    "1j": "'1j' is not allowed",
    "2 + 3j*x": "'3j' is not allowed",
    "nan": "'nan' is not a finite number",
    "x + inf": "'inf' is not a finite number",
    "1e400": "number out of range in '1e400'",
    "-1e999": "number out of range",
    "0x" + "f" * 400: "number out of range",
    "9" * 5000: "not an equation",
    "'x'": "\"'x'\" is not allowed",
    "b'x'": "\"b'x'\" is not allowed",
    "x + 'a'*9": "\"'a'\" is not allowed",
    "True": "'True' is not allowed",
    "x + False": "'False' is not allowed",
    "None": "'None' is not allowed",
    "...": "'...' is not allowed",
    "x < 3": "'x < 3' is not allowed",
    "x == 3": "'x == 3' is not allowed",
    "x and y": "'x and y' is not allowed",
    "not x": "'not x' is not allowed",
    "x if y else 3": "'x if y else 3' is not allowed",
    "x in y": "'x in y' is not allowed",
    "x // 2": "'x // 2' is not allowed",
    "x % 2": "'x % 2' is not allowed",
    "x @ y": "'x @ y' is not allowed",
    "x << 2": "'x << 2' is not allowed",
    "x | y": "'x | y' is not allowed",
    "x & y": "'x & y' is not allowed",
    "~x": "'~x' is not allowed",
    "sin(*x)": "'*x' is not allowed",
    "max(*x, y)": "'*x' is not allowed",
    "sin(**x)": "is not allowed",
    "sin(x=3)": "'sin(x=3)' is not allowed",
    "sin()": "operator 'sin' takes 1 argument(s), got 0 in 'sin()'",
    "sin(x, y)": "operator 'sin' takes 1 argument(s), got 2",
    "max(x)": "operator 'max' takes 2 argument(s), got 1",
    "sin": "operator 'sin' used without arguments in 'sin'",
    "sin + 3": "operator 'sin' used without arguments",
    "3(x)": "'3(x)' is not allowed",
    "sni(x)": "unknown operator 'sni'; did you mean 'sin'?",
    "": "not an equation: ''",
    "   ": "not an equation",
    "# nothing": "not an equation",
    "x +": "not an equation: 'x +'",
    "2x": "not an equation: '2x'",
    "x ^^ 2": "not an equation: 'x ^^ 2'",
    "x *^ 2": "not an equation: 'x *^ 2'",
    "x y": "not an equation",
    "(x": "not an equation",
    "x)": "not an equation",
    "x\x00": "not an equation",
    "\ud800": "not an equation",
    "x − 1": "not an equation",  # a minus sign of typography  # noqa: RUF001
    "１ + 2": "not an equation",  # a full-width digit  # noqa: RUF001
    "lambda": "not an equation",
}


@pytest.mark.parametrize("text", REFUSED, ids=[f"{text[:24]!a}" for text in REFUSED])
def test_refused_with_the_piece_quoted(text):
    with pytest.raises(InputError) as caught:
        parse_tree(text)
    assert REFUSED[text] in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["х + 1", "ѕin(x)", "x\u200d + 1"])  # noqa: RUF001
def test_look_alikes_are_no_declared_names(text):
    with pytest.raises(InputError):
        parse_tree(text, ["x"])


def test_unknown_variable_lists_and_suggests():
    with pytest.raises(InputError) as caught:
        parse_tree("velocty*2", ["velocity", "mass"])
    message = str(caught.value)
    assert "unknown variable 'velocty' in 'velocty*2'; did you mean 'velocity'?" in message
    assert "known: mass, velocity" in message
    with pytest.raises(InputError, match="known: none"):
        parse_tree("x", [])


@pytest.mark.parametrize("thing", [3, None, b"x", ["x"]])
def test_only_text(thing):
    with pytest.raises(UnsupportedTypeError, match="must be text, not"):
        parse_tree(thing)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000 + "x" + ")" * 10_000,
        "[" * 10_000,
        "sin(" * 10_000 + "x" + ")" * 10_000,
        "-" * 50_000 + "x",
        "x" + " + x" * 10_000,
        "x" + "**x" * 10_000,
        "sin(" * 150 + "-" * 150 + "x" + ")" * 150,
        "x" * (MAX_TEXT + 1),
        "9" * MAX_TEXT,
        "x." + "a." * 10_000 + "b",
        "x + " * 5_000 + "'",
    ],
    ids=lambda text: f"{text[:8]}x{len(text)}",
)
def test_monsters_are_refused_quickly_and_in_few_words(text):
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        parse_tree(text)
    assert len(str(caught.value)) < 400
    assert time.process_time() - started < 2


def test_depth_up_to_the_limit_is_read():
    deep = "sin(" * (MAX_DEPTH // 2) + "x" + ")" * (MAX_DEPTH // 2)
    assert str(Expression.parse(deep)) == deep


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9**9**9**9", math.inf),
        ("9**-(9**9**9)", 0.0),
        ("-9**9**9", -math.inf),
        ("exp(exp(exp(exp(9))))", math.inf),
        ("0.999999**100000000", math.exp(1e8 * math.log1p(-1e-6))),
        ("square(" * 30 + "0.999999" + ")" * 30, 0.0),
        ("1/9**9**9**9", 0.0),
    ],
)
def test_towers_of_powers_neither_hang_nor_grow(text, expected):
    tracemalloc.start()
    started = time.process_time()
    expression = Expression.parse(text)
    assert float(expression({})) == pytest.approx(expected, rel=1e-6)
    assert float(expression.sympy()) == pytest.approx(expected, rel=1e-6)
    assert float(expression.simplify()({})) == pytest.approx(expected, rel=1e-6)
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_powers_of_a_variable_do_not_multiply_out_their_coefficient():
    started = time.process_time()
    Expression.parse("(3*x)**100000000000000").simplify()
    assert time.process_time() - started < 2


@given(st.text(max_size=40) | st.text(alphabet="xsin0123456789.e+-*/^()[]{}:=,'_ \n", max_size=40))
@settings(max_examples=300)
def test_any_text_is_an_equation_or_an_input_error(text):
    try:
        expression = Expression.parse(text)
    except InputError:
        return
    assert Expression.parse(str(expression)) == expression


class TestCheckNames:
    def test_returns_them(self):
        assert check_names(["x0", "θ", "E", "pi", "_", "div", "match"]) == (
            *("x0", "θ", "E", "pi", "_", "div", "match"),
        )

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["x", "a b"], "'a b' cannot be the name of a variable; use letters, digits and _"),
            (["2x"], "'2x' cannot"),
            ([""], "'' cannot"),
            (["a.b"], "'a.b' cannot"),
            (["x\n"], "cannot"),
            (["lambda"], "'lambda' cannot"),
            (["None"], "'None' cannot"),
            ([3], "3 cannot"),
            ([None], "None cannot"),
            (["x" * 999 + "!"], "xxx..."),
            (["sin"], "'sin' is an operator"),
            (["gauss"], "'gauss' is an operator"),
            (["nan"], "'nan' is a number"),
            (["inf"], "'inf' is a number"),
            (["x", "y", "x"], "variable name 'x' is there twice"),
            ("xyz", "must be a list of names; got the text 'xyz'"),
            (["µ"], "variable name 'µ' would be read as 'μ'"),
        ],
    )
    def test_names_the_culprit(self, names, message):
        with pytest.raises(InputError) as caught:
            check_names(names, operators=["gauss"])
        assert message in str(caught.value)
        assert len(str(caught.value)) < 300

    @given(st.lists(st.text(max_size=6), max_size=4))
    def test_what_passes_can_be_used(self, names):
        try:
            names = check_names(names)
        except InputError:
            return
        for name in names:
            assert parse_tree(f"2*{name}", names).args[1] == Variable(name)
