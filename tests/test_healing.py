"""heal(): better on rows held out, nothing else touched, everything back on an interrupt."""

from __future__ import annotations

import pytest
import torch
from helpers import randn, state_of_the_world
from torch import nn

from symtorch import InputError, Reduction, StateError, SymbolicLayer, SymbolicModel, heal

SEARCH = {"niterations": 1, "maxsize": 7, "binary_operators": ["+", "*"], "unary_operators": []}
BATCHES = [randn(64, 6, seed=i) for i in range(12)]


class Net(nn.Module):
    """A wide enough hidden block between two layers, with classes at the end."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = nn.Linear(6, 10)
        self.block = nn.Sequential(nn.Linear(10, 20), nn.SiLU(), nn.Linear(20, 10))
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(10, 5)
        with torch.no_grad():
            self.block[0].weight.mul_(3)
            self.head.weight.mul_(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.block(self.inner(x))))


@pytest.fixture
def hybrid() -> Net:
    net = Net()
    block = net.block = SymbolicModel(net.block, "block")
    block.distill(
        BATCHES,
        parent_model=net,
        reduce=Reduction(2, 1, linear=2),
        engine="sparse",
        sr_params=SEARCH,
    )
    block.switch_to_symbolic()
    return net


def numbers(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def divergence(net: Net, data: list[torch.Tensor]) -> float:
    """From the intact model, mean over rows, written down a second time."""
    net.eval()
    with torch.no_grad():
        ours = torch.cat([net(batch) for batch in data])
        with net.block.as_block():
            theirs = torch.cat([net(batch) for batch in data])
    net.train()
    p = torch.distributions.Categorical(logits=theirs)
    q = torch.distributions.Categorical(logits=ours)
    return float(torch.distributions.kl_divergence(p, q).mean())


def test_it_comes_closer_to_the_intact_model(hybrid):
    fresh = [randn(500, 6, seed=99)]
    before = divergence(hybrid, fresh)
    rest = numbers(hybrid.head) | {"in." + k: v for k, v in numbers(hybrid.inner).items()}
    world = state_of_the_world(hybrid.inner, hybrid.head, hybrid.block.block)
    fronts = hybrid.block.fronts
    result = heal(hybrid, BATCHES, steps=60, learning_rate=0.05, held_out=fresh)
    assert state_of_the_world(hybrid.inner, hybrid.head, hybrid.block.block) == world
    assert result.before == pytest.approx(before, rel=1e-4)
    assert result.after == pytest.approx(divergence(hybrid, fresh), rel=1e-4)
    assert result.after < 0.6 * before
    after = numbers(hybrid.head) | {"in." + k: v for k, v in numbers(hybrid.inner).items()}
    assert all(torch.equal(after[name], rest[name]) for name in rest)
    # Frozen again, with the trained constants in the fronts.
    assert not any(p.requires_grad for p in hybrid.block.symbolic_state.reduction.parameters())
    assert not hybrid.block.symbolic_state.switch.trainable_constants
    changed = [
        row
        for dim, front in hybrid.block.fronts.items()
        for row in front
        if row.trained and row.complexity == hybrid.block.symbolic_state.switch.chosen[dim]
    ]
    assert changed
    assert {*hybrid.block.fronts} == {*fronts}
    assert all(p.requires_grad for p in hybrid.head.parameters())
    assert all(p.grad is None for p in hybrid.parameters())


def test_a_task_of_its_own_needs_no_teacher(hybrid):
    labels = {id(batch): (batch[:, 0] > 0).long() for batch in BATCHES}

    def task(output, batch):
        return nn.functional.cross_entropy(output, labels[id(batch)])

    def teacher(batch):
        raise AssertionError("asked")

    result = heal(hybrid, BATCHES, loss=task, teacher=teacher, steps=40)
    assert result.after < result.before


def test_another_teacher(hybrid):
    torch.manual_seed(1)
    teacher = nn.Linear(6, 5)
    held_out = [randn(100, 6, seed=50)]
    result = heal(
        hybrid, BATCHES, teacher=teacher, loss="mse", steps=60, held_out=held_out, patience=9
    )
    with torch.no_grad():
        hybrid.eval()
        expected = (hybrid(held_out[0]) - teacher(held_out[0])).square().mean()
    assert result.after == pytest.approx(float(expected), rel=1e-4)
    assert result.after < 0.8 * result.before
    assert all(p.grad is None for p in teacher.parameters())


def test_plain_layers_are_healed_too():
    net = nn.Sequential(
        SymbolicLayer(["1.5*x + 0.1*y"], ["x", "y"], trainable_constants=True), nn.Linear(1, 1)
    )
    x = list(randn(200, 2).split(20))

    def task(output, batch):
        return (output - net[1](2 * batch[:, :1] + 3 * batch[:, 1:])).square().mean()

    heal(net, x, loss=task, steps=300, learning_rate=0.05, patience=99)
    assert net[0].constants.detach().tolist() == pytest.approx([2, 3], abs=0.05)
    assert net[0].constants.requires_grad


def test_trainable_constants_stay_trainable(hybrid):
    hybrid.block.switch_to_symbolic(trainable_constants=True)
    switch = hybrid.block.symbolic_state.switch
    heal(hybrid, BATCHES, steps=5, evaluate_every=5)
    assert hybrid.block.symbolic_state.switch is switch
    assert hybrid.block.symbolic_state.reduction.encoder.requires_grad


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_puts_everything_back(hybrid, stop, trained):
    hybrid.block.switch_to_symbolic(trainable_constants=trained)
    world = state_of_the_world(hybrid.inner, hybrid.head, hybrid.block.block)
    before, fronts = numbers(hybrid), hybrid.block.fronts
    flags = [p.requires_grad for p in hybrid.parameters()]

    def interrupt(progress):
        if progress.step >= 10:
            assert not torch.equal(
                hybrid.block.symbolic_state.reduction.encoder,
                before["block.symbolic_state.reduction.encoder"],
            )
            raise stop

    with pytest.raises(stop):
        heal(hybrid, BATCHES, steps=40, evaluate_every=10, progress=interrupt)
    assert state_of_the_world(hybrid.inner, hybrid.head, hybrid.block.block) == world
    after = numbers(hybrid)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert hybrid.block.fronts == fronts
    assert [p.requires_grad for p in hybrid.parameters()] == flags


def test_the_best_constants_are_kept_and_it_stops_early(hybrid):
    before = numbers(hybrid)
    seen = []
    # Steps so large that all that follows is worse.
    result = heal(
        hybrid,
        BATCHES,
        steps=400,
        learning_rate=30.0,
        evaluate_every=5,
        patience=2,
        progress=seen.append,
    )
    assert (result.steps, result.kept, result.after) == (10, 0, result.before)
    assert [report.step for report in seen] == [0, 5, 10]
    assert seen[-1].held_out > seen[-1].best == result.before
    after = numbers(hybrid)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_batch_that_gives_nan_is_passed_over(hybrid):
    data = [*BATCHES[:3], torch.full((4, 6), torch.inf), *BATCHES[3:6]]
    result = heal(hybrid, data, steps=21, evaluate_every=7, held_out=BATCHES[8:])
    assert result.after < result.before


def test_the_same_seed_gives_the_same(hybrid):
    import copy

    other = copy.deepcopy(hybrid)
    results = [heal(net, BATCHES, steps=10, evaluate_every=5) for net in (hybrid, other)]
    assert results[0] == results[1]
    assert torch.equal(
        hybrid.block.symbolic_state.reduction.encoder, other.block.symbolic_state.reduction.encoder
    )


def test_another_optimizer(hybrid):
    used = []

    def momentum(parameters, learning_rate):
        used.append(len(parameters))
        return torch.optim.SGD(parameters, learning_rate, momentum=0.9)

    result = heal(hybrid, BATCHES, steps=20, learning_rate=0.05, optimizer=momentum)
    assert used == [5]
    assert result.after < result.before


def test_what_cannot_be_healed(hybrid):
    with pytest.raises(
        InputError, match="'kl', 'mse' or a function; got 'mes'; did you mean 'mse'"
    ):
        heal(hybrid, BATCHES, loss="mes")
    for name in ("steps", "evaluate_every", "patience"):
        with pytest.raises(InputError, match=f"{name} must be at least 1"):
            heal(hybrid, BATCHES, **{name: 0})
    with pytest.raises(InputError, match="learning_rate must be positive"):
        heal(hybrid, BATCHES, learning_rate=-1.0)
    with pytest.raises(InputError, match="data has 1"):
        heal(hybrid, BATCHES[0])
    with pytest.raises(InputError, match="only once"):
        heal(hybrid, iter([]), held_out=BATCHES)
    with pytest.raises(InputError, match="held_out is empty"):
        heal(hybrid, BATCHES, held_out=[])
    hybrid.block.switch_to_block()
    with pytest.raises(StateError, match=r"nothing to heal in Net.*\['block'\]"):
        heal(hybrid, BATCHES)


def local_hybrid() -> Net:
    """A net whose block has global equations and such as hold around one row, these in force."""
    net = Net()
    block = net.block = SymbolicModel(net.block, "block")
    inner = torch.cat([net.inner(batch) for batch in BATCHES]).detach()
    for slime in ({}, {"SLIME": True, "slime_params": {"x": inner[0], "num_synthetic": 60}}):
        block.distill(BATCHES, parent_model=net, output_dim=[0, 1], sr_params=SEARCH, **slime)
    return net


@pytest.mark.parametrize("with_global", [True, False])
def test_local_equations_are_healed_and_stay_in_force(with_global):
    net = local_hybrid()
    if not with_global:
        state = net.block.symbolic_state
        state.results = {**state.nothing(), "explained": state.results["explained"]}
    net.block.explained.switch_to_symbolic()
    chosen = net.block.symbolic_state.switch.chosen
    fronts = net.block.fronts
    before = net.block.symbolic_state.switch.expressions
    result = heal(net, BATCHES, loss="mse", steps=40, learning_rate=0.02)
    assert result.after < result.before
    assert net.block.symbolic_state.switch.kind == "explained"
    assert net.block.symbolic_state.switch.chosen == chosen
    assert not net.block.symbolic_state.switch.trainable_constants
    after = net.block.symbolic_state.switch.expressions
    assert any(after[dim] != before[dim] for dim in chosen)
    assert {dim: net.block.local_fronts[dim].select(c).expression for dim, c in chosen.items()} == (
        after
    )
    assert net.block.fronts == fronts
