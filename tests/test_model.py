"""SymbolicModel: record, distill, switch and back, on blocks of every kind, for real."""

import numpy as np
import pytest
import sympy
import torch
from helpers import QUICK, Law, Net, distilled_law, fitted, law, randn
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from torch import nn

from symtorch import InputError, StateError, SymbolicModel, UnsupportedTypeError, wrap
from symtorch.errors import DependenceWarning

X = randn(300, 2)
LINEAR = {**QUICK, "unary_operators": []}


def unexplained(prediction, target):
    """Share of the variance that a prediction leaves."""
    return float((prediction - target).detach().square().mean() / target.var())


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def block():
    return distilled_law()


@pytest.fixture(scope="module")
def distilled():
    """Distilled once; for tests that leave it as they find it."""
    return distilled_law()


# ---------------------------------------------------------------- networks that were trained


def test_a_trained_mlp_becomes_its_law_and_comes_back():
    net = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))
    x = 4 * torch.rand(600, 2, generator=torch.Generator().manual_seed(1)) - 2
    y = (x[:, :1] ** 2 + 1.5 * x[:, 1:]) + 0.05 * randn(600, 1, seed=2)
    fitted(net, x, y, steps=600)
    model = SymbolicModel(net, "mlp")
    front = model.distill(x, sr_params=QUICK)[0]

    fresh = 3.6 * torch.rand(500, 2, generator=torch.Generator().manual_seed(3)) - 1.8
    network, truth = net(fresh).detach(), fresh[:, :1] ** 2 + 1.5 * fresh[:, 1:]
    chosen = front.get_best()
    assert set(chosen.expression.variables) == {"x0", "x1"}
    model.switch_to_symbolic()
    assert unexplained(model(fresh), network) < 0.01
    assert unexplained(model(fresh), truth) < 0.01
    model.switch_to_block()
    assert torch.equal(model(fresh), network)


class Texts(nn.Module):
    """[B, T, D] through a transformer block's MLP, called twice."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(2)
        self.mlp = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x):
        x = x + self.mlp(self.norm(x))
        return x + self.mlp(x)


@pytest.fixture
def texts():
    model = Texts()
    fitted(model.mlp, 3 * X, torch.stack([3 * X[:, 0] + 1, X[:, 1] - X[:, 0]], 1))
    return model


def test_a_transformers_mlp_used_twice(texts):
    x = randn(20, 6, 2)
    before = texts(x).detach()
    texts.mlp = SymbolicModel(texts.mlp, "mlp")
    recording = texts.mlp.record(x, parent_model=texts)
    assert recording.inputs.shape == (2 * 20 * 6, 2)
    texts.mlp.distill(recording, sr_params=LINEAR)
    with texts.mlp.symbolic():
        after = texts(x)
    assert after.shape == before.shape
    assert unexplained(after, before) < 0.02
    assert torch.equal(texts(x), before)


class Images(nn.Module):
    """[B, 3, H, W] through pixelwise convolutions, then flattened by view()."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU())
        self.conv[0].weight.data = torch.tensor([[2.0, -1.0, 0.0], [0.0, 0.0, 1.5]])[
            ..., None, None
        ]

    def forward(self, x):
        return self.conv(x).view(len(x), -1)


@pytest.fixture
def images():
    return Images(), randn(6, 3, 5, 4)


RELU = {**QUICK, "binary_operators": ["+", "-", "*", "max"], "unary_operators": []}


def test_a_convolution_over_channels(images):
    model, x = images
    before = model(x).detach()
    model.conv = SymbolicModel(model.conv, "conv", feature_dim=1)
    fronts = model.conv.distill(x, parent_model=model, output_dim=1, sr_params=RELU)
    fresh = randn(50, 3, seed=1)
    torch.testing.assert_close(fronts[1].predict(fresh), 1.5 * fresh[:, 2].relu())
    model.conv.switch_to_symbolic()
    assert model.conv(x).shape == (6, 2, 5, 4)
    torch.testing.assert_close(model(x), before)


