"""A wrapper passes for its block: all of torch.nn is wrapped, used, set, copied and pickled."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from helpers import QUICK, randn
from torch import nn

from symtorch import SymbolicModel, unwrap, wrap

V, S, I1, I2, I3 = (4, 6), (2, 5, 6), (2, 4, 8), (2, 4, 8, 8), (2, 4, 8, 8, 8)


def of(shape):
    return lambda: (randn(*shape),)


def pair(*shapes):
    return lambda: tuple(randn(*shape, seed=i) for i, shape in enumerate(shapes))


def labels(classes=6, rows=4):
    return randn(rows, classes), torch.arange(rows) % classes


def probabilities():
    return randn(*V).sigmoid(), randn(*V, seed=1).sigmoid()


IMAGES = {"1d": (1, I1), "2d": (2, I2), "3d": (3, I3)}
CASES = {
    nn.Linear: ((6, 3), of(V)),
    nn.Identity: ((), of(V)),
    nn.Bilinear: ((6, 6, 3), pair(V, V)),
    nn.LazyLinear: ((3,), of(V)),
    nn.Flatten: ((), of(S)),
    nn.Unflatten: ((1, (2, 3)), of(V)),
    nn.Embedding: ((9, 3), lambda: (torch.arange(8).reshape(2, 4),)),
    nn.EmbeddingBag: ((9, 3), lambda: (torch.arange(8).reshape(2, 4),)),
    nn.RNN: ((6, 3), of(S)),
    nn.LSTM: ((6, 3), of(S)),
    nn.GRU: ((6, 3), of(S)),
    nn.RNNCell: ((6, 3), of(V)),
    nn.LSTMCell: ((6, 3), of(V)),
    nn.GRUCell: ((6, 3), of(V)),
    nn.MultiheadAttention: ((6, 2), pair(S, S, S)),
    nn.Transformer: ((6, 2, 1, 1, 8), pair(S, S)),
    nn.TransformerEncoderLayer: ((6, 2, 8), of(S)),
    nn.TransformerDecoderLayer: ((6, 2, 8), pair(S, S)),
    nn.TransformerEncoder: ((nn.TransformerEncoderLayer(6, 2, 8), 2), of(S)),
    nn.TransformerDecoder: ((nn.TransformerDecoderLayer(6, 2, 8), 2), pair(S, S)),
    nn.Sequential: ((nn.Linear(6, 3), nn.Tanh()), of(V)),
    nn.LayerNorm: ((6,), of(V)),
    nn.RMSNorm: ((6,), of(V)),
    nn.GroupNorm: ((2, 4), of(I2)),
    nn.LocalResponseNorm: ((2,), of(I2)),
    nn.CrossMapLRN2d: ((2,), of(I2)),
    nn.PixelShuffle: ((2,), of(I2)),
    nn.PixelUnshuffle: ((2,), of(I2)),
    nn.ChannelShuffle: ((2,), of(I2)),
    nn.Fold: (((4, 4), 2), lambda: (randn(2, 4, 9),)),
    nn.Unfold: ((2,), of(I2)),
    nn.Upsample: ((None, 2), of(I2)),
    nn.UpsamplingNearest2d: ((None, 2), of(I2)),
    nn.UpsamplingBilinear2d: ((None, 2), of(I2)),
    nn.Softmax2d: ((), of(I2)),
    nn.GLU: ((), of(V)),
    nn.Softmax: ((-1,), of(V)),
    nn.LogSoftmax: ((-1,), of(V)),
    nn.Softmin: ((-1,), of(V)),
    nn.KLDivLoss: ((None, None, "batchmean"), pair(V, V)),
    nn.Threshold: ((0.1, 0.0), of(V)),
    nn.FractionalMaxPool2d: ((2, 4), of(I2)),
    nn.FractionalMaxPool3d: ((2, 4), of(I3)),
    nn.ConstantPad1d: ((1, 0.5), of(I1)),
    nn.ConstantPad2d: ((1, 0.5), of(I2)),
    nn.ConstantPad3d: ((1, 0.5), of(I3)),
    nn.AdaptiveLogSoftmaxWithLoss: ((6, 5, [2]), labels),
    nn.CosineSimilarity: ((), pair(V, V)),
    nn.PairwiseDistance: ((), pair(V, V)),
    nn.CrossEntropyLoss: ((), labels),
    nn.NLLLoss: ((), labels),
    nn.MultiMarginLoss: ((), labels),
    nn.BCELoss: ((), probabilities),
    nn.MultiLabelMarginLoss: ((), lambda: (randn(*V), torch.arange(24).reshape(V) % 6)),
    nn.CosineEmbeddingLoss: ((), lambda: (randn(*V), randn(*V, seed=1), torch.ones(4))),
    nn.MarginRankingLoss: ((), lambda: (randn(4), randn(4, seed=1), torch.ones(4))),
    nn.TripletMarginLoss: ((), pair(V, V, V)),
    nn.TripletMarginWithDistanceLoss: ((), pair(V, V, V)),
    nn.GaussianNLLLoss: ((), lambda: (randn(*V), randn(*V, seed=1), torch.ones(V))),
    nn.CTCLoss: (
        (),
        lambda: (
            randn(8, 2, 5).log_softmax(-1),
            torch.ones(2, 3, dtype=torch.long),
            torch.tensor([8, 8]),
            torch.tensor([3, 3]),
        ),
    ),
}
"""Arguments and inputs of modules that need other ones than the rules below give."""

if hasattr(nn, "LinearCrossEntropyLoss"):  # newer versions of torch
    CASES[nn.LinearCrossEntropyLoss] = ((6, 5), lambda: (randn(*V), torch.arange(4)))

NOT_CALLED = {nn.Module, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict}
NEEDS_INDICES = {nn.MaxUnpool1d, nn.MaxUnpool2d, nn.MaxUnpool3d}
BASES = {nn.RNNBase, nn.RNNCellBase, nn.Container, nn.NLLLoss2d}
NEEDS_A_DEVICE = {nn.SyncBatchNorm, nn.DataParallel}


def case_of(kind):
    """Arguments and inputs by the name of a class."""
    if kind in CASES:
        return CASES[kind]
    name = kind.__name__
    dims = next((key for key in IMAGES if name.endswith(key)), None)
    if name.endswith("Loss"):
        return (), pair(V, V)
    if dims is None:
        return (), of(V)
    shape = IMAGES[dims][1]
    if "Conv" in name:
        return ((3, 3) if "Lazy" in name else (4, 3, 3)), of(shape)
    if "Norm" in name or "Dropout" in name:
        return (() if "Lazy" in name or "Dropout" in name else (4,)), of(shape)
    return (2, *((2,) if "LPPool" in name else ())), of(shape)


KINDS = [
    kind
    for name, kind in sorted(vars(nn).items())
    if inspect.isclass(kind)
    and issubclass(kind, nn.Module)
    and kind not in {*NOT_CALLED, *NEEDS_INDICES, *BASES, *NEEDS_A_DEVICE}
]


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def called(module, inputs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return module(*inputs)


pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor", "ignore:Lazy modules")


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def module(request):
    args, inputs = case_of(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = request.param(*args)
    if "Lazy" in request.param.__name__:  # torch copies them only after a first call
        called(made, inputs())
    return made, inputs()


def test_a_lazy_module_may_be_wrapped_before_its_first_call():
    lazy, x = nn.LazyLinear(3), randn(*V)
    wrapper = SymbolicModel(lazy)
    assert called(wrapper, (x,)).shape == (4, 3)
    assert wrapper.in_features == 6
    assert type(lazy) is nn.Linear


def test_the_list_is_long():
    assert len(KINDS) > 120


def test_a_wrapped_module_answers_like_the_module(module):
    block, inputs = module
    for training in (True, False):
        block.train(training)
        expected = called(copy.deepcopy(block), inputs)
        wrapper = SymbolicModel(copy.deepcopy(block))
        assert wrapper.training == training
        assert same(called(wrapper, inputs), expected)
        with torch.no_grad():
            assert same(called(wrapper, inputs), called(copy.deepcopy(block), inputs))


def test_wrapping_leaves_no_trace(module):
    block, inputs = module
    called(block, inputs)
    holder = nn.ModuleDict({"part": block})
    keys, attributes = [*holder.state_dict()], dict(vars(block))
    wrapper = wrap(holder, "part")["part"]
    called(wrapper, inputs)
    assert unwrap(holder)["part"] is block
    assert [*holder.state_dict()] == keys
    assert vars(block).keys() == attributes.keys()


def test_attributes_are_the_blocks(module):
    block, _ = module
    wrapper = SymbolicModel(block)
    own = {name for name in dir(nn.Module()) if not name.startswith("__")} | {"block"}
    for name in [name for name in dir(block) if not name.startswith("__") and name not in own]:
        found = getattr(wrapper, name)
        expected = getattr(block, name)
        assert found is expected or found == expected, name
        assert name in dir(wrapper)
    for name, value in list(vars(block).items()):
        if name.startswith("_") or name == "training":
            continue
        setattr(wrapper, name, value)
        assert getattr(block, name) is value
        assert name not in vars(wrapper)


def test_what_is_set_reaches_the_block(module):
    block, _ = module
    wrapper = SymbolicModel(block)
    wrapper.scale, wrapper._private = 3, 4
    assert (block.scale, block._private) == (3, 4)
    wrapper.register_buffer("offset", torch.ones(2))
    wrapper.extra = nn.Parameter(torch.ones(3))
    assert block.offset is wrapper.offset
    assert dict(block.named_parameters())["extra"] is wrapper.extra
    del wrapper.scale, wrapper.extra
    assert not hasattr(block, "scale")
    assert not hasattr(wrapper, "extra")
    for training in (True, False):
        wrapper.training = training
        assert block.training == wrapper.training == training


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_and_pickles_are_wrappers(module, way):
    block, inputs = module
    called(block, inputs)
    wrapper = SymbolicModel(block.eval())
    again = way(wrapper)
    assert type(again) is SymbolicModel
    assert again.block is not block
    assert same(called(again, inputs), called(wrapper, inputs))
    file = io.BytesIO()
    torch.save(wrapper.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert same(called(again, inputs), called(wrapper, inputs))


# ---------------------------------------------------------------- items


def layers():
    return nn.Sequential(nn.Linear(6, 3), nn.Tanh(), nn.Linear(3, 2))


def test_a_wrapped_sequential_is_a_sequence():
    block = layers()
    wrapper = SymbolicModel(block)
    assert len(wrapper) == 3
    assert list(wrapper) == list(block)
    assert wrapper[0] is block[0]
    assert wrapper[-1] is block[-1]
    assert len(wrapper[:2]) == 2
    assert block[1] in wrapper
    wrapper[1] = nn.SiLU()
    assert isinstance(block[1], nn.SiLU)
    del wrapper[1]
    assert len(block) == 2
    wrapper.append(nn.Tanh())
    assert len(block) == 3
    assert wrapper
    assert not SymbolicModel(nn.Sequential())


def test_a_block_without_items_says_so_itself():
    wrapper = SymbolicModel(nn.Linear(2, 2))
    assert wrapper
    for use in (len, iter, lambda w: w[0], lambda w: 1 in w):
        with pytest.raises(TypeError, match="Linear"):
            use(wrapper)


# ---------------------------------------------------------------- names that both might have


class Greedy(nn.Module):
    """Calls its own everything that the wrapper once did."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.reduction, self.pruning, self.switch, self.request = "mean", 0.1, "on", "get"
        self._signature, self._local, self._distillation = "s", "l", "d"
        self.state = self.results = "mine"

    def forward(self, x):
        assert (self.reduction, self.switch) == ("mean", "on")
        return self.linear(x)


