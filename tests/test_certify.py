"""Bounds of networks, equations and their difference: sound by sampling, tight, honest."""

from __future__ import annotations

import json
import math
import random
import sys

import numpy as np
import pytest
import torch
from helpers import expressions, fitted
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from symtorch import Expression, InputError, SymbolicLayer, record
from symtorch.errors import StateError, UnsupportedTypeError
from symtorch.symbolic.nodes import Call, Constant, Variable
from symtorch.symbolic.operators import OPERATORS
from symtorch.trust import Box, certify, find_poles
from symtorch.trust.intervals import Interval, enclose, expanded
from symtorch.trust.networks import rounding_margin, trace
from symtorch.trust.networks.modules import MODULES
from symtorch.trust.taylor import Basis, TaylorModel, expand
from symtorch.trust.taylor.rules import OPERATIONS

UNIT = {"x": (-1.0, 1.0), "y": (-1.0, 1.0)}
ENOUGH = 10_000.0
"""Seconds no test reaches: they are bounded by `max_boxes`."""


def corners(boxes: int, dims: int, size: float = 0.5, seed: int = 0) -> tuple:
    generator = torch.Generator().manual_seed(seed)
    low = 4 * torch.rand(boxes, dims, generator=generator, dtype=torch.float64) - 2
    side = size * torch.rand(boxes, dims, generator=generator, dtype=torch.float64)
    return low, low + side


