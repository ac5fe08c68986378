"""Layouts: calls of a block become tables, and tables become calls' outputs again."""

import inspect
import json
from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import randn
from torch import nn

from symtorch.errors import InputError, UnsupportedTypeError
from symtorch.recording.adapters.calls import named_arguments
from symtorch.recording.adapters.layout import Layout
from symtorch.recording.adapters.output import OutputLayout
from symtorch.recording.adapters.registry import plan_inputs
from symtorch.recording.adapters.request import LayoutRequest
from symtorch.recording.adapters.tensors import TensorInputs
from symtorch.recording.adapters.values import as_tensor

Pair = namedtuple("Pair", "value, state")


def seen(arguments, returned, /, **request):
    """The layout that a first call gives, and the tables of that call."""
    asked = LayoutRequest(**request)
    inputs = plan_inputs(arguments, asked, None, "mlp")
    rows = inputs.read(arguments, "mlp")
    layout = Layout(inputs, OutputLayout.plan(returned, rows, inputs, asked, "mlp"))
    return layout, rows, layout.read_output(returned, rows, "mlp")


# ---------------------------------------------------------------- names of arguments


def full(u, v, *rest, scale=1.0, **others): ...


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((1, 2), {}, {"u": 1, "v": 2}),
        ((1,), {"v": 2}, {"u": 1, "v": 2}),
        ((), {"v": 2, "u": 1}, {"u": 1, "v": 2}),
        ((1, 2, 3, 4), {}, {"u": 1, "v": 2, "rest_0": 3, "rest_1": 4}),
        ((1, 2), {"scale": 5, "mask": 6}, {"u": 1, "v": 2, "scale": 5, "mask": 6}),
    ],
)
def test_arguments_have_one_name_however_they_are_passed(args, kwargs, named):
    assert named_arguments(inspect.signature(full), args, kwargs) == named


def test_without_a_signature_arguments_are_numbered():
    assert named_arguments(None, (1, 2), {"k": 3}) == {"arg0": 1, "arg1": 2, "k": 3}


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        (TensorInputs(("x",), (3,), -1), ("x0", "x1", "x2")),
        (TensorInputs(("input",), (1,), 1), ("x0",)),
        (TensorInputs(("u", "v"), (2, 1), -1), ("u_0", "u_1", "v_0")),
        (TensorInputs(("a", "b"), (1, 1), None), ("a", "b")),
        (TensorInputs(("a",), (1,), None), ("a",)),
    ],
)
def test_names_of_the_columns(layout, names):
    assert layout.names == names


# ---------------------------------------------------------------- reading and writing

SHAPES = {
    "[B, D]": ((7, 3), (7, 2), "auto"),
    "[D]": ((3,), (2,), "auto"),
    "[B, T, D]": ((4, 5, 3), (4, 5, 2), "auto"),
    "[A, B, C, D]": ((2, 3, 4, 3), (2, 3, 4, 1), "auto"),
    "[B, D] -> [B]": ((7, 3), (7,), "auto"),
    "[B, T, D] -> [B, T]": ((4, 5, 3), (4, 5), "auto"),
    "[D] -> []": ((3,), (), "auto"),
    "[B, C, H, W]": ((2, 3, 4, 5), (2, 6, 4, 5), 1),
    "[B, C, L]": ((2, 3, 5), (2, 3, 5), -2),
    "[B, C, H, W] -> [B, H, W]": ((2, 3, 4, 5), (2, 4, 5), 1),
    "[B, H, W, C]": ((2, 4, 5, 3), (2, 4, 5, 6), -1),
    "one column, [B] -> [B]": ((7,), (7,), None),
    "one column, [B, T] -> [B, T]": ((7, 3), (7, 3), None),
    "one column, [B] -> [B, D]": ((7,), (7, 3), None),
    "no rows": ((0, 3), (0, 2), "auto"),
}


@pytest.mark.parametrize(("inputs", "outputs", "axis"), SHAPES.values(), ids=SHAPES)
def test_what_is_read_is_written_back(inputs, outputs, axis):
    x, y = randn(*inputs), randn(*outputs, seed=1)
    layout, rows, columns = seen({"x": x}, y, feature_dim=axis)
    assert len(rows.values) == len(columns) == rows.lead.numel()
    written = layout.write(columns, rows, None)
    assert written.shape == y.shape
    assert written.is_contiguous()
    assert torch.equal(written, y)


def test_channels_first_rows_are_pixels():
    x = randn(2, 3, 4, 5)
    _, rows, columns = seen({"x": x}, x * 2, feature_dim=1)
    by_hand = [x[b, :, h, w] for b in range(2) for h in range(4) for w in range(5)]
    assert torch.equal(rows.values, torch.stack(by_hand))
    assert torch.equal(columns, 2 * torch.stack(by_hand))


def test_tokens_of_all_texts_are_rows():
    x = randn(2, 5, 3)
    assert torch.equal(seen({"x": x}, x)[1].values, torch.cat([x[0], x[1]]))


