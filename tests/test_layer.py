"""SymbolicLayer against SymPy, and as a citizen of torch."""

import copy
import io
import pickle

import numpy as np
import pytest
import sympy
import torch
from helpers import expressions, randn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from symtorch import Expression, InputError, SymbolicLayer
from symtorch.symbolic.operators import OPERATORS

VARIABLES = ("x", "y")
TABLE = randn(20, 2, dtype=torch.float64)
TABLE_ROWS = [*OPERATORS.values()]
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


@settings(max_examples=50)
@given(expressions(VARIABLES, TABLE_ROWS, max_leaves=6, moderate=True))
def test_values_are_those_of_sympy_evaluated_to_30_digits(equation):
    points = TABLE[:2]
    layer = SymbolicLayer([equation], VARIABLES)
    values = layer(points)[:, 0]
    moved = torch.stack([layer(points * (1 + s * 1e-9))[:, 0] for s in (-1, 1)])
    form = equation.sympy()
    for row, value, near in zip(points.tolist(), values, moved.t(), strict=True):
        # Where rounding decides (poles, steps) nothing is shown; SymPy may leave the reals.
        try:
            at = {n: sympy.Float(v, 30) for n, v in zip(VARIABLES, row, strict=True)}
            exact = form.subs(at).evalf(30)
        except (TypeError, ValueError):  # the larger of two complex numbers
            continue
        steady = value.isfinite() and ((near - value).abs() <= 1e-6 * (value.abs() + 1)).all()
        if steady and exact.is_Float:
            assert value.item() == pytest.approx(float(exact), rel=1e-6, abs=1e-6)


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
        (["sin(x*y)", "sin(y*x)"], "sin", 1),
        (["sin(2*x)", "cos(2*x)"], "mul", 1),
        (["x**3", "1 + x**3"], "mul", 2),
        (["x**4", "x**2 + y", "square(x)"], "mul", 2),
        (["x**4"], "pow", 0),
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


LONGER = [
    *("1.5*sin(2.5*x) + cos(x*y)**3", "exp(-0.5*x*y)*tanh(x + 0.3)", "0.7", "log1p(x*x)"),
    *("(x + 2.2)/(y*y + 1.1) - x**-2", "atan2(x, y + 4.0)*erf(x)", "sin(y*3.1)/(y*y + 1.1)"),
    *("0.3*x - exp(y)", "y - 2*exp(y) + x", "exp(y)*0.1 + y - x", "0.4*x + 0.5*y + 0.6*exp(y)"),
    *("max(x, 2*y)*sinh(y)", "(y*y + 0.5)**1.7"),
]
"""Steps enough for a program, a matrix product among them, and not one after the other."""


@pytest.mark.parametrize("trainable", [True, False])
def test_many_steps_have_the_gradients_of_finite_differences(trainable):
    layer = SymbolicLayer(LONGER, VARIABLES, trainable_constants=trainable, dtype=torch.float64)
    x = TABLE[:3].clone().requires_grad_()
    if not trainable:
        assert torch.autograd.gradcheck(layer, x)
        assert torch.autograd.gradgradcheck(layer, x)
        return

    def outputs(x, constants):
        return torch.func.functional_call(layer, {"constants": constants}, (x,))

    assert torch.autograd.gradcheck(outputs, (x, layer.constants))
    assert torch.autograd.gradgradcheck(outputs, (x, layer.constants))
    # Each one on its own, too.
    assert torch.autograd.gradcheck(lambda c: outputs(TABLE[:3], c), layer.constants)
    assert torch.autograd.gradcheck(lambda x: outputs(x, layer.constants.detach()), x)


