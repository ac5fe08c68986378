import copy
import math
import pickle

import numpy as np
import pytest
import sympy
import torch
from helpers import points

from symtorch.errors import InputError, SymTorchError, UnsupportedTypeError
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.operators import ALIASES, OPERATORS, operator_named, operators_of_arity

ROWS = pytest.mark.parametrize("name", list(OPERATORS))


@ROWS
def test_torch_agrees_with_numpy(name):
    operator = OPERATORS[name]
    args = points(operator)
    ours = operator.torch(*map(torch.as_tensor, args))
    np.testing.assert_allclose(ours.numpy(), operator.numpy(*args), rtol=1e-12, atol=1e-14)


@ROWS
def test_numpy_agrees_with_sympy_evaluated_to_30_digits(name):
    operator = OPERATORS[name]
    for args in zip(*points(operator, count=12), strict=True):
        exact = operator.sympy(*(sympy.Float(arg, 30) for arg in args)).evalf(30)
        value = float(operator.numpy(*map(np.float64, args)))
        assert value == pytest.approx(float(exact), rel=1e-12, abs=1e-14)


@ROWS
def test_sympy_form_is_the_same_function_after_lambdify(name):
    operator = OPERATORS[name]
    symbols = sympy.symbols(f"a:{operator.arity}")
    function = sympy.lambdify(symbols, operator.sympy(*symbols), ["scipy", "numpy"])
    args = points(operator)
    expected = operator.numpy(*args)
    np.testing.assert_allclose(function(*args), expected, rtol=1e-9, atol=1e-12)


@ROWS
def test_values_are_finite_inside_the_domain(name):
    operator = OPERATORS[name]
    assert len(operator.domain) == operator.arity
    assert np.isfinite(operator.numpy(*points(operator))).all()


@ROWS
def test_domain_ends_where_the_function_does(name):
    operator = OPERATORS[name]
    ordinary = [args[:1] for args in points(operator)]
    for position, (low, _) in enumerate(operator.domain):
        if math.isinf(low) or name in ("^", "mod"):  # defined beyond for some arguments
            continue
        outside = [*ordinary]
        outside[position] = np.array([low - 0.1])
        with np.errstate(invalid="ignore"):
            assert np.isnan(operator.numpy(*outside))
        assert torch.isnan(operator.torch(*map(torch.as_tensor, outside)))


@ROWS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_torch_keeps_type_and_broadcasts(name, dtype):
    operator = OPERATORS[name]
    args = [torch.as_tensor(arg).to(dtype) for arg in points(operator, count=4)]
    shaped = [args[0].reshape(4, 1), *args[1:]]
    result = operator.torch(*shaped)
    assert result.dtype == dtype
    assert result.shape == ((4, 1) if operator.arity == 1 else (4, 4))


@ROWS
def test_gradient_matches_finite_differences(name):
    operator = OPERATORS[name]
    args = [torch.as_tensor(arg).requires_grad_() for arg in points(operator)]
    if not operator.torch(*args).requires_grad:
        assert name in ("greater", "less")  # steps
        return
    torch.autograd.gradcheck(operator.torch, args, eps=1e-7, atol=1e-3, rtol=1e-3)


def test_names_are_unique_and_read_back():
    for name, operator in OPERATORS.items():
        assert operator.name == name
        assert operator_named(name) is operator


def test_aliases_mean_rows():
    for alias, name in ALIASES.items():
        assert alias not in OPERATORS
        assert operator_named(alias) is OPERATORS[name]


def test_operators_of_arity_share_the_table_out():
    unary, binary = list(operators_of_arity(1)), list(operators_of_arity(2))
    assert {operator.name for operator in (*unary, *binary)} == set(OPERATORS)
    assert [operator.name for operator in binary[:5]] == ["+", "-", "*", "/", "^"]


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("sine", "sin"), ("sqr", "sqrt"), ("arcsine", "arcsin"), ("squre", "square")],
)
def test_unknown_name_suggests_the_closest(typo, meant):
    with pytest.raises(InputError, match=rf"unknown operator '{typo}'; did you mean '{meant}'\?"):
        operator_named(typo)


def test_unknown_name_far_from_all():
    with pytest.raises(ValueError, match=r"^unknown operator 'qqqqqq'$"):
        operator_named("qqqqqq")


def test_custom_operators_come_first_and_are_suggested():
    gauss = define_operator("gauss(x) = exp(-x^2)")
    assert operator_named("gauss", {"gauss": gauss}) is gauss
    with pytest.raises(InputError, match="did you mean 'gauss'"):
        operator_named("gaus", {"gauss": gauss})


@ROWS
def test_rows_pickle_by_name(name):
    operator = OPERATORS[name]
    assert pickle.loads(pickle.dumps(operator)) is operator
    assert copy.deepcopy(operator) is operator


def test_custom_operator_pickles_by_definition():
    operator = define_operator("lorentz(x, w) = w^2/(x^2 + w^2)")
    text = pickle.dumps(operator)
    assert b"lorentz(x, w) = w^2/(x^2 + w^2)" in text
    again = pickle.loads(text)
    assert again == operator
    assert hash(again) == hash(operator)
    assert again.numpy(2.0, 3.0) == pytest.approx(9 / 13)