def test_several_inputs_are_concatenated():
    u, v = randn(6, 2), randn(6, 1, seed=1)
    layout, rows, _ = seen({"u": u, "v": v}, randn(6, 1))
    assert layout.inputs.names == ("u_0", "u_1", "v_0")
    assert torch.equal(rows.values, torch.cat([u, v], -1))


def test_inputs_broadcast_as_in_an_edge_network():
    u, v = randn(2, 4, 1, 3), randn(2, 1, 4, 3, seed=1)
    _, (table, lead, _), _ = seen({"u": u, "v": v}, randn(2, 4, 4, 1))
    assert lead == (2, 4, 4)
    assert torch.equal(table.reshape(2, 4, 4, 6)[1, 2, 3], torch.cat([u[1, 2, 0], v[1, 0, 3]]))


def test_inputs_of_several_types_are_promoted():
    arguments = {"a": randn(3, 1).half(), "b": torch.arange(3)[:, None], "c": randn(3, 1).double()}
    assert seen(arguments, randn(3, 1))[1].values.dtype == torch.float64


def test_masks_and_single_numbers_are_settings_and_no_columns():
    arguments = {
        "x": randn(4, 2),
        "mask": torch.ones(4, 2, dtype=torch.bool),
        "temperature": torch.tensor(2.0),
        "mode": "fast",
        "nothing": None,
    }
    assert seen(arguments, randn(4, 2))[0].inputs.arguments == ("x",)


def test_inputs_can_be_chosen():
    arguments = {"x": randn(4, 2), "edge_index": torch.zeros(2, 9, dtype=torch.long)}
    assert seen(arguments, randn(4, 2), inputs=("x",))[0].inputs.arguments == ("x",)


@pytest.mark.parametrize(
    ("output", "path"),
    [
        ((randn(4, 2), "state"), 0),
        (["state", randn(4, 2)], 1),
        ({"out": randn(4, 2), "aux": 1}, "out"),
        (Pair(randn(4, 2), "state"), 0),
    ],
)
def test_the_chosen_part_of_an_output_is_replaced_in_a_copy(output, path):
    layout, rows, columns = seen({"x": randn(4, 3)}, output, output=path)
    assert layout.needs_block(rows)
    new = layout.write(columns + 1, rows, output)
    assert type(new) is type(output)
    assert new is not output
    assert torch.equal(new[path], output[path] + 1)
    others = [key for key in (output if isinstance(output, dict) else (0, 1)) if key != path]
    assert all(new[key] is output[key] for key in others)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (np.ones((3, 2), np.float32), torch.float32),
        (np.ones((3, 2), ">f8"), torch.float64),
        (np.broadcast_to(np.ones(2), (3, 2)), torch.float64),
        (pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}), torch.float64),
        (np.ones((3, 2), bool), torch.bool),
    ],
)
def test_arrays_and_frames_are_tables_too(value, dtype):
    tensor = as_tensor(value)
    assert tensor.dtype == dtype
    assert np.array_equal(tensor.numpy(), np.asarray(value))


def test_a_numpy_block_answers_in_numpy():
    x = np.ones((4, 2))
    layout, rows, columns = seen({"x": x}, x.sum(1))
    written = layout.write(columns, rows, None)
    assert isinstance(written, np.ndarray)
    assert written.dtype == np.float64
    assert np.array_equal(written, x.sum(1))


@pytest.mark.parametrize(
    ("input_dtype", "output_dtype", "stored"),
    [
        (torch.float32, torch.float32, None),
        (torch.int64, torch.float32, "float32"),
        (torch.float32, torch.float64, "float64"),
        (torch.bfloat16, torch.bfloat16, None),
        (torch.float32, torch.bfloat16, "bfloat16"),
    ],
)
def test_an_output_type_of_its_own_is_remembered(input_dtype, output_dtype, stored):
    x, y = torch.ones(3, 2, dtype=input_dtype), torch.ones(3, 1, dtype=output_dtype)
    layout, rows, columns = seen({"x": x}, y)
    assert layout.output.dtype == stored
    if stored:
        assert layout.write(columns.to(torch.float32), rows, None).dtype == output_dtype


# ---------------------------------------------------------------- what cannot be read

