import copy
import math
import pickle

import numpy as np
import pytest
import sympy
import torch
from helpers import GAUSS, columns, expressions
from hypothesis import given, settings

from symtorch.errors import InputError, UnsupportedTypeError
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression

parse = Expression.parse
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


class TestComplexity:
    @pytest.mark.parametrize(
        ("text", "count"),
        [  # counted by PySR 1.5 with its default options: every node is 1
            ("x0", 1),
            ("3.2", 1),
            ("x0 + 1", 3),
            ("sin(x0)", 2),
            ("x0 * 2.5382 + cos(x3)", 6),
            ("square(x0) - 2.0", 4),
            ("(x0 ^ 2) + 3.0", 5),
            ("cos(x3) * 2.5382 + square(x0) - 2.0", 9),
            ("inv(x0 + 0.5)", 4),
            ("-1.5 * x0", 3),
            ("neg(x0)", 2),
            ("max(x0, min(x1, 2))", 5),
        ],
    )
    def test_counts_nodes(self, text, count):
        assert parse(text).complexity() == count

    @pytest.mark.parametrize(
        ("text", "rule", "count"),
        [
            ("sin(x)*2", ComplexityRule(), 4),
            ("sin(x)*2", ComplexityRule(operators={"sin": 3, "exp": 3}), 6),
            ("sin(exp(x))*2", ComplexityRule(operators={"sin": 3, "exp": 3}), 9),
            ("x*2 + 1", ComplexityRule(constants=2), 7),
            ("x*y + 1", ComplexityRule(variables=3), 9),
            ("x*y + z", ComplexityRule(variables={"x": 5, "y": 0}), 8),
            ("x**2", ComplexityRule(operators={"^": 4}), 6),
            ("gauss(x)", ComplexityRule(operators={"gauss": 4}), 5),
            ("x + y", ComplexityRule(operators={"+": 0}), 2),
        ],
    )
    def test_weights(self, text, rule, count):
        expression = parse(text, operators={"gauss": GAUSS})
        assert expression.complexity(rule) == rule.of(expression) == rule.of(expression.root)
        assert expression.complexity(rule) == count

    def test_rules_travel_between_processes(self):
        rule = ComplexityRule(operators={"sin": 3})
        assert pickle.loads(pickle.dumps(rule)) == rule == copy.deepcopy(rule)


class TestConstants:
    @pytest.mark.parametrize(
        ("text", "constants"),
        [
            ("x", ()),
            ("3", (3.0,)),
            ("2*x + 1", (2.0, 1.0)),
            ("-2*x", (-2.0,)),
            ("x**2", ()),
            ("x**-2", ()),
            ("x**2.5", (2.5,)),
            ("(2*x)**3 + 4", (2.0, 4.0)),
            ("2**x", (2.0,)),
            ("2**3", (2.0,)),
            ("x**(y + 2)", (2.0,)),
            ("pi*x", (math.pi,)),
        ],
    )
    def test_left_to_right_without_whole_exponents(self, text, constants):
        assert parse(text).constants == constants

    def test_replaced_in_the_same_order(self):
        expression = parse("2*x**2 + sin(3*y) - 4*x**1.5")
        assert str(expression.with_constants([5, -6, 7, 8.5])) == "5*x**2 + sin(-6*y) - 7*x**8.5"
        assert str(expression) == "2*x**2 + sin(3*y) - 4*x**1.5"

    @given(expressions())
    def test_round_trip(self, expression):
        assert expression.with_constants(expression.constants) == expression

    @pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0]])
    def test_wrong_number(self, values):
        with pytest.raises(InputError) as caught:
            parse("2*x + 1").with_constants(values)
        assert str(caught.value) == f"'2*x + 1' has 2 constants; got {len(values)} values"


class TestIdentity:
    @given(expressions())
    def test_copies_are_equal_and_hash_alike(self, expression):
        for again in (
            pickle.loads(pickle.dumps(expression)),
            copy.deepcopy(expression),
            copy.copy(expression),
        ):
            assert again == expression
            assert hash(again) == hash(expression)
            assert str(again) == str(expression)

    def test_form_decides_not_mathematics(self):
        assert parse("x + y") != parse("y + x")
        assert parse("square(x)") != parse("x**2")
        assert parse("x*2") == parse("x * 2.0")
        assert len({parse("x*2"), parse("x * 2.0"), parse("2*x")}) == 2

    def test_immutable(self):
        with pytest.raises(AttributeError):
            parse("x").root = parse("y").root

    def test_order_of_variables_and_operators(self):
        expression = parse("y*sin(x) + y*z")
        assert expression.variables == ("y", "x", "z")
        assert [operator.name for operator in expression.operators] == ["+", "*", "sin"]

    def test_repr_shows_the_text(self):
        assert repr(parse("2*x")) == "Expression('2*x')"

    @pytest.mark.parametrize("root", ["x**2", sympy.Symbol("x"), 3.0, None])
    def test_made_of_trees_only(self, root):
        with pytest.raises(UnsupportedTypeError, match=r"for text there is Expression\.parse"):
            Expression(root)


