"""BlockQuery: a block asked about new rows answers as it does in its model, or is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from helpers import Law, law, randn
from torch import nn

from symtorch import InputError, Reduction, SymbolicModel, explain, record
from symtorch.recording.query import BlockQuery, oracles_for

HALVES = [torch.float16, torch.bfloat16]
X = randn(300, 2)


def recorded(block, x, **options):
    return SymbolicModel(block, "block", **options).record(x)


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32, torch.float64])
def test_a_block_of_each_precision_is_asked(dtype):
    block = Law().to(dtype)
    recording = recorded(block, X.to(dtype))
    assert recording.dtype == dtype
    query = BlockQuery.of(block, recording)
    points = randn(50, 2, seed=1, dtype=torch.float64).requires_grad_()
    answers = query(points)
    assert answers.dtype == torch.float64
    torch.testing.assert_close(answers, law(points), rtol=1e-5, atol=1e-5)
    (slopes,) = torch.autograd.grad(answers[:, 1].sum(), points)
    torch.testing.assert_close(slopes, points.detach().flip(-1), rtol=1e-5, atol=1e-5)
    assert next(block.parameters()).dtype == dtype
    assert {*oracles_for(block, recording)} == {0, 1}


@pytest.mark.parametrize("dtype", HALVES)
def test_a_function_of_half_precision_is_asked_too(dtype):
    recording = recorded(torch.tanh, X.to(dtype))
    oracle = oracles_for(SymbolicModel(torch.tanh)._modules["block"], recording)[1]
    points = randn(50, 2, seed=1)
    torch.testing.assert_close(oracle(points), points[:, 1].tanh())


@pytest.mark.parametrize("dtype", HALVES)
def test_precision_is_that_of_the_block(dtype):
    exact = recorded(Law(), X)
    half = recorded(Law().to(dtype), X.to(dtype))
    assert exact.precision == torch.finfo(torch.float32).eps
    assert half.precision == torch.finfo(dtype).eps / 16
    wide = law(X.to(dtype).double())
    error = (half.outputs.double() - wide).abs().max() / wide.abs().max()
    assert half.precision < error < 64 * half.precision


@pytest.mark.parametrize("dtype", HALVES)
def test_a_law_is_found_in_half_precision_and_replaces_the_block(dtype):
    block = SymbolicModel(Law().to(dtype), "law")
    front = block.distill(X.to(dtype), output_dim=1, engine="sparse")[1]
    assert front.get_best().expression.pretty() == "x0*x1"
    # Nothing after it: what is left is rounding, and equations do not follow it.
    assert front[-1] == front.get_best()
    block.switch_to_symbolic()
    assert block(X.to(dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("wrapped", [Law, lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh())])
def test_local_equations_of_a_half_precision_block(dtype, wrapped):
    module = wrapped().to(dtype)
    block = SymbolicModel(module, "block")
    row = {"x": X[0].to(dtype), "num_synthetic": 100}
    fronts = block.distill(X.to(dtype), output_dim=1, SLIME=True, slime_params=row)
    expected = float(module(X[:1].to(dtype))[0, 1].detach())
    found = block.get_symbolic_function(1, SLIME=True)(X[:1].to(dtype).float())
    assert float(found) == pytest.approx(expected, abs=0.02)
    assert len(fronts[1])


@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_precision_model_is_explained(dtype):
    found = explain(Law().to(dtype), X[0].to(dtype), X.to(dtype), output=1)
    assert found.fidelity.weighted_r2 > 0.999
    assert found.prediction == pytest.approx(float(X[0].to(dtype).float().prod()), rel=1e-5)


def test_a_reduction_by_gradients_in_half_precision():
    net = nn.Sequential(nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 12)).to(torch.bfloat16)
    block = SymbolicModel(net, "net")
    few = Reduction(2, 1, method="gradient")
    block.distill(randn(400, 12).to(torch.bfloat16), reduce=few, engine="quadratic")
    block.switch_to_symbolic()
    assert block(randn(5, 12).to(torch.bfloat16)).dtype == torch.bfloat16


def test_a_function_of_arrays_is_asked_but_has_no_gradients():
    recording = recorded(lambda x: np.tanh(x), X.numpy())
    module = SymbolicModel(np.tanh)._modules["block"]
    query = BlockQuery.of(module, recording)
    assert not query.differentiable
    points = randn(9, 2, seed=1, dtype=torch.float64)
    torch.testing.assert_close(query(points), points.tanh(), rtol=1e-6, atol=1e-6)
    assert oracles_for(module, recording) == {}


class Second(nn.Module):
    """Its columns are those of the second argument."""

    def forward(self, scale, x):
        return scale * x


def test_a_block_is_asked_by_the_names_of_its_arguments():
    block = Second()
    recording = SymbolicModel(block, "b", inputs=("x",)).record(
        (None, X), parent_model=Shifted(block)
    )
    query = BlockQuery.of(Default(block), recording)
    assert torch.equal(query(X), 3 * X)


class Shifted(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, _, x):
        return self.inner(3.0, x)


class Default(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, scale=3.0, x=None):
        return self.inner(scale, x)


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class Needy(nn.Module):
    def forward(self, x, mask):
        return x * mask


def test_what_cannot_be_asked_is_explained():
    with pytest.raises(InputError, match=r"block 'block' answers differently when it is asked"):
        BlockQuery.of(Mixing(), recorded(Mixing(), X))
    data = (X, torch.ones(300, 1, dtype=torch.bool))
    with pytest.raises(InputError, match=r"block 'block' cannot be asked about new rows: Type"):
        BlockQuery.of(Needy(), recorded(Needy(), data))
    assert oracles_for(Mixing(), recorded(Mixing(), X)) == {}


def test_a_recording_keeps_its_precision_in_a_file(tmp_path):
    recording = record(nn.Sequential(Law().half()), "0", X.half())["0"]
    recording.save(tmp_path / "law.pt")
    assert type(recording).load(tmp_path / "law.pt").dtype == torch.float16


def test_an_oracle_goes_to_another_process():
    oracle = oracles_for(Law(), recorded(Law(), X))[0]
    again = pickle.loads(pickle.dumps(oracle))
    assert torch.equal(again(X), oracle(X))
