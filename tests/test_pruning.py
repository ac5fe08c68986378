"""Pruning: schedules, masks in both modes, what distilling and files make of them."""

import copy
import io
import json
import math
import pickle

import numpy as np
import pytest
import torch
from helpers import QUICK, randn, state_of_the_world
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from symtorch import InputError, PruningSchedule, StateError, SymbolicModel, wrap
from symtorch.pruning.schedule import DECAYS

X = randn(200, 2)
SCALES = (1.0, 0.01, 3.0, 0.1)


class Scaled(nn.Module):
    """Sums of the inputs in four sizes, shifted far away, after dropout: [..., 2] -> [..., 4]."""

    def __init__(self):
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(SCALES))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        shift = torch.tensor([0.0, 1000.0, 0.0, 0.0])
        return self.dropout(x.sum(-1, keepdim=True)) * self.scales + shift


def pruned_to(count, **options):
    block = SymbolicModel(Scaled().eval(), "m", **options)
    block.setup_pruning(4, count, total_steps=10)
    block.prune(10, X)
    return block


# ---------------------------------------------------------------- schedules


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))),
    st.integers(1, 500),
    st.floats(0.01, 1),
    st.sampled_from(sorted(DECAYS)),
)
def test_schedules_fall_from_the_first_number_to_the_last(dims, steps, share, decay):
    initial, target = dims
    schedule = PruningSchedule(initial, target, steps, share, decay)
    counts = [schedule.dimensions_at(step) for step in range(steps + 2)]
    assert counts[0] == initial
    assert counts == sorted(counts, reverse=True)
    assert set(counts[math.ceil(share * steps) :]) == {target}


@pytest.mark.parametrize(
    ("decay", "share_done"),
    [
        ("linear", lambda p: p),
        ("cosine", lambda p: math.sin(math.pi * p / 2) ** 2),
        ("exp", lambda p: (1 - math.exp(-3 * p)) / (1 - math.exp(-3))),
    ],
)
def test_schedules_follow_their_formulas(decay, share_done):
    schedule = PruningSchedule(1001, 1, 200, 0.5, decay)
    for step in (0, 10, 50, 77, 100):
        expected = 1001 - 1000 * share_done(step / 100)
        assert 0 <= schedule.dimensions_at(step) - expected + 1e-6 < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decay_rate": "exponential"}, r"unknown decay_rate 'exponential'; use one of exp, lin"),
        ({"decay_rate": "cosin"}, r"did you mean 'cosine'"),
        ({"decay_rate": None}, r"unknown decay_rate None"),
        ({"target_dim": 0}, r"target_dim must be a whole number of at least 1; got 0"),
        ({"target_dim": 5}, r"target_dim=5 is more than initial_dim=4"),
        ({"initial_dim": 4.0}, r"initial_dim must be a whole number.*got 4\.0"),
        ({"initial_dim": True}, r"initial_dim must be a whole number.*got True"),
        ({"total_steps": 0}, r"total_steps must be"),
        ({"end_step_frac": 0}, r"end_step_frac must be above 0 and at most 1; got 0"),
        ({"end_step_frac": 1.5}, r"end_step_frac.*got 1\.5"),
        ({"end_step_frac": math.nan}, r"end_step_frac.*got nan"),
    ],
)
def test_impossible_schedules_are_refused_at_once(change, message):
    block = SymbolicModel(Scaled(), "m")
    with pytest.raises(InputError, match=message):
        block.setup_pruning(**{"initial_dim": 4, "target_dim": 2, "total_steps": 10, **change})
    assert block.symbolic_state.pruning is None


def test_numbers_from_numpy_are_numbers():
    assert PruningSchedule(np.int64(4), np.int32(2), np.int64(9)) == PruningSchedule(4, 2, 9)


def test_steps_before_the_first_are_refused():
    with pytest.raises(InputError, match="counted from 0; got -1"):
        PruningSchedule(4, 2, 10).dimensions_at(-1)


# ---------------------------------------------------------------- pruning


def test_the_outputs_that_vary_most_stay():
    block = SymbolicModel(Scaled().eval(), "m")
    block.setup_pruning(4, 1, total_steps=10, end_step_frac=1, decay_rate="linear")
    seen = []
    for step in range(11):
        block.prune(step, X)
        seen.append(block.get_active_dimensions())
    # Not the largest mean: output 1 is at 1000 and hardly moves.
    assert [seen[0], seen[4], seen[7], seen[10]] == [[0, 1, 2, 3], [0, 2, 3], [0, 2], [2]]
    expected = torch.zeros(200, 4)
    expected[:, 2] = 3 * X.sum(-1)
    torch.testing.assert_close(block(X), expected)
    assert (block(X)[:, [0, 1, 3]] == 0).all()