def test_a_convolution_switched_as_a_whole_stays_contiguous():
    conv = nn.Conv2d(2, 2, 1, bias=False)
    model = SymbolicModel(conv, "conv", feature_dim=1)
    x = randn(6, 2, 5, 4)
    model.distill(x, sr_params=LINEAR)
    expected = model(x).detach()
    model.switch_to_symbolic()
    assert model(x).is_contiguous()
    torch.testing.assert_close(model(x).view(6, -1), expected.view(6, -1), atol=1e-3, rtol=1e-3)


def test_a_convolution_without_a_word_on_its_channels(images):
    model, x = images
    with pytest.raises(InputError, match=r"block 'conv' is convolutional .* feature_dim=1"):
        SymbolicModel(model.conv, "conv").distill(x)


class Edges(nn.Module):
    """Forces between all pairs of nodes, summed."""

    def __init__(self):
        super().__init__()
        self.force = Force()

    def forward(self, nodes):
        return self.force(nodes[:, :, None], v=nodes[:, None]).sum(2)


class Force(nn.Module):
    def forward(self, u, v):
        return u[..., :1] * v[..., 1:] - 2 * v[..., :1]


def test_an_edge_network_with_two_inputs():
    model, nodes = Edges(), randn(40, 4, 2)
    before = model(nodes)
    model.force = SymbolicModel(model.force, "force")
    front = model.force.distill(nodes, parent_model=model, sr_params=QUICK)[0]
    assert front.variables == ("u_0", "u_1", "v_0", "v_1")
    assert set(front.get_best().expression.variables) == {"u_0", "v_0", "v_1"}
    with model.force.symbolic():
        torch.testing.assert_close(model(nodes), before, atol=1e-3, rtol=1e-3)


def test_an_lstm_gives_a_clear_error_or_the_chosen_output():
    lstm, x = nn.LSTM(2, 3, batch_first=True), randn(10, 5, 2)
    with pytest.raises(InputError, match=r"block 'lstm' returns a tuple .* output=0"):
        SymbolicModel(lstm, "lstm").distill(x)
    model = SymbolicModel(lstm, "lstm", output=0)
    with pytest.warns(DependenceWarning, match="depends on other positions"):
        model.distill(x, output_dim=0, sr_params=LINEAR)
    expected, (hidden, cell) = lstm(x)
    model.switch_to_symbolic()
    out, state = model(x)
    assert (out.shape, type(state)) == ((10, 5, 3), tuple)
    assert torch.equal(state[0], hidden)
    assert torch.equal(state[1], cell)
    assert torch.equal(out[..., 1:], expected[..., 1:])
    assert not torch.equal(out[..., 0], expected[..., 0])


class Gate(nn.Module):
    """Tensor and other keyword arguments, and a mask."""

    def forward(self, x, other=None, *, mask=None, scale=1.0):
        out = scale * x[..., :1] * other[..., 1:]
        return out if mask is None else out.masked_fill(mask, 0.0)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x):
        mask = torch.zeros(len(x), 1, dtype=torch.bool)
        return self.gate(x, other=x + 1, mask=mask, scale=3.0)


def test_a_block_with_keyword_arguments():
    model, before = Gated(), Gated()(X)
    model.gate = SymbolicModel(model.gate, "gate")
    front = model.gate.distill(X, parent_model=model, sr_params=QUICK)[0]
    assert front.variables == ("x_0", "x_1", "other_0", "other_1")
    model.gate.switch_to_symbolic()
    torch.testing.assert_close(model(X), before, atol=1e-3, rtol=1e-3)
    assert torch.equal(model.gate(other=X + 1, x=X), model.gate(X, X + 1))


