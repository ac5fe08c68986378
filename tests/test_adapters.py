"""Adapters: a call of each kind is a table and back, and each kind meets all other features."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from helpers import randn
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from symtorch import InputError, Reduction, SymbolicModel, UnsupportedTypeError, heal, record, wrap
from symtorch.recording.adapters.layout import Layout
from symtorch.recording.adapters.output import OutputLayout
from symtorch.recording.adapters.registry import (
    load_inputs,
    plan_inputs,
    register_adapter,
    save_inputs,
)
from symtorch.recording.adapters.request import LayoutRequest
from symtorch.recording.adapters.tensors import TensorInputs
from symtorch.recording.query import BlockQuery

# ---------------------------------------------------------------- blocks of each kind


class Padded(nn.Module):
    """``2*x0 + x1*x1`` for each word; a word that is padding gets something else."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x, mask):
        law = self.gain * x[..., :1] + x[..., 1:] ** 2
        return torch.where(mask[..., None] != 0, law, torch.full_like(law, 99.0))


class Two(nn.Module):
    """``2*a0 + b0*b0`` of a list or tuple of two tensors."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, xs):
        a, b = xs
        return self.gain * a[..., :1] + b[..., :1] ** 2


class Cell(nn.Module):
    """A recurrent cell whose state is a tuple: ``h = 2*x + c*c``, ``c = h``."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x, hx):
        h, c = hx
        return self.gain * x + c**2, h


@dataclass(frozen=True)
class Answer:
    a: Any
    note: str = "kept"


class Object(nn.Module):
    """Returns a frozen dataclass."""

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return Answer(self.gain * x[..., :1] + x[..., 1:] ** 2)


def pair(*lead):
    return randn(*lead, 2), randn(*lead, 2, seed=1)


def padded(*lead):
    mask = torch.ones(lead, dtype=torch.bool)
    mask[..., -1] = False
    return randn(*lead, 2), mask


def state(*lead):
    return randn(*lead, 1), (randn(*lead, 1, seed=1), randn(*lead, 1, seed=2))


KINDS = {
    "masked": (Padded, padded, {"mask": "mask"}, lambda out: out),
    "list": (Two, lambda *lead: ([*pair(*lead)],), {}, lambda out: out),
    "tuple": (Two, lambda *lead: (pair(*lead),), {}, lambda out: out),
    "state": (Cell, state, {"output": 0}, lambda out: out[0]),
    "object": (Object, lambda *lead: (randn(*lead, 2),), {"output": "a"}, lambda out: out.a),
}
KIND = pytest.mark.parametrize(("block", "data", "options", "part"), KINDS.values(), ids=KINDS)
QUICK = {"maxsize": 30}


def mapped(value, change):
    """The tensors of numbers in a call, changed."""
    if isinstance(value, torch.Tensor):
        return change(value) if value.is_floating_point() else value
    return type(value)(mapped(item, change) for item in value)


def switch(model):
    """The most accurate equation of each output in force."""
    model.switch_to_symbolic({d: front[-1].complexity for d, front in model.fronts.items()})


def distilled(block, data, options, **more):
    model = SymbolicModel(block(), "block", **options)
    model.distill(data(40, 5), engine="quadratic", sr_params=QUICK, **more)
    return model


@KIND
def test_the_law_is_found_and_stands_in_for_the_block(block, data, options, part):
    model = distilled(block, data, options)
    call = data(3, 4)
    expected = part(model(*call))
    switch(model)
    answer = model(*call)
    torch.testing.assert_close(part(answer), expected, rtol=1e-4, atol=1e-4)
    assert type(answer) is type(model.block(*call))


