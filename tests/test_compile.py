"""torch.compile on layers, and `switch_to_symbolic(compile=True)`. Each takes seconds."""

import copy
import io
import shutil

import pytest
import torch
from helpers import distilled_law, randn

from symtorch import SymbolicLayer
from symtorch.model.switch import _ISOLATED

VARIABLES = ("x", "y")
EQUATIONS = [
    *("1.5*sin(2.5*x) + x**3", "exp(-0.5*x*y)", "0.7", "(x + 2.2)/(y*y + 1.1)"),
    *("0.3*x - exp(y) + y", "0.4*x + 0.5*y + 0.6*exp(y)"),
]

pytestmark = [
    pytest.mark.skipif(
        shutil.which("g++") is None, reason="torch.compile needs a C++ compiler (g++)"
    ),
    # The compiler imports parts of torch that warn of themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_compiled_layers_take_any_number_of_rows_without_compiling_again():
    layer = SymbolicLayer(EQUATIONS, VARIABLES)
    compiled = torch.compile(layer, fullgraph=True, dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for rows in (5, 7, 64, 513):
            x = randn(rows, 2)
            torch.testing.assert_close(compiled(x), layer(x), rtol=1e-4, atol=1e-5)


def test_compiled_layers_have_the_gradients_of_the_layer():
    layer = SymbolicLayer(EQUATIONS, VARIABLES, trainable_constants=True)
    compiled = torch.compile(layer, fullgraph=True)
    x, z = (randn(50, 2).requires_grad_() for _ in range(2))
    layer(x).sum().backward()
    wanted = layer.constants.grad.clone()
    layer.constants.grad = None
    compiled(z).sum().backward()
    torch.testing.assert_close(z.grad, x.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(layer.constants.grad, wanted, rtol=1e-4, atol=1e-3)


def test_switching_compiles_only_when_asked_and_until_the_block_is_back():
    model = distilled_law()
    x = randn(30, 2)
    model.switch_to_symbolic()
    assert not model.symbolic_state.switch.compiled
    plain = model(x)
    model.switch_to_symbolic(compile=True)
    assert model.symbolic_state.switch.compiled
    torch.testing.assert_close(model(x), plain)
    # Copies and files hold the equations, not the compiler's work.
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert other.is_symbolic
        assert not other.symbolic_state.switch.compiled
        torch.testing.assert_close(other(x), plain)
    model.switch_to_block()
    assert not any(module._compiled_call_impl for module in model.modules())
    model.switch_to_symbolic()
    assert not model.symbolic_state.switch.compiled


@pytest.mark.parametrize("trainable", [False, True])
def test_compiled_layers_do_not_run_each_others_code(trainable):
    # All share the code of forward, which is what torch files its work under.
    x = torch.rand(16, 2)
    for equation in ("x + y", "x*y", "x - 2.0*y", "x - 3.0*y"):
        layer = SymbolicLayer([equation], VARIABLES, trainable_constants=trainable)
        compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.skipif(not _ISOLATED, reason="this torch counts recompiles of all layers together")
def test_any_number_of_layers_can_be_compiled():
    x = torch.rand(16, 2)
    for factor in range(12):
        layer = SymbolicLayer([f"x - {factor}.5*y"], VARIABLES)
        layer.compile(fullgraph=True, backend="aot_eager", **_ISOLATED)
        torch.testing.assert_close(layer(x)[:, 0], x[:, 0] - (factor + 0.5) * x[:, 1])
