"""Wide blocks: moments that stream, coordinates, what computes them, what they mean."""

from __future__ import annotations

import copy
import io
import json

import numpy as np
import pytest
import torch
from helpers import randn, state_of_the_world
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from symtorch import (
    InputError,
    Reduction,
    StateError,
    SymbolicModel,
    UnsupportedTypeError,
    heal,
    rank_blocks,
    record,
    unwrap,
    wrap,
)
from symtorch.recording.moments import Moments, MomentSums
from symtorch.reduction.coordinates import Coordinates
from symtorch.reduction.directions import (
    beyond_chance,
    curved,
    linear_map,
    principal,
    reduced_rank,
    without_linear,
)
from symtorch.reduction.interpretation import describe, explained, top_features
from symtorch.reduction.sensitivity import gradient_moment

WIDTH, TARGET = 24, 16


class Wide(nn.Module):
    """A law of three hidden directions: [..., 24] -> [..., 16], of rank 2."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Parameter(torch.linalg.qr(randn(WIDTH, 3, seed=1)).Q)
        self.write = nn.Parameter(torch.linalg.qr(randn(TARGET, 2, seed=2)).Q.T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c = (x @ self.read).unbind(-1)
        return torch.stack([2 * a + a * b, c + 0.5 * a**2], -1) @ self.write


class Residual(nn.Module):
    """The wide block inside a model, its output added to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH, WIDTH)
        self.wide = Wide()
        self.head = nn.Linear(TARGET, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.wide(torch.tanh(self.inner(x))))


QUICK = {"niterations": 1, "maxsize": 9, "binary_operators": ["+", "*"], "unary_operators": []}
SEARCH = {**QUICK, "niterations": 3, "maxsize": 15, "unary_operators": ["square"]}


@pytest.fixture(scope="module")
def distilled() -> SymbolicModel:
    block = SymbolicModel(Wide(), "wide")
    request = Reduction(inputs=3, outputs=2)
    distill(block, randn(4000, WIDTH), request, sr_params=SEARCH)
    return block


def copied(block: SymbolicModel) -> SymbolicModel:
    return copy.deepcopy(block)


def error(block: SymbolicModel, x: torch.Tensor) -> float:
    """Mean squared error of the equations, as a part of the block's variance."""
    expected = block.block(x).detach()
    with torch.no_grad(), block.symbolic():
        return float((block(x) - expected).square().mean() / expected.var())


def distill(block: SymbolicModel, data: object, request: Reduction, **more: object):
    """A short search in the coordinates asked for."""
    return block.distill(data, reduce=request, engine="sparse", **{"sr_params": QUICK, **more})


# -- moments ----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6), st.integers(0, 99))
def test_moments_do_not_depend_on_how_rows_are_cut_into_batches(sizes, seed):
    rows = sum(sizes)
    x, y = 1e4 + randn(rows, 3, seed=seed).double(), randn(rows, 2, seed=seed + 1).double()
    sums = MomentSums()
    for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
        sums.add(a, b)
    found = sums.moments()
    expected = np.cov(torch.cat([x, y], 1).numpy().T, bias=True)
    np.testing.assert_allclose(torch.cat([found.xx, found.xy], 1), expected[:3], atol=1e-9)
    np.testing.assert_allclose(found.yy, expected[3:, 3:], atol=1e-9)
    torch.testing.assert_close(found.x_mean, x.mean(0))
    assert found.rows == rows


def test_all_rows_count_and_few_are_kept():
    block = SymbolicModel(Wide(), "wide")
    x = randn(3000, WIDTH)
    few = distill(block, list(x.split(500)), Reduction(2, 1), max_samples=400)
    all_of_them = Moments.of(x, block.block(x).detach())
    expected = all_of_them.xx.diagonal().sqrt()
    torch.testing.assert_close(block.symbolic_state.reduction.input_scale, expected.float())
    assert len(few) == 1


# -- directions -------------------------------------------------------------------------------


def table(seed: int = 0, rows: int = 2000) -> tuple[torch.Tensor, torch.Tensor]:
    x = randn(rows, 6, seed=seed).double() @ randn(6, 6, seed=seed + 1).double()
    y = x @ randn(6, 4, seed=seed + 2).double() + randn(rows, 4, seed=seed + 3).double()
    return x, y