@KIND
def test_only_some_of_its_outputs_can_be_switched_or_pruned(block, data, options, part):
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = block()

        def forward(self, *args, **kwargs):
            out = self.inner(*args, **kwargs)
            table = part(out)
            wide = torch.cat([table, 3 * table], -1)
            return (
                Answer(wide)
                if isinstance(out, Answer)
                else ((wide, out[1]) if isinstance(out, tuple) else wide)
            )

        forward.__signature__ = __import__("inspect").signature(block.forward)

    model = SymbolicModel(Doubled(), "block", **options)
    model.distill(data(40, 5), output_dim=1, engine="quadratic", sr_params=QUICK)
    call = data(3, 4)
    expected = part(model(*call))
    switch(model)
    torch.testing.assert_close(part(model(*call)), expected, rtol=1e-4, atol=1e-4)
    model.setup_pruning(2, 1, total_steps=1)
    model.prune(1, data(3, 4))
    assert model.get_active_dimensions() == [1]
    pruned = part(model(*call))
    assert not pruned[..., 0].any()
    torch.testing.assert_close(pruned[..., 1], expected[..., 1], rtol=1e-4, atol=1e-4)


@KIND
def test_it_is_reduced(block, data, options, part):
    model = distilled(block, data, options, reduce=Reduction(2, 1, linear=1))
    call = data(3, 4)
    before = part(model(*call))
    switch(model)
    after = part(model(*call))
    assert after.shape == before.shape
    if "mask" in options:
        assert torch.equal(after[:, -1], before[:, -1])


@KIND
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(block, data, options, part, dtype):
    def half(*lead):
        return mapped(data(*lead), lambda t: t.to(dtype))

    model = SymbolicModel(block().to(dtype), "block", **options)
    model.distill(half(40, 5), engine="quadratic", sr_params=QUICK)
    call = half(3, 4)
    expected = part(model(*call))
    switch(model)
    found = part(model(*call))
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.1)


@KIND
@torch.no_grad()
def test_compiled(block, data, options, part):
    model = distilled(block, data, options)
    call = data(3, 4)
    switch(model)
    expected = part(model(*call))
    compiled = torch.compile(model, backend="eager")
    assert torch.equal(part(compiled(*call)), expected)
    torch._dynamo.reset()


@KIND
def test_copies_and_files(block, data, options, part):
    model = distilled(block, data, options)
    switch(model)
    call = data(3, 4)
    expected = part(model(*call))
    loaded = SymbolicModel(block(), "block", **options)
    loaded.load_state_dict(model.state_dict())
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), loaded):
        assert torch.equal(part(other(*call)), expected)


@KIND
def test_arrays_in(block, data, options, part):
    def arrays(value):
        return value.numpy() if isinstance(value, torch.Tensor) else type(value)(map(arrays, value))

    tensors = SymbolicModel(block(), "block", **options).record(data(6, 5))
    found = SymbolicModel(block(), "block", **options).record(arrays(data(6, 5)))
    assert torch.equal(found.inputs, tensors.inputs)
    assert torch.equal(found.outputs, tensors.outputs)


@KIND
def test_the_block_is_asked_about_rows_and_explained_around_one(block, data, options, part):
    model = SymbolicModel(block(), "block", **options)
    recording = model.record(data(40, 5))
    query = BlockQuery.of(model.block, recording)
    assert query.differentiable
    torch.testing.assert_close(query(recording.inputs), recording.outputs)
    near = {"x": recording.inputs[0], "num_synthetic": 60}
    assert model.distill(data(40, 5), SLIME=True, slime_params=near)[0]


class Around(nn.Module):
    def __init__(self, inner, part):
        super().__init__()
        self.inner, self.part = inner, part

    def forward(self, *args):
        return self.part(self.inner(*args))


@KIND
def test_it_is_ranked_wrapped_and_healed(block, data, options, part):
    net = Around(block(), part)
    calls = [data(8, 5) for _ in range(6)]
    wrap(net, "inner", **options)
    net.inner.distill(calls, parent_model=net, engine="quadratic", sr_params=QUICK)
    net.inner.switch_to_symbolic(net.inner.front(0)[1].complexity)
    result = heal(net, calls, loss="mse", steps=20)
    assert result.after <= result.before


# ---------------------------------------------------------------- masked sequences


