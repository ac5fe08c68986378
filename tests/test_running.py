"""The one pass over data and the one hook: whoever uses them, data of each kind is taken."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from helpers import randn, state_of_the_world
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from symtorch import InputError, Reduction, SymbolicModel, heal, rank_blocks, record
from symtorch.errors import ForwardError
from symtorch.recording.adapters.calls import call_named, named_arguments, signature_of
from symtorch.recording.hooks import BlockHook
from symtorch.recording.running import run_batches

BATCHES = [randn(40, 3, seed=i) for i in range(8)]


class Net(nn.Module):
    """Two blocks in a row, neither of them linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
        self.outer = nn.Sequential(nn.Linear(3, 2), nn.Tanh())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.outer(2 * self.inner(x))


def mean_square(output, batch):
    return output.square().mean()


KINDS = {
    "tensors": lambda batch: batch,
    "arrays": lambda batch: batch.numpy(),
    "double arrays": lambda batch: batch.double().numpy(),
    "frames": lambda batch: pd.DataFrame(batch.numpy(), columns=list("abc")),
    "lists of an array": lambda batch: [batch.numpy()],
    "dicts of arrays": lambda batch: {"x": batch.numpy()},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_batches_of_each_kind_are_ranked(kind):
    net = Net()
    expected = rank_blocks(net, ["inner", "outer"], BATCHES, mean_square)
    found = rank_blocks(net, ["inner", "outer"], [*map(kind, BATCHES)], mean_square)
    assert found.table.equals(expected.table)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_batches_of_each_kind_heal(kind):
    losses = []
    for data in (BATCHES, [*map(kind, BATCHES)]):
        net = Net()
        net.inner = SymbolicModel(net.inner, "inner")
        search = {"niterations": 1, "maxsize": 5}
        net.inner.distill(BATCHES, parent_model=net, engine="quadratic", sr_params=search)
        net.inner.switch_to_symbolic()
        losses.append(heal(net, data, loss="mse", steps=20))
    assert losses[0] == losses[1]
    assert losses[0].after < losses[0].before


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_batches_of_each_kind_weigh_a_reduction(kind):
    found = []
    for data in (BATCHES, [*map(kind, BATCHES)]):
        net = Net()
        net.inner = SymbolicModel(net.inner, "inner")
        few = Reduction(1, 1, loss=mean_square)
        net.inner.distill(data, parent_model=net, reduce=few, engine="quadratic")
        found.append(net.inner.symbolic_state.reduction.encoder)
    assert torch.equal(*found)


def compiled(net):
    """A net that torch.compile has seen, and called."""
    net.compile(backend="eager")
    net(BATCHES[0])
    return net


def test_a_compiled_model_is_ranked_as_before_and_stays_compiled():
    expected = rank_blocks(Net(), ["inner", "outer"], BATCHES, mean_square)
    net = compiled(Net())
    found = rank_blocks(net, ["inner", "outer"], BATCHES, mean_square)
    assert all(row.linear != 0 for row in found.rows)
    pd.testing.assert_frame_equal(found.table, expected.table)
    assert net._compiled_call_impl is not None
    torch._dynamo.reset()


def test_a_compiled_model_weighs_a_reduction():
    found = []
    for net in (Net(), compiled(Net())):
        net.inner = SymbolicModel(net.inner, "inner")
        few = Reduction(1, 1, loss=mean_square)
        net.inner.distill(BATCHES, parent_model=net, reduce=few, engine="quadratic")
        found.append(net.inner.symbolic_state.reduction.encoder)
    assert torch.equal(*found)
    torch._dynamo.reset()


# ---------------------------------------------------------------- iterators


def test_one_batch_many_times_heals():
    net = Net()
    net.inner = SymbolicModel(net.inner, "inner")
    net.inner.distill(BATCHES, parent_model=net, engine="quadratic")
    net.inner.switch_to_symbolic()
    result = heal(net, [BATCHES[0]] * 10, loss="mse", steps=10)
    assert result.steps == 10
    assert rank_blocks(net, "outer", [BATCHES[0]] * 8, mean_square).rows


def test_iterators_are_noticed_before_anything_runs():
    def boom(*_):
        raise AssertionError("ran")

    net = Net()
    net.register_forward_pre_hook(boom)
    with pytest.raises(InputError, match="judges on held_out again and again; an iterator gives"):
        heal(net, BATCHES, held_out=iter(BATCHES))
    with pytest.raises(InputError, match="once for every block; an iterator gives its batches"):
        rank_blocks(net, "inner", BATCHES, mean_square, held_out=iter(BATCHES))
    block = SymbolicModel(net.inner, "inner")
    with pytest.raises(InputError, match="passes over the data twice; an iterator gives"):
        block.distill(iter(BATCHES), parent_model=net, reduce=Reduction(1, 1, loss=mean_square))


def test_healing_ends_with_an_iterator_that_ends():
    net = Net()
    net.inner = SymbolicModel(net.inner, "inner")
    net.inner.distill(BATCHES, parent_model=net, engine="quadratic")
    net.inner.switch_to_symbolic()
    looks = []
    result = heal(
        net,
        iter(BATCHES[:5]),
        held_out=BATCHES,
        loss="mse",
        evaluate_every=3,
        progress=looks.append,
    )
    assert result.steps == 5
    assert [look.step for look in looks] == [0, 3, 5]


# ---------------------------------------------------------------- when the forward fails


def failing(call):
    with pytest.raises(ForwardError) as caught:
        call()
    assert caught.value.__cause__ is not None
    return str(caught.value)


def test_a_forgotten_parent_is_asked_for():
    text = failing(lambda: SymbolicModel(nn.Linear(5, 2)).distill(BATCHES))
    assert text.startswith("Linear cannot be called with (a tensor [40, 3] torch.float32): mat1")
    assert "say parent_model=model" in text


def test_pairs_are_asked_what_their_input_is():
    loader = DataLoader(TensorDataset(torch.cat(BATCHES), torch.cat(BATCHES)), batch_size=40)
    net = Net()
    text = failing(lambda: record(net, "inner", loader))
    assert "2 items, which are passed as 2 inputs" in text
    assert "input_of=lambda batch: batch[0]" in text
    assert "parent_model" not in text
    assert "input_of" in failing(lambda: rank_blocks(net, "inner", [*loader], mean_square))
    block = SymbolicModel(net.inner, "inner")
    assert "input_of" in failing(lambda: block.distill(loader, parent_model=net))
    assert len(record(net, "inner", loader, input_of=lambda batch: batch[0])["inner"]) == 320


class Sum(nn.Module):
    def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return u + v


def test_a_list_of_two_inputs_is_told_from_two_batches():
    text = failing(lambda: SymbolicModel(Sum()).distill([BATCHES[0], BATCHES[1]]))
    assert "v is missing: give the inputs of one call as a tuple (u, v)" in text


def test_errors_of_a_model_that_say_what_they_are_pass():
    class Mine(RuntimeError):
        pass

    def model(x):
        raise Mine("own")

    with pytest.raises(Mine, match="own"):
        run_batches(model, BATCHES)


# ---------------------------------------------------------------- hooks and calls


@pytest.mark.parametrize("when", ["before", "in", "after"])
def test_a_hook_leaves_nothing_behind(when):
    net = Net()
    before = state_of_the_world(net)

    def fail(stage):
        if stage == when:
            raise ZeroDivisionError

    def model(x):
        net.inner(x)
        fail("in")

    hook = BlockHook(net.inner, "inner", lambda _: fail("before"), lambda _, out: fail("after"))
    with pytest.raises(ZeroDivisionError):
        run_batches(model, BATCHES, hooks=[hook.attached()], parts=[net])
    assert state_of_the_world(net) == before


def first(u, /, v, *rest, scale=1.0, **others): ...


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {}),
        ((1, 2, 3, 4), {}),
        ((1,), {"v": 2, "scale": 5}),
        ((1, 2, 3), {"scale": 5, "mask": 6}),
    ],
)
def test_a_call_by_names_is_the_call(args, kwargs):
    signature = signature_of(first)
    named = named_arguments(signature, args, kwargs)

    def again(*args, **kwargs):
        return named_arguments(signature, args, kwargs)

    assert call_named(again, signature, named) == named


def test_a_call_by_names_without_a_signature():
    assert call_named(lambda *args, **kwargs: (args, kwargs), None, {"arg0": 1, "k": 2}) == (
        (1,),
        {"k": 2},
    )