def test_inputs_by_keyword():
    block = SymbolicModel(Gate(), "gate")
    front = block.distill({"x": X, "other": X.flip(0), "scale": 3.0}, sr_params=QUICK)[0]
    assert front.variables == ("x_0", "x_1", "other_0", "other_1")
    table = torch.cat([X, X.flip(0)], 1)
    torch.testing.assert_close(front.predict(table), 3 * X[:, 0] * X.flip(0)[:, 1])


# ---------------------------------------------------------------- functions


def test_the_predict_of_a_linear_regression():
    table = X.double().numpy()
    regression = LinearRegression().fit(table, table @ [2.0, -3.0] + 0.5)
    model = SymbolicModel(regression.predict, "regression")
    front = model.distill(table, sr_params=LINEAR)[0]
    np.testing.assert_allclose(front.predict(table), regression.predict(table), rtol=1e-6)
    model.switch_to_symbolic()
    answer = model(table)
    assert isinstance(answer, np.ndarray)
    assert (answer.shape, answer.dtype) == ((300,), np.float64)
    np.testing.assert_allclose(answer, regression.predict(table), rtol=1e-6)
    model.switch_to_block()
    assert np.array_equal(model(table), regression.predict(table))
    assert model.block == regression.predict


def test_the_predict_of_a_forest():
    table = np.random.default_rng(0).uniform(0, 2, (500, 2))
    forest = RandomForestRegressor(20, random_state=0).fit(table, table[:, 0] * table[:, 1])
    front = SymbolicModel(forest.predict).distill(table, sr_params=QUICK)[0]
    truth = torch.tensor(table[:, 0] * table[:, 1])
    assert unexplained(torch.tensor(front.predict(table)), truth) < 0.05


def pendulum(angle, length):
    return 9.81 / length * np.sin(angle)


def test_a_numpy_function_of_several_columns():
    generator = np.random.default_rng(0)
    columns = generator.uniform(-1, 1, 300), generator.uniform(1, 2, 300)
    model = SymbolicModel(pendulum, feature_dim=None)
    options = {**QUICK, "binary_operators": ["*", "/"], "unary_operators": ["sin"]}
    front = model.distill(columns, sr_params=options)[0]
    angle, length = sympy.symbols("angle length")
    difference = front.sympy() / (sympy.sin(angle) / length)
    assert sympy.nsimplify(difference, tolerance=1e-6) == sympy.Rational("9.81")
    model.switch_to_symbolic()
    assert isinstance(model(*columns), np.ndarray)
    np.testing.assert_allclose(model(*columns), pendulum(*columns), rtol=1e-6)


def test_a_function_of_arrays_takes_plain_numbers_too():
    model = SymbolicModel(lambda a, b: a * b, feature_dim=None)
    generator = np.random.default_rng(0)
    model.distill((generator.normal(size=99), generator.normal(size=99)), sr_params=QUICK)
    model.switch_to_symbolic()
    for a, b in [(2.0, 3), (np.float64(2), np.array(3.0)), (np.full((4, 5), 2.0), 3.0)]:
        answer = model(a, b)
        assert answer.shape == np.shape(a * b)
        np.testing.assert_allclose(answer, a * b)


@pytest.mark.parametrize("dims", [None, 0], ids=str)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool], ids=str)
def test_whole_numbers_are_answered_with_whole_numbers(dtype, dims):
    model = SymbolicModel(lambda n: torch.stack([n.prod(-1), n.sum(-1)], -1).to(dtype))
    grid = torch.cartesian_prod(torch.arange(4), torch.arange(4)).repeat(10, 1)
    if dtype == torch.bool:
        grid = grid.clamp(max=1)
    model.distill(grid, output_dim=dims, sr_params=QUICK)
    expected = model(grid)
    model.switch_to_symbolic()
    assert model(grid).dtype == dtype
    assert torch.equal(model(grid)[:, 0], expected[:, 0])