def test_reduced_rank_regression_is_the_best_map_of_its_rank():
    x, y = table()
    moments = Moments.of(x, y)
    xc, yc = x - x.mean(0), y - y.mean(0)

    def loss(map_):
        return float((yc - xc @ map_).square().mean())

    for rank in (1, 2, 3):
        found = reduced_rank(moments, ridge=0).first(rank)
        # Independent: the SVD of the fitted values cuts the least-squares map.
        ols = torch.linalg.lstsq(xc, yc).solution
        _, _, vh = torch.linalg.svd(xc @ ols)
        expected = ols @ vh[:rank].T @ vh[:rank]
        torch.testing.assert_close(found.encoder @ found.decoder, expected, rtol=1e-6, atol=1e-6)
        z = xc @ found.encoder
        torch.testing.assert_close(z.var(0, correction=0), torch.ones(rank).double())
        assert loss(found.encoder @ found.decoder) <= loss(expected) + 1e-9


def test_weights_decide_which_output_comes_first():
    x = randn(1000, 4).double()
    y = torch.stack([5 * x[:, 0], x[:, 1]], 1)
    weight = torch.diag(torch.tensor([0.01, 1.0]))
    assert reduced_rank(Moments.of(x, y)).encoder[:, 0].abs().argmax() == 0
    assert reduced_rank(Moments.of(x, y), weight).encoder[:, 0].abs().argmax() == 1


def test_a_full_rank_weighted_map_is_plain_regression():
    x, y = table()
    moments = Moments.of(x, y)
    weight = torch.cov(randn(4, 50, seed=9)).double()
    found = reduced_rank(moments, weight)
    torch.testing.assert_close(found.encoder @ found.decoder, linear_map(moments))


def test_principal_components_are_those_of_numpy():
    x, _ = table()
    moments = Moments.of(x, x)
    found = principal(moments.xx)
    values = np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True))[::-1]
    np.testing.assert_allclose(found.decoder.square().sum(1), values.copy(), rtol=1e-8)
    back = (x - x.mean(0)) @ found.encoder @ found.decoder
    torch.testing.assert_close(back, x - x.mean(0))


def test_chance_is_told_from_prediction():
    x = randn(3000, 40).double()
    noise = randn(3000, 20, seed=5).double()
    y = noise.clone()
    y[:, 3] += 2 * x[:, 7]
    assert beyond_chance(reduced_rank(Moments.of(x, y)), Moments.of(x, y)) == 1
    assert beyond_chance(reduced_rank(Moments.of(x, noise)), Moments.of(x, noise)) == 0


def test_directions_of_a_product_are_found_where_nothing_is_linear():
    x = randn(4000, 10).double()
    y = (x[:, 2] * x[:, 5])[:, None]
    moments = Moments.of(x, y)
    found = curved(x, y, moments)[:, :2]
    inside = found[[2, 5]].square().sum() / found.square().sum()
    assert inside > 0.95


def test_what_a_linear_map_explains_can_be_taken_off():
    x, y = table()
    slopes = randn(6, 4, seed=8).double()
    left, direct = without_linear(Moments.of(x, y), slopes), Moments.of(x, y - x @ slopes)
    for name in ("y_mean", "xy", "yy"):
        torch.testing.assert_close(getattr(left, name), getattr(direct, name))


# -- distilling -------------------------------------------------------------------------------


def test_a_wide_law_is_found_in_its_few_directions(distilled):
    assert error(distilled, randn(2000, WIDTH, seed=7)) < 0.05
    assert [*distilled.fronts] == [0, 1]
    assert distilled.fronts[0].variables == ("z0", "z1", "z2")


