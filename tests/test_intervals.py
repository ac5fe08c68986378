"""Interval arithmetic: sound against Arb's balls and against sampling, and no wider than needed."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
import torch
from helpers import GAUSS, HYPOTENUSE, expressions
from hypothesis import given, settings
from hypothesis import strategies as st

from symtorch import Expression
from symtorch.symbolic.nodes import Call, Variable
from symtorch.symbolic.operators import OPERATORS
from symtorch.trust.intervals import ACTIVATIONS, RULES, Interval, enclose
from symtorch.trust.intervals import elementary as f

needs_flint = pytest.mark.skipif(
    importlib.util.find_spec("flint") is None,
    reason="python-flint is not installed: pip install python-flint",
)
UNARY = sorted(name for name, operator in OPERATORS.items() if operator.arity == 1)
BINARY = sorted(name for name, operator in OPERATORS.items() if operator.arity == 2)
SMOOTH = sorted(name for name, rule in {**RULES, **ACTIVATIONS}.items() if rule.first)
CASES = 250
"""Boxes an operator; over 45 operators and up to 3 points a box there are over 10,000 cases."""


def boxes(count: int, seed: int = 0) -> Interval:
    """Intervals of all sizes: some are points, some reach zero, some are far out."""
    rng = np.random.default_rng(seed)
    centre = rng.choice([-1, 1], count) * 10 ** rng.uniform(-6, 3, count)
    centre[: count // 2] = rng.uniform(-4, 4, count // 2)
    radius = 10 ** rng.uniform(-15, 1, count)
    radius[::7] = 0
    low, high = centre - radius, centre + radius
    low[::11] = np.round(low[::11])
    low[5::11] = np.minimum(0.0, high[5::11])
    return Interval.of(torch.tensor(low), torch.tensor(np.maximum(low, high)))


def inside(box: Interval, fractions: tuple[float, ...] = (0.0, 0.37, 1.0)) -> list[torch.Tensor]:
    """Points of boxes, ends included."""
    points = [box.lower + (box.upper - box.lower) * fraction for fraction in fractions]
    return [point.clamp(box.lower, box.upper) for point in points]


def arb_meaning() -> dict:
    """Each operator in Arb, on exact points."""
    from flint import arb

    def power(x, y):
        number = float(y)
        if number.is_integer() and abs(number) < 1e6:
            if number < 0 and x == 0:
                return arb("nan")
            return x ** int(number)
        if float(x) < 0:
            return arb("nan")
        return (arb(0) if number > 0 else arb("nan")) if x == 0 else x**y

    def truth(value):
        return arb(1) if value else arb(0)

    def logarithm(base):
        return lambda x: x.log() / arb(base).log() if x > 0 else arb("nan")

    def cube_root(x):
        root = abs(x).root(3)
        return root if x >= 0 else -root

    normal = lambda x: (-(x * x) / 2).exp() / (2 * arb.pi()).sqrt()  # noqa: E731
    share = lambda x: (-x / arb(2).sqrt()).erfc() / 2  # noqa: E731
    sigmoid = lambda x: 1 / (1 + (-x).exp())  # noqa: E731
    return {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "/": lambda x, y: x / y,
        "^": power,
        "max": lambda x, y: x.max(y),
        "min": lambda x, y: x.min(y),
        "mod": lambda x, y: x - y * (x / y).floor(),
        "atan2": lambda x, y: arb.atan2(x, y),
        "cond": lambda x, y: y if x > 0 else arb(0),
        "greater": lambda x, y: truth(x > y),
        "less": lambda x, y: truth(x < y),
        "neg": lambda x: -x,
        "abs": abs,
        "sign": lambda x: x.sgn(),
        "inv": lambda x: 1 / x,
        "square": lambda x: x * x,
        "cube": lambda x: x * x * x,
        "sqrt": lambda x: x.sqrt(),
        "cbrt": cube_root,
        "log2": logarithm(2),
        "log10": logarithm(10),
        "log1p": lambda x: x.log1p() if x > -1 else arb("nan"),
        "log": lambda x: x.log() if x > 0 else arb("nan"),
        "relu": lambda x: x.max(arb(0)),
        "sigmoid": sigmoid,
        "softplus": lambda x: (1 + x.exp()).log() if x < 50 else x + (-x).exp().log1p(),
        "floor": lambda x: x.floor(),
        "ceil": lambda x: x.ceil(),
        "silu": lambda x: x * sigmoid(x),
        "gelu": lambda x: x * share(x),
        "normal": normal,
        **{
            name: getattr(arb, name)
            for name in (
                *("exp", "expm1", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh"),
                *("tanh", "asinh", "acosh", "atanh", "erf", "erfc"),
            )
        },
    }


def escapes(meaning, box: tuple[float, float], point: tuple[float, ...]) -> bool:
    """Whether Arb's ball of the exact value lies outside an interval."""
    from flint import arb, ctx

    before, ctx.prec = ctx.prec, 400
    try:
        value = meaning(*(arb(p) for p in point))
        if not value.is_finite():
            return False
        return bool(value < arb(box[0]) or value > arb(box[1]))
    finally:
        ctx.prec = before


