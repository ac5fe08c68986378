"""Features: the variables of an equation as functions of the recorded columns."""

import json

import numpy as np
import pytest
import torch
from helpers import GAUSS, randn

from symtorch import Expression, InputError, StateError, UnsupportedTypeError
from symtorch.documents import decode, encode
from symtorch.recording.features import Features, SavedFeatures
from symtorch.symbolic.definitions import define_operator

COLUMNS = ("u_0", "u_1", "v_0")
TABLE = randn(50, 3, dtype=torch.float64)


def saved(features):
    """As parsed JSON."""
    return json.loads(json.dumps(encode(features.to_saved())))


def read(data):
    return Features.from_saved(decode(SavedFeatures, data))


U0, U1, V0 = TABLE.numpy().T


def test_without_transforms_the_columns_are_the_variables():
    features = Features.plan(COLUMNS)
    assert features.names == COLUMNS
    assert torch.equal(features(TABLE), TABLE)


def test_columns_can_be_renamed():
    features = Features.plan(COLUMNS, ["a", "b", "c"])
    assert features.names == ("a", "b", "c")
    assert torch.equal(features(TABLE), TABLE)


@pytest.mark.parametrize(
    ("names", "transforms", "expected"),
    [
        (None, {"r": "sqrt(u_0**2 + u_1**2)"}, {"r": np.hypot(U0, U1)}),
        (None, {"s": "u_0 - v_0", "p": "2*u_1"}, {"s": U0 - V0, "p": 2 * U1}),
        (["x", "y", "z"], {"r": "x*exp(-z)"}, {"r": U0 * np.exp(-V0)}),
        (None, {"d": Expression.parse("u_0 / v_0")}, {"d": U0 / V0}),
        (None, {"n": lambda t: t.norm(dim=-1)}, {"n": np.sqrt(U0**2 + U1**2 + V0**2)}),
        (None, {"n": lambda t: t[:, :1]}, {"n": U0}),
        (None, {"n": lambda t: t[:, 1].numpy()}, {"n": U1}),
        (None, ["u_0*u_1", lambda t: t[:, 2]], {"t0": U0 * U1, "t1": V0}),
        (["p", "q"], ["u_0*u_1", "v_0"], {"p": U0 * U1, "q": V0}),
    ],
)
def test_transforms_compute_what_they_say(names, transforms, expected):
    features = Features.plan(COLUMNS, names, transforms)
    assert features.names == tuple(expected)
    np.testing.assert_allclose(features(TABLE), np.stack([*expected.values()], 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "computed"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.int64, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_variables_are_computed_in_float32_at_least(given, computed):
    features = Features.plan(COLUMNS, transforms={"a": "u_0*2", "b": lambda t: t[:, 0].double()})
    assert features(TABLE.to(given)).dtype == computed


def test_gradients_flow_through_transforms():
    x = TABLE.clone().requires_grad_()
    features = Features.plan(COLUMNS, transforms={"a": "u_0**2", "b": lambda t: t[:, 1] * 3})
    features(x).sum().backward()
    expected = torch.stack([2 * TABLE[:, 0], torch.full((50,), 3.0), torch.zeros(50)], 1)
    torch.testing.assert_close(x.grad, expected.double())


@pytest.mark.parametrize(
    ("names", "transforms", "error", "text"),
    [
        (["a", "b"], None, InputError, r"2 variable_names \['a', 'b'\] for 3 input columns"),
        (["a", "a", "b"], None, InputError, "'a' is there twice"),
        (["a", "sin", "b"], None, InputError, "'sin' is an operator"),
        (["a b", "c", "d"], None, InputError, "a b"),
        ("abc", None, InputError, "a list of names"),
        (None, {}, InputError, "variable_transforms is empty"),
        (None, [], InputError, "variable_transforms is empty"),
        (["a"], ["u_0", "u_1"], InputError, "1 variable_names .* for 2 variable transforms"),
        (None, {"r": "u_9"}, InputError, "u_9"),
        (None, {"r": "__import__('os')"}, InputError, "__import__"),
        (None, {"r": 3}, UnsupportedTypeError, "transform 'r' must be an equation .* got int"),
        (None, {"1r": "u_0"}, InputError, "1r"),
    ],
)
def test_what_cannot_be_features_is_explained(names, transforms, error, text):
    with pytest.raises(error, match=text):
        Features.plan(COLUMNS, names, transforms)


@pytest.mark.parametrize("value", [torch.zeros(50, 2), torch.zeros(7), torch.tensor(1.0)])
def test_a_function_must_give_one_value_a_row(value):
    features = Features.plan(COLUMNS, transforms={"r": lambda _: value})
    with pytest.raises(InputError, match=r"transform 'r' must give one value a row, \[50\]"):
        features(TABLE)


@pytest.mark.parametrize(
    "features",
    [
        Features.plan(COLUMNS),
        Features.plan(COLUMNS, ["a", "b", "c"]),
        Features.plan(COLUMNS, transforms={"r": "sqrt(u_0**2 + 0.1)", "s": "u_1"}),
    ],
)
def test_json_round_trip(features):
    again = read(saved(features))
    assert again == features
    assert torch.equal(again(TABLE), features(TABLE))


def test_operators_of_the_user_work_in_transforms_and_are_saved():
    wave = define_operator("wave(x) = sin(2*x)/x")
    transform = Expression.parse("wave(u_0) + gauss(v_0)", COLUMNS, {"wave": wave, "gauss": GAUSS})
    features = Features.plan(COLUMNS, transforms={"w": transform, "u": "u_1"})
    wanted = torch.as_tensor(np.sin(2 * U0) / U0 + np.exp(-(V0**2)))
    for made in (features, read(saved(features))):
        torch.testing.assert_close(made(TABLE)[:, 0], wanted)
    assert read(saved(features)) == features


def test_files_without_operators_are_read():
    data = saved(Features.plan(COLUMNS, transforms={"u": "2*u_1"}))
    del data["operators"]
    assert read(data).names == ("u",)


@pytest.mark.parametrize("definitions", [["f(x) = __import__('os')"], [3], "f", ["f(x) = y"]])
def test_operators_in_a_file_are_checked(definitions):
    data = saved(Features.plan(COLUMNS, transforms={"u": "2*u_1"}))
    data["operators"] = definitions
    with pytest.raises(InputError, match=r"unknown operator|must be|unknown variable"):
        read(data)


def test_an_expression_over_other_columns_is_explained():
    with pytest.raises(InputError, match=r"'r' = 2\*speed uses \['speed'\]; the columns are"):
        Features.plan(COLUMNS, transforms={"r": Expression.parse("2*speed")})


def test_functions_are_not_saved_and_can_be_given_again():
    def norm(table):
        return table.norm(dim=-1)

    features = Features.plan(COLUMNS, transforms={"n": norm, "s": "u_1"})
    loaded = read(saved(features))
    assert features.unsaved == loaded.unsaved == ["n"]
    with pytest.raises(StateError, match=r"'n' is a Python function.*set_variable_transforms"):
        loaded(TABLE)
    assert torch.equal(loaded.with_functions({"n": norm})(TABLE), features(TABLE))


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"columns": ["a", "a"], "transforms": None},
        {"columns": [1], "transforms": None},
        {"columns": None, "transforms": None},
        {"columns": ["a"], "transforms": [["r", 5]]},
        {"columns": ["a"], "transforms": [["r"]]},
        {"columns": ["a"], "transforms": [["r", "b"]]},
        {"columns": ["a"], "transforms": [["r", "a.__class__"]]},
        {"columns": ["a"], "transforms": 5},
    ],
)
def test_other_documents_are_refused(data):
    with pytest.raises(InputError):
        read(data)
