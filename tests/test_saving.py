"""Saving and loading: state dicts, whole models, copies; and files that were tampered with."""

import copy
import io
import json
import pickle
import time
import warnings

import pytest
import torch
from helpers import QUICK, Law, Net, distilled_law, law, randn
from torch import nn

from symtorch import InputError, StateError, SymbolicModel, wrap

X = randn(300, 2)
POLAR = {"s": "x0 + x1", "d": "x0 - x1"}


@pytest.fixture(scope="module")
def original():
    """Distilled once; tests work on copies."""
    return distilled_law()


@pytest.fixture
def block(original):
    return copy.deepcopy(original)


def file_of(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return file


def by_state_dict(model):
    fresh = SymbolicModel(Law(gain=0.0), "law")
    fresh.load_state_dict(torch.load(file_of(model.state_dict()), weights_only=True))
    return fresh


def by_all_tensors(model):
    """As safetensors would: a flat dict of contiguous tensors that share no memory."""
    state = {}
    for key, value in model.state_dict().items():
        assert type(value) is torch.Tensor, key
        state[key] = value.detach().clone().contiguous()
    fresh = SymbolicModel(Law(gain=0.0), "law")
    fresh.load_state_dict(state)
    return fresh


def by_loading_over_another(model):
    other = distilled_law(gain=-1.0)
    other.switch_to_symbolic(complexity=1, trainable_constants=True)
    other.load_state_dict(model.state_dict())
    return other


WAYS = {
    "state dict": by_state_dict,
    "all tensors": by_all_tensors,
    "over another": by_loading_over_another,
    "assign": lambda model: assigned(model),
    "torch.save": lambda model: torch.load(file_of(model), weights_only=False),
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


def assigned(model):
    fresh = SymbolicModel(Law(gain=0.0), "law")
    fresh.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return fresh


STATES = {
    "block": lambda block: None,
    "best": lambda block: block.switch_to_symbolic(),
    "chosen": lambda block: block.switch_to_symbolic([1, 3]),
    "partly": lambda block: block.switch_to_symbolic(3, dims=1),
    "trainable": lambda block: block.switch_to_symbolic(trainable_constants=True),
    "trained": lambda block: shifted(block),
    "trained, back at the block": lambda block: shifted(block).switch_to_block(),
}


def shifted(block):
    """Switched, with constants that were trained (by hand)."""
    block.switch_to_symbolic(trainable_constants=True)
    with torch.no_grad():
        for parameter in block.symbolic_state.switch.parameters():
            parameter.add_(0.25)
    return block


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_everything_survives(block, state, way):
    state(block)
    again = way(block)
    assert torch.equal(again(X), block(X))
    assert again.fronts == block.fronts
    assert again.is_symbolic == block.is_symbolic
    if block.is_symbolic:
        assert again.symbolic_state.switch.chosen == block.symbolic_state.switch.chosen
        assert again.symbolic_state.switch.expressions == block.symbolic_state.switch.expressions
    assert [(n, p.tolist()) for n, p in again.named_parameters()] == [
        (n, p.tolist()) for n, p in block.named_parameters()
    ]
    again.switch_to_block(), block.switch_to_block()
    assert torch.equal(again(X), block(X))
    assert again.fronts == block.fronts
    again.switch_to_symbolic(), block.switch_to_symbolic()
    assert torch.equal(again(X), block(X))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_block_without_equations_survives(way):
    block = SymbolicModel(Law(), "law")
    again = way(block)
    assert again.fronts == {}
    assert not again.is_symbolic
    assert torch.equal(again(X), law(X))


def test_a_loaded_block_can_be_trained_and_distilled_further(block):
    again = by_state_dict(shifted(block))
    optimizer = torch.optim.SGD(again.symbolic_state.switch.parameters(), lr=0.1)
    before = again(X)
    before.square().mean().backward()
    optimizer.step()
    assert not torch.equal(again(X), before)
    again.switch_to_block()
    again.distill(X, output_dim=0, sr_params=QUICK)
    again.switch_to_symbolic(dims=0)
    torch.testing.assert_close(again(X), law(X), rtol=1e-3, atol=1e-3)


def test_a_copy_is_independent(block):
    block.switch_to_symbolic(trainable_constants=True)
    other = copy.deepcopy(block)
    with torch.no_grad():
        for parameter in other.symbolic_state.switch.parameters():
            parameter.zero_()
    other.switch_to_block()
    torch.testing.assert_close(block(X), law(X), rtol=1e-4, atol=1e-4)
    assert block.fronts != other.fronts


def test_names_and_transforms_as_text_survive():
    block = SymbolicModel(Law(), "law")
    block.distill(X, output_dim=0, variable_names=["mass", "speed"], sr_params=QUICK)
    block.distill(X, output_dim=1, variable_transforms=POLAR, sr_params=QUICK)
    block.switch_to_symbolic()
    for way in WAYS.values():
        again = way(block)
        assert again.fronts[0].variables == ("mass", "speed")
        assert again.fronts[1].variables == ("s", "d")
        assert torch.equal(again(X), block(X))
        table = X.double().numpy()
        assert (
            again.get_symbolic_function(1)(table) == block.get_symbolic_function(1)(table)
        ).all()


def test_a_model_with_several_wrapped_blocks_survives(tmp_path):
    def wrapped():
        net = Net().eval()
        wrap(net, ["law", "encoder"])
        return net

    net, x = wrapped(), randn(200, 3)
    for block in (net.law, net.encoder):
        block.distill(x, parent_model=net, sr_params=QUICK)
    net.law.switch_to_symbolic()
    net.encoder.switch_to_symbolic(dims=1, trainable_constants=True)
    torch.save(net.state_dict(), tmp_path / "net.pt")
    again = wrapped()
    again.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True))
    assert torch.equal(again(x), net(x))
    assert again.encoder.symbolic_state.chosen == net.encoder.symbolic_state.chosen
    whole = torch.load(file_of(net), weights_only=False)
    assert torch.equal(whole(x), net(x))