def test_what_is_pruned_stays_pruned():
    block = pruned_to(2)
    with torch.no_grad():
        block.block.scales.copy_(torch.tensor([1.0, 99.0, 3.0, 99.0]))
    block.prune(0, X)
    block.prune(10, X)
    assert block.get_active_dimensions() == [0, 2]


def test_equals_are_kept_from_the_front():
    block = SymbolicModel(lambda x: x[:, :1].expand(-1, 5), "same")
    block.setup_pruning(5, 3, total_steps=1)
    block.prune(1, X)
    assert block.get_active_dimensions() == [0, 1, 2]


def test_pruning_leaves_everything_else_alone():
    parent = nn.Sequential(nn.Linear(2, 2), Scaled(), nn.BatchNorm1d(4)).train()
    parent[2].eval()
    block = wrap(parent, "1")["1"]
    block.setup_pruning(4, 2, total_steps=10)
    parent(X).sum().backward()
    gradients = [p.grad.clone() for p in parent.parameters()]
    statistics = parent[2].running_mean.clone()
    before = state_of_the_world(parent)
    block.prune(10, X, parent_model=parent)
    assert block.get_active_dimensions() == [0, 2]
    assert state_of_the_world(parent) == before
    assert torch.equal(parent[2].running_mean, statistics)
    for parameter, gradient in zip(parent.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_the_model_does_not_run_when_nothing_is_due():
    block = SymbolicModel(Scaled(), "m")
    block.setup_pruning(4, 2, total_steps=10)
    block.prune(0, "no data at all")
    block.prune(10, X)
    block.prune(10, "no data at all")


def test_pruned_outputs_get_no_gradient():
    block = pruned_to(2)
    block(X).square().sum().backward()
    assert (block.block.scales.grad[[1, 3]] == 0).all()
    assert (block.block.scales.grad[[0, 2]] != 0).all()


def test_a_pruned_output_that_is_nan_is_zero():
    block = pruned_to(2)
    with torch.no_grad():
        block.block.scales[3] = math.nan
    assert (block(X)[:, 3] == 0).all()


def test_outputs_that_cannot_be_ranked_change_nothing():
    block = SymbolicModel(Scaled(), "m")
    block.setup_pruning(4, 2, total_steps=10)
    with torch.no_grad():
        block.block.scales[3] = math.nan
    with pytest.raises(InputError, match=r"'m': outputs \[3\] are NaN or infinite"):
        block.prune(10, X)
    assert block.get_active_dimensions() == [0, 1, 2, 3]


def test_another_number_of_outputs_is_refused():
    block = SymbolicModel(Scaled(), "m")
    block.setup_pruning(5, 2, total_steps=10)
    with pytest.raises(InputError, match=r"'m' has 4 outputs; setup_pruning was told.*=5"):
        block.prune(10, X)
    with pytest.raises(InputError, match="has 4 outputs"):
        block.distill(X)
    assert len(block.get_active_dimensions()) == 5


@pytest.mark.parametrize("call", [lambda b: b.prune(1, X), lambda b: b.get_active_dimensions()])
def test_pruning_has_to_be_set_up(call):
    with pytest.raises(StateError, match=r"'m' is not being pruned; call setup_pruning"):
        call(SymbolicModel(Scaled(), "m"))


# ---------------------------------------------------------------- other kinds of output


def four_of(x):
    return x[..., :1] * torch.tensor(SCALES)


CALLS = {
    "more dimensions": (four_of, {}, lambda y: y),
    "a tuple": (lambda x: ("first", four_of(x)), {"output": 1}, lambda y: y[1]),
    "a dict": (lambda x: {"m": four_of(x), "n": 1}, {"output": "m"}, lambda y: y["m"]),
    "channels first": (
        lambda x: four_of(x.movedim(1, -1)).movedim(-1, 1),
        {"feature_dim": 1},
        lambda y: y.movedim(1, -1),
    ),
    "half precision": (lambda x: four_of(x).bfloat16(), {}, lambda y: y.float()),
}


@pytest.mark.parametrize(("function", "options", "table"), CALLS.values(), ids=CALLS)
def test_masks_find_the_features(function, options, table):
    block = SymbolicModel(function, "m", **options)
    x = randn(6, 2, 2) if "feature_dim" in options else randn(6, 3, 2)
    block.setup_pruning(4, 2, total_steps=10)
    block.prune(10, x)
    expected = table(function(x)).clone()
    expected[..., [1, 3]] = 0
    assert torch.equal(table(block(x)), expected)
    whole = block(x)
    assert type(whole) is type(function(x))
    if isinstance(whole, dict):
        assert whole["n"] == 1


def test_functions_of_arrays_are_pruned():
    block = SymbolicModel(lambda x: x[:, :1] * np.array(SCALES), "m")
    block.setup_pruning(4, 2, total_steps=10)
    block.prune(10, X.numpy())
    y = block(X.numpy())
    assert isinstance(y, np.ndarray)
    assert (y[:, [1, 3]] == 0).all()
    assert np.array_equal(y[:, [0, 2]], X.numpy()[:, :1] * np.array(SCALES)[[0, 2]])


def test_fused_paths_do_not_pass_the_mask_by():
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).eval()
    x = randn(3, 5, 4)
    block = wrap(layer, "linear1")["linear1"]
    block.setup_pruning(8, 3, total_steps=1)
    block.prune(1, x, parent_model=layer)
    slow = layer(x)  # with gradients nothing is fused
    with torch.no_grad():
        torch.testing.assert_close(layer(x), slow)


