"""record(): the tables hold what the blocks did, and the model is as it was before."""

import copy
import gc
import random
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import Net, randn, state_of_the_world
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from symtorch import InputError, Recording, StateError, SymbolicModel, UnsupportedTypeError, record

X = randn(60, 3)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Net()
    model.norm.eval()
    return model


def by_hand(net, x):
    """Inputs and outputs of the law inside a Net, computed without hooks."""
    still = copy.deepcopy(net).eval()
    with torch.no_grad():
        inner = still.norm(still.encoder(x))
        return inner, still.law(inner)


# ---------------------------------------------------------------- what is recorded


def test_the_tables_are_what_the_block_did(net):
    recording = record(net, "law", X)["law"]
    inner, outer = by_hand(net, X)
    assert torch.equal(recording.inputs, inner)
    assert torch.equal(recording.outputs, outer)
    assert recording.names == ("x0", "x1")
    assert (len(recording), recording.rows_seen, recording.block_name) == (60, 60, "law")


def test_many_blocks_are_recorded_in_one_pass(net):
    passes = []
    handle = net.register_forward_hook(lambda *_: passes.append(1))
    recordings = record(net, ["encoder", "law", "head"], X)
    handle.remove()
    assert len(passes) == 1
    assert torch.equal(recordings["encoder"].inputs, X)
    assert torch.equal(recordings["law"].outputs, recordings["head"].inputs)


def test_blocks_may_be_given_as_modules(net):
    assert list(record(net, {"inside": net.law}, X)) == ["inside"]


def pairs_of(x):
    return TensorDataset(x, x.sum(1))


FIRST = {"input_of": lambda batch: batch[0]}
DATA = {
    "tensor": (X, {}),
    "array": (X.numpy(), {}),
    "double array": (X.numpy().astype(np.float64), {}),
    "read-only array": (np.broadcast_to(X.numpy(), X.shape), {}),
    "frame": (pd.DataFrame(X.numpy(), columns=list("abc")), {}),
    "tuple": ((X,), {}),
    "dict": ({"x": X}, {}),
    "dict of arrays": ({"x": X.numpy()}, {}),
    "list of batches": ([X[:10], X[10:]], {}),
    "list of arrays": ([X[:10].numpy(), X[10:].numpy()], {}),
    "one-element lists": ([[X[:10]], [X[10:]]], {}),
    "tuples": ([(X[:10],), (X[10:],)], {}),
    "dicts": ([{"x": X[:10]}, {"x": X[10:]}], {}),
    "loader": (DataLoader(X, batch_size=7), {}),
    "loader of one-element lists": (DataLoader(TensorDataset(X), batch_size=7), {}),
    "loader of pairs": (DataLoader(pairs_of(X), batch_size=7), FIRST),
    "list of pairs": ([(X[:10], "a"), (X[10:], "b")], FIRST),
    "single pair": ((X, "target"), FIRST),
    "with an empty batch": ([X[:0], X], {}),
}


@pytest.mark.parametrize(("data", "options"), DATA.values(), ids=DATA)
def test_data_comes_in_many_ways(net, data, options):
    recording = record(net, "law", data, **options)["law"]
    torch.testing.assert_close(recording.inputs, by_hand(net, X)[0])


def test_data_may_be_a_generator(net):
    recording = record(net, "law", (X[i : i + 7] for i in range(0, 60, 7)))["law"]
    torch.testing.assert_close(recording.outputs, by_hand(net, X)[1])


def test_arrays_take_the_type_of_the_model(net):
    assert record(net.double(), "law", X.numpy())["law"].inputs.dtype == torch.float64


def test_a_shuffling_loader_gives_the_same_recording_every_time(net):
    loader = DataLoader(TensorDataset(X), batch_size=8, shuffle=True)
    first, second = (record(net, "law", loader, max_samples=20)["law"] for _ in range(2))
    assert torch.equal(first.inputs, second.inputs)


