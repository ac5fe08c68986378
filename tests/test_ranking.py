"""What blocks are worth: against direct computation, alone and together."""

from __future__ import annotations

import pytest
import torch
from helpers import randn, state_of_the_world
from torch import nn

from symtorch import InputError, StateError, rank_blocks

BATCHES = [randn(50, 4, seed=i) for i in range(8)]


class Stack(nn.Module):
    """Residual blocks: a linear one, one that matters little, one that is far from linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 4)
        self.faint = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
        self.bent = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Dropout(0.5))
        with torch.no_grad():
            self.faint[0].weight.mul_(0.01)
            self.bent[0].weight.mul_(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in (self.linear, self.faint, self.bent):
            x = x + block(x)
        return x


BLOCKS = ["linear", "faint", "bent"]


INTACT = Stack().eval()


def square(output: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    return (output - INTACT(batch)).square().mean()


def by_block(ranking):
    return {" ".join(row.blocks): row for row in ranking.rows}


def test_each_block_is_worth_what_removing_it_costs():
    net = Stack()
    before = state_of_the_world(net)
    ranking = rank_blocks(net, BLOCKS, BATCHES, square)
    assert state_of_the_world(net) == before
    found = by_block(ranking)
    assert abs(found["linear"].linear) < 1e-3 < found["linear"].mean
    assert found["faint"].linear < 1e-3
    assert found["bent"].mean > found["bent"].linear > 0.1
    assert ranking.rows[-1].blocks == ("bent",)


def test_it_is_the_loss_with_a_hand_made_replacement():
    net = Stack().eval()
    held_out = [randn(60, 4, seed=100), randn(60, 4, seed=101)]
    ranking = rank_blocks(net, "bent", BATCHES, square, held_out=held_out, ridge=0)
    with torch.no_grad():
        x = torch.cat(BATCHES)
        x = x + net.linear(x)
        x = x + net.faint(x)
        y = net.bent(x)
        ones = torch.ones(len(x), 1)
        slopes = torch.linalg.lstsq(torch.cat([x, ones], 1), y).solution
        intact = torch.stack([square(net(batch), batch) for batch in held_out])
        losses = {"mean": [], "linear": []}
        for batch in held_out:
            z = batch + net.linear(batch)
            z = z + net.faint(z)
            losses["mean"].append(square(z + y.mean(0), batch))
            fitted = torch.cat([z, torch.ones(len(z), 1)], 1) @ slopes
            losses["linear"].append(square(z + fitted, batch))
    assert ranking.loss == pytest.approx(float(intact.mean()), rel=1e-5)
    (row,) = ranking.rows
    for name, values in losses.items():
        rise = torch.stack(values) - intact
        assert getattr(row, name) == pytest.approx(float(rise.mean()), rel=1e-3)
        assert getattr(row, f"{name}_error") == pytest.approx(float(rise.std() / 2**0.5), rel=1e-2)


def test_sets_are_judged_together_and_grown():
    ranking = rank_blocks(Stack(), BLOCKS, BATCHES, square, sets=[["faint", "bent"]], grow=3)
    assert ranking.best(1) in {("linear",), ("faint",)}
    assert set(ranking.best(2)) == {"linear", "faint"}
    assert set(ranking.best(3)) == set(BLOCKS)
    pairs = {frozenset(row.blocks) for row in ranking.rows if len(row.blocks) == 2}
    assert {frozenset(("linear", "faint")), frozenset(("faint", "bent"))} <= pairs
    both = next(row for row in ranking.rows if set(row.blocks) == {"faint", "bent"})
    assert both.mean > 0
    with pytest.raises(InputError, match=r"no set of 7 blocks was judged, only of \[1, 2, 3\]"):
        ranking.best(7)


def test_the_table_reads():
    ranking = rank_blocks(Stack(), BLOCKS, BATCHES, square, sets=[["linear", "bent"]])
    assert [*ranking.table.columns] == ["blocks", "mean", "mean_error", "linear", "linear_error"]
    assert ranking.table.blocks.tolist()[-1] == "linear bent"
    assert "when intact" in str(ranking)


def test_batches_may_be_dicts_and_outputs_tuples():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Linear(4, 4)

        def forward(self, *, x, scale):
            return {"y": scale * self.block(x)}

    data = [{"x": batch, "scale": 2.0} for batch in BATCHES]
    ranking = rank_blocks(
        Named(), "block", data, lambda out, batch: (out["y"] ** 2).mean(), ridge=0
    )
    assert abs(ranking.rows[0].linear) < 1e-4


def test_half_precision_stays():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)).to(torch.bfloat16)
    data = [batch.to(torch.bfloat16) for batch in BATCHES]
    ranking = rank_blocks(net, "0", data, lambda out, _: out.float().square().mean())
    assert abs(ranking.rows[0].linear) < 0.05


def test_a_model_that_fails_is_put_back():
    net = Stack()
    before = state_of_the_world(net)
    calls = []

    def failing(output, batch):
        calls.append(batch)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return square(output, batch)

    with pytest.raises(KeyboardInterrupt):
        rank_blocks(net, BLOCKS, BATCHES, failing)
    assert state_of_the_world(net) == before


def test_what_cannot_be_judged():
    net = Stack()
    with pytest.raises(InputError, match=r"no block 'bend'.*did you mean 'bent'"):
        rank_blocks(net, "bend", BATCHES, square)
    with pytest.raises(InputError, match=r"sets names \['x'\]; judged are linear, faint, bent"):
        rank_blocks(net, BLOCKS, BATCHES, square, sets=[["x"]])
    with pytest.raises(InputError, match="every fourth batch"):
        rank_blocks(net, BLOCKS, BATCHES[:2], square)
    net.unused = nn.Linear(4, 4)
    with pytest.raises(StateError, match="not called"):
        rank_blocks(net, "unused", BATCHES, square)


def test_rows_come_by_size_and_then_by_what_a_linear_map_costs():
    ranking = rank_blocks(Stack(), BLOCKS, BATCHES, square, grow=3)
    keys = [(len(row.blocks), row.linear) for row in ranking.rows]
    assert keys == sorted(keys)
    assert {size for size, _ in keys} == {1, 2, 3}