def test_a_torch_function():
    model = SymbolicModel(torch.square, "square")
    front = model.distill(X[:, :1], sr_params=QUICK)[0]
    assert front.get_best().expression.pretty() in ("x0**2", "x0*x0")


@pytest.mark.parametrize("thing", [3, "net", None])
def test_a_block_must_be_callable(thing):
    with pytest.raises(UnsupportedTypeError, match=f"a function.*got {type(thing).__name__}"):
        SymbolicModel(thing)


def test_of_an_estimator_its_predict_is_meant():
    table = np.random.default_rng(0).uniform(0, 2, (500, 2))
    estimator = GradientBoostingRegressor(random_state=0).fit(table, table[:, 0] * table[:, 1])
    model = SymbolicModel(estimator)
    assert model.block_name == "GradientBoostingRegressor"
    assert np.array_equal(model(table), estimator.predict(table))
    front = model.distill(table, sr_params=QUICK)[0]
    assert unexplained(torch.tensor(front.predict(table)), torch.tensor(model(table))) < 0.05
    model.switch_to_symbolic()
    np.testing.assert_allclose(model(table), front.predict(table))


# ---------------------------------------------------------------- switching


def test_wrapping_is_transparent():
    net, x = Net().eval(), randn(20, 3)
    before = net(x)
    net.law = SymbolicModel(net.law)
    assert torch.equal(net(x), before)
    assert isinstance(net.law.block, Law)
    assert net.law.block_name == "Law"


SHAPES = [(7, 2), (4, 5, 2), (2, 3, 4, 2), (1, 2), (0, 2), (2,)]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dims", [None, 0, 1, [1, 0]], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_switched_forward_answers_like_the_block(distilled, dtype, dims):
    try:
        distilled.to(dtype)
        for shape in SHAPES:
            x = randn(*shape).to(dtype)
            expected = distilled(x)
            with distilled.symbolic(dims=dims):
                answer = distilled(x)
            assert (answer.shape, answer.dtype) == (expected.shape, expected.dtype)
            tolerance = 2e-2 if dtype.itemsize == 2 else 1e-4
            torch.testing.assert_close(answer, expected, rtol=tolerance, atol=tolerance)
    finally:
        distilled.float()


@pytest.mark.parametrize("dim", [0, 1])
def test_outputs_without_equation_are_the_blocks_bits(distilled, dim):
    expected = distilled(X)
    with distilled.symbolic(dims=dim, complexity=1):
        answer = distilled(X)
    other = 1 - dim
    assert torch.equal(answer[:, other], expected[:, other])
    assert not torch.allclose(answer[:, dim], expected[:, dim], atol=0.1)


def test_a_partly_distilled_block_can_be_switched():
    block = SymbolicModel(Law(), "law")
    block.distill(X, output_dim=1, sr_params=QUICK)
    expected = block(X)
    block.switch_to_symbolic()
    assert torch.equal(block(X)[:, 0], expected[:, 0])
    torch.testing.assert_close(block(X)[:, 1], law(X)[:, 1], rtol=1e-4, atol=1e-4)


def test_a_fully_switched_block_is_not_called(distilled):
    calls = []
    handle = distilled.block.register_forward_hook(lambda *_: calls.append(1))
    with distilled.symbolic():
        distilled(X)
    handle.remove()
    assert not calls


CHOICES = {
    "best": (None, None),
    "one complexity": (1, None),
    "one output": (1, 0),
    "list": ([1, 3], None),
    "list in the order of dims": ([3, 1], [1, 0]),
    "by output": ({0: 1, 1: 3}, None),
    "by output, some": ({1: 1}, None),
    "by output, others best": ({1: 1}, [0, 1]),
    "numpy": (np.int64(1), np.int64(0)),
}


