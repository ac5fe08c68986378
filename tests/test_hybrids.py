"""load_hybrid(): what a file says was wrapped is wrapped, from every kind of file."""

import copy
import io

import pytest
import torch
from helpers import QUICK, randn
from torch import nn

from symtorch import InputError, Reduction, SymbolicModel, load_hybrid, wrap

X = randn(200, 3)


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        for layer in self.layers:
            x = x + layer(x).tanh()
        return self.head(x)


def make():
    return Body()


@pytest.fixture(scope="module")
def hybrid():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Body()
    blocks = wrap(net, ["layers.0", "layers.1", "layers.2"], inputs=("input",))
    first, second, third = blocks.values()
    first.distill(X, [0, 1], net, sr_params=QUICK)
    first.switch_to_symbolic(trainable_constants=True)
    second.distill(X, parent_model=net, reduce=Reduction(2, 1), sr_params=QUICK)
    second.switch_to_symbolic(trainable_constants=True)
    with torch.no_grad():
        for block in (first, second):
            for parameter in block.symbolic_state.parameters():
                parameter.add_(0.01)
    third.setup_pruning(3, 2, total_steps=1)
    third.prune(1, X, net)
    third.explain(None, X, parent_model=net, sr_params={"niterations": 2})
    return net


def file_of(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return file


def by_safetensors(net, tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    state = {key: value.detach().contiguous() for key, value in net.state_dict().items()}
    safetensors.save_file(state, tmp_path / "net.safetensors")
    return load_hybrid(make(), safetensors.load_file(tmp_path / "net.safetensors"))


WAYS = {
    "state dict": lambda net, _: load_hybrid(make(), net.state_dict()),
    "torch.load": lambda net, _: load_hybrid(
        make(), torch.load(file_of(net.state_dict()), weights_only=True)
    ),
    "safetensors": by_safetensors,
    "a checkpoint": lambda net, _: load_hybrid(
        make(), {"epoch": 3, "state_dict": net.state_dict(), "optimizer_states": []}
    ),
    "a part of a checkpoint": lambda net, _: load_hybrid(
        make(),
        {"state_dict": nn.ModuleDict({"model": net, "metric": nn.Linear(1, 1)}).state_dict()},
        prefix="model.",
    ),
    "wrapped in part": lambda net, _: load_hybrid(in_part(), net.state_dict()),
}


def in_part():
    net = make()
    wrap(net, "layers.1", inputs=("input",))
    return net


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_hybrid_is_loaded_in_one_call(hybrid, way, tmp_path):
    again = way(hybrid, tmp_path)
    assert torch.equal(again(X), hybrid(X))
    for ours, theirs in zip(again.layers, hybrid.layers, strict=True):
        assert isinstance(ours, SymbolicModel)
        assert ours.block_name == theirs.block_name
        assert ours.symbolic_state.request == theirs.symbolic_state.request
        assert ours.fronts == theirs.fronts
        assert ours.local_fronts == theirs.local_fronts
        assert ours.symbolic_state.chosen == theirs.symbolic_state.chosen
    assert again.layers[2].get_active_dimensions() == hybrid.layers[2].get_active_dimensions()
    assert not isinstance(again.head, SymbolicModel)
    again.layers[0].switch_to_block()
    again.layers[0].distill(X, 2, again, sr_params=QUICK)
    assert sorted(again.layers[0].fronts) == [0, 1, 2]


def test_a_model_wrapped_as_a_whole():
    block = SymbolicModel(nn.Linear(3, 1), "whole")
    block.distill(X, sr_params=QUICK)
    block.switch_to_symbolic()
    again = load_hybrid(nn.Linear(3, 1), block.state_dict())
    assert isinstance(again, SymbolicModel)
    assert torch.equal(again(X), block(X))


def test_wrappers_in_wrappers():
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.Tanh()), nn.Linear(3, 1))
    fresh = copy.deepcopy(net)
    wrap(net, "0.0")
    net[0] = SymbolicModel(net[0], "outer")
    again = load_hybrid(fresh, net.state_dict())
    assert isinstance(again[0], SymbolicModel)
    assert isinstance(again[0].block[0], SymbolicModel)
    assert torch.equal(again(X), net(X))


def test_a_shared_module_is_wrapped_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = self.b = nn.Linear(3, 3)

        def forward(self, x):
            return self.b(self.a(x))

    net = Tied()
    wrap(net, "a")
    again = load_hybrid(Tied(), net.state_dict())
    assert again.a is again.b
    assert torch.equal(again(X), net(X))


def test_a_plain_model_is_loaded_too():
    net = make()
    again = load_hybrid(make(), net.state_dict())
    assert torch.equal(again(X), net(X))
    assert not any(isinstance(module, SymbolicModel) for module in again.modules())


def tampered(hybrid, change):
    state = hybrid.state_dict()
    change(state)
    return state


DOCUMENT = "layers.1._extra_state"
MATRIX = "layers.1.symbolic_state.reduction.encoder"
REFUSED = {
    "a block is missing": (lambda s: s.pop("head.bias"), r"missing are \['head.bias'\]"),
    "more": (lambda s: s.update({"tail.bias": torch.zeros(1)}), r"of no use \['tail.bias'\]"),
    "another shape": (lambda s: s.update({"head.bias": torch.zeros(9)}), r"must be \[1\]; got"),
    "a sparse weight": (
        lambda s: s.update({"head.weight": torch.zeros(1, 3).to_sparse()}),
        "is sparse",
    ),
    "no document": (lambda s: s.pop(DOCUMENT), "missing are"),
    "no such block": (
        lambda s: s.update({"layers.9._extra_state": s[DOCUMENT]}),
        "'layers.9' was wrapped, and Body has no block of that name",
    ),
    "half a document": (lambda s: s.update({DOCUMENT: s[DOCUMENT][:500]}), "no JSON"),
    "a matrix gone": (lambda s: s.pop(MATRIX), "has the matrices"),
    "a matrix that claims": (
        lambda s: s.update({MATRIX: torch.zeros(1).expand(3, 2)}),
        "claims 6 numbers",
    ),
    "constants gone": (
        lambda s: s.pop("layers.0.symbolic_state.switch.layers.0.constants"),
        "trained constants 'layers.0.constants' are missing",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_does_not_fit_leaves_the_model_as_it_was(hybrid, change, message):
    net = make()
    before = copy.deepcopy(net.state_dict())
    kinds = [type(module) for module in net.modules()]
    with pytest.raises(InputError, match=message):
        load_hybrid(net, tampered(hybrid, change))
    assert [type(module) for module in net.modules()] == kinds
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_a_prefix_without_keys(hybrid):
    with pytest.raises(InputError, match=r"no key begins with 'net\.'"):
        load_hybrid(make(), hybrid.state_dict(), prefix="net.")


def test_a_language_model_saved_by_its_own_library(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    safetensors = pytest.importorskip("safetensors.torch")
    config = transformers.LlamaConfig(
        vocab_size=40,
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = transformers.LlamaForCausalLM(config).eval()
    rows = {"input_ids": torch.arange(40).reshape(5, 8)}
    block = wrap(net, "model.layers.1.mlp")["model.layers.1.mlp"]
    block.distill(rows, 0, net, sr_params=QUICK)
    block.switch_to_symbolic()
    net.save_pretrained(tmp_path)
    state = safetensors.load_file(tmp_path / "model.safetensors")
    again = load_hybrid(transformers.LlamaForCausalLM(config).eval(), state)
    with torch.no_grad():
        assert torch.equal(again(**rows).logits, net(**rows).logits)