@pytest.mark.parametrize("linear", [True, 2])
def test_a_linear_path_takes_what_is_linear(linear):
    block = SymbolicModel(Wide(), "wide")
    x = randn(4000, WIDTH)
    request = Reduction(inputs=3, outputs=2, linear=linear)
    distill(block, x, request, sr_params=SEARCH)
    y = block.block(x).detach()
    slopes = torch.linalg.lstsq(x - x.mean(0), y - y.mean(0)).solution
    linear_alone = float((y - y.mean(0) - (x - x.mean(0)) @ slopes).square().mean() / y.var())
    assert error(block, x) < 0.3 * linear_alone
    share = float(block.symbolic_state.reduction.linear_share)
    assert share == pytest.approx(1 - linear_alone * float(y.var() / y.var(0).mean()), abs=0.03)
    assert (block.symbolic_state.reduction.linear is not None) == (linear is True)


def test_gradients_of_a_block_in_half_precision():
    block, x = SymbolicModel(Wide().to(torch.bfloat16), "wide"), randn(1000, WIDTH)
    distill(block, x.to(torch.bfloat16), Reduction(3, 2, method="gradient"))
    assert block.symbolic_state.reduction.encoder.dtype == torch.bfloat16
    assert block.block.read.dtype == torch.bfloat16
    read = torch.linalg.qr(block.symbolic_state.reduction.encoder.detach().float()).Q
    inside = (block.block.read.detach().float().T @ read).square().sum()
    assert float(inside) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("linear", [False, True])
def test_gradients_find_the_directions_exactly(linear):
    block, x = SymbolicModel(Wide(), "wide"), randn(1500, WIDTH)
    distill(block, x, Reduction(3, 2, method="gradient", linear=linear), sr_params=SEARCH)
    read = torch.linalg.qr(block.symbolic_state.reduction.encoder.detach()).Q
    inside = (block.block.read.T @ read).square().sum()
    if linear:  # what is left bends along two of the three
        inside = (block.block.read.T[:2] @ read[:, :2]).square().sum() + 1
    assert float(inside.detach()) == pytest.approx(3, abs=0.1)
    assert error(block, randn(500, WIDTH, seed=9)) < 0.05


def test_gradients_need_a_block_that_can_be_queried():
    block = SymbolicModel(lambda x: np.tanh(x), "numpy")
    with pytest.raises(InputError, match="use method='supervised'"):
        distill(block, randn(100, 8).numpy(), Reduction(2, 1, method="gradient"))


def test_principal_components_on_request():
    block = SymbolicModel(Wide(), "wide")
    x = randn(1000, WIDTH) * torch.linspace(3, 0.1, WIDTH)
    distill(block, x, Reduction(4, 2, method="pca"))
    z = block.symbolic_state.reduction.encode(x)
    torch.testing.assert_close(z.var(0, correction=0), torch.ones(4), rtol=1e-3, atol=1e-3)
    assert int(block.symbolic_state.reduction.encoder[:, 0].abs().argmax()) < 3
    with block.symbolic():
        assert block(x).shape == (1000, TARGET)


def test_a_pca_reduction_may_have_a_linear_path_of_its_own():
    block = SymbolicModel(Wide(), "wide")
    x = randn(2000, WIDTH)
    request = Reduction(2, 1, method="pca", linear=2)
    distill(block, x, request)
    assert block.symbolic_state.reduction.shape.coordinates == 4
    assert error(block, x) < 0.5


def test_the_equations_are_those_that_are_computed(distilled):
    block, x = copied(distilled), randn(50, WIDTH, seed=3)
    part = block.symbolic_state.reduction
    z = part.encode(x)
    hidden = torch.stack([front.predict(z.double()) for front in block.fronts.values()], 1)
    expected = hidden.float() @ part.decoder + part.output_bias
    with block.symbolic():
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)
    function = block.get_symbolic_function(0)
    torch.testing.assert_close(function(z), hidden[:, 0].float(), rtol=1e-4, atol=1e-5)