@pytest.mark.parametrize(("complexity", "dims"), CHOICES.values(), ids=CHOICES)
def test_equations_are_chosen_by_complexity(distilled, complexity, dims):
    asked = [dims] if np.ndim(dims) == 0 and dims is not None else dims
    if isinstance(complexity, dict):
        expected = {d: complexity.get(d) for d in asked or complexity}
    elif isinstance(complexity, list):
        expected = dict(zip(asked or [0, 1], complexity, strict=True))
    else:
        expected = dict.fromkeys(asked or [0, 1], complexity)
    with distilled.symbolic(complexity, dims):
        chosen = dict(distilled.symbolic_state.switch.chosen)
        answer = distilled(X)
    for dim, size in expected.items():
        row = distilled.fronts[dim].select(size)
        assert chosen.pop(dim) == row.complexity
        expected_column = distilled.fronts[dim].predict(X, row.complexity)
        torch.testing.assert_close(answer[:, dim], expected_column)
    assert not chosen


@pytest.mark.parametrize(
    ("complexity", "dims", "error", "text"),
    [
        (99, None, InputError, r"block 'law', output 0: no equation of complexity 99; there are"),
        ([1], None, InputError, r"1 complexities \[1\] for 2 outputs \[0, 1\]"),
        ({5: 1}, [0], InputError, r"complexity given for outputs \[5\], not among dims \[0\]"),
        (None, 7, StateError, r"has outputs 0-1; asked for output 7; distilled so far: \[0, 1\]"),
        (None, -1, StateError, "asked for output -1"),
        (None, [], InputError, "dims is empty"),
    ],
)
def test_a_choice_that_is_not_there_changes_nothing(distilled, complexity, dims, error, text):
    with distilled.symbolic(complexity=1):
        before = distilled.symbolic_state.switch
        with pytest.raises(error, match=text):
            distilled.switch_to_symbolic(complexity, dims)
        assert distilled.symbolic_state.switch is before


@pytest.mark.parametrize(
    "use",
    [
        SymbolicModel.switch_to_symbolic,
        SymbolicModel.get_symbolic_function,
        SymbolicModel.show_symbolic_expression,
        lambda block: block.symbolic().__enter__(),
    ],
)
def test_before_distilling_there_is_nothing_to_use(use):
    with pytest.raises(StateError, match=r"block 'law'.* distilled so far: \[\]; call distill"):
        use(SymbolicModel(Law(), "law"))


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("switched", [False, True])
def test_the_context_goes_back_to_where_it_was(block, switched, error):
    if switched:
        block.switch_to_symbolic(complexity=1)
    before, switch = block(X), block.symbolic_state.switch
    try:
        with block.symbolic() as inside:
            assert inside is block
            assert block.is_symbolic
            torch.testing.assert_close(block(X), law(X), rtol=1e-4, atol=1e-4)
            if error:
                raise error
    except (ZeroDivisionError, KeyboardInterrupt):
        pass
    assert block.symbolic_state.switch is switch
    assert torch.equal(block(X), before)


def test_contexts_nest(block):
    with block.symbolic(complexity=1), block.symbolic(complexity=3, dims=1):
        assert block.symbolic_state.switch.chosen == {1: 3}
    assert not block.is_symbolic


def test_distilling_inside_a_context_that_was_switched_before(block):
    block.switch_to_symbolic()
    with block.symbolic():
        block.distill(X, sr_params={**QUICK, "maxsize": 1})
    assert torch.isfinite(block(X)).all()
    assert all(max(front.complexities) == 1 for front in block.fronts.values())


def test_distilling_a_switched_block_goes_on_with_the_new_equations(block):
    block.switch_to_symbolic()
    block.block.gain.data.fill_(-4.0)
    block.distill(X, output_dim=0, sr_params=QUICK)
    torch.testing.assert_close(block(X), law(X, gain=-4.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            (randn(4, 3),),
            r"block 'law': input 'x' has 3 features here \(shape \[4, 3\]\); it had 2",
        ),
        ((torch.tensor(1.0),), "without the feature axis"),
        ((), "needs input 'x'"),
        ((X, X), "needs input 'x'; this call has"),
    ],
)
def test_wrong_calls_of_a_switched_block(distilled, call, text):
    with distilled.symbolic(), pytest.raises(InputError, match=text):
        distilled(*call)