@pytest.mark.parametrize(
    "mask_of",
    [
        lambda mask: mask,
        lambda mask: mask.long(),
        lambda mask: mask.float(),
        lambda mask: mask.numpy(),
        lambda mask: mask.int()[None, 0],
    ],
)
def test_padding_is_neither_recorded_nor_replaced(mask_of):
    x, mask = padded(6, 4)
    block = Padded()

    def run(x, mask):
        return block(x, torch.as_tensor(mask))

    model = SymbolicModel(run, "block", mask="mask")
    given = mask_of(mask)
    recording = model.record((x, given))
    assert recording.rows_seen == 18
    assert torch.equal(recording.inputs, x[mask])
    assert not (recording.outputs == 99).any()
    model.distill((x, given), engine="quadratic", sr_params=QUICK)
    switch(model)
    answer = model(x, given)
    assert (answer[~mask] == 99).all()
    torch.testing.assert_close(answer[mask], 2 * x[mask][:, :1] + x[mask][:, 1:] ** 2)


def test_without_padding_the_block_is_not_called():
    class Optional(Padded):
        def forward(self, x, mask=None):
            return super().forward(x, torch.ones(x.shape[:-1]) if mask is None else mask)

    model = SymbolicModel(Optional(), "block", mask="mask")
    model.distill((*padded(40, 5),), engine="quadratic", sr_params=QUICK)
    switch(model)
    calls = []
    model.block.register_forward_hook(lambda *_: calls.append(1))
    x = randn(3, 4, 2)
    torch.testing.assert_close(model(x), 2 * x[..., :1] + x[..., 1:] ** 2)
    assert not calls
    model(x, padded(3, 4)[1])
    assert calls


def test_gradients_flow_through_rows_that_count_and_through_padding():
    model = distilled(*KINDS["masked"][:3])
    model.switch_to_symbolic(model.front(0)[-1].complexity, trainable_constants=True)
    x, mask = padded(3, 4)
    x.requires_grad_()
    model(x, mask).sum().backward()
    expected = torch.stack([torch.full_like(x[..., 0], 2.0), 2 * x.detach()[..., 1]], -1)
    torch.testing.assert_close(x.grad[mask], expected[mask], rtol=1e-3, atol=1e-3)
    assert all(p.grad.isfinite().all() for p in model.symbolic_state.switch.parameters())


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (torch.ones(3), r"its mask 'mask' is \[3\], its rows are \[3, 4\]: a mask has one value"),
        (torch.ones(4, 3), r"is \[4, 3\], its rows are \[3, 4\]"),
        (torch.tensor([[0.0, -torch.inf]]), "has negative values, as a mask that is added"),
    ],
)
def test_masks_of_another_meaning_are_refused(mask, text):
    arguments = {"x": randn(3, 4, 2), "mask": mask}
    with pytest.raises(InputError, match=f"block 'b': its mask 'mask'.*{text.split('mask')[-1]}"):
        plan_inputs(arguments, LayoutRequest(mask="mask"), None, "b").read(arguments, "b")


def test_a_mask_that_is_no_argument_is_named():
    with pytest.raises(InputError, match=r"block 'b': mask='masc', but its call has \['x'\]"):
        plan_inputs({"x": randn(3, 2)}, LayoutRequest(mask="masc"), None, "b")


# ---------------------------------------------------------------- lists, tuples, states


@pytest.mark.parametrize("bias", [True, False])
def test_the_state_of_torchs_cell_is_columns(bias):
    cell = nn.LSTMCell(2, 3, bias=bias)
    h, c = randn(50, 3, seed=1), randn(50, 3, seed=2)
    recording = record(Around(cell, lambda out: out[0]), "inner", (randn(50, 2), (h, c)), output=0)
    found = recording["inner"]
    assert found.names[:3] == ("input_0", "input_1", "hx_0_0")
    assert torch.equal(found.inputs, torch.cat([randn(50, 2), h, c], -1))
    query = BlockQuery.of(cell, found)
    torch.testing.assert_close(query(found.inputs), cell(randn(50, 2), (h, c))[0])