# ------------------------------------------------------------------------------ the table


def test_there_is_a_rule_for_each_operator_and_no_other():
    assert set(RULES) == set(OPERATORS)


def test_each_smooth_rule_has_two_derivatives():
    assert {name for name in RULES if RULES[name].first} == {
        name for name in RULES if RULES[name].second
    }


@needs_flint
@pytest.mark.parametrize("name", [*UNARY, *ACTIVATIONS])
def test_range_of_one_argument_has_arbs_value(name):
    rule = {**RULES, **ACTIVATIONS}[name]
    x = boxes(CASES)
    out = rule.value(x)
    meaning = arb_meaning()[name]
    for points in inside(x):
        rows = zip(out.lower.tolist(), out.upper.tolist(), points.tolist(), strict=True)
        wrong = [row for row in rows if escapes(meaning, row[:2], row[2:])]
        assert not wrong, wrong[:3]


@needs_flint
@pytest.mark.parametrize("name", BINARY)
def test_range_of_two_arguments_has_arbs_value(name):
    x, y = boxes(CASES, 1), boxes(CASES, 2)
    if name == "^":  # moderate powers; half of them whole
        y = Interval(y.lower.clamp(-9, 9), y.upper.clamp(-9, 9))
        y.lower[::2] = y.upper[::2] = y.lower[::2].round()
    out = RULES[name].value(x, y)
    meaning = arb_meaning()[name]
    for fractions in ((0.0, 0.0), (0.3, 0.8), (1.0, 0.0), (1.0, 1.0)):
        (a,), (b,) = inside(x, fractions[:1]), inside(y, fractions[1:])
        columns = [t.tolist() for t in (out.lower, out.upper, a, b)]
        rows = zip(*columns, strict=True)
        wrong = [row for row in rows if escapes(meaning, row[:2], row[2:])]
        assert not wrong, wrong[:3]


@needs_flint
@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives_have_arbs_value(name, order):
    from flint import arb, ctx

    rule = {**RULES, **ACTIVATIONS}[name]
    x = boxes(100, 3)
    x = Interval(x.lower.clamp(-30, 30), x.upper.clamp(-30, 30))
    out = getattr(rule, order)(x)
    meaning, number = arb_meaning()[name], {"first": 1, "second": 2}[order]
    before, ctx.prec = ctx.prec, 500
    try:
        for points in inside(x):
            rows = zip(out.lower.tolist(), out.upper.tolist(), points.tolist(), strict=True)
            for low, high, point in rows:
                step = arb(2) ** -100
                at = [meaning(arb(point) + k * step) for k in (-1, 0, 1)]
                slope = (at[2] - at[0]) / (2 * step)
                value = slope if number == 1 else (at[2] - 2 * at[1] + at[0]) / step**2
                if not value.is_finite() or abs(value) > 1e25 or (name == "cbrt" and point == 0):
                    continue  # at a pole or beside it, where a difference is no derivative
                # The difference is off by step**2 times a higher derivative.
                slack = arb(2) ** -60 * (1 + abs(value))
                assert value + slack > low, (low, high, point, value)
                assert value - slack < high, (low, high, point, value)
    finally:
        ctx.prec = before


# -------------------------------------------------------------------------- tight enough


@pytest.mark.parametrize("name", SMOOTH)
def test_a_point_stays_nearly_a_point(name):
    rule = {**RULES, **ACTIVATIONS}[name]
    low, high = {"acosh": (1.1, 3.0)}.get(name, (0.1, 0.9))
    x = Interval.of(torch.linspace(low, high, 50, dtype=torch.float64))
    for function in (rule.value, rule.first, rule.second):
        out = function(x)
        assert (out.upper - out.lower).max() < 1e-12 * out.magnitude.max() + 1e-10


@pytest.mark.parametrize("name", SMOOTH)
def test_ranges_are_no_wider_than_the_sampled_ones(name):
    rule = {**RULES, **ACTIVATIONS}[name]
    low, high = {"acosh": (1.2, 3.0), "log1p": (-0.5, 2.0)}.get(name, (0.15, 0.8))
    x = Interval.of(torch.tensor(low).double(), torch.tensor(high).double())
    points = Interval.of(torch.linspace(low, high, 2001, dtype=torch.float64))
    for function in (rule.value, rule.first, rule.second):
        out, sampled = function(x), function(points)
        width = sampled.upper.max() - sampled.lower.min()
        assert out.upper - out.lower <= 1.001 * width + 1e-9


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "silu", "gelu"])
def test_activations_have_exact_ranges_over_everything(name):
    rule = {**RULES, **ACTIVATIONS}[name]
    points = Interval.of(torch.linspace(-8, 8, 20001, dtype=torch.float64))
    for function in (rule.value, rule.first, rule.second):
        for low, high in ((-8.0, 8.0), (-3.0, 1.0), (-0.5, 4.0)):
            part = (points.lower >= low) & (points.lower <= high)
            out = function(Interval.of(low, high))
            values = function(points)
            assert out.lower == pytest.approx(float(values.lower[part].min()), abs=1e-6)
            assert out.upper == pytest.approx(float(values.upper[part].max()), abs=1e-6)