def test_modes_of_a_switched_model(block):
    block.eval()
    block.switch_to_symbolic()
    assert not any(module.training for module in block.modules())


# ---------------------------------------------------------------- looking


def test_the_table_is_printed_and_returned(distilled, capsys):
    table = distilled.show_symbolic_expression()
    printed = capsys.readouterr().out
    assert printed == f"{table}\n"
    assert "law, output 0" in printed
    assert "law, output 1" in printed
    assert printed.count(">") == 2
    best = distilled.fronts[1].get_best()
    assert any(
        line.startswith(">") and str(best.complexity) in line for line in printed.splitlines()
    )


def test_the_table_of_one_equation(distilled, capsys):
    lines = str(distilled.show_symbolic_expression(dim=1, complexity=3)).splitlines()
    assert len(lines) == 3
    assert "x0*x1" in lines[-1] or "x1*x0" in lines[-1]
    with distilled.symbolic():
        assert "switched in: complexity" in str(distilled.show_symbolic_expression(0))


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_an_equation_as_a_function(distilled, kind):
    function = distilled.get_symbolic_function(dim=1, complexity=3)
    table = X if kind == "tensor" else X.double().numpy()
    values = function(table)
    assert type(values) is type(table)
    assert values.dtype == table.dtype
    np.testing.assert_allclose(values, table[:, 0] * table[:, 1], rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match=r"need \[rows, 2\] with columns \['x0', 'x1'\]; got"):
        function(X[:, :1])


def test_a_model_shows_its_state(distilled):
    assert "'law', block, distilled outputs [0, 1]" in repr(distilled)
    with distilled.symbolic(dims=0, complexity=1):
        assert "'law', symbolic {0: 1}" in repr(distilled)


# ---------------------------------------------------------------- gradients and constants


@pytest.mark.parametrize("dims", [None, 0, 1], ids=str)
def test_gradients_to_inputs_are_those_of_finite_differences(distilled, dims):
    x = randn(3, 2, dtype=torch.float64).requires_grad_()
    try:
        distilled.double()
        with distilled.symbolic(dims=dims):
            assert torch.autograd.gradcheck(distilled, (x,))
    finally:
        distilled.float()


@pytest.mark.parametrize("dims", [None, 0], ids=str)
def test_gradients_to_constants_are_those_of_finite_differences(block, dims):
    block.double().switch_to_symbolic(dims=dims, trainable_constants=True)
    [(name, constants)] = block.symbolic_state.switch.named_parameters()
    assert constants.dtype == torch.float64
    x = randn(3, 2, dtype=torch.float64).requires_grad_()

    def outputs(x, constants):
        return torch.func.functional_call(block, {f"symbolic_state.switch.{name}": constants}, (x,))

    assert torch.autograd.gradcheck(outputs, (x, constants))


def test_constants_are_frozen_unless_asked_for(block):
    block.switch_to_symbolic()
    assert not list(block.symbolic_state.switch.parameters())
    block.switch_to_symbolic(trainable_constants=True)
    assert list(block.symbolic_state.switch.parameters())
    assert {id(p) for p in block.symbolic_state.switch.parameters()} <= {
        id(p) for p in block.parameters()
    }