def test_reduced_outputs_that_are_not_switched_stay_at_their_mean(distilled):
    block, x = copied(distilled), randn(50, WIDTH, seed=3)
    part = block.symbolic_state.reduction
    with block.symbolic(dims=1):
        got = block(x)
    values = block.get_symbolic_function(1)(part.encode(x))
    expected = torch.outer(values, part.decoder[1]) + part.output_bias
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_the_loss_of_the_model_weighs_outputs():
    torch.manual_seed(0)
    net = Residual()
    with torch.no_grad():  # only the second, weaker direction matters downstream
        net.head.weight.copy_(net.wide.write[1:] * torch.ones(3, 1))
    x = randn(1500, WIDTH)
    net.wide = block = SymbolicModel(net.wide, "wide")
    before = state_of_the_world(net.inner, block.block, net.head)
    weighed, plain = (
        distill(block, list(x.split(500)), Reduction(2, 1, loss=loss), parent_model=net)
        and block.symbolic_state.reduction.decoder[0].detach().clone()
        for loss in (lambda output, batch: output.sum(), None)
    )
    assert state_of_the_world(net.inner, block.block, net.head) == before
    assert all(p.grad is None for p in net.parameters())
    cosine = nn.functional.cosine_similarity
    second = block.block.write[1]
    assert abs(cosine(weighed, second, dim=0)) > 0.9 > abs(cosine(plain, second, dim=0))


def test_gradients_are_those_of_autograd():
    torch.manual_seed(0)
    net = Residual().requires_grad_(False)
    x = randn(40, WIDTH)
    layout = record(net, "wide", x)["wide"].layout
    found = gradient_moment(net, net.wide, layout, [x[:20], x[20:]], lambda o, _: (o**2).sum())
    hidden = net.wide(torch.tanh(net.inner(x))).requires_grad_()
    (slope,) = torch.autograd.grad((net.head(hidden) ** 2).sum(), hidden)
    torch.testing.assert_close(found, (slope.T @ slope).double() / 40, rtol=1e-4, atol=1e-5)


# -- what it means ----------------------------------------------------------------------------


def test_coordinates_are_named_and_traced_to_features():
    class Sparse(nn.Linear):
        def forward(self, x):
            return (x[..., 3:4] + 0.1 * x[..., 8:9]) * self.weight[:, :1].T

    block = SymbolicModel(Sparse(WIDTH, TARGET), "sparse")
    x = randn(1000, WIDTH)
    x[:, 3] *= 2
    distill(block, x, Reduction(1, 1), variable_names=["topic"])
    assert block.fronts[0].variables == ("topic",)
    ((name, weight), (second, _)) = top_features(block.symbolic_state.reduction, 0, count=2)
    assert (name, second) == ("x3", "x8")
    assert abs(weight) == pytest.approx(1, abs=0.05)
    names = [f"feature{i}" for i in range(WIDTH)]
    assert top_features(block.symbolic_state.reduction, 0, count=1, names=names)[0][0] == "feature3"
    assert explained(block.symbolic_state.reduction, block.fronts)[0] == pytest.approx(1, abs=1e-3)
    text = str(block.show_symbolic_expression())
    assert "topic: " in text
    assert "100.0% explained by" in text
    with pytest.raises(InputError, match="coordinates 0-0; asked for 4"):
        top_features(block.symbolic_state.reduction, 4)
    with pytest.raises(InputError, match="1 names for 24"):
        top_features(block.symbolic_state.reduction, 0, names=["a"])


def test_explained_variance_adds_up_to_what_is_measured(distilled):
    x = randn(4000, WIDTH)
    expected = distilled.block(x).detach()
    total = expected.var(0, correction=0).sum()
    part = sum(explained(distilled.symbolic_state.reduction, distilled.fronts).values())
    block = copied(distilled)
    with torch.no_grad(), block.symbolic():
        left = (block(x) - expected).square().mean(0).sum()
    assert part == pytest.approx(float(1 - left / total), abs=0.03)
    assert "of the variance" in describe(distilled.symbolic_state.reduction, distilled.fronts)


# -- a module like any other ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_type_and_shape_are_the_blocks(distilled, dtype):
    block, x = copied(distilled).to(dtype), randn(3, 5, WIDTH, seed=4)
    with block.symbolic():
        result = block(x.to(dtype))
    assert result.shape == (3, 5, TARGET)
    assert result.dtype == dtype
    exact = copied(distilled)
    with exact.symbolic():
        close = 0.1 if dtype.itemsize < 4 else 1e-4
        torch.testing.assert_close(result.float(), exact(x), rtol=close, atol=close)