def test_a_tuple_of_other_rows_is_a_setting_unless_it_is_asked_for():
    cos = randn(1, 5, 4), randn(1, 5, 4)
    arguments = {"x": randn(3, 5, 2), "position_embeddings": cos}
    assert plan_inputs(arguments, LayoutRequest(), None, "b").names == ("x0", "x1")
    asked = LayoutRequest(inputs=("x", "position_embeddings"))
    assert plan_inputs(arguments, asked, None, "b").count == 10


def test_an_lstm_keeps_its_initial_state_as_a_setting():
    lstm = nn.LSTM(3, 2, batch_first=True)
    data = (randn(4, 5, 3), (randn(1, 4, 2), randn(1, 4, 2)))
    assert SymbolicModel(lstm, "lstm", output=0).record(data).names == ("x0", "x1", "x2")


TROUBLE = {
    "mixed": ({"xs": [randn(3, 2), "text"]}, "called without tensor inputs"),
    "empty": ({"xs": []}, "called without tensor inputs"),
    "rows": ({"xs": [randn(3, 2), randn(4, 2)]}, "do not share their leading dimensions"),
    "names": ({"xs": [randn(3, 2)], "xs_0": randn(3, 2)}, "coincide with those of tensors"),
}


@pytest.mark.parametrize(("arguments", "text"), TROUBLE.values(), ids=TROUBLE)
def test_lists_that_are_no_columns(arguments, text):
    with pytest.raises(InputError, match=f"block 'b'.*{text}"):
        plan_inputs(arguments, LayoutRequest(), None, "b").read(arguments, "b")


# ---------------------------------------------------------------- outputs that are objects


class Plain:
    def __init__(self, a):
        self.a = a
        self.note = "kept"


Pair = namedtuple("Pair", "a, note")


@dataclass
class Open:
    a: Any
    note: str = "kept"


@pytest.mark.parametrize("make", [Answer, Open, Plain, lambda a: Pair(a, "kept")])
def test_an_attribute_is_replaced_in_a_copy(make):
    whole = make(randn(4, 2))
    arguments, request = {"x": randn(4, 2)}, LayoutRequest(output="a")
    inputs = plan_inputs(arguments, request, None, "b")
    rows = inputs.read(arguments, "b")
    layout = Layout(inputs, OutputLayout.plan(whole, rows, inputs, request, "b"))
    table = layout.read_output(whole, rows, "b")
    new = layout.write(table + 1, rows, whole)
    assert type(new) is type(whole)
    assert torch.equal(new.a, whole.a + 1)
    assert new.note == "kept"


def test_hugging_faces_outputs():
    outputs = pytest.importorskip("transformers.modeling_outputs")

    def block(x):
        return outputs.BaseModelOutput(last_hidden_state=x**2, hidden_states=(x,))

    model = SymbolicModel(block, "block", output="last_hidden_state")
    x = randn(30, 4, 2)
    model.distill(x, engine="quadratic")
    switch(model)
    answer = model(x)
    assert type(answer) is outputs.BaseModelOutput
    torch.testing.assert_close(answer.last_hidden_state, x**2, rtol=1e-4, atol=1e-4)
    assert torch.equal(answer[0], answer.last_hidden_state)
    assert answer.hidden_states[0] is x


@pytest.mark.parametrize("path", ["b", "note", "_private", "__class__", 0])
def test_what_is_no_attribute_with_a_table(path):
    request = LayoutRequest(output=path)
    inputs = TensorInputs(("x",), (2,), -1)
    rows = inputs.read({"x": randn(4, 2)}, "b")
    with pytest.raises(InputError, match=r"block 'b'"):
        OutputLayout.plan(Answer(randn(4, 2)), rows, inputs, request, "b")


# ---------------------------------------------------------------- round trips


def trees():
    return st.recursive(
        st.integers(1, 3), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=5
    )