# ---------------------------------------------------------------- equations


def test_only_active_outputs_are_distilled_and_the_block_is_not_needed():
    block = pruned_to(2)
    fronts = block.distill(X, sr_params=QUICK)
    assert list(fronts) == [0, 2]
    expected = block(X)
    block.block.forward = None  # would raise
    block.switch_to_symbolic()
    torch.testing.assert_close(block(X), expected, rtol=1e-4, atol=1e-4)
    assert (block(X)[:, [1, 3]] == 0).all()
    block.switch_to_symbolic(trainable_constants=True)
    block(X).sum().backward()
    assert block.symbolic_state.switch.layers[0].constants.grad.abs().sum() > 0


def test_an_equation_of_a_pruned_output_is_refused():
    block = pruned_to(2)
    message = r"'m': outputs \[1\] were pruned and are always zero; active outputs: \[0, 2\]"
    with pytest.raises(InputError, match=message):
        block.distill(X, output_dim=[0, 1], sr_params=QUICK)
    assert block.fronts == {}
    block.distill(X, output_dim=0, sr_params=QUICK)
    with pytest.raises(InputError, match=message):
        block.switch_to_symbolic(dims=1)
    with pytest.raises(InputError, match=r"outputs 0-3; asked for output 7"):
        block.distill(X, output_dim=7)


def test_nothing_to_switch_says_so():
    with pytest.raises(StateError, match="asked for output 0; distilled so far"):
        pruned_to(2).switch_to_symbolic()


def test_pruning_after_distilling():
    block = SymbolicModel(Scaled().eval(), "m")
    block.distill(X, output_dim=[0, 3], sr_params=QUICK)
    block.switch_to_symbolic()
    block.setup_pruning(4, 2, total_steps=10)
    block.prune(10, X)
    assert block.is_symbolic
    assert (block(X)[:, [1, 3]] == 0).all()
    torch.testing.assert_close(block(X)[:, 2], 3 * X.sum(-1))
    block.switch_to_symbolic()
    assert list(block.symbolic_state.switch.chosen) == [0]
    block.setup_pruning(4, 2, total_steps=10)
    assert (block(X)[:, [1, 3]] != 0).all()