def test_everything_is_trained_when_asked_and_only_then(distilled):
    block = copied(distilled)
    assert not any(p.requires_grad for p in block.symbolic_state.reduction.parameters())
    block.switch_to_symbolic(trainable_constants=True)
    block(randn(20, WIDTH)).square().sum().backward()
    names = [name for name, p in block.named_parameters() if p.grad is not None]
    expected = {
        f"symbolic_state.reduction.{n}"
        for n in ("encoder", "encoder_bias", "decoder", "output_bias")
    }
    assert set(names) == {*expected, "symbolic_state.switch.layers.0.constants"}
    with block.symbolic():  # frozen inside, trainable again after
        assert not block.symbolic_state.reduction.encoder.requires_grad
    assert block.symbolic_state.reduction.encoder.requires_grad
    block.switch_to_block()
    assert not block.symbolic_state.reduction.encoder.requires_grad


def test_gradients_are_right(distilled):
    block = copied(distilled).double()
    block.switch_to_symbolic(trainable_constants=True)
    x = randn(3, WIDTH).double()
    encoder = block.symbolic_state.reduction.encoder

    def of(values):
        return torch.func.functional_call(block, {"symbolic_state.reduction.encoder": values}, (x,))

    assert torch.autograd.gradcheck(of, (encoder.detach().requires_grad_(),))


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("linear", [False, True])
def test_saved_and_loaded(trained, linear):
    block = SymbolicModel(Wide(), "wide")
    x = randn(1500, WIDTH)
    distill(block, x, Reduction(3, 2, linear=linear))
    block.switch_to_symbolic(trainable_constants=trained)
    if trained:
        with torch.no_grad():
            for p in (
                *block.symbolic_state.switch.parameters(),
                *block.symbolic_state.reduction.parameters(),
            ):
                p.mul_(1.1)
    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    fresh = SymbolicModel(Wide(), "wide")
    fresh.load_state_dict(torch.load(file, weights_only=True))
    torch.testing.assert_close(fresh(x), block(x), rtol=0, atol=0)
    assert fresh.fronts == block.fronts
    assert fresh.symbolic_state.reduction.encoder.requires_grad == trained
    assert str(fresh.show_symbolic_expression()) == str(block.show_symbolic_expression())
    plain = SymbolicModel(Wide(), "wide").state_dict()
    fresh.load_state_dict(plain)
    assert fresh.symbolic_state.reduction is None
    assert not fresh.is_symbolic


def document(block, change):
    data = json.loads(bytes(block.state_dict()["_extra_state"].tolist()))
    data["reduction"] = change(data["reduction"])
    return {"_extra_state": torch.tensor([*json.dumps(data).encode()], dtype=torch.uint8)}


def resized(**sizes):
    return lambda saved: {**saved, "shape": {**saved["shape"], **sizes}}


ENCODER = "symbolic_state.reduction.encoder"
HOSTILE = {
    "no object": (lambda block: document(block, lambda saved: [1]), "must be an object"),
    "none, but matrices": (lambda block: document(block, lambda saved: None), "has use for"),
    "of no size": (lambda block: document(block, resized(inputs=0)), "must be positive"),
    "huge": (lambda block: document(block, resized(inputs=10**12)), "must be"),
    "of another layout": (lambda block: document(block, resized(width=30_000)), "its layout"),
    "code for a method": (
        lambda block: document(block, lambda saved: {**saved, "method": 3}),
        "must be text",
    ),
    "another matrix": (lambda block: {ENCODER: torch.zeros(2, 2)}, r"must be \[24, 3\]"),
    "no matrix": (lambda block: {ENCODER: None}, "must be a tensor"),
    "more matrices": (lambda block: {ENCODER + "2": torch.zeros(2)}, "has the matrices"),
    "whole numbers": (lambda block: {ENCODER: torch.zeros(24, 3).int()}, "floating-point"),
    "complex": (lambda block: {ENCODER: torch.zeros(24, 3) * 1j}, "floating-point"),
    "a sparse matrix": (lambda block: {ENCODER: torch.zeros(24, 3).to_sparse()}, "is sparse"),
    "a meta matrix": (lambda block: {ENCODER: torch.zeros(24, 3, device="meta")}, "is meta"),
    "a claim": (lambda block: {ENCODER: torch.zeros(1).expand(24, 3)}, "claims 72 numbers"),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_saved_reduction_is_refused(distilled, change, message, strict):
    state, x = distilled.state_dict(), randn(5, WIDTH)
    other = SymbolicModel(Wide(), "wide")
    distill(other, randn(800, WIDTH), Reduction(2, 1))
    other.switch_to_symbolic(trainable_constants=True)
    for block in (SymbolicModel(Wide(), "wide"), other):
        before, expected = copy.deepcopy(block.state_dict()), block(x)
        with pytest.raises(RuntimeError, match=f"block 'wide': .*{message}"):
            block.load_state_dict({**state, **change(distilled)}, strict=strict)
        assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())
        assert torch.equal(block(x), expected)