def points_in(low: torch.Tensor, high: torch.Tensor, count: int = 20, seed: int = 1):
    """[count, boxes, dims], corners among them."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(count, *low.shape, generator=generator, dtype=torch.float64)
    share[0], share[1] = 0.0, 1.0
    return torch.minimum(low + share * (high - low), high)


def polynomial(model: TaylorModel, low: torch.Tensor, high: torch.Tensor, x: torch.Tensor):
    """The polynomial of a model [boxes, ...] at points [count, boxes, dims]."""
    centre = 0.5 * low + 0.5 * high
    t = (x - centre) / torch.where(high > low, high - centre, 1.0)
    terms = [torch.ones_like(t[..., :1]), t]
    if model.basis.order == 2:
        terms.append(t.square())
        terms += [t[..., i : i + 1] * t[..., j : j + 1] for i, j in model.basis.pairs]
    monomials = torch.cat(terms[: model.basis.order + 1 + 99 * (model.basis.order == 2)], -1)
    return torch.einsum("cbk,kb...->cb...", monomials[..., : model.basis.size], model.coefficients)


# ----------------------------------------------------------------------- Taylor models


def test_there_is_an_operation_for_each_operator_and_no_other():
    assert set(OPERATIONS) == set(OPERATORS)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", OPERATORS)
def test_each_operator_stays_within_its_remainder(name, order):
    operator = OPERATORS[name]
    tree = Call(operator, tuple(Variable(v) for v in "xy"[: operator.arity]))
    low, high = corners(300, 2)
    model = expand(tree, ["x", "y"], TaylorModel.variables(Basis(2, order), low, high))
    x = points_in(low, high)
    exact = enclose(tree, {"x": Interval.of(x[..., 0]), "y": Interval.of(x[..., 1])})
    defined = ~exact.may_fail
    assert (model.range.lower <= exact.range.upper)[defined].all()
    assert (model.range.upper >= exact.range.lower)[defined].all()
    assert torch.isinf(model.remainder)[exact.fails.any(0)].all()
    # The test's own t and sums are rounded: 1e-12 of the sizes at hand.
    away = polynomial(model, low, high, x) - exact.range.middle
    slack = 1e-12 * (1 + model.size + exact.range.magnitude)
    assert (away.abs() <= model.remainder + slack)[defined].all()


@settings(max_examples=100)
@given(expressions(max_leaves=8, moderate=True), st.sampled_from([1, 2]))
def test_random_equations_stay_within_their_remainders(expression, order):
    root = expanded(expression.root)
    low, high = corners(20, 2, size=0.2)
    model = expand(root, ["x", "y"], TaylorModel.variables(Basis(2, order), low, high))
    x = points_in(low, high, 10)
    exact = enclose(root, {"x": Interval.of(x[..., 0]), "y": Interval.of(x[..., 1])})
    known = torch.isfinite(model.remainder) & ~exact.may_fail
    assert (model.range.lower <= exact.range.upper)[known].all()
    assert (model.range.upper >= exact.range.lower)[known].all()
    assert torch.isinf(model.remainder)[exact.fails.any(0)].all()


@pytest.mark.parametrize("text", ["sin(x)*exp(y)", "x**3/(2 + y)", "x**2.5 + atan2(y, x)", "y**x"])
@pytest.mark.parametrize("order", [1, 2])
def test_remainders_shrink_with_their_order(text, order):
    root = Expression.parse(text).root
    sizes = []
    for side in (0.1, 0.05):
        low = torch.full((1, 2), 1.0, dtype=torch.float64)
        x = TaylorModel.variables(Basis(2, order), low, low + side)
        sizes.append(float(expand(root, ["x", "y"], x).remainder))
    assert sizes[0] / sizes[1] > 0.8 * 2 ** (order + 1)


def test_a_large_sum_that_cancels_keeps_its_rounding():
    """1e16 + x - 1e16 is x in real numbers, while float64 gives 0 or 2."""
    big = Constant(1e16)
    plus, minus = OPERATORS["+"], OPERATORS["-"]
    tree = Call(minus, (Call(plus, (big, Variable("x"))), big))
    low, high = (torch.tensor([[v]]).double() for v in (0.9, 1.1))
    model = expand(tree, ["x"], TaylorModel.variables(Basis(1, 2), low, high))
    assert model.range.lower <= 0.9
    assert model.range.upper >= 1.1


# ----------------------------------------------------------------------------- networks


class Residual(nn.Module):
    """Much of what torch.fx traces: sums, columns, functions, methods, stored numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(2, 6), nn.Linear(6, 6)
        self.register_buffer("mean", torch.tensor([0.1, -0.2]))
        self.register_buffer("spread", torch.tensor([1.3, 0.7]))
        self.last = nn.Linear(9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = (x - self.mean) / self.spread
        h = F.silu(self.first(z))
        h = h + torch.sin(self.second(h)) * 0.5
        h = h - self.second(h).tanh() ** 2
        a, b = z[:, 0], z[..., 1:2]
        products = torch.stack([a * a, 1.0 - a], dim=-1)
        return 2 * self.last(torch.cat([h, products, b.sigmoid()], dim=-1)) - 1


def normalised() -> nn.Module:
    norm = nn.BatchNorm1d(5)
    norm.running_mean.copy_(torch.linspace(-1, 1, 5))
    norm.running_var.copy_(torch.linspace(0.1, 3, 5))
    return nn.Sequential(nn.Linear(2, 5), norm, nn.Dropout(0.5), nn.Identity(), nn.Tanh())


ACTIVATIONS = {
    **{kind.__name__: kind for kind in (nn.ReLU, nn.SiLU, nn.GELU, nn.Tanh, nn.Sigmoid)},
    "LeakyReLU": lambda: nn.LeakyReLU(0.1),
    "Softplus": lambda: nn.Softplus(beta=2.0, threshold=3.0),
}


def blocks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        name: nn.Sequential(nn.Linear(2, 8), make(), nn.Linear(8, 8), make(), nn.Linear(8, 2))
        for name, make in ACTIVATIONS.items()
    }
    made |= {
        "residual": Residual(),
        "normalised": normalised(),
        "linear": nn.Linear(2, 3),
        "equations": SymbolicLayer(["x*y + 1", "sin(x)"], ["x", "y"]),
    }
    return {name: block.eval() for name, block in made.items()}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", blocks())
def test_networks_stay_within_their_bounds(name, order):
    block = blocks()[name].double()
    low, high = corners(200, 2)
    model = trace(block, 2).over(low, high, order)
    x = points_in(low, high)
    with torch.no_grad():
        y = block(x.reshape(-1, 2)).reshape(*x.shape[:2], -1)
    # The block's own float64 rounding, which its real numbers do not have.
    slack = 1e-12 * (1 + y.abs())
    assert (y >= model.range.lower - slack).all()
    assert (y <= model.range.upper + slack).all()
    assert ((polynomial(model, low, high, x) - y).abs() <= model.remainder + slack).all()