@st.composite
def calls(draw):
    """Arguments of some kinds with their rows, and what was said about them."""
    lead = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    axis = draw(st.sampled_from([-1, 0, None]))
    seeds = iter(range(99))

    def tensor(width):
        value = randn(*lead, *(() if axis is None else (width,)), seed=next(seeds))
        return value if axis is None else value.movedim(-1, axis)

    def filled(tree):
        if isinstance(tree, int):
            return tensor(tree)
        return draw(st.sampled_from([list, tuple]))(filled(item) for item in tree)

    shapes = draw(st.lists(trees(), min_size=1, max_size=3))
    arguments = {name: filled(tree) for name, tree in zip("uvw", shapes, strict=False)}
    mask = None
    if draw(st.booleans()):
        dtype = draw(st.sampled_from([torch.bool, torch.int64, torch.float32]))
        arguments["mask"] = (randn(*lead, seed=98) > 0).to(dtype)
        mask = "mask"
    return arguments, lead, LayoutRequest(feature_dim=axis, mask=mask)


@given(calls())
@settings(max_examples=80, deadline=None)
def test_what_is_read_is_written_and_saved(case):
    arguments, lead, request = case
    inputs = plan_inputs(arguments, request, None, "b")
    rows = inputs.read(arguments, "b")
    assert rows.lead == lead
    assert rows.values.shape[1] == inputs.count == len(inputs.names)
    kept = torch.ones(lead, dtype=torch.bool)
    if request.mask is not None:
        kept = arguments["mask"] != 0
    assert len(rows.values) == int(kept.sum())
    # The table as arguments of a call is the table.
    named = inputs.write(rows.values)
    assert {*named} == {*arguments}
    again = replaced_axis(inputs).read(named, "b")
    assert torch.equal(again.values, rows.values)
    # And the file is the adapter.
    saved = json.loads(json.dumps(save_inputs(inputs)))
    assert load_inputs(saved) == inputs
    # A table of outputs is in its place again, padding as it was.
    output = randn(*lead, 2, seed=97)
    output = output if request.feature_dim is None else output.movedim(-1, request.feature_dim)
    layout = Layout(inputs, OutputLayout.plan(output, rows, inputs, request, "b"))
    assert Layout.from_saved(json.loads(json.dumps(layout.to_saved()))) == layout
    table = layout.read_output(output, rows, "b")
    assert torch.equal(layout.write(table, rows, output), output)
    moved = output if request.feature_dim is None else output.movedim(request.feature_dim, -1)
    changed = layout.write(table + 1, rows, output)
    changed = changed if request.feature_dim is None else changed.movedim(request.feature_dim, -1)
    assert torch.equal(changed[kept], moved[kept] + 1)
    assert torch.equal(changed[~kept], moved[~kept])


def replaced_axis(inputs):
    """The adapter for its own queries, which are [rows, features]."""
    data = save_inputs(inputs)
    inner = data.get("inner", data)
    if inner["feature_dim"] is not None:
        inner["feature_dim"] = -1
    return load_inputs(json.loads(json.dumps(data)))


def saved(kind):
    arguments = {"x": randn(4, 2), "hx": (randn(4, 1), [randn(4, 1)]), "mask": torch.ones(4)}
    request = LayoutRequest(mask="mask" if kind == "masked" else None)
    if kind == "tensors":
        del arguments["hx"]
    return json.loads(json.dumps(save_inputs(plan_inputs(arguments, request, None, "b"))))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("nested", {"trees": []}),
        ("nested", {"trees": [2, ["set", [1, 1]]]}),
        ("nested", {"trees": [2, ["tuple", [0]]]}),
        ("nested", {"trees": [2, ["tuple", []]], "arguments": ["x", "y z"]}),
        ("nested", {"trees": [2, True]}),
        ("nested", {"trees": [2, json.loads('["list", [' * 50 + "1" + "]]" * 50)]}),
        ("nested", {"feature_dim": "last"}),
        ("masked", {"mask": 3}),
        ("masked", {"mask": "import os"}),
        ("masked", {"dtype": "complex64"}),
        ("masked", {"spread": 1}),
        ("masked", {"inner": {"adapter": "masked"}}),
        ("masked", {"inner": 5}),
        ("masked", {"other": 5}),
    ],
)
def test_other_files_are_refused(kind, change):
    output = {"path": None, "width": 1, "axis": -1, "kind": "torch", "dtype": None}
    good = {"inputs": saved(kind), "output": output}
    Layout.from_saved(good)
    bad = {**good, "inputs": {**good["inputs"], **change}}
    with pytest.raises(InputError, match="not a saved layout"):
        Layout.from_saved(bad)