def trained(block, gain, steps=200):
    """Switched with trainable constants that were trained to another gain."""
    block.switch_to_symbolic(trainable_constants=True)
    optimizer = torch.optim.Adam(block.symbolic_state.switch.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        (block(X) - law(X, gain)).square().mean().backward()
        optimizer.step()
    return block


def slope(front):
    """The factor of x0 in the chosen equation, by way of SymPy."""
    return float(sympy.Poly(front.sympy(), *sympy.symbols("x0 x1")).coeff_monomial("x0"))


def test_trained_constants_show_up_everywhere(block):
    assert slope(block.fronts[0]) == pytest.approx(2.0, abs=1e-3)
    trained(block, gain=5.0)
    size = block.symbolic_state.switch.chosen[0]
    for _ in ("switched", "back at the block"):
        front = block.fronts[0]
        assert slope(front) == pytest.approx(5.0, abs=0.01)
        assert front.select(size).trained
        np.testing.assert_allclose(front.predict(X, size), law(X, 5.0)[:, 0], atol=0.1)
        function = block.get_symbolic_function(0, size)
        np.testing.assert_allclose(function(X), law(X, 5.0)[:, 0], atol=0.1)
        assert "trained since" in str(block.show_symbolic_expression(0))
        block.switch_to_block()
    torch.testing.assert_close(block(X), law(X, 2.0))
    block.switch_to_symbolic(size, dims=0)
    torch.testing.assert_close(block(X)[:, 0], law(X, 5.0)[:, 0], atol=0.1, rtol=0.1)


def test_a_block_trains_through_its_equations():
    net = Net().eval()
    net.law = SymbolicModel(net.law)
    net.law.distill(randn(300, 3), parent_model=net, sr_params=QUICK)
    x = randn(5, 3).requires_grad_()
    grads = []
    for switch in (net.law.switch_to_block, net.law.switch_to_symbolic):
        switch()
        net.zero_grad()
        x.grad = None
        net(x).sum().backward()
        grads.append((x.grad.clone(), net.encoder.weight.grad.clone()))
    torch.testing.assert_close(*grads, rtol=1e-2, atol=1e-2)


def test_an_equation_without_variables_can_be_trained_through(distilled):
    x = X.clone().requires_grad_()
    with distilled.symbolic(complexity=1):
        distilled(x).sum().backward()
    assert x.grad.shape == x.shape


# ---------------------------------------------------------------- the rest of torch


def test_autocast(distilled):
    with distilled.symbolic(), torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(distilled(X), law(X), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dims", [None, 0], ids=str)
def test_compile(distilled, dims):
    # The backend without code generation: what can go wrong here is tracing.
    with distilled.symbolic(dims=dims):
        compiled = torch.compile(distilled, backend="aot_eager")
        torch.testing.assert_close(compiled(X), distilled(X))
    torch._dynamo.reset()


def test_a_model_that_was_compiled_before():
    net, x = Net().eval(), randn(50, 3)
    compiled = torch.compile(net, backend="eager")
    before = compiled(x)
    net.law = SymbolicModel(net.law)
    assert torch.equal(compiled(x), before)
    net.law.distill(x, parent_model=compiled, sr_params=QUICK)
    net.law.switch_to_symbolic(complexity=1)
    assert not torch.allclose(compiled(x), before)
    net.law.switch_to_block()
    assert torch.equal(compiled(x), before)
    torch._dynamo.reset()


def test_vmap_and_jacobians(distilled):
    with distilled.symbolic():
        jacobian = torch.func.vmap(torch.func.jacrev(distilled))(X[:5])
    zero = torch.zeros(5)
    expected = [[zero + 2, 2 * X[:5, 1]], [X[:5, 1], X[:5, 0]]]
    expected = torch.stack([torch.stack(row, -1) for row in expected], -2)
    torch.testing.assert_close(jacobian, expected, rtol=1e-3, atol=1e-3)


def test_the_whole_story_on_a_wrapped_model():
    net, x = Net().eval(), randn(400, 3)
    before = net(x).detach()
    block = wrap(net, "law")["law"]
    block.distill(x, parent_model=net, sr_params=QUICK)
    block.switch_to_symbolic()
    torch.testing.assert_close(net(x), before, rtol=1e-2, atol=1e-2)
    block.switch_to_block()
    assert torch.equal(net(x), before)
