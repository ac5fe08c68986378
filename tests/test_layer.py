"""SymbolicLayer against SymPy, and as a citizen of torch."""

import copy
import io

import numpy as np
import pytest
import sympy
import torch
from helpers import expressions, randn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from symtorch import Expression, InputError, SymbolicLayer
from symtorch.operators import OPERATORS

VARIABLES = ("x", "y")
TABLE = randn(20, 2, dtype=torch.float64)
SMOOTH = [OPERATORS[name] for name in ("+", "-", "*", "/", "square", "sin", "cos", "exp", "neg")]


def reference(expression, table):
    """The equation's values by way of SymPy and NumPy."""
    symbols = [sympy.Symbol(name) for name in VARIABLES]
    function = sympy.lambdify(symbols, expression.sympy(), "numpy")
    with np.errstate(all="ignore"):
        values = function(*table.numpy().T)
    return np.broadcast_to(np.asarray(values, dtype=float), len(table))


@settings(max_examples=60)
@given(
    st.lists(expressions(VARIABLES, SMOOTH, max_leaves=6, moderate=True), min_size=1, max_size=3)
)
def test_values_are_those_of_sympy(equations):
    values = SymbolicLayer(equations, VARIABLES)(TABLE).numpy()
    assert values.shape == (20, len(equations))
    for column, equation in zip(values.T, equations, strict=True):
        expected = reference(equation, TABLE)
        # Near a pole or in a huge number, rounding decides; SymPy reorders the terms.
        tame = np.isfinite(expected) & np.isfinite(column) & (np.abs(expected) < 1e6)
        np.testing.assert_allclose(column[tame], expected[tame], rtol=1e-5, atol=1e-5)


@settings(max_examples=60)
@given(st.lists(expressions(VARIABLES, max_leaves=8), min_size=1, max_size=3), st.booleans())
def test_values_are_those_of_the_expressions(equations, trainable):
    layer = SymbolicLayer(equations, VARIABLES, trainable_constants=trainable, dtype=torch.float64)
    columns = dict(zip(VARIABLES, TABLE.unbind(-1), strict=True))
    expected = torch.stack([equation(columns) for equation in equations], -1)
    torch.testing.assert_close(layer(TABLE).detach(), expected, equal_nan=True)
    assert layer.expressions == tuple(equations)