def test_a_copy_is_independent(distilled):
    block = copied(distilled)
    block.switch_to_symbolic()
    other = copy.deepcopy(block)
    with torch.no_grad():
        other.symbolic_state.reduction.encoder.zero_()
    x = randn(5, WIDTH)
    assert not torch.equal(block(x), other(x))


def test_compiled_equations_give_the_same(distilled):
    block, x = copied(distilled), randn(20, WIDTH)
    block.switch_to_symbolic()
    expected = block(x)
    exported = torch.export.export(block.eval(), (x,)).module()
    torch.testing.assert_close(exported(x), expected)


def test_unwrapping_leaves_no_trace():
    net = Residual()
    keys = [*net.state_dict()]
    blocks = wrap(net, "wide")
    distill(blocks["wide"], randn(300, WIDTH), Reduction(2, 1), parent_model=net)
    assert any("reduction" in key for key in net.state_dict())
    assert [*unwrap(net).state_dict()] == keys


def test_a_block_that_returns_more_still_runs_for_the_rest():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = Wide()

        def forward(self, x):
            return self.wide(x), x.sum()

    block = SymbolicModel(Pair(), "pair", output=0)
    x = randn(500, WIDTH)
    distill(block, x, Reduction(3, 2))
    with block.symbolic():
        values, total = block(x)
    assert values.shape == (500, TARGET)
    assert total == x.sum()


# -- another search, and what cannot be -------------------------------------------------------


def test_new_coordinates_replace_old_ones_and_stay_switched():
    block, x = SymbolicModel(Wide(), "wide"), randn(800, WIDTH)
    distill(block, x, Reduction(3, 2))
    block.switch_to_symbolic(dims=1)
    distill(block, x, Reduction(2, 1))
    assert [*block.fronts] == [0]
    assert block.symbolic_state.switch.chosen.keys() == {0}
    assert block(x).shape == (800, TARGET)
    short = {"engine": "operon", "sr_params": {**QUICK, "unary_operators": ["square"]}}
    with pytest.raises(InputError, match="another way"):
        block.distill(x, output_dim=5, **short)
    block.distill(x, output_dim=[0], **short)
    assert block.symbolic_state.reduction is None
    assert block.fronts[0].variables == tuple(f"x{i}" for i in range(WIDTH))
    assert block(x).shape == (800, TARGET)


def test_a_recording_can_be_reduced():
    net, x = Wide(), randn(900, WIDTH)
    recording = record(net, {"wide": net}, x)["wide"]
    block = SymbolicModel(net, "wide")
    distill(block, recording, Reduction(3, 2), sr_params=SEARCH)
    assert error(block, x) < 0.4
    with pytest.raises(InputError, match="given a Recording"):
        distill(block, recording, Reduction(3, 2, loss=lambda o, b: o.sum()))


