"""Parameters that equations stand in for are frozen, and trainable again as they were."""

import copy
import io
import os

import pytest
import torch
from helpers import QUICK, Law, randn
from torch import nn

from symtorch import Reduction, SymbolicModel, heal, load_hybrid

X = randn(300, 2)


class Scale(nn.Module):
    """[rows, 2] -> [rows, 2], of three parameters of which one was frozen by its owner."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(2.0)), nn.Parameter(torch.tensor(3.0))
        self.fixed = nn.Parameter(torch.tensor(1.0), requires_grad=False)

    def forward(self, x):
        return torch.stack([self.a * x[..., 0], self.b * x[..., 1] * self.fixed], -1)


@pytest.fixture(scope="module")
def distilled():
    block = SymbolicModel(Scale(), "scale")
    block.distill(X, sr_params=QUICK)
    return block


@pytest.fixture
def block(distilled):
    return copy.deepcopy(distilled)


def trainable(block):
    return [name for name, p in block.block.named_parameters() if p.requires_grad]


def test_frozen_while_equations_answer_and_thawed_as_found(block):
    assert trainable(block) == ["a", "b"]
    block.switch_to_symbolic()
    assert trainable(block) == []
    block.switch_to_symbolic(trainable_constants=True)  # a second switch forgets nothing
    assert trainable(block) == []
    block.switch_to_block()
    assert trainable(block) == ["a", "b"]


def test_contexts_freeze_and_thaw(block):
    with block.symbolic():
        assert trainable(block) == []
        with block.symbolic(dims=0):
            assert trainable(block) == ["a", "b"]
        assert trainable(block) == []
    assert trainable(block) == ["a", "b"]
    block.switch_to_symbolic()
    with block.as_block():  # for a look, not for training
        assert trainable(block) == []


def test_a_block_that_still_computes_something_trains_on(block):
    block.switch_to_symbolic(dims=0)
    assert trainable(block) == ["a", "b"]
    block(X).sum().backward()
    assert block.block.b.grad is not None
    assert block.block.a.grad == 0


def test_pruning_what_was_left_freezes_and_a_new_plan_thaws(block):
    block.switch_to_symbolic(dims=1)  # the output that varies more
    block.setup_pruning(2, 1, total_steps=1)
    assert trainable(block) == ["a", "b"]
    block.prune(1, X)
    assert block.get_active_dimensions() == [1]
    assert trainable(block) == []
    block.setup_pruning(2, 1, total_steps=1)
    assert trainable(block) == ["a", "b"]


def test_distilling_anew_and_forgetting(block):
    block.switch_to_symbolic()
    block.distill(X, sr_params=QUICK)
    assert trainable(block) == []
    block.clear_fronts()
    assert trainable(block) == ["a", "b"]


def test_a_block_with_a_mask_or_more_outputs_is_needed_and_trains_on():
    class Pair(Scale):
        def forward(self, x):
            return super().forward(x), x.sum() * self.a

    block = SymbolicModel(Pair(), "pair", output=0)
    block.distill(X, sr_params=QUICK)
    block.switch_to_symbolic()
    assert trainable(block) == ["a", "b"]


def test_reduced_blocks_are_frozen():
    block = SymbolicModel(nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 4)), "wide")
    block.distill(randn(300, 6), reduce=Reduction(2, 1), sr_params=QUICK)
    block.switch_to_symbolic(trainable_constants=True)
    assert trainable(block) == []
    assert block.symbolic_state.reduction.encoder.requires_grad
    block.switch_to_block()
    assert len(trainable(block)) == 4


# ---------------------------------------------------------------- training around it


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, weight_decay=0.1),
}


def step(net, optimizer):
    optimizer.zero_grad()
    net(X).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers_leave_a_frozen_block_alone(block, make):
    net = nn.Sequential(nn.Linear(2, 2), block, nn.Linear(2, 1))
    optimizer = make(net.parameters())
    step(net, optimizer)  # with moments of its own
    block.switch_to_symbolic()
    before = copy.deepcopy(block.block.state_dict())
    outside = net[0].weight.clone()
    for _ in range(3):
        step(net, optimizer)
    assert all(torch.equal(value, before[key]) for key, value in block.block.state_dict().items())
    assert not torch.equal(net[0].weight, outside)
    block.switch_to_block()
    step(net, optimizer)
    assert not torch.equal(block.block.a, before["a"])
    assert torch.equal(block.block.fixed, before["fixed"])


@pytest.fixture
def process_group():
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29571")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
@pytest.mark.parametrize("trained", [False, True])
def test_distributed_training_goes_on_after_a_switch(block, trained, process_group):
    net = nn.Sequential(nn.Linear(2, 2), block, nn.Linear(2, 1))
    block.switch_to_symbolic(trainable_constants=trained)
    parallel = nn.parallel.DistributedDataParallel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(4):  # parameters without a gradient are an error at the second
        step(parallel, optimizer)
    block.switch_to_block()
    parallel = nn.parallel.DistributedDataParallel(net)
    for _ in range(3):
        step(parallel, optimizer)


def test_healing_leaves_frozen_what_was(block):
    net = nn.Sequential(nn.Linear(2, 2), block)
    block.switch_to_symbolic()
    heal(net, list(X.split(30)), loss="mse", steps=4, evaluate_every=2)
    assert trainable(block) == []
    assert all(p.requires_grad for p in net[0].parameters())
    block.switch_to_block()
    assert trainable(block) == ["a", "b"]


# ---------------------------------------------------------------- files and copies


WAYS = {
    "deepcopy": copy.deepcopy,
    "torch.save": lambda block: torch.load(saved(block), weights_only=False),
    "state dict": lambda block: into(SymbolicModel(Scale(), "scale"), block),
    "load_hybrid": lambda block: load_hybrid(Scale(), block.state_dict()),
}


def saved(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return file


def into(fresh, block):
    fresh.load_state_dict(block.state_dict())
    return fresh


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_frozen_blocks_are_copied_saved_and_loaded(block, way):
    block.switch_to_symbolic()
    again = way(block)
    assert trainable(again) == []
    again.switch_to_block()
    assert trainable(again) == ["a", "b"]


@pytest.mark.parametrize("assign", [True, False])
def test_loading_thaws_where_the_file_is_not_switched(block, assign):
    plain = copy.deepcopy(block.state_dict())
    block.switch_to_symbolic()
    block.load_state_dict(plain, assign=assign)
    assert trainable(block) == ["a", "b"]


def test_a_block_without_parameters_has_nothing_to_freeze():
    block = SymbolicModel(lambda x: x.sum(-1, keepdim=True), "sum")
    block.distill(X, sr_params=QUICK)
    block.switch_to_symbolic()
    block.switch_to_block()
    buffered = SymbolicModel(Law(), "law")
    assert trainable(buffered) == ["gain"]