class Texts(nn.Module):
    """[B, T, D] through an MLP that is called once for every text and once for a summary."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Linear(4, 2))

    def forward(self, x):
        return self.mlp(x).mean(1) + self.mlp(x.mean(1))


def test_every_call_of_a_reused_block_is_recorded_and_time_is_flattened():
    model, x = Texts(), randn(5, 4, 3)
    recording = record(model, "mlp", [x[:2], x[2:]])["mlp"]
    expected = [x[:2].reshape(-1, 3), x[:2].mean(1), x[2:].reshape(-1, 3), x[2:].mean(1)]
    assert torch.equal(recording.inputs, torch.cat(expected))
    torch.testing.assert_close(recording.outputs, model.mlp(recording.inputs).detach())
    assert recording.rows_seen == 25


class Recursive(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Factorial()

    def forward(self, x):
        return self.inner(x)


class Factorial(nn.Module):
    def forward(self, x):
        return torch.ones_like(x) if float(x.max()) <= 0 else x * self(x - 1)


def test_a_block_that_calls_itself_is_recorded_at_every_depth():
    recording = record(Recursive(), "inner", torch.full((2, 1), 3.0))["inner"]
    pairs = {
        (x, y)
        for [x], [y] in zip(recording.inputs.tolist(), recording.outputs.tolist(), strict=True)
    }
    assert pairs == {(0, 1), (1, 1), (2, 2), (3, 6)}


class Edges(nn.Module):
    """A graph network: messages between all pairs of nodes."""

    def __init__(self):
        super().__init__()
        self.edge = Edge()

    def forward(self, nodes):
        return self.edge(nodes[:, :, None], v=nodes[:, None, :]).sum(2)


class Edge(nn.Module):
    def forward(self, u, v):
        return ((u - v) ** 2).sum(-1, keepdim=True)


def test_two_inputs_are_named_after_the_parameters():
    nodes = randn(2, 4, 3)
    recording = record(Edges(), "edge", nodes)["edge"]
    assert recording.names == ("u_0", "u_1", "u_2", "v_0", "v_1", "v_2")
    assert recording.inputs.shape == (2 * 4 * 4, 6)
    u, v = recording.inputs.split(3, -1)
    torch.testing.assert_close(recording.outputs[:, 0], (u - v).square().sum(-1))
    assert torch.equal(u.reshape(2, 4, 4, 3)[1, 2, 3], nodes[1, 2])
    assert torch.equal(v.reshape(2, 4, 4, 3)[1, 2, 3], nodes[1, 3])


def test_a_compiled_block_keeps_its_names():
    model = Edges()
    model.edge = torch.compile(model.edge, backend="eager")
    assert record(model, "edge", randn(2, 4, 1))["edge"].names == ("u_0", "v_0")
    torch._dynamo.reset()


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Attention()

    def forward(self, x):
        mask = x[..., :1] > 0
        return self.inner(x, mask=mask, scale=2.0, shift=torch.tensor(1.0), bias=x[..., :1])


class Attention(nn.Module):
    def forward(self, x, *, mask=None, scale=1.0, shift=None, bias=None):
        return torch.where(mask, x * scale + shift + bias, 0.0)


def test_keyword_tensors_are_columns_and_settings_are_not():
    assert record(Masked(), "inner", X)["inner"].names == ("x_0", "x_1", "x_2", "bias_0")


def test_the_columns_can_be_chosen():
    recording = record(Masked(), "inner", X, inputs=("x",))["inner"]
    assert recording.names == ("x0", "x1", "x2")
    assert torch.equal(recording.inputs, X)


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.square = Square()

    def forward(self, x):
        return self.square(self.relu(x - 0.5))


class Square(nn.Module):
    def forward(self, x):
        return x.mul_(x)


def test_inputs_are_copied_before_the_block_overwrites_them():
    recordings = record(InPlace(), ["relu", "square"], X)
    assert torch.equal(recordings["relu"].inputs, X - 0.5)
    assert torch.equal(recordings["relu"].outputs, (X - 0.5).relu())
    assert torch.equal(recordings["square"].inputs, (X - 0.5).relu())
    assert torch.equal(recordings["square"].outputs, (X - 0.5).relu() ** 2)


def test_outputs_are_copied_before_the_model_overwrites_them():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True))
    recording = record(model, "0", X)["0"]
    assert torch.equal(recording.outputs, model[0](X).detach())


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x):
        return self.lstm(x)[0]


def test_an_lstm_needs_a_choice_of_output():
    with pytest.raises(InputError, match=r"block 'lstm' returns a tuple of .* output=0"):
        record(Sequence(), "lstm", randn(4, 5, 3))


def test_an_lstm_can_be_recorded_with_a_choice():
    model, x = Sequence(), randn(4, 5, 3)
    recording = record(model, "lstm", x, output=0)["lstm"]
    torch.testing.assert_close(recording.outputs, model.lstm(x)[0].detach().reshape(-1, 2))


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        return self.conv(x)


def test_channels_first():
    model, x = Images(), randn(2, 3, 4, 5)
    recording = record(model, "conv", x, feature_dim=1)["conv"]
    assert torch.equal(recording.inputs, x.permute(0, 2, 3, 1).reshape(-1, 3))
    expected = model(x).detach().permute(0, 2, 3, 1).reshape(-1, 2)
    torch.testing.assert_close(recording.outputs, expected)


def test_channels_without_a_word_on_where_they_are():
    with pytest.raises(InputError, match="feature_dim=1 for channels first"):
        record(Images(), "conv", randn(2, 3, 4, 5))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_half_precision_is_widened_and_double_kept(dtype):
    model = nn.Sequential(nn.Linear(3, 2)).to(dtype)
    recording = record(model, "0", X.to(dtype))["0"]
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert (recording.inputs.dtype, recording.outputs.dtype) == (wide, wide)
    assert torch.equal(recording.outputs, model(X.to(dtype)).detach().to(wide))


def test_a_recording_is_no_part_of_the_graph():
    recording = record(nn.Sequential(nn.Linear(3, 2)), "0", X.clone().requires_grad_())["0"]
    assert not recording.inputs.requires_grad
    assert not recording.outputs.requires_grad


def test_a_recording_does_not_share_memory_with_the_data():
    x = X.clone()
    recording = record(nn.Sequential(nn.Linear(3, 2)), "0", x)["0"]
    x.zero_()
    assert torch.equal(recording.inputs, X)


# ---------------------------------------------------------------- samples


def test_a_sample_is_the_same_however_the_data_is_cut(net):
    whole, cut, single = (
        record(net, "law", data, max_samples=20, random_state=4)["law"]
        for data in (X, list(X.split(7)), list(X.split(1)))
    )
    assert torch.equal(whole.row_index, cut.row_index)
    assert torch.equal(whole.row_index, single.row_index)
    torch.testing.assert_close(whole.inputs, cut.inputs)
    torch.testing.assert_close(whole.inputs, by_hand(net, X)[0][whole.row_index])


def test_inputs_and_outputs_of_a_sample_belong_together(net):
    recording = record(net, "law", list(X.split(7)), max_samples=20)["law"]
    torch.testing.assert_close(recording.outputs, net.law(recording.inputs).detach())


def test_another_seed_gives_another_sample(net):
    samples = [record(net, "law", X, max_samples=9, random_state=s)["law"] for s in range(2)]
    assert samples[0].row_index.tolist() != samples[1].row_index.tolist()


def test_memory_does_not_grow_with_the_number_of_batches():
    def held():
        return sum(o.numel() for o in gc.get_objects() if type(o) is torch.Tensor)

    peaks = []

    def batches():
        for number in range(200):
            if number % 40 == 39:
                peaks.append(held())
            yield torch.full((20, 8), float(number))

    record(nn.Sequential(nn.Identity()), "0", batches(), max_samples=30)
    assert max(peaks) - min(peaks) <= 4 * 30 * 8


@pytest.mark.parametrize("max_samples", [0, -1])
def test_a_sample_of_nothing_is_refused(net, max_samples):
    with pytest.raises(InputError, match="max_samples must be at least 1 or None"):
        record(net, "law", X, max_samples=max_samples)


# ---------------------------------------------------------------- everything is put back


class Fails(nn.Module):
    """Changes whatever there is to change; raises in the third batch."""

    def __init__(self, inner, when):
        super().__init__()
        self.inner = inner
        self.when = when
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        out = self.inner(x)
        if self.calls == self.when:
            raise ZeroDivisionError("halfway")
        return out


@pytest.mark.parametrize("when", [None, 3])
def test_everything_is_put_back(net, when):
    model = Fails(net, when)
    before, weights = state_of_the_world(model), copy.deepcopy(model.state_dict())
    if when is None:
        record(model, "inner.*", list(X.split(10)))
    else:
        with pytest.raises(ZeroDivisionError):
            record(model, "inner.*", list(X.split(10)))
    assert state_of_the_world(model) == before
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("when", [None, 3])
def test_distilling_puts_everything_back(net, when):
    model = Fails(net, when)
    net.law = SymbolicModel(net.law, "law")
    before = state_of_the_world(model)
    if when is None:
        net.law.distill(list(X.split(10)), parent_model=model, sr_params={"niterations": 1})
    else:
        with pytest.raises(ZeroDivisionError):
            net.law.distill(list(X.split(10)), parent_model=model)
    assert state_of_the_world(model) == before
    assert bool(net.law.fronts) == (when is None)


def test_a_block_that_raises_leaves_no_hooks(net):
    before = state_of_the_world(net)
    with pytest.raises(RuntimeError):
        record(net, "law", randn(4, 9))
    assert state_of_the_world(net) == before


def test_a_block_that_cannot_be_recorded_leaves_no_hooks():
    model = Sequence()
    before = state_of_the_world(model)
    with pytest.raises(InputError):
        record(model, "lstm", randn(4, 5, 3))
    assert state_of_the_world(model) == before


def test_inside_the_model_evaluates_without_gradients(net):
    seen = []
    net.law.register_forward_hook(
        lambda *_: seen.append((net.dropout.training, torch.is_grad_enabled()))
    )
    record(net, "law", X)
    assert seen == [(False, False)]


# ---------------------------------------------------------------- errors


def test_a_scripted_block_takes_no_hooks():
    with pytest.warns(DeprecationWarning, match="jit"):
        scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 2)))
    with pytest.raises(UnsupportedTypeError, match="block '0' is a ScriptModule"):
        record(nn.Sequential(scripted), "0", X)


def test_a_model_that_was_compiled_before_runs_with_hooks(net):
    compiled = torch.compile(net.eval(), backend="eager")
    compiled(X)
    recording = record(compiled, "**.law", X)["_orig_mod.law"]
    assert torch.equal(recording.inputs, by_hand(net, X)[0])
    torch._dynamo.reset()


def test_a_block_that_is_not_called_is_named(net):
    other = nn.Linear(3, 3)
    with pytest.raises(StateError, match="block 'other' was not called while the model ran"):
        record(net, {"other": other}, X)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("lawn", r"no block 'lawn' in Net; did you mean 'law'\?; its blocks: encoder, norm, law"),
        ("law.*", "no block"),
        (["law", "nothing"], "no block 'nothing'"),
    ],
)
def test_a_block_that_is_not_there_is_named(net, pattern, text):
    with pytest.raises(InputError, match=text):
        record(net, pattern, X)


def test_only_modules_have_blocks_by_name():
    with pytest.raises(UnsupportedTypeError, match=r"in an nn.Module; this is a function"):
        record(by_hand, "law", X)


@pytest.mark.parametrize("data", [[], iter(())])
def test_data_without_a_batch(net, data):
    with pytest.raises(InputError, match="the data is empty"):
        record(net, "law", data)


@pytest.mark.parametrize("data", [X[:0], [X[:0], X[:0]]])
def test_data_without_a_row(net, data):
    with pytest.raises(InputError, match="block 'law' was called with no rows"):
        record(net, "law", data)


@pytest.mark.parametrize("data", [5, "text", None, TensorDataset(X)])
def test_data_of_another_kind(net, data):
    with pytest.raises(UnsupportedTypeError, match=f"inputs must be .* got {type(data).__name__}"):
        record(net, "law", data)


class Shrinks(nn.Module):
    def forward(self, x):
        return x if len(x) == 10 else x[:3]


def test_rows_that_are_lost_later_are_noticed():
    with pytest.raises(InputError, match="block '0' was called with 8 rows and returned 3"):
        record(nn.Sequential(Shrinks()), "0", [X[:10], X[:8]])


# ---------------------------------------------------------------- keeping recordings


def test_a_recording_survives_a_file(net, tmp_path):
    recording = record(net, "law", X, max_samples=20)["law"]
    recording.save(tmp_path / "law.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = Recording.load(tmp_path / "law.pt")
    for name in ("inputs", "outputs", "row_index"):
        assert torch.equal(getattr(again, name), getattr(recording, name))
    for name in ("block_name", "layout", "rows_seen", "names"):
        assert getattr(again, name) == getattr(recording, name)


class Bomb:
    def __reduce__(self):
        return warnings.warn, ("executed",)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"inputs": [1, 2]},
        {"inputs": torch.zeros(3, 2)},
        {"outputs": torch.zeros(20, 7)},
        {"row_index": None},
        {"row_index": torch.zeros(20)},
        {"row_index": torch.full((20,), 99)},
        {"row_index": torch.full((20,), -1)},
        {"rows_seen": "many"},
        {"dtype": "complex64"},
        {"dtype": None},
        {"inputs": torch.zeros(1).expand(20, 2)},
        {"inputs": torch.zeros(20, 2).to_sparse()},
        {"inputs": torch.zeros(20, 2, dtype=torch.complex64)},
        {"version": 1},
        {"layout": "{}"},
        {"layout": 5},
        {"block_name": Bomb()},
        {"extra": Bomb()},
    ],
    ids=lambda change: str({key: type(value).__name__ for key, value in change.items()}),
)
def test_a_tampered_file_is_refused(net, tmp_path, change):
    record(net, "law", X, max_samples=20)["law"].save(tmp_path / "law.pt")
    data = torch.load(tmp_path / "law.pt", weights_only=True)
    torch.save(data | change, tmp_path / "law.pt")
    with pytest.raises(InputError, match=r"law\.pt|not a saved layout"):
        Recording.load(tmp_path / "law.pt")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="is not a saved recording"):
        Recording.load(tmp_path / "text.pt")
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "nothing.pt")


# ---------------------------------------------------------------- names from the data


FRAME = pd.DataFrame(X.numpy().astype(float), columns=["mean radius", "area", "2nd"])


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (FRAME, {}),
        ((FRAME,), {}),
        ({"x": FRAME}, {}),
        ([FRAME[:30], FRAME[30:]], {}),
        ([(FRAME, "target")], {"input_of": lambda batch: batch[0]}),
    ],
)
@pytest.mark.parametrize("block", [nn.Linear(3, 2), lambda x: x**2], ids=["module", "function"])
def test_the_columns_of_a_frame_are_the_names(tmp_path, block, data, options):
    if isinstance(data, dict):
        data = {"input": FRAME} if isinstance(block, nn.Module) else data
    recording = SymbolicModel(block, "block").record(data, **options)
    assert recording.names == ("mean_radius", "area", "x2nd")
    recording.save(tmp_path / "block.pt")
    assert Recording.load(tmp_path / "block.pt").names == recording.names


def test_a_frame_names_the_variables_of_equations_and_of_its_reduction():
    block = SymbolicModel(lambda x: x[:, :1] * x[:, 1:2], "block")
    front = block.distill(FRAME, engine="sparse")[0]
    assert front.get_best().expression.pretty() == "area*mean_radius"
    block.switch_to_symbolic()
    assert torch.allclose(torch.as_tensor(block(FRAME.to_numpy())), (X[:, :1] * X[:, 1:2]).double())
    given = SymbolicModel(nn.Linear(3, 1), "b")
    assert given.distill(FRAME, variable_names=["a", "b", "c"], engine="quadratic")[
        0
    ].variables == (("a", "b", "c"))


def test_a_function_of_frames_gets_frames():
    block = SymbolicModel(lambda frame: frame["area"] * frame["2nd"], "block")
    recording = block.record(FRAME)
    assert torch.equal(recording.outputs[:, 0], recording.inputs[:, 1] * recording.inputs[:, 2])


def test_a_frame_for_the_model_around_a_block_names_nothing(net):
    assert record(net, "law", FRAME)["law"].names == ("x0", "x1")


@pytest.mark.parametrize("names", [["a"], ["a", "import os"], 5])
def test_names_in_a_tampered_file_are_refused(net, tmp_path, names):
    record(net, "law", X, max_samples=20)["law"].save(tmp_path / "law.pt")
    data = torch.load(tmp_path / "law.pt", weights_only=True)
    torch.save(data | {"column_names": names}, tmp_path / "law.pt")
    with pytest.raises(InputError):
        Recording.load(tmp_path / "law.pt")