def test_what_cannot_be_reduced_changes_nothing(distilled):
    block, x = copied(distilled), randn(300, WIDTH)
    fronts, matrices = block.fronts, block.symbolic_state.reduction
    for request, data, message in (
        (Reduction(40, 2), x, "asks for 40 inputs, and 24 is all there are"),
        (Reduction(3, 9), x, "asks for 9 outputs, and 2"),
        (Reduction(3, 2, loss=lambda o, b: o.sum()), iter([x]), "passes over the data twice"),
    ):
        with pytest.raises(InputError, match=message):
            distill(block, data, request)
    with pytest.raises(StateError, match="does not depend"):
        distill(block, x, Reduction(3, 2, loss=lambda o, b: torch.ones(())))
    assert block.fronts == fronts
    assert block.symbolic_state.reduction is matrices
    block.clear_fronts()
    assert block.symbolic_state.reduction is None
    block.setup_pruning(TARGET, 4, total_steps=10)
    with pytest.raises(StateError, match="pruned"):
        block.distill(x, reduce=Reduction(3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": 0}, "inputs must be at least 1; got 0"),
        ({"outputs": -1}, "outputs must be at least 1"),
        ({"linear": -1}, "linear must be at least 0"),
        ({"method": "supervise"}, "did you mean 'supervised'"),
        ({"ridge": -1.0}, "ridge must not be negative"),
    ],
)
def test_requests_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        Reduction(**arguments)
    with pytest.raises(UnsupportedTypeError, match="whole number"):
        Reduction(inputs=2.5)


def test_weights_are_checked(distilled):
    block, x = copied(distilled), randn(300, WIDTH)
    for weight, message in (
        (torch.eye(3), r"must be \[16, 16\].*got \[3, 3\]"),
        (torch.zeros(TARGET, TARGET), "no finite, positive weight"),
    ):
        with pytest.raises(InputError, match=message):
            distill(block, x, Reduction(3, 2, weight=weight))
    with pytest.raises(InputError, match="not both"):
        Reduction(weight=torch.eye(2), loss=lambda o, b: o)


def test_its_sizes_are_shown(distilled):
    text = repr(distilled)
    assert "24 -> 3 coordinates -> 2 of 16 outputs, supervised, no linear path" in text
    assert distilled.symbolic_state.reduction.numbers == 24 * 3 + 3 + 2 * 16 + 16
    assert isinstance(distilled.symbolic_state.reduction, Coordinates)


# -- a language model as it is ----------------------------------------------------------------


@pytest.fixture(scope="module")
def llama():
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=60,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        initializer_range=0.5,
    )
    return transformers.LlamaForCausalLM(config).eval()


def next_token_loss(output, batch):
    logits, labels = output.logits[:, :-1].flatten(0, 1), batch["input_ids"][:, 1:].flatten()
    return nn.functional.cross_entropy(logits, labels)


def test_a_language_model_is_taken_as_it_is(llama):
    generator = torch.Generator().manual_seed(0)
    rows = [{"input_ids": torch.randint(60, (16,), generator=generator)} for _ in range(48)]
    loader = torch.utils.data.DataLoader(rows, batch_size=8)
    ranking = rank_blocks(llama, "model.layers.*.mlp", loader, next_token_loss, grow=2)
    assert len(ranking.best(2)) == 2
    blocks = wrap(llama, "model.layers.*.mlp")
    assert [*blocks] == [f"model.layers.{i}.mlp" for i in range(3)]
    prompt = rows[0]["input_ids"][None, :5]
    intact = llama.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0)
    for block in list(blocks.values())[1:]:
        request = Reduction(4, 2, linear=4, loss=next_token_loss)
        distill(block, loader, request, parent_model=llama)
        block.switch_to_symbolic()
    with torch.no_grad():
        whole = llama(prompt, use_cache=False).logits
        start = llama(prompt[:, :3], use_cache=True)
        rest = llama(prompt[:, 3:], past_key_values=start.past_key_values, use_cache=True)
    torch.testing.assert_close(rest.logits, whole[:, 3:], rtol=1e-3, atol=1e-3)
    result = heal(llama, loader, steps=20, held_out=rows_of(rows[:8]), evaluate_every=5)
    assert result.after < result.before
    assert llama.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0).shape == (
        1,
        11,
    )
    unwrap(llama)
    again = llama.generate(prompt, max_new_tokens=6, do_sample=False, pad_token_id=0)
    assert torch.equal(again, intact)


def rows_of(rows):
    return [{"input_ids": torch.stack([row["input_ids"] for row in rows])}]