class TestEvaluation:
    @given(expressions(moderate=True))
    @settings(max_examples=200)
    def test_tensors_and_arrays_agree(self, expression):
        at = columns()
        ours = expression(at).numpy()
        theirs = expression({name: column.numpy() for name, column in at.items()})
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)

    @given(expression=expressions())
    @settings(max_examples=80)
    @pytest.mark.parametrize("dtype", FLOATS)
    def test_tensors_keep_type_and_shape(self, expression, dtype):
        at = {"x": torch.linspace(-1, 1, 3)[:, None].to(dtype), "y": torch.ones(4, dtype=dtype)}
        value = expression(at)
        assert (value.dtype, value.shape) == (dtype, (3, 4))

    @given(expression=expressions())
    @settings(max_examples=80)
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_arrays_keep_type_and_shape(self, expression, dtype):
        at = {"x": np.linspace(0, 1, 3, dtype=dtype)[:, None], "y": np.ones(4, dtype)}
        value = expression(at)
        assert (value.dtype, value.shape) == (dtype, (3, 4))

    def test_mixed_types_take_the_wider(self):
        at = {"x": torch.ones(2), "y": torch.ones(2, dtype=torch.float64)}
        assert parse("x*y + 0.1")(at).dtype == torch.float64
        assert parse("x + 0.1")(at)[0].item() == 1.1

    def test_whole_numbers_count_as_floats(self):
        assert parse("0.5*x")({"x": torch.tensor([1, 3])}).tolist() == [0.5, 1.5]
        assert parse("x**(-1)")({"x": np.array([1, 2])}).tolist() == [1.0, 0.5]
        assert parse("x*2.5")({"x": np.array([True, False])}).tolist() == [2.5, 0.0]
        assert parse("inv(x)")({"x": [1, 2]}).tolist() == [1.0, 0.5]

    def test_gradients_reach_the_inputs(self):
        x = torch.tensor([0.5, 1.5], requires_grad=True)
        (gradient,) = torch.autograd.grad(parse("x**2 + 3*sin(x)")({"x": x}).sum(), x)
        torch.testing.assert_close(gradient, 2 * x + 3 * torch.cos(x))

    def test_second_derivatives_too(self):
        x = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
        torch.autograd.gradgradcheck(lambda x: parse("x**3*exp(-x**2)")({"x": x}), x)

    @pytest.mark.parametrize("text", ["3", "2*pi", "x*0 + 1"])
    def test_constants_take_the_shape_of_the_inputs(self, text):
        tensor = parse(text)({"x": torch.zeros(2, 5), "y": torch.zeros(5)})
        array = parse(text)({"x": np.zeros((2, 5)), "y": np.zeros(5)})
        assert tensor.shape == array.shape == (2, 5)
        tensor += 1  # nothing is shared between the elements
        array += 1
        assert tensor.unique().numel() == np.unique(array).size == 1

    def test_without_inputs(self):
        assert parse("2*3")({}).shape == ()
        assert float(parse("2*3")({})) == 6.0

    def test_no_rows(self):
        assert parse("x + 1")({"x": torch.zeros(0)}).shape == (0,)
        assert parse("3")({"x": np.zeros((0, 2))}).shape == (0, 2)

    @pytest.mark.parametrize("text", ["1/x", "log(x)", "x**(-1)", "inv(x)", "0/x", "1/0 + x"])
    def test_outside_the_domain_is_not_finite_and_warns_of_nothing(self, text):
        assert not torch.isfinite(parse(text)({"x": torch.zeros(1)}))
        assert not np.isfinite(parse(text)({"x": np.zeros(1)}))

    def test_missing_variable(self):
        with pytest.raises(InputError) as caught:
            parse("a*b + c")({"b": torch.ones(1), "d": torch.ones(1)})
        assert str(caught.value) == "'a*b + c' needs ['a', 'c']; got ['b', 'd']"

    def test_mixed_kinds(self):
        with pytest.raises(UnsupportedTypeError, match="mix tensors and arrays"):
            parse("x + y")({"x": torch.ones(1), "y": np.ones(1)})

    @pytest.mark.parametrize(
        "value", [np.array(["a"]), np.array([1j]), np.array([None]), torch.ones(1) * 1j, "text"]
    )
    def test_no_real_numbers(self, value):
        with pytest.raises(UnsupportedTypeError, match="variables are"):
            parse("x")({"x": value})

    def test_shapes_that_do_not_fit(self):
        with pytest.raises(InputError) as caught:
            parse("x + y")({"x": torch.ones(3), "y": torch.ones(4)})
        assert str(caught.value) == "shapes do not broadcast: {'x': (3,), 'y': (4,)}"


class TestForms:
    def test_sympy_symbols_are_plain(self):
        x = sympy.Symbol("x")
        assert parse("x**2 + 2*x*3").sympy() == x**2 + 6 * x
        assert parse("1/3*x").sympy() == x / 3
        assert parse("lambda_", ["lambda_"]).sympy() == sympy.Symbol("lambda_")
        assert parse("E", ["E"]).sympy() == sympy.Symbol("E")

    @pytest.mark.parametrize(
        ("text", "digits", "latex"),
        [
            ("x0**2 + 3*sin(x4) - 4", 4, r"x_{0}^{2} + 3 \sin{\left(x_{4} \right)} - 4"),
            ("3.14159265*x", 3, "3.14 x"),
            ("3.14159265*x", 6, "3.14159 x"),
            ("2.3456*(1.1111*x)", 3, "2.61 x"),
            ("x/3.0001", 2, r"\frac{x}{3}"),
            ("0.000012345*x", 2, r"1.2 \cdot 10^{-5} x"),
            ("alpha*sqrt(x)", 4, r"\alpha \sqrt{x}"),
            ("x**2", 1, "x^{2}"),
            ("x**12", 1, "x^{12}"),
        ],
    )
    def test_latex(self, text, digits, latex):
        assert parse(text).latex(digits) == latex

    @given(expressions(moderate=True, max_leaves=5))
    @settings(max_examples=50)
    def test_latex_of_anything(self, expression):
        try:
            latex = expression.latex()
        except InputError:
            return  # as `sympy` raises, for constants outside their domain
        assert latex

    def test_parse_checks_the_variables(self):
        with pytest.raises(InputError, match="unknown variable 'z'"):
            parse("x + z", ["x", "y"])