X = randn(4, 3)
TROUBLE = {
    "no tensors": ({"mode": "fast"}, X, {}, "called without tensor inputs: {'mode': 'str'}"),
    "only a number": ({"t": torch.tensor(1.0)}, X, {}, "without tensor inputs"),
    "tuple output": ({"x": X}, (X, X), {}, r"a tuple of \(a tensor \[4, 3\], .* output=0"),
    "dict output": ({"x": X}, {"a": X}, {}, r"a dict with keys \['a'\].* output='key'"),
    "no such part": ({"x": X}, (X, X), {"output": 5}, "output=5, but it returns a tuple"),
    "no such key": ({"x": X}, {"a": X}, {"output": "b"}, "output='b', but it returns a dict"),
    "rows lost": ({"x": X}, randn(2, 3), {}, r"rows of shape \[4\].*\[2, 3\].*do not correspond"),
    "pooled": ({"x": randn(4, 5, 3)}, randn(4, 3), {}, "do not correspond"),
    "wrong axis": ({"x": X}, X, {"feature_dim": 2}, r"feature_dim=2 but input 'x' is \[4, 3\]"),
    "no such input": ({"x": X}, X, {"inputs": ("z",)}, r"\['z'\] hold no tensor.*\['x'\]"),
    "other rows": ({"x": X, "e": randn(2, 9)}, X, {}, r"leading dimensions; .* inputs=\("),
    "None": ({"x": X}, None, {}, "returns NoneType"),
}


@pytest.mark.parametrize(("arguments", "output", "asked", "text"), TROUBLE.values(), ids=TROUBLE)
def test_what_cannot_be_a_table_is_explained(arguments, output, asked, text):
    with pytest.raises(InputError, match=f"^block 'mlp'.*{text}"):
        seen(arguments, output, **asked)


@pytest.mark.parametrize(
    ("block", "size"),
    [
        (nn.Conv2d(3, 3, 1), (2, 3, 4, 4)),
        (nn.Conv1d(3, 3, 1), (2, 3, 4)),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), (2, 3, 4, 4)),
        (nn.GroupNorm(1, 3), (2, 3, 4)),
        (nn.MaxPool2d(1), (2, 3, 4, 4)),
    ],
)
def test_a_block_of_images_asks_where_the_channels_are(block, size):
    with pytest.raises(InputError, match=r"feature_dim=1 for channels first .* feature_dim=-1"):
        plan_inputs({"input": torch.zeros(size)}, LayoutRequest(), block, "conv")


def test_a_batch_norm_on_a_table_is_clear():
    assert plan_inputs({"x": X}, LayoutRequest(), nn.BatchNorm1d(3), "bn").widths == (3,)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"x": randn(4, 5)}, r"input 'x' has 5 features here \(shape \[4, 5\]\); it had 3"),
        ({"x": torch.tensor(1.0)}, r"input 'x' is \[\], without the feature axis -1"),
        ({"y": X}, r"needs input 'x'; this call has \['y'\]"),
        ({"x": None}, "needs input 'x'"),
    ],
)
def test_a_later_call_of_another_shape_is_explained(arguments, text):
    with pytest.raises(InputError, match=f"block 'mlp'.*{text}"):
        TensorInputs(("x",), (3,), -1).read(arguments, "mlp")


def test_a_later_output_of_another_width_is_explained():
    layout, rows, _ = seen({"x": X}, randn(4, 2))
    with pytest.raises(InputError, match="returned 5 outputs; 2 before"):
        layout.read_output(randn(4, 5), rows, "mlp")


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([1j]), np.array([None])])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UnsupportedTypeError, match="need numbers; got an array of"):
        as_tensor(value)


# ---------------------------------------------------------------- saving


@pytest.mark.parametrize("path", [None, 0, "key"])
@pytest.mark.parametrize("axis", [None, -1, 1])
def test_json_round_trip(axis, path):
    layout = Layout(
        TensorInputs(("u", "v"), (2, 1), axis), OutputLayout(path, 3, -1, "torch", "float16")
    )
    assert Layout.from_saved(json.loads(json.dumps(layout.to_saved()))) == layout


GOOD = Layout(TensorInputs(("x",), (2,), -1), OutputLayout(None, 3, -1, "torch", None)).to_saved()


def spoiled(side, key, value):
    return {**GOOD, side: {**GOOD[side], key: value}}


@pytest.mark.parametrize(
    "data",
    [
        "",
        [],
        None,
        {},
        {**GOOD, "inputs": None},
        spoiled("inputs", "arguments", ["import os"]),
        spoiled("inputs", "arguments", [3]),
        spoiled("inputs", "arguments", 3),
        spoiled("inputs", "arguments", []),
        spoiled("inputs", "widths", [0]),
        spoiled("inputs", "widths", [True]),
        spoiled("inputs", "widths", [2, 2]),
        spoiled("inputs", "feature_dim", "last"),
        spoiled("inputs", "feature_dim", True),
        spoiled("output", "width", -1),
        spoiled("output", "width", "3"),
        spoiled("output", "path", ["a"]),
        spoiled("output", "axis", None),
        spoiled("output", "axis", "last"),
        spoiled("inputs", "adapter", "os:system"),
        spoiled("inputs", "adapter", ["tensors"]),
        spoiled("inputs", "extra", 1),
        spoiled("output", "kind", "jax"),
        spoiled("output", "dtype", "complex64"),
        spoiled("output", "dtype", ["float32"]),
        spoiled("output", "extra", 1),
    ],
)
def test_other_documents_are_refused(data):
    with pytest.raises(InputError, match="not a saved layout"):
        Layout.from_saved(data)