@settings(max_examples=40)
@given(
    st.lists(expressions(VARIABLES, max_leaves=8, moderate=True), min_size=4, max_size=8),
    st.booleans(),
)
def test_gradients_are_those_of_the_equations_one_by_one(equations, trainable):
    """Numbers, infinities and nan, as where each is evaluated on its own and all are stacked."""
    layer = SymbolicLayer(equations, VARIABLES, trainable_constants=trainable, dtype=torch.float64)
    x, z = TABLE.clone().requires_grad_(), TABLE.clone().requires_grad_()
    columns = dict(zip(VARIABLES, z.unbind(-1), strict=True))
    weights = randn(20, len(equations), dtype=torch.float64)
    ours, theirs = layer(x), torch.stack([equation(columns) for equation in equations], -1)
    ours.backward(weights)
    if theirs.requires_grad:
        theirs.backward(weights)
    wanted = torch.zeros_like(x) if z.grad is None else z.grad
    torch.testing.assert_close(x.grad.isfinite(), wanted.isfinite())
    judged = wanted.isfinite() & (wanted.abs() < 1e8)
    torch.testing.assert_close(x.grad[judged], wanted[judged], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("big", [False, True])
def test_infinities_and_nan_stay_where_they_arise(big):
    texts = ["sqrt(x)", "log(x)", "1/x", "2*y + 1", "sin(y)", "y**2", "exp(y)"]
    equations = texts + ([f"sin({i}*y) + cos(y/{i})" for i in range(1, 9)] if big else [])
    x = torch.tensor([[0.0, 0.5], [-1.0, 0.5], [torch.inf, 0.5], [torch.nan, 0.5]])
    layer = SymbolicLayer(equations, VARIABLES)
    values = layer(x)
    assert values[:, 3:].isfinite().all()
    torch.testing.assert_close(values[:, 0], x[:, 0].sqrt(), equal_nan=True)
    x.requires_grad_()
    layer(x).sum().backward()
    assert x.grad[:, 1].isfinite().all()
    assert not x.grad[[0, 1, 3], 0].isfinite().all()


def test_a_matrix_product_carries_no_nan_between_equations():
    layer = SymbolicLayer(
        ["x + sin(y) + exp(y)", "2*sin(y) + 3*exp(y) + y", "sin(y) - exp(y) + y"], VARIABLES
    )
    values = layer(torch.tensor([[torch.inf, 1.0]]))
    assert values[0, 0] == torch.inf
    assert values[0, 1:].isfinite().all()


def test_backward_twice_and_after_other_calls():
    layer = SymbolicLayer(LONGER, VARIABLES)
    x = TABLE.clone().requires_grad_()
    y = layer(x)
    y.sum().backward(retain_graph=True)
    first = x.grad.clone()
    with torch.no_grad():
        layer(TABLE + 1)
    layer((TABLE + 2).requires_grad_()).sum().backward()
    x.grad = None
    y.sum().backward()
    torch.testing.assert_close(x.grad, first)


def test_inputs_changed_before_backward_are_noticed():
    layer = SymbolicLayer(LONGER, VARIABLES)
    x = TABLE.clone().requires_grad_()
    z = x * 1
    y = layer(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_results_are_not_overwritten_by_the_next_call():
    layer = SymbolicLayer(LONGER, VARIABLES)
    first = layer(TABLE)
    kept = first.clone()
    second = layer(TABLE + 1)
    assert torch.equal(first, kept)
    assert not torch.equal(first, second)
    first.requires_grad_()  # an inference tensor could not


@pytest.mark.parametrize("equations", [EQUATIONS, LONGER], ids=["few", "many"])
def test_first_called_in_inference_mode(equations):
    layer = SymbolicLayer(equations, VARIABLES, trainable_constants=True, dtype=torch.float64)
    with torch.inference_mode():
        values = layer(TABLE).clone()
    torch.testing.assert_close(layer(TABLE).detach(), values)
    with torch.no_grad():
        torch.testing.assert_close(layer(TABLE), values)
    layer(TABLE.clone().requires_grad_()).sum().backward()


@pytest.mark.parametrize("count", [1, 20])
def test_equations_over_no_variables_at_all(count):
    layer = SymbolicLayer(["3.5"] * count, [])
    assert layer(torch.zeros(4, 0)).tolist() == [[3.5] * count] * 4
    trained = SymbolicLayer([f"sin({i})*2.5" for i in range(count)], [], trainable_constants=True)
    trained(torch.zeros(4, 0)).sum().backward()
    assert trained.constants.grad.shape == (2 * count,)


def test_training_changes_what_is_computed():
    layer = SymbolicLayer(LONGER, VARIABLES, trainable_constants=True, dtype=torch.float64)
    with torch.no_grad():
        before = layer(TABLE)
        layer.constants.mul_(1.5)
        columns = dict(zip(VARIABLES, TABLE.unbind(-1), strict=True))
        now = torch.stack([e(columns).expand(20) for e in layer.expressions], -1)
        torch.testing.assert_close(layer(TABLE), now)
    assert not torch.allclose(before, now)


# ---------------------------------------------------------------- with the rest of torch


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # from what torch imports for jacfwd
@pytest.mark.parametrize("equations", [EQUATIONS, LONGER], ids=["few", "many"])
@pytest.mark.parametrize("trainable", [True, False])
def test_torch_func(equations, trainable):
    layer = SymbolicLayer(equations, VARIABLES, trainable_constants=trainable, dtype=torch.float64)
    x = TABLE[:5]
    torch.testing.assert_close(torch.func.vmap(layer)(x), layer(x))
    jacobian = torch.func.vmap(torch.func.jacrev(layer))(x)
    assert jacobian.shape == (5, len(equations), 2)
    rows = torch.stack([torch.autograd.functional.jacobian(layer, row) for row in x])
    torch.testing.assert_close(jacobian, rows)
    torch.testing.assert_close(torch.func.vmap(torch.func.jacfwd(layer))(x), rows)
    torch.testing.assert_close(torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1], rows.sum(-1))


@pytest.mark.parametrize("equations", [EQUATIONS, LONGER], ids=["few", "many"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_single_precision_rounded(equations, dtype):
    layer = SymbolicLayer(equations, VARIABLES)
    x = TABLE.to(dtype)
    y = layer(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y, layer(x.float()).to(dtype), rtol=0, atol=0, equal_nan=True)
    z = x.clone().requires_grad_()
    layer(z).float().sum().backward()
    assert z.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_does_not_touch_equations(dtype):
    layer = SymbolicLayer(LONGER, VARIABLES)
    x = TABLE.float()
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(layer(x), layer(x))
        y = layer(x)
        z = layer(x.clone().requires_grad_())
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, layer(x), rtol=0, atol=0)
    torch.testing.assert_close(z.detach(), layer(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("grad", [True, False])
def test_rows_do_not_depend_on_how_many_there_are(grad):
    layer = SymbolicLayer(LONGER, VARIABLES)
    x = randn(700, 2)
    whole = layer(x.clone().requires_grad_(grad)).detach()
    parts = torch.cat([layer(part.clone().requires_grad_(grad)) for part in x.split(97)]).detach()
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("stride", ["transposed", "expanded", "sliced"])
def test_any_memory_layout(stride):
    layer = SymbolicLayer(LONGER, VARIABLES)
    x = {
        "transposed": TABLE.t().contiguous().t(),
        "expanded": TABLE[:1].expand(20, 2),
        "sliced": torch.cat([TABLE, TABLE], 1)[::2, 1:3],
    }[stride]
    torch.testing.assert_close(layer(x), layer(x.clone(memory_format=torch.contiguous_format)))


@pytest.mark.parametrize(
    "text",
    ["greater(x, 0.5)", "less(x, 0.5)*x", "cond(x, 2*x)", "softplus(x)", "cube(x)", "sin(x)"],
)
@pytest.mark.parametrize("rows", [3, 5000])
@pytest.mark.parametrize("trainable", [False, True])
def test_layers_that_have_run_are_pickled_and_copied(text, rows, trainable):
    layer = SymbolicLayer([text, f"{text} + x"], ["x"], trainable_constants=trainable)
    x = randn(rows, 1)
    wanted = layer(x)
    layer(x.clone().requires_grad_()).sum().backward()
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        torch.testing.assert_close(again(x), wanted)
        assert again._execution is not layer._execution


def test_traced_by_make_fx():
    layer = SymbolicLayer(LONGER, VARIABLES)
    graph = torch.fx.experimental.proxy_tensor.make_fx(layer)(TABLE)
    torch.testing.assert_close(graph(TABLE + 1), layer(TABLE + 1))


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")


@needs_cuda
@pytest.mark.parametrize("equations", [EQUATIONS, LONGER], ids=["few", "many"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_gpu_and_cpu_agree(equations, dtype):
    x = TABLE.to(dtype)
    layer = SymbolicLayer(equations, VARIABLES)
    here = layer(x)
    there = copy.deepcopy(layer).cuda()(x.cuda())
    torch.testing.assert_close(
        there.cpu(), here, rtol=1e-2 if dtype.itemsize < 4 else 1e-5, atol=1e-4
    )


@needs_cuda
def test_cuda_graphs_record_a_layer():
    layer = SymbolicLayer(LONGER, VARIABLES, device="cuda")
    x = TABLE.float().cuda()
    layer(x)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = layer(x)
    x.add_(1)
    graph.replay()
    torch.testing.assert_close(y, layer(x))


# ---------------------------------------------------------------- as a module


@pytest.mark.parametrize("trainable", [True, False])
def test_copies_and_files(trainable):
    layer = SymbolicLayer(LONGER, VARIABLES, trainable_constants=trainable)
    layer(TABLE)  # what it keeps for later calls does not travel
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
