"""wrap() changes nothing but what it says, and unwrap() leaves no trace."""

import copy

import pytest
import torch
from helpers import QUICK, Net, randn
from torch import nn

from symtorch import InputError, StateError, SymbolicModel, UnsupportedTypeError, unwrap, wrap


class Encoder(nn.Module):
    """Layers with an MLP each, a shared head and a buffer."""

    def __init__(self):
        super().__init__()
        layer = lambda: nn.ModuleDict(  # noqa: E731
            {"norm": nn.LayerNorm(4), "mlp": nn.Sequential(nn.Linear(4, 4), nn.GELU())}
        )
        self.layers = nn.ModuleList([layer() for _ in range(3)])
        self.head = self.readout = nn.Linear(4, 1)
        self.register_buffer("scale", torch.tensor(2.0))

    def forward(self, x):
        for layer in self.layers:
            x = x + layer["mlp"](layer["norm"](x))
        return self.scale * self.head(x) + self.readout(x)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Encoder()
    net.layers[1].eval()
    net.head.weight.requires_grad_(False)
    net.layers[0]["mlp"].register_forward_hook(lambda *_: None)
    return net


X = randn(5, 4)
MLPS = ["layers.0.mlp", "layers.1.mlp", "layers.2.mlp"]


def snapshot(net):
    """All that makes a model what it is, in a form that compares."""
    return (
        [(name, id(m), type(m), m.training) for name, m in net.named_modules()],
        [(name, id(p), p.requires_grad, p.tolist()) for name, p in net.named_parameters()],
        [(name, value.tolist()) for name, value in net.state_dict().items()],
        [[*m._forward_hooks, *m._forward_pre_hooks] for m in net.modules()],
        net(X).tolist(),
        repr(net),
    )


PATTERNS = {
    "layers.*.mlp": MLPS,
    "layers.[02].mlp": ["layers.0.mlp", "layers.2.mlp"],
    "**.mlp": MLPS,
    "layers.0.mlp": ["layers.0.mlp"],
    "layers.*.mlp.0": [f"{name}.0" for name in MLPS],
    "head": ["head"],
    "readout": ["readout"],
    ("head", "layers.?.norm"): [*[f"layers.{i}.norm" for i in range(3)], "head"],
}


@pytest.mark.parametrize(("pattern", "names"), PATTERNS.items(), ids=str)
def test_blocks_are_found_by_name_or_glob(model, pattern, names):
    blocks = wrap(model, pattern)
    assert list(blocks) == names
    assert all(isinstance(block, SymbolicModel) for block in blocks.values())
    assert all(model.get_submodule(name) is block for name, block in blocks.items())
    assert [block.block_name for block in blocks.values()] == names


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_unwrap_restores_exactly(model, pattern):
    before = snapshot(model)
    wrap(model, pattern)
    assert unwrap(model) is model
    assert snapshot(model) == before


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_a_wrapped_model_computes_the_same_bits(model, pattern):
    before = copy.deepcopy(model)
    wrap(model, pattern)
    x, y = X.clone().requires_grad_(), X.clone().requires_grad_()
    out, expected = model(x), before(y)
    assert torch.equal(out, expected)
    out.sum().backward(), expected.sum().backward()
    assert torch.equal(x.grad, y.grad)


def test_unwrap_restores_after_distilling_and_switching(model):
    before = snapshot(model)
    for block in wrap(model, "layers.0.mlp").values():
        block.distill(randn(50, 4), output_dim=0, sr_params=QUICK)
        block.switch_to_symbolic(trainable_constants=True)
        assert model(X).tolist() != before[-2]
    unwrap(model)
    assert snapshot(model) == before


@pytest.mark.parametrize("training", [True, False])
def test_wrappers_are_in_the_mode_of_their_blocks(model, training):
    modes = {name: m.training for name, m in model.train(training).named_modules()}
    wrap(model, "layers.*.mlp")
    assert all(m.training == training for m in model.modules())
    assert set(modes.values()) == {training}


def test_a_shared_module_is_wrapped_once_under_every_name(model):
    blocks = wrap(model, "head")
    assert model.head is model.readout is blocks["head"]