class TestDefinitions:
    def test_unary(self):
        operator = define_operator("gauss(x) = exp(-x^2)")
        x = np.linspace(-2, 2, 7)
        assert (operator.name, operator.arity) == ("gauss", 1)
        np.testing.assert_allclose(operator.numpy(x), np.exp(-(x**2)))
        np.testing.assert_allclose(operator.torch(torch.as_tensor(x)), np.exp(-(x**2)))
        symbol = sympy.Symbol("z")
        assert operator.sympy(symbol) == sympy.exp(-(symbol**2))

    def test_binary_keeps_the_order_of_its_arguments(self):
        operator = define_operator("ratio(b, a) = a/(1 + b)")
        assert operator.numpy(np.float64(1), np.float64(6)) == 3.0
        assert operator.torch(torch.tensor(1.0), torch.tensor(6.0)) == 3.0
        assert operator.sympy(sympy.Integer(1), sympy.Integer(6)) == 3

    def test_argument_names_may_be_those_of_numbers(self):
        assert define_operator("twice(E) = 2*E").numpy(1.5) == 3.0

    def test_named_numbers(self):
        assert define_operator("turn(x) = x/(2*pi)").numpy(math.pi) == pytest.approx(0.5)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_constants_keep_the_type(self, dtype):
        operator = define_operator("wave(x) = sin(2.5)*x + exp(1)")
        assert operator.numpy(np.ones(3, dtype)).dtype == dtype

    def test_whole_numbers_do_not_truncate_the_constants(self):
        assert define_operator("half(x) = 0.5*x").numpy(np.array([1, 2])).tolist() == [0.5, 1.0]

    def test_gradients_flow(self):
        x = torch.linspace(-1, 1, 5, dtype=torch.float64, requires_grad=True)
        torch.autograd.gradcheck(define_operator("gauss(x) = exp(-x^2)").torch, x)

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("inv(x) = 1/x", "inv"),
            ("inv(q) = q^-1", "inv"),
            ("square(x) = x*x", "square"),
            ("relu(x) = max(x, 0)", "relu"),
            ("abs(x) = max(x, -x)", "abs"),
            ("sigmoid(x) = 1/(1 + exp(-x))", "sigmoid"),
            ("cbrt(x) = sign(x)*abs(x)^(1/3)", "cbrt"),
            ("expm1(x) = exp(x) - 1", "expm1"),
            ("max(a, b) = (a + b + abs(a - b))/2", "max"),
            ("pow(a, b) = a^b", "^"),
        ],
    )
    def test_equal_definition_of_a_table_name_is_the_table_row(self, text, name):
        assert define_operator(text) is OPERATORS[name]

    @pytest.mark.parametrize(
        "text",
        [
            "inv(x) = 2/x",
            "sin(x) = cos(x)",
            "log(x) = log(abs(x))",
            "sin(x, y) = x*y",
            "ln(x) = x + 1",
            "pow(x, y) = x - y",
            "log(x) = log(x + 1e-12)",
            "max(x) = x",
        ],
    )
    def test_other_meaning_for_a_known_name_is_refused(self, text):
        with pytest.raises(InputError, match="already means something else"):
            define_operator(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("gauss", "not an operator definition: 'gauss'; write it as"),
            ("f(x) == x", "not an operator definition"),
            ("f(x) =", "not an operator definition"),
            ("f(x)(y) = x", "not an operator definition"),
            ("2f(x) = x", "not an operator definition"),
            ("", "not an operator definition"),
            ("f() = 3", "'' cannot be the name of a variable"),
            ("f(x, y, z) = x", "one or two arguments"),
            ("f(x, x) = x", "'x' is there twice"),
            ("f(x y) = x", "'x y' cannot be the name of a variable"),
            ("f(sin) = sin(sin)", "'sin' is an operator"),
            ("f(x) = x + y", "unknown variable 'y'"),
            ("f(x) = f(x)", "unknown operator 'f'"),
            ("f(x) = __import__('os')", "unknown operator '__import__'"),
            ("f(x) = x.real", "'x.real' is not allowed"),
            ("lambda(x) = x", "'lambda' cannot be the name of an operator"),
            ("nan(x) = x", "'nan' is a number"),
        ],
    )
    def test_refused(self, text, message):
        with pytest.raises(InputError) as caught:
            define_operator(text)
        assert message in str(caught.value)

    def test_refuses_other_types(self):
        with pytest.raises(UnsupportedTypeError, match="must be text, not int"):
            define_operator(3)

    def test_a_crafted_equal_name_cannot_keep_sympy_busy(self):
        body = " + ".join(f"sin({i}*x)^{i}" for i in range(1, 60))
        with pytest.raises(InputError, match="already means something else"):
            define_operator(f"cos(x) = {body} + 9^9^9^9")


def test_every_error_is_the_builtin_one_too():
    assert issubclass(InputError, ValueError)
    assert issubclass(UnsupportedTypeError, TypeError)
    assert issubclass(InputError, SymTorchError)