def test_equations_of_some_active_outputs():
    block = pruned_to(2)
    block.distill(X, output_dim=2, sr_params=QUICK)
    expected = block(X)
    with block.symbolic():
        torch.testing.assert_close(block(X), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------- saving


def by_state_dict(block):
    file = io.BytesIO()
    torch.save(block.state_dict(), file)
    file.seek(0)
    fresh = SymbolicModel(Scaled().eval(), "m")
    fresh.load_state_dict(torch.load(file, weights_only=True))
    return fresh


WAYS = {
    "state dict": by_state_dict,
    "deepcopy": copy.deepcopy,
    "pickle": lambda block: pickle.loads(pickle.dumps(block)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("switched", [False, True])
def test_schedule_and_mask_survive(way, switched):
    block = pruned_to(2)
    if switched:
        block.distill(X, sr_params=QUICK)
        block.switch_to_symbolic(trainable_constants=True)
    again = way(block)
    assert again.symbolic_state.pruning.schedule == block.symbolic_state.pruning.schedule
    assert again.get_active_dimensions() == [0, 2]
    assert torch.equal(again(X), block(X))
    block.setup_pruning(4, 4, 1)
    assert again.get_active_dimensions() == [0, 2]


def test_the_mask_is_a_buffer_but_no_entry_of_its_own():
    block = pruned_to(2)
    assert dict(block.named_buffers())["symbolic_state.pruning.active"].tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert set(block.state_dict()) == {"block.scales", "_extra_state"}


def encoded(data):
    return torch.tensor(list(json.dumps(data).encode()), dtype=torch.uint8)


def decoded(block):
    return json.loads(bytes(block.get_extra_state().tolist()))


def test_files_without_pruning_end_it():
    block = pruned_to(2)
    block.load_state_dict(SymbolicModel(Scaled().eval(), "m").state_dict())
    assert block.symbolic_state.pruning is None


SCHEDULE = {
    "initial_dim": 4,
    "target_dim": 2,
    "total_steps": 10,
    "end_step_frac": 0.5,
    "decay_rate": "exp",
}
TAMPERED = {
    "no dict": [1],
    "text": "1010",
    "empty": {},
    "no mask": {"schedule": SCHEDULE},
    "something more": {"schedule": SCHEDULE, "active": "1010", "code": "exit()"},
    "schedule no dict": {"schedule": 3, "active": "1010"},
    "schedule of strangers": {"schedule": {**SCHEDULE, "x": 1}, "active": "1010"},
    "schedule impossible": {"schedule": {**SCHEDULE, "target_dim": 9}, "active": "1010"},
    "schedule of code": {"schedule": {**SCHEDULE, "decay_rate": "__import__"}, "active": "1010"},
    "schedule huge": {"schedule": {**SCHEDULE, "initial_dim": 10**15}, "active": "1010"},
    "mask no text": {"schedule": SCHEDULE, "active": [1, 0, 1, 0]},
    "mask of other signs": {"schedule": SCHEDULE, "active": "1x10"},
    "mask too short": {"schedule": SCHEDULE, "active": "110"},
    "mask too empty": {"schedule": SCHEDULE, "active": "1000"},
}


@pytest.mark.parametrize("saved", TAMPERED.values(), ids=TAMPERED)
def test_tampered_masks_are_refused(saved):
    block = pruned_to(3)
    before = block(X)
    data = {**decoded(block), "pruning": saved}
    with pytest.raises(InputError):
        block.set_extra_state(encoded(data))
    with pytest.raises(RuntimeError, match="block 'm'"):
        block.load_state_dict({**block.state_dict(), "_extra_state": encoded(data)})
    assert block.get_active_dimensions() == [0, 2, 3]
    assert torch.equal(block(X), before)


def test_a_mask_of_another_width_than_the_equations_is_refused():
    block = pruned_to(2)
    block.distill(X, sr_params=QUICK)
    saved = {"schedule": {**SCHEDULE, "initial_dim": 3}, "active": "110"}
    with pytest.raises(InputError, match=r"has 4 outputs.*initial_dim=3"):
        block.set_extra_state(encoded({**decoded(block), "pruning": saved}))
    assert block.get_active_dimensions() == [0, 2]


# ---------------------------------------------------------------- widths that are known


WIDTHS = {
    "a linear layer": (lambda: SymbolicModel(nn.Linear(2, 1), "m"), 1),
    "the last of a sequence": (
        lambda: SymbolicModel(nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(2, 3))), "m"),
        3,
    ),
    "a recorded call": (lambda: recorded(SymbolicModel(Scaled().eval(), "m")), 4),
    "distilled": (lambda: distilled_once(SymbolicModel(Scaled().eval(), "m")), 4),
}


def recorded(block):
    block.record(X)
    return block


def distilled_once(block):
    block.distill(X, 0, sr_params=QUICK)
    return block


@pytest.mark.parametrize(("make", "width"), WIDTHS.values(), ids=WIDTHS)
def test_a_width_that_is_known_is_held_against_what_is_told(make, width):
    block = make()
    expected = block(X)
    with pytest.raises(InputError, match=rf"'m' has {width} outputs; .* initial_dim=10"):
        block.setup_pruning(10, 1, total_steps=4)
    assert block.symbolic_state.pruning is None
    assert torch.equal(block(X), expected)
    block.setup_pruning(width, 1, total_steps=4)


def test_a_linear_layer_whose_features_are_elsewhere_is_not_guessed_at():
    block = SymbolicModel(nn.Sequential(nn.Flatten(), nn.Linear(4, 6)), "m", feature_dim=1)
    block.setup_pruning(3, 1, total_steps=4)