def test_a_shared_module_asked_for_twice_is_one_wrapper(model):
    blocks = wrap(model, ["head", "readout"])
    assert list(blocks) == ["head", "readout"]
    assert blocks["head"] is blocks["readout"]


def test_parameters_keep_their_identity_for_optimizers(model):
    before = [id(p) for p in model.parameters()]
    wrap(model, "layers.*.mlp")
    assert [id(p) for p in model.parameters()] == before


def test_options_reach_the_wrappers(model):
    request = wrap(model, "head", feature_dim=1, inputs=("input",), output=0)[
        "head"
    ].symbolic_state.request
    assert (request.feature_dim, request.inputs, request.output) == (1, ("input",), 0)


def test_code_that_reads_a_parts_attributes_keeps_working(model):
    linear = model.head
    wrap(model, "head")
    assert model.head.weight is linear.weight
    assert model.head.in_features == 4
    assert not hasattr(model.head, "no_such_thing")


@pytest.mark.parametrize("training", [True, False])
def test_a_transformers_fused_path_does_not_pass_by_the_equations(training):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    layer.train(training)
    x = randn(3, 5, 4)
    with torch.no_grad():
        before = layer(x)
        block = wrap(layer, "linear2")["linear2"]
        assert torch.equal(layer(x), before)
        block.distill([x], parent_model=layer, output_dim=0, sr_params=QUICK)
        with block.symbolic(dims=0, complexity=1):
            assert not torch.allclose(layer(x), before, atol=1e-4)
        torch.testing.assert_close(layer(x), before)


def test_unwrapping_a_wrapper_gives_the_block():
    linear = nn.Linear(2, 1)
    assert unwrap(SymbolicModel(linear)) is linear
    assert unwrap(SymbolicModel(SymbolicModel(linear))) is linear


def test_wrappers_in_wrappers_are_unwrapped(model):
    before = snapshot(model)
    model.head = SymbolicModel(SymbolicModel(model.head))
    model.readout = model.head
    mlp = model.layers[0]["mlp"]
    mlp[0] = SymbolicModel(mlp[0])
    model.layers[0]["mlp"] = SymbolicModel(mlp)
    unwrap(model)
    assert snapshot(model) == before


def test_unwrapping_what_is_not_wrapped_changes_nothing(model):
    before = snapshot(model)
    unwrap(model)
    assert snapshot(model) == before


TROUBLE = {
    "no match": ("layers.*.mpl", InputError, r"no block 'layers\.\*\.mpl' in Encoder"),
    "suggestion": ("haed", InputError, "did you mean 'head'"),
    "one of two": (["head", "tail"], InputError, "no block 'tail'"),
    "nested": (["layers.0.mlp", "layers.0.mlp.0"], InputError, "'layers.0.mlp.0' and the block"),
    "everything": ("**", InputError, "never called itself|around it"),
    "container": ("layers", InputError, r"a ModuleList, which is never called.*'layers\.\*'"),
    "again": ("layers.1.mlp", StateError, r"wrapped already; unwrap\(model\)"),
    "inside": ("layers.1.mlp.block.0", StateError, "lies inside a wrapped block"),
}


@pytest.mark.parametrize(("pattern", "error", "text"), TROUBLE.values(), ids=TROUBLE)
def test_what_cannot_be_wrapped_is_explained_and_changes_nothing(model, pattern, error, text):
    wrap(model, "layers.1.mlp")
    before = snapshot(model)
    with pytest.raises(error, match=text):
        wrap(model, pattern)
    assert snapshot(model) == before


def test_an_unknown_option_changes_nothing(model):
    before = snapshot(model)
    with pytest.raises(TypeError, match="colour"):
        wrap(model, "layers.*.mlp", colour="red")
    assert snapshot(model) == before


def test_a_function_cannot_be_unwrapped_and_nothing_changes():
    net = Net()
    net.head = SymbolicModel(torch.sin, "wave")
    net.law = SymbolicModel(net.law)
    with pytest.raises(UnsupportedTypeError, match="'head' wraps a function"):
        unwrap(net)
    assert isinstance(net.law, SymbolicModel)


def test_what_is_no_module_has_no_blocks():
    with pytest.raises(UnsupportedTypeError, match=r"found by name in an nn\.Module"):
        wrap(torch.sin, "head")