@pytest.mark.parametrize("name", [n for n in blocks() if n not in ("equations",)])
def test_float32_execution_stays_within_its_margin(name):
    block = blocks()[name]
    low, high = corners(50, 2)
    low, high = low.float().double(), high.float().double()
    network = trace(block, 2)
    margin = rounding_margin(network, low, high)
    x = points_in(low, high, 100).float()
    x = torch.minimum(torch.maximum(x, low.float()), high.float()).reshape(-1, 2)
    with torch.no_grad():
        executed = block(x).double()
        exact = block.double()(x.double())
    assert ((executed - exact).abs() <= margin).all()
    assert (margin < 1e-3 * (1 + exact.abs().max())).all() or name == "Softplus"


def test_every_module_that_is_supported_was_tested():
    seen = {type(module) for block in blocks().values() for module in block.modules()}
    assert set(MODULES) <= seen | {SymbolicLayer}


def test_unsupported_parts_are_named_with_what_is_supported():
    with pytest.raises(UnsupportedTypeError, match=r"'1' of type Softmax.*supported.*Linear"):
        certify(nn.Sequential(nn.Linear(1, 1), nn.Softmax(-1)), "x", {"x": (0, 1)})

    class Branching(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedTypeError, match=r"cannot trace Branching.*supported"):
        certify(Branching(), "x", {"x": (0, 1)})

    class Mixing(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - x.mean(0)

    with pytest.raises(UnsupportedTypeError, match="method mean"):
        certify(Mixing(), "x", {"x": (0, 1)})


def test_a_block_that_does_something_else_than_what_was_read():
    block = nn.Linear(1, 1)
    block.register_forward_hook(lambda module, args, output: output + 1)
    with pytest.raises(UnsupportedTypeError, match="a hook or a wrapped method"):
        certify(block, "x", {"x": (0, 1)})


# ------------------------------------------------------------------------- certificates


@pytest.fixture(scope="module")
def product_net() -> nn.Module:
    """A small network that learned x*y, on [-1, 1]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 1))
        x = 2 * torch.rand(500, 2) - 1
        return fitted(net, x, x.prod(1, keepdim=True))


def largest(net: nn.Module, text: str, box: dict, dim: int = 0, side: int = 401) -> float:
    """max |block - equation| on a grid, in float64."""
    axes = [torch.linspace(*pair, side, dtype=torch.float64) for pair in box.values()]
    grid = torch.cartesian_prod(*axes).reshape(-1, len(axes))
    columns = dict(zip(box, grid.unbind(1), strict=True))
    with torch.no_grad():
        weights = {k: v.double() for k, v in net.state_dict().items()}
        y = torch.func.functional_call(net, weights, (grid,))
    return float((y[:, dim] - Expression.parse(text)(columns)).abs().max())


@pytest.mark.parametrize("tolerance", [0.2, 0.02])
def test_bounds_are_on_both_sides_of_a_dense_grids(product_net, tolerance):
    found = certify(product_net, "x*y", UNIT, tolerance=tolerance, budget=ENOUGH)
    grid = largest(product_net, "x*y", UNIT)
    assert found.proved
    assert found.undecided == 0
    assert found.lower <= found.upper <= (1 + tolerance) * found.lower * 1.0001
    assert grid <= found.upper
    assert found.lower == pytest.approx(grid, rel=tolerance)
    at = {name: (value, value) for name, value in found.worst_point.items()}
    assert largest(product_net, "x*y", at, side=1) == pytest.approx(found.lower, rel=1e-9)
    assert found.holds(grid * 1.3) is True
    assert found.holds(grid * 0.7) is False
    assert found.holds((found.lower + found.upper) / 2) is None


def test_higher_orders_need_fewer_boxes(product_net):
    boxes = [
        certify(product_net, "x*y", UNIT, order=order, budget=ENOUGH, max_boxes=30_000).boxes
        for order in (0, 1, 2)
    ]
    assert boxes[0] > 4 * boxes[1] > 4 * boxes[2]


def test_stopped_early_it_is_right_and_says_what_is_open(product_net):
    found = certify(product_net, "x*y", UNIT, tolerance=0.01, budget=ENOUGH, max_boxes=5)
    assert found.upper >= largest(product_net, "x*y", UNIT)
    assert 0 < found.undecided <= 1
    assert "% of the volume not within 1 %" in str(found)


def test_relu_networks(product_net):
    torch.manual_seed(0)
    x = 2 * torch.rand(500, 2) - 1
    net = fitted(nn.Sequential(nn.Linear(2, 12), nn.ReLU(), nn.Linear(12, 1)), x, x.abs()[:, :1])
    found = certify(net, "abs(x)", UNIT, tolerance=0.1, budget=ENOUGH, max_boxes=20_000)
    grid = largest(net, "abs(x)", UNIT)
    assert grid <= found.upper <= 1.15 * grid


def test_an_equal_equation_is_equal_to_within_rounding():
    torch.manual_seed(0)
    block = nn.Linear(2, 1)
    (a, b), c = block.weight[0].tolist(), block.bias.item()
    found = certify(block, f"{a}*x + {b}*y + {c}", UNIT)
    assert found.upper < 1e-14
    assert found.undecided == 0


def test_several_outputs_have_a_bound_each():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    found = certify(net, {0: "x", 2: "x*y"}, UNIT, budget=ENOUGH, max_boxes=20_000)
    for dim, text in {0: "x", 2: "x*y"}.items():
        bound, grid = found.bounds[dim], largest(net, text, UNIT, dim)
        assert bound.lower * 0.99 <= grid <= bound.upper <= 1.11 * grid
    assert found.upper == max(bound.upper for bound in found.bounds.values())


def test_float32_execution_adds_its_margin(product_net):
    real = certify(product_net, "x*y", UNIT, budget=ENOUGH)
    single = certify(product_net, "x*y", UNIT, budget=ENOUGH, arithmetic="float32")
    assert 0 < single.margin[0] < 1e-4
    assert single.upper == pytest.approx(real.upper + single.margin[0], rel=1e-12)
    assert "for float32" in str(single)


def test_a_certificate_as_text_and_json(product_net):
    found = certify(product_net, "x*y", UNIT, budget=ENOUGH)
    assert "PROVED: max |block - equation| over x in [-1, 1], y in [-1, 1]" in str(found)
    saved = json.loads(found.to_json())
    assert saved["kind"] == "proved"
    assert saved["bounds"]["0"]["upper"] == found.upper
    assert saved["box"]["names"] == ["x", "y"]
    with pytest.raises(AttributeError):
        found.proved = False


def test_only_a_sample_where_a_proof_cannot_be_had(monkeypatch):
    monkeypatch.setattr(sys.modules["symtorch.trust.certify"], "MAX_WORK", 100_000)
    torch.manual_seed(0)
    block = nn.Linear(8, 1)
    names = [f"x{i}" for i in range(8)]
    for found in (
        certify(block, "x0", dict.fromkeys(names, (0, 1)), max_boxes=5000),
        certify(nn.Linear(1, 1), "x", {"x": (0, 1)}, budget=0),
        certify(
            nn.Sequential(nn.Linear(1, 512), nn.Linear(512, 512), nn.Linear(512, 1)),
            "x",
            {"x": (0, 1)},
            max_boxes=5000,
        ),
    ):
        assert not found.proved
        assert found.upper == math.inf
        assert 0 < found.lower < math.inf
        assert found.undecided == 1
        assert found.remark
        assert "SAMPLED, not proved" in str(found)
        saved = json.loads(found.to_json())
        assert (saved["kind"], saved["bounds"]["0"]["upper"]) == ("sampled", None)
        assert found.holds(1e9) is None


def test_a_box_of_no_width_is_a_point(product_net):
    point = certify(product_net, "x*y", {"x": (0.5, 0.5), "y": (0.25, 0.25)})
    expected = largest(product_net, "x*y", {"x": (0.5, 0.5), "y": (0.25, 0.25)}, side=1)
    assert point.lower == pytest.approx(expected, rel=1e-12)
    assert point.upper == pytest.approx(expected, rel=1e-6)
    line = certify(product_net, "x*y", {"x": (0.5, 0.5), "y": (-1, 1)}, budget=ENOUGH)
    assert line.undecided == 0


def test_an_equation_with_a_pole_has_no_upper_bound(product_net):
    found = certify(product_net, "x*y + 1/(y - 0.3)", UNIT, budget=ENOUGH, max_boxes=3000)
    assert found.lower == found.upper == math.inf
    assert found.worst_point["y"] == pytest.approx(0.3)
    assert "the divisor is 0" in str(found)
    # Removable in mathematics, nan in any program.
    assert certify(product_net, "x*sin(y)/y", UNIT).lower == math.inf
    # A pole in a single point, which is not hit by cutting.
    hidden = certify(product_net, "1/((x - 0.3)**2 + (y - 0.2)**2)", UNIT, max_boxes=2000)
    assert 0 < hidden.lower < hidden.upper == math.inf
    assert 0 < hidden.undecided < 1
    assert "find_poles" in hidden.remark
    nowhere = certify(product_net, "log(x - 2)", UNIT)
    assert nowhere.lower == nowhere.upper == math.inf
    assert "is not finite at" in str(nowhere)
    assert json.loads(nowhere.to_json())["bounds"]["0"]["lower"] is None


class Failing(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "raises" and bool((x > 0.5).any()):
            raise RuntimeError("too large")
        return torch.log(x - 0.5) if self.how == "nan" else torch.stack([x, x])


@pytest.mark.parametrize(
    ("block", "equation", "options", "message"),
    [
        (Failing("raises"), "x", {}, "the block raised RuntimeError on 4096 rows.*too large"),
        (Failing("nan"), "x", {}, r"the block gives \[nan\] at \{'x': .*inside the box"),
        (Failing("shape"), "x", {}, r"must give \[rows, outputs\].*gave \[2, 4096, 1\]"),
        (nn.Linear(2, 1), "x", {}, "the block raised RuntimeError"),
        (nn.Linear(1, 2), "x", {}, "2 outputs; give an equation by output"),
        (nn.Linear(1, 1), {3: "x"}, {}, "outputs 0 to 0; got an equation for 3"),
        (nn.Linear(1, 1), {}, {}, "no equation given"),
        (nn.Linear(1, 1), Expression.parse("z"), {}, r"variables \['z'\] that the box does not"),
        (nn.Linear(1, 1), "x", {"box": {"x": (0, math.inf)}}, "a box has finite bounds"),
        (nn.Linear(1, 1), "x", {"box": {"x": (1, 0)}}, "ranges from 1.0 down to 0.0; swap"),
        (nn.Linear(1, 1), "x", {"box": {}}, "at least one column"),
        (nn.Linear(1, 1), "x", {"box": [(0, 1)]}, "a box is given as"),
        (nn.Linear(1, 1), "x", {"budget": -1.0}, "budget must be 0 or more"),
        (nn.Linear(1, 1), "x", {"tolerance": 0.0}, "tolerance must be positive"),
        (nn.Linear(1, 1), "x", {"order": 3}, "order must be 0, 1 or 2"),
        (nn.Linear(1, 1), "x", {"arithmetic": "exact"}, "'real' or 'float32'"),
    ],
)
def test_bad_input_is_an_error_that_says_so(block, equation, options, message):
    box = options.pop("box", {"x": (0.0, 1.0)})
    with pytest.raises(InputError, match=message):
        certify(block, equation, box, **options)


def test_flushed_subnormal_numbers_are_an_error(product_net):
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush subnormal numbers")
    try:
        with pytest.raises(StateError, match=r"torch.set_flush_denormal\(False\)"):
            certify(product_net, "x*y", UNIT)
    finally:
        torch.set_flush_denormal(False)


def test_lower_matrix_precision_has_no_margin(product_net):
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with pytest.raises(InputError, match="'medium' precision"):
            certify(product_net, "x*y", UNIT, arithmetic="float32", max_boxes=1)
    finally:
        torch.set_float32_matmul_precision(before)


class Noisy(nn.Module):
    """Uses all global generators when it is called."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 0.0 * (torch.rand(1) + random.random() + np.random.rand())  # noqa: NPY002


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_found(fails):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))
    net.train()
    net[1].eval()
    net[0].weight.grad = torch.ones_like(net[0].weight)
    net[3].weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    generators = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    if fails:
        with pytest.raises(InputError):
            certify(net, "x", {"x": (0, 1)})
    else:
        certify(Noisy(), "x", {"x": (0, 1)}, max_boxes=10)
        certify(net, "x", UNIT, budget=ENOUGH, max_boxes=500)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert torch.equal(net[0].weight.grad, torch.ones_like(net[0].weight))
    assert not net[3].weight.requires_grad
    assert net[0].weight.requires_grad
    assert torch.equal(generators[0], torch.get_rng_state())
    assert (generators[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    assert generators[2] == random.getstate()


def test_the_same_certificate_again_in_any_mode(product_net):
    first = certify(product_net, "x*y", UNIT, budget=ENOUGH, max_boxes=2000)
    with torch.inference_mode():
        again = certify(product_net, "x*y", UNIT, budget=ENOUGH, max_boxes=2000)
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float16)
        third = certify(product_net, "x*y", UNIT, budget=ENOUGH, max_boxes=2000)
    finally:
        torch.set_default_dtype(default)
    assert first.bounds == again.bounds == third.bounds


# --------------------------------------------------------------------------------- boxes


def test_a_box_around_a_recording():
    rows = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    recording = record(nn.Sequential(nn.Linear(2, 1)), "0", rows)["0"]
    assert Box.around(recording) == Box(("x0", "x1"), (0.0, 1.0), (2.0, 5.0))
    with pytest.raises(InputError, match="margin must be 0 or more"):
        Box.around(recording, -0.1)


# --------------------------------------------------------------------------------- poles

POLES = [
    ("x/(y**2 + 0.01)", UNIT, "none"),
    ("x + y", UNIT, "none"),
    ("1/(x**2 + y**2 - 2*x*y + 0.001)", UNIT, "none"),
    ("log(1 - x**2)", {"x": (-0.99, 0.99)}, "none"),
    ("sqrt(x)", {"x": (0, 1)}, "none"),
    ("x**y", {"x": (0, 1), "y": (1, 2)}, "none"),
    ("tan(x)", {"x": (0, 1.5)}, "none"),
    ("1/(x - 0.3)", {"x": (0, 1)}, "found"),
    ("1/(x - 0.3)**2", {"x": (0, 1)}, "found"),
    ("(x - 0.3)**-2", {"x": (0, 1)}, "found"),
    ("log(square(x - 0.3))", {"x": (0, 1)}, "found"),
    ("1/(x*(y + 2))", UNIT, "found"),
    ("1/(exp(x) - y)", {"x": (0, 1), "y": (0.1, 3)}, "found"),
    ("sqrt(x + 1e-9)", {"x": (-1e-6, 1)}, "found"),
    ("tan(x)", {"x": (0, 2)}, "found"),
    ("x**0.5", {"x": (-1, 1)}, "found"),
    ("acosh(x)", {"x": (0, 2)}, "found"),
    ("exp(log(x))", {"x": (-1, 1)}, "found"),
    ("1/(floor(x) + 0.5)", {"x": (-3, 3)}, "undecided"),
    ("1/(x**2 + y**2)", {"x": (-1, 1.1), "y": (-1.2, 1)}, "undecided"),
]


@pytest.mark.parametrize(("text", "box", "status"), POLES)
def test_poles_are_found_excluded_or_left_open(text, box, status):
    found = find_poles(text, box, budget=ENOUGH, max_boxes=20_000)
    assert found.status == status
    if status == "found":
        columns = {name: torch.tensor([value]).double() for name, value in found.row.items()}
        near = [
            Expression.parse(text)({k: v + shift for k, v in columns.items()})
            for shift in (0.0, 1e-9, -1e-9)
        ]
        values = torch.cat(near)
        assert (~torch.isfinite(values) | (values.abs() > 1e7) | (values < -15)).any()
        assert str(found).startswith("poles and domain violations: one here: {")
        assert all(box[k][0] <= v <= box[k][1] for k, v in found.row.items())
    if status == "undecided":
        assert 0 < found.undecided < 1e-3


def test_no_time_leaves_poles_undecided():
    found = find_poles("1/(x**2 - x*y + y**2 + 0.0001)", UNIT, budget=0.0)
    assert found.status == "undecided"
    assert "undecided on 1e+02 %" in str(found)


def test_poles_bad_input():
    with pytest.raises(InputError, match="budget"):
        find_poles("1/x", {"x": (0, 1)}, budget=-1)
    with pytest.raises(InputError, match=r"variables \['z'\]"):
        find_poles(Expression.parse("1/z"), {"x": (0, 1)})