# ---------------------------------------------------------------------------- equations


@settings(max_examples=150)
@given(
    expressions(max_leaves=8),
    st.tuples(*[st.floats(-3, 3)] * 2),
    st.tuples(*[st.floats(0, 2)] * 2),
)
def test_equations_are_enclosed_wherever_they_are_finite(expression, low, width):
    """Random equations over the whole table, on points inside a random box."""
    names = ("x", "y")
    box = {
        name: Interval.of(torch.tensor([a]).double(), torch.tensor([a + w]).double())
        for name, a, w in zip(names, low, width, strict=True)
    }
    around = enclose(expression.root, box)
    generator = torch.Generator().manual_seed(0)
    share = torch.rand(2, 64, generator=generator, dtype=torch.float64)
    share[:, :2] = torch.tensor([0.0, 1.0])
    points = {
        name: (box[name].lower + share[i] * (box[name].upper - box[name].lower)).clamp(
            box[name].lower, box[name].upper
        )
        for i, name in enumerate(names)
    }
    # Enclosures of single points hold the exact values, which float64 may miss by far.
    exact = enclose(expression.root, {name: Interval.of(value) for name, value in points.items()})
    assert (exact.range.lower <= around.range.upper).all()
    assert (exact.range.upper >= around.range.lower).all()
    if bool(around.fails):
        assert exact.may_fail.all()
    if not bool(around.may_fail):
        assert not exact.fails.any()


def test_custom_operators_are_taken_apart():
    text = "gauss(x) + hypot(x, y)"
    custom = {"gauss": GAUSS, "hypot": HYPOTENUSE}
    box = {"x": Interval.of([3.0], [3.0]), "y": Interval.of([4.0], [4.0])}
    around = enclose(Expression.parse(text, operators=custom).root, box).range
    assert around.contains(math.exp(-9) + 5)
    assert around.upper - around.lower < 1e-13


DOMAINS = [
    ("1/x", (0.5, 2), False, False),
    ("1/x", (-1, 2), True, False),
    ("1/x", (0, 0), True, True),
    ("log(x)", (0, 1), True, False),
    ("log(x)", (-2, 0), True, True),
    ("sqrt(x)", (0, 1), False, False),
    ("sqrt(x)", (-1, -0.5), True, True),
    ("sqrt(x**2)", (-1, 1), False, False),
    ("sqrt(x - 1)", (1, 2), False, False),
    ("x**0.5", (0, 1), False, False),
    ("x**-0.5", (0, 1), True, False),
    ("x**-2", (-1, 1), True, False),
    ("x**3", (-1, 1), False, False),
    ("x**0.5", (-2, -1), True, True),
    ("x**x", (0.1, 1), False, False),
    ("asin(x)", (-1, 1), False, False),
    ("acos(x)", (0, 1.5), True, False),
    ("acosh(x)", (-1, 0.5), True, True),
    ("atanh(x)", (-1, 0.5), True, False),
    ("log1p(x)", (-0.9, 0), False, False),
    ("tan(x)", (1, 2), True, False),
    ("tan(x)", (-1, 1), False, False),
    ("mod(x, x)", (0, 1), True, False),
]


@pytest.mark.parametrize(("text", "box", "may_fail", "fails"), DOMAINS)
def test_domains(text, box, may_fail, fails):
    x = Interval.of(torch.tensor([float(box[0])]).double(), torch.tensor([float(box[1])]).double())
    around = enclose(Expression.parse(text).root, {"x": x})
    assert (bool(around.may_fail), bool(around.fails)) == (may_fail, fails)


@pytest.mark.parametrize("name", UNARY)
def test_unbounded_arguments_have_a_range(name):
    x = Interval.of(torch.tensor([-math.inf, 0.5, -math.inf]), torch.tensor([math.inf] * 2 + [0.5]))
    rule = RULES[name]
    for function in filter(None, (rule.value, rule.first, rule.second)):
        out = function(x)
        assert not out.lower.isnan().any()
        assert not out.upper.isnan().any()
        assert (out.lower <= out.upper).all()


def test_far_angles_are_anywhere():
    out = f.sin(Interval.of(1e20, 1e20))
    assert (out.lower, out.upper) == (-1, 1)


def test_calls_of_unary_operators_agree_with_the_operator_table():
    """A rule under the wrong name would be sound nowhere else than here."""
    x = torch.linspace(0.2, 0.9, 20, dtype=torch.float64)
    for name in UNARY:
        tree = Call(OPERATORS[name], (Variable("x"),))
        at = {"x": Interval.of(x + (1 if name == "acosh" else 0))}
        assert enclose(tree, at).range.contains(OPERATORS[name].torch(at["x"].lower)).all(), name