class Counting(TorchDispatchMode):
    """Counts the calls of torch's operators by name."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("equations", "operator", "times"),
    [
        (["sin(x*y) + sin(x*y)"], "sin", 1),
        (["sin(x*y)", "2*sin(x*y)", "exp(sin(x*y))"], "sin", 1),
        (["sin(x*y)", "sin(y*x)"], "sin", 2),
        (["sin(2*x)", "cos(2*x)"], "mul", 1),
        (["x**3", "1 + x**3"], "pow", 1),
    ],
)
def test_shared_subexpressions_are_computed_once(equations, operator, times):
    layer = SymbolicLayer(equations, VARIABLES)
    with Counting() as counting:
        layer(TABLE)
    assert counting.calls.count(operator) == times


def test_trainable_constants_that_are_equal_now_are_not_shared():
    layer = SymbolicLayer(["sin(2*x)", "cos(2*x)"], VARIABLES, trainable_constants=True)
    layer.constants.data[1] = 3.0
    assert [e.pretty() for e in layer.expressions] == ["sin(2*x)", "cos(3*x)"]
    torch.testing.assert_close(layer(TABLE).detach()[:, 1], torch.cos(3 * TABLE[:, 0]))


@pytest.mark.parametrize("lead", [(), (5,), (0,), (2, 3), (2, 3, 4)])
def test_leading_dimensions_are_kept(lead):
    x = randn(*lead, 2)
    torch.testing.assert_close(
        SymbolicLayer(["x + y", "3", "x"], VARIABLES)(x),
        torch.stack([x.sum(-1), torch.full(lead, 3.0), x[..., 0]], -1),
    )


@pytest.mark.parametrize("trainable", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_type_is_kept(dtype, trainable):
    x = TABLE.to(dtype)
    y = SymbolicLayer(["0.1*x", "2"], VARIABLES, trainable_constants=trainable)(x)
    y = y.detach()
    assert y.dtype == dtype
    torch.testing.assert_close(y[:, 0], (0.1 * x[:, 0].double()).to(dtype), rtol=1e-6, atol=1e-7)


def test_whole_numbers_give_floats():
    y = SymbolicLayer(["x/y"], VARIABLES)(torch.tensor([[1, 2]]))
    assert y.dtype == torch.float32
    assert y.item() == 0.5


def test_double_precision_is_not_lost_in_a_float_constant():
    layer = SymbolicLayer(["0.1*x"], ["x"]).float()
    assert layer(torch.ones(1, 1, dtype=torch.float64)).item() == 0.1


@pytest.mark.parametrize("convert", ["half", "bfloat16", "float", "double", "cpu"])
def test_frozen_constants_stay_exact_through_conversions(convert):
    layer = getattr(SymbolicLayer(["0.1*x"], ["x"]), convert)()
    assert layer.constants.tolist() == [0.1]


# ---------------------------------------------------------------- gradients

EQUATIONS = ["1.5*sin(2.5*x) + x**3", "exp(-0.5*x*y)", "0.7", "(x + 2.2)/(y*y + 1.1)"]


def test_gradients_are_those_of_finite_differences():
    layer = SymbolicLayer(EQUATIONS, VARIABLES, trainable_constants=True, dtype=torch.float64)

    def outputs(x, constants):
        return torch.func.functional_call(layer, {"constants": constants}, (x,))

    x = TABLE[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(outputs, (x, layer.constants))
    assert torch.autograd.gradgradcheck(outputs, (x, layer.constants))


def test_gradients_to_the_inputs_through_frozen_equations():
    layer = SymbolicLayer(EQUATIONS, VARIABLES)
    assert not list(layer.parameters())
    assert torch.autograd.gradcheck(layer, TABLE[:4].clone().requires_grad_())


def test_an_equation_without_variables_has_gradient_zero():
    x = torch.tensor([[float("inf"), 1.0]], requires_grad=True)
    y = SymbolicLayer(["3"], VARIABLES)(x)
    y.sum().backward()
    assert y.item() == 3.0
    assert x.grad.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_finds_the_constants(dtype):
    layer = SymbolicLayer(["1.0*x + 1.0*y**2"], VARIABLES, trainable_constants=True, dtype=dtype)
    x = TABLE.to(dtype)
    y = (3 * x[:, 0] - 2 * x[:, 1] ** 2)[:, None]
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        (layer(x) - y).square().mean().backward()
        optimizer.step()
    np.testing.assert_allclose(layer.expressions[0].constants, [3, -2], rtol=1e-3)
    np.testing.assert_allclose(layer(x).detach(), y, atol=0.01)


def test_untrained_constants_keep_the_digits_that_float32_rounds_off():
    layer = SymbolicLayer(["0.1*x + 0.2"], ["x"], trainable_constants=True)
    layer.constants.data[1] = 5.0
    assert str(layer.expressions[0]) == "0.1*x + 5"


def test_integer_exponents_are_part_of_the_form():
    layer = SymbolicLayer(["2.5*x**3"], ["x"], trainable_constants=True)
    assert layer.constants.tolist() == [2.5]


# ---------------------------------------------------------------- as a module


@pytest.mark.parametrize("trainable", [True, False])
def test_copies_and_files(trainable):
    layer = SymbolicLayer(EQUATIONS, VARIABLES, trainable_constants=trainable)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert torch.equal(other(TABLE), layer(TABLE))
        assert other.expressions == layer.expressions


def test_state_dicts_hold_trained_constants_only():
    assert not SymbolicLayer(EQUATIONS, VARIABLES).state_dict()
    trained = SymbolicLayer(EQUATIONS, VARIABLES, trainable_constants=True)
    trained.constants.data += 0.5
    other = SymbolicLayer(EQUATIONS, VARIABLES, trainable_constants=True)
    other.load_state_dict(trained.state_dict())
    assert other.expressions == trained.expressions


def test_the_module_shows_its_equations():
    assert "(0): 2*x + y" in repr(SymbolicLayer(["2*x + y"], VARIABLES))


@pytest.mark.parametrize(
    ("equations", "variables", "text"),
    [
        ([], VARIABLES, "needs at least one equation"),
        (["x + z"], VARIABLES, "z"),
        ([Expression.parse("x + z")], VARIABLES, r"'x \+ z' has variables \['z'\]"),
        (["import os"], VARIABLES, "import os"),
        (["x"], ["x", "x"], "'x' is there twice"),
    ],
)
def test_what_cannot_be_a_layer_is_explained(equations, variables, text):
    with pytest.raises(InputError, match=text):
        SymbolicLayer(equations, variables)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (5, 1), (2, 0), ()])
def test_inputs_of_another_width_are_explained(shape):
    with pytest.raises(InputError, match=r"need \[\.\.\., 2\] with columns \['x', 'y'\]; got"):
        SymbolicLayer(["x"], VARIABLES)(torch.zeros(shape))