# ---------------------------------------------------------------- values that are no numbers

X = randn(6, 2)


def quantised(x):
    with warnings.catch_warnings():  # torch is about to drop such tensors
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.complex(X, X), r"complex64: equations are real; .* torch.view_as_real"),
        (X.numpy() * 1j, r"need numbers; got an array of complex64: equations are real"),
        (X.to_sparse(), "is a sparse tensor; to_dense"),
        (quantised(X), "quantised tensor; dequantize"),
        (X.to("meta"), "device 'meta'"),
    ],
)
def test_what_holds_no_plain_numbers_is_refused(value, text):
    with pytest.raises(UnsupportedTypeError, match=text):
        plan_inputs({"x": value}, LayoutRequest(), None, "b")
    rows = TensorInputs(("x",), (2,), -1).read({"x": X}, "b")
    with pytest.raises(UnsupportedTypeError, match=text):
        OutputLayout.plan(value, rows, TensorInputs(("x",), (2,), -1), LayoutRequest(), "b")


@pytest.mark.parametrize("x", [X[:, :0], randn(0, 0)])
def test_no_columns_and_no_outputs(x):
    with pytest.raises(InputError, match=r"block 'b': input 'x' is .* without a feature"):
        plan_inputs({"x": x}, LayoutRequest(), None, "b")
    with pytest.raises(InputError, match=r"returns \[6, 0\]: no output at all"):
        SymbolicModel(lambda x: x[:, :0]).distill(X)


@pytest.mark.parametrize(
    "value",
    [
        X.numpy()[::-1],
        X.numpy()[:, ::-1],
        X.numpy().astype(np.longdouble),
        np.asfortranarray(X.numpy()),
        X.numpy()[::2],
        X.T.contiguous().T,
    ],
)
def test_arrays_in_any_order_of_memory_are_taken(value):
    recording = SymbolicModel(lambda x: x**2, "square").record(value)
    expected = torch.from_numpy(np.ascontiguousarray(np.asarray(value)).astype(np.float64))
    assert torch.equal(recording.inputs.double(), expected)


# ---------------------------------------------------------------- one of one's own


class Graph:
    def __init__(self, edges):
        self.edges = edges


@dataclass(frozen=True)
class GraphInputs:
    """The features of a graph's edges."""

    width: int
    kind = "test graph"
    partial = False
    feature_dim = -1

    @property
    def count(self):
        return self.width

    @property
    def names(self):
        return tuple(f"e{i}" for i in range(self.width))

    @classmethod
    def plan(cls, arguments, request, block, name):
        graph = arguments.get("graph")
        return cls(graph.edges.shape[1]) if isinstance(graph, Graph) else None

    def read(self, arguments, name):
        return TensorInputs(("edges",), (self.width,), -1).read(vars(arguments["graph"]), name)

    def write(self, table):
        return {"graph": Graph(table)}

    def to_json(self):
        return {"width": self.width}

    @classmethod
    def from_json(cls, data):
        return cls(int(data["width"]))


def test_an_adapter_of_ones_own_is_one_class(monkeypatch):
    from symtorch.recording.adapters import registry

    monkeypatch.setattr(registry, "_ADAPTERS", dict(registry._ADAPTERS))
    register_adapter(GraphInputs)
    model = SymbolicModel(lambda graph: graph.edges[:, :1] * graph.edges[:, 1:], "edges")
    front = model.distill((Graph(randn(300, 2)),), engine="sparse")[0]
    assert front.get_best().expression.pretty() == "e0*e1"
    switch(model)
    edges = randn(5, 2)
    torch.testing.assert_close(model(Graph(edges)), edges.prod(1, keepdim=True))
    layout = model.distilled.results.layout
    assert Layout.from_saved(json.loads(json.dumps(layout.to_saved()))) == layout