def test_the_wrappers_state_shadows_nothing():
    block = Greedy()
    wrapper = SymbolicModel(block, "greedy")
    for name, value in vars(block).items():
        if name not in vars(nn.Module()):
            assert getattr(wrapper, name) == value
    x = randn(100, 2)
    wrapper.distill(x, 0, sr_params=QUICK)
    wrapper.switch_to_symbolic()
    wrapper.switch, wrapper.reduction = "off", "sum"
    assert (block.switch, block.reduction) == ("off", "sum")
    assert wrapper.is_symbolic


def test_a_loss_keeps_its_reduction():
    loss = SymbolicModel(nn.MSELoss())
    assert loss.reduction == "mean"
    loss.reduction = "sum"
    assert float(loss(torch.ones(3), torch.zeros(3))) == 3


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("part", ["self_attn", "linear1", "norm1", "dropout"])
def test_fused_paths_read_through_the_wrapper(part, training):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    layer.train(training)
    x = randn(2, 5, 6)
    expected = layer(x)
    with torch.no_grad():
        fused = layer(x)
    wrap(layer, part)
    assert torch.equal(layer(x), expected)
    with torch.no_grad():
        assert torch.equal(layer(x), fused)


@pytest.mark.filterwarnings("ignore:block 'self_attn'. its output depends on")
def test_attention_in_a_fused_layer_is_distilled_and_switched():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).eval()
    block = wrap(layer, "self_attn", output=0, inputs=("query",))["self_attn"]
    x = randn(30, 5, 4)
    with torch.no_grad():
        before = layer(x)
        block.distill(x, 0, layer, sr_params=QUICK)
        with block.symbolic(complexity=1):
            assert not torch.allclose(layer(x), before)
        torch.testing.assert_close(layer(x), before)


def test_hooks_and_submodules_are_found_by_their_names():
    wrapper = SymbolicModel(layers())
    assert wrapper.get_submodule("0") is wrapper.block[0]
    assert wrapper.get_submodule("block.0") is wrapper.block[0]
    assert wrapper.get_parameter("2.bias") is wrapper.block[2].bias
    calls = []
    wrapper.register_forward_hook(lambda *_: calls.append(1))
    wrapper(randn(2, 6))
    assert calls == [1]


def test_functions_keep_attributes_on_the_wrapper():
    wrapper = SymbolicModel(torch.square)
    wrapper.note = "mine"
    assert wrapper.note == "mine"
    assert not hasattr(torch.square, "note")
    wrapper.register_buffer("offset", torch.ones(2))
    assert torch.equal(wrapper.offset, torch.ones(2))