def double_gain(x):
    return 2 * x


@pytest.mark.parametrize("way", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_a_wrapped_function_survives_where_pickle_can(way):
    block = SymbolicModel(double_gain, "double")
    block.distill(X, sr_params=QUICK)
    block.switch_to_symbolic()
    again = way(block)
    assert again.block is double_gain
    assert torch.equal(again(X), block(X))


# ---------------------------------------------------------------- Python functions


def total(table):
    return table.sum(1)


@pytest.fixture
def with_function():
    block = SymbolicModel(Law(), "law")
    transforms = {"total": total, "d": "x0 - x1"}
    block.distill(X, output_dim=1, variable_transforms=transforms, sr_params=QUICK)
    block.switch_to_symbolic()
    return block


def test_a_python_function_is_asked_for_again(with_function):
    with pytest.warns(UserWarning, match=r"law.*\['total'\] are Python functions.*not saved"):
        state = with_function.state_dict()
    again = SymbolicModel(Law(), "law")
    again.load_state_dict(state)
    with pytest.raises(StateError, match=r"'total' is a Python function.*set_variable_transforms"):
        again(X)
    again.set_variable_transforms({"total": total})
    assert torch.equal(again(X), with_function(X))
    again.switch_to_block()
    assert torch.equal(again(X), law(X))


@pytest.mark.parametrize("way", ["torch.save", "deepcopy", "pickle"])
def test_a_python_function_is_kept_by_pickles_and_copies(with_function, way):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(WAYS[way](with_function)(X), with_function(X))


def test_a_transform_may_be_given_as_text_instead(with_function):
    with_function.set_variable_transforms({"total": "x0 + x1"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = by_state_dict(with_function)
    torch.testing.assert_close(again(X), with_function(X))


def test_a_transform_nobody_knows_changes_nothing(with_function):
    before = with_function(X)
    with pytest.raises(InputError, match=r"no variable 'totl'; it has \['d', 'total'\]"):
        with_function.set_variable_transforms({"totl": total})
    assert torch.equal(with_function(X), before)


# ---------------------------------------------------------------- files that are not ours


class Bomb:
    def __reduce__(self):
        return warnings.warn, ("executed",)


def test_a_state_dict_needs_no_code(block):
    shifted(block)
    assert torch.load(file_of(block.state_dict()), weights_only=True)


def encoded(state):
    text = state if isinstance(state, str) else json.dumps(state)
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def decoded(block):
    return json.loads(bytes(block.state_dict()["_extra_state"].tolist()))


def edited(text, path, value):
    """A saved document with one entry replaced."""
    data = copy.deepcopy(text)
    here, *rest = path
    data[here] = edited(data[here], rest, value) if rest else value
    return data


FOUND, SWITCH = ["distilled"], ["switch"]
LAYOUT, OUTPUTS = [*FOUND, "layout"], [*FOUND, "outputs"]
FRONT, FEATURES = [*OUTPUTS, "0", "front"], [*OUTPUTS, "0", "features"]
EDITS = {
    "another format": (["format"], "other"),
    "another version": (["version"], 1),
    "layout missing": (LAYOUT, None),
    "layout no text": (LAYOUT, 5),
    "layout of another width": ([*LAYOUT, "inputs", "widths"], [3]),
    "huge input": ([*LAYOUT, "inputs", "widths"], [10**15]),
    "names that are no names": ([*LAYOUT, "inputs", "arguments"], ["os.system"]),
    "outputs no dict": (OUTPUTS, [1]),
    "output out of range": ([*OUTPUTS, "7"], {}),
    "output no number": ([*OUTPUTS, "x"], {}),
    "output a huge number": ([*OUTPUTS, "9" * 5000], {}),
    "output without front": ([*OUTPUTS, "0"], {}),
    "output no dict": ([*OUTPUTS, "0"], 3),
    "front no text": (FRONT, 3),
    "front of code": ([*FRONT, "rows", 0, "equation"], "__import__('os').system('echo hi')"),
    "front of attributes": ([*FRONT, "rows", 0, "equation"], "x0.__class__"),
    "front of another variable": ([*FRONT, "rows", 0, "equation"], "x9"),
    "front of other variables": ([*FRONT, "variables"], ["a", "b"]),
    "front of nothing": ([*FRONT, "rows"], []),
    "features no text": (FEATURES, None),
    "features of other columns": ([*FEATURES, "columns"], ["a"]),
    "features of code": ([*FEATURES, "transforms"], [["x0", "exit()"], ["x1", "x1"]]),
    "outputs of nothing": (FOUND, None),
    "more entries": (["code"], "exit()"),
    "request no object": (["request"], ["x"]),
    "request of numbers": (["request", "inputs"], [3]),
    "request of no axis": (["request", "feature_dim"], "last"),
}

IN_FORCE = {"kind": "distilled", "chosen": {"0": 1}, "trainable_constants": False}
SWITCHES = {
    "no object": [0, 1],
    "of nothing": {**IN_FORCE, "chosen": {}},
    "no dict": {**IN_FORCE, "chosen": [0, 1]},
    "no such output": {**IN_FORCE, "chosen": {"1": 1, "5": 1}},
    "no such complexity": {**IN_FORCE, "chosen": {"0": 99}},
    "no number": {**IN_FORCE, "chosen": {"0": "1"}},
    "true": {**IN_FORCE, "chosen": {"0": True}},
    "huge": {**IN_FORCE, "chosen": {"9" * 5000: 1}},
    "no truth": {**IN_FORCE, "trainable_constants": "yes"},
    "no kind": {**IN_FORCE, "kind": "guessed"},
    "of the other kind": {**IN_FORCE, "kind": "explained"},
    "constants missing": {**IN_FORCE, "trainable_constants": True},
}
EDITS |= {f"switch {name}": (SWITCH, value) for name, value in SWITCHES.items()}

RAW = {
    "bytes": b"{}",
    "a string": "{}",
    "nothing": None,
    "an object": Bomb(),
    "floats": torch.zeros(3),
    "an empty tensor": torch.zeros(0, dtype=torch.uint8),
    "no text": torch.tensor([255, 254], dtype=torch.uint8),
    "no JSON": encoded("hello"),
    "a list": encoded([1]),
    "a number": encoded(3),
    "deep": encoded("[" * 100_000),
    "keys missing": encoded({"format": "symtorch.block", "version": 2}),
}


def refuses(block, extra):
    """Loading raises a clear error and leaves equations and mode as they were."""
    fronts, switched, answer = block.fronts, block.is_symbolic, block(X)
    state = {**block.state_dict(), "_extra_state": extra}
    with pytest.raises(RuntimeError, match="block 'law'"):
        block.load_state_dict(state)
    assert block.fronts == fronts
    assert block.is_symbolic == switched
    assert torch.equal(block(X), answer)


@pytest.mark.parametrize(("path", "value"), EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("switched", [True, False])
def test_tampered_states_are_refused(block, path, value, switched):
    data = edited(decoded(block), path, value)
    if switched:
        block.switch_to_symbolic()
    refuses(block, encoded(data))


@pytest.mark.parametrize("extra", RAW.values(), ids=RAW)
def test_states_that_are_none_are_refused(block, extra):
    refuses(block, extra)


def test_every_truncated_state_is_refused(block):
    whole = block.state_dict()["_extra_state"]
    for length in range(0, len(whole), max(1, len(whole) // 40)):
        with pytest.raises(InputError, match="block 'law'"):
            block.set_extra_state(whole[:length])


def test_a_huge_output_costs_neither_time_nor_memory(block):
    block.switch_to_symbolic()
    data = edited(decoded(block), [*LAYOUT, "output", "width"], 10**15)
    start = time.monotonic()
    block.set_extra_state(encoded(data))
    assert time.monotonic() - start < 1


def test_constants_of_another_shape_are_refused(block):
    block.switch_to_symbolic(trainable_constants=True)
    state = block.state_dict()
    [key] = [key for key in state if key.endswith("constants")]
    with pytest.raises(RuntimeError, match=r"trained constants .* must be \[\d\]; got \[99\]"):
        SymbolicModel(Law(), "law").load_state_dict(state | {key: torch.zeros(99)})


def test_the_state_of_a_bare_block_misses_the_equations(block):
    with pytest.raises(RuntimeError, match=r"Missing key.*block\.gain"):
        block.load_state_dict(Law().state_dict())


def test_wrapping_adds_one_entry_to_the_state_dict():
    net = nn.Sequential(nn.Linear(2, 2))
    plain = net.state_dict()
    wrap(net, "0")
    renamed = {key.replace("0.", "0.block."): value for key, value in plain.items()}
    state = net.state_dict()
    assert set(state) == {*renamed, "0._extra_state"}
    assert all(torch.equal(state[key], value) for key, value in renamed.items())


# ---------------------------------------------------------------- loads that are refused


@pytest.fixture(scope="module")
def switched(original):
    """A block with everything: both kinds of equations, constants in training."""
    block = copy.deepcopy(original)
    block.explain(X[0], X, n_synthetic=60, sr_params={"niterations": 2})
    block.switch_to_symbolic(trainable_constants=True)
    return block


CONSTANTS = "symbolic_state.switch.layers.0.constants"


def without(key):
    return lambda state: {k: v for k, v in state.items() if k != key}


def replaced(key, value):
    return lambda state: {**state, key: value}


def reshaped(change):
    return lambda state: {**state, "_extra_state": change(state["_extra_state"])}


REFUSED = {
    "no document": (without("_extra_state"), True),
    "no constants": (without(CONSTANTS), False),
    "constants that are none": (replaced(CONSTANTS, "1.0"), False),
    "whole constants": (replaced(CONSTANTS, torch.zeros(9, dtype=torch.int64)), False),
    "sparse constants": (replaced(CONSTANTS, torch.zeros(1).to_sparse()), False),
    "meta constants": (replaced(CONSTANTS, torch.zeros(1, device="meta")), False),
    "constants that claim": (replaced(CONSTANTS, torch.zeros(1).expand(10**9)), False),
    "a tensor too many": (replaced("symbolic_state.switch.more", torch.zeros(1)), False),
    "a matrix too many": (replaced("symbolic_state.reduction.encoder", torch.zeros(1)), False),
    "the old place": (replaced("switch.layers.0.constants", torch.zeros(1)), True),
    "no gain": (without("block.gain"), True),
    "another gain": (replaced("block.gain", torch.zeros(3)), False),
    "no tensor for a gain": (replaced("block.gain", "2.0"), False),
    "a meta gain": (replaced("block.gain", torch.zeros((), device="meta")), False),
    "an unknown weight": (replaced("block.weight", torch.zeros(3)), True),
    "two dimensions": (reshaped(lambda t: t[None]), False),
    "no dimensions": (reshaped(lambda t: t[0]), False),
    "meta": (reshaped(lambda t: t.to("meta")), False),
    "sparse": (reshaped(lambda t: t.to_sparse()), False),
    "stride 0": (reshaped(lambda t: t[:1].expand(2 * 10**8)), False),
    "cut off": (reshaped(lambda t: t[: len(t) // 2]), False),
    "none": (reshaped(lambda t: None), False),
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(("change", "only_strict"), REFUSED.values(), ids=REFUSED)
def test_a_refused_load_leaves_a_block_as_it_was(
    original, switched, change, only_strict, nested, strict
):
    if only_strict and not strict:
        return
    other = copy.deepcopy(original)
    with torch.no_grad():
        other.block.gain.fill_(7.0)
    other.switch_to_symbolic(3, dims=1)
    before = {key: value.clone() for key, value in other.state_dict().items()}
    flags = [p.requires_grad for p in other.parameters()]
    expected, fronts = other(X), other.fronts
    state = change(switched.state_dict())
    model = other
    if nested:
        model = nn.ModuleDict({"part": other})
        state = {f"part.{key}": value for key, value in state.items()}
    with pytest.raises(RuntimeError, match="in loading state_dict"):
        model.load_state_dict(state, strict=strict)
    after = other.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert [p.requires_grad for p in other.parameters()] == flags
    assert other.fronts == fronts
    assert torch.equal(other(X), expected)
    model.load_state_dict(
        {f"part.{k}" if nested else k: v for k, v in switched.state_dict().items()}
    )
    assert torch.equal(other(X), switched(X))


def test_keys_that_were_withheld_are_not_reported_as_missing(switched):
    fresh = SymbolicModel(Law(), "law")
    state = {**switched.state_dict(), "_extra_state": None}
    with pytest.raises(RuntimeError) as caught:
        fresh.load_state_dict(state)
    assert "Missing" not in str(caught.value)
    assert "Unexpected" not in str(caught.value)
    assert "block 'law': expected text as a tensor of bytes" in str(caught.value)


def test_without_strictness_a_bare_block_may_be_loaded(switched):
    again = copy.deepcopy(switched)
    state = {"block.gain": torch.tensor(5.0), CONSTANTS: torch.zeros(1)}
    found = again.load_state_dict(state, strict=False)
    assert found.unexpected_keys == [CONSTANTS]
    assert float(again.block.gain) == 5
    assert again.fronts == switched.fronts
    assert torch.equal(again(X), switched(X))


def test_loading_while_switched(switched, original):
    for state in (original.state_dict(), switched.state_dict(), original.state_dict()):
        again = copy.deepcopy(switched)
        again.load_state_dict(state)
        assert again.is_symbolic == any("switch" in key for key in state)


def test_saving_is_stable(switched):
    again = by_state_dict(switched)
    assert torch.equal(again.state_dict()["_extra_state"], switched.state_dict()["_extra_state"])
