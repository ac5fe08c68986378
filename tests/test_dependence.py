"""Rows that depend on more than their columns are named; all others are left in peace."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import torch
from helpers import Law, Net, randn, state_of_the_world
from torch import nn

from symtorch import Reduction, SymbolicModel
from symtorch.errors import DependenceWarning
from symtorch.recording.dependence import DependenceProbe

IMAGES = randn(4, 3, 6, 6)
WORDS = randn(4, 5, 8)


def messages(block, data, parent=None, **options):
    """What is said about a block, by what `distill` asks."""
    model = SymbolicModel(block, "block", **options)
    probe = DependenceProbe(model._module, "block")
    with probe.attached():
        recording = model.record(data, parent_model=parent)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe.warn(recording.layout, recording.precision)
    assert all(w.category is DependenceWarning for w in caught)
    return [str(w.message) for w in caught]


class Attention(nn.Module):
    def __init__(self, causal=False):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.causal = causal

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]) if self.causal else None
        return self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]


class BatchStatistics(nn.Module):
    def forward(self, x):
        return nn.functional.batch_norm(x, None, None, training=True)


class Counting(nn.Module):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return x + self.calls


class Scaled(nn.Module):
    """A gate for each row, which is no column: it is a mask, or the user left it out."""

    def forward(self, x, gate):
        return x * gate[..., None]


POSITIONS = "at one position depends on other positions"
ROWS = "at one row depends on other rows"
SAMPLES = "for one sample depends on the other samples of the batch"
TWICE = "differently when it is called twice"
GATE = torch.arange(20).reshape(4, 5) % 3 == 0
FIRST = {"feature_dim": 1}
NONSENSE = {
    "3x3": (nn.Conv2d(3, 2, 3, padding=1), IMAGES, FIRST, POSITIONS),
    "3x1": (nn.Conv2d(3, 2, (3, 1), padding=(1, 0)), IMAGES, FIRST, POSITIONS),
    "1x3": (nn.Conv2d(3, 2, (1, 3), padding=(0, 1)), IMAGES, FIRST, POSITIONS),
    "pooling": (nn.AvgPool2d(3, 1, 1), IMAGES, FIRST, POSITIONS),
    "attention": (Attention(), WORDS, {}, POSITIONS),
    "causal attention": (Attention(causal=True), WORDS, {}, POSITIONS),
    "lstm": (nn.LSTM(8, 3, batch_first=True), WORDS, {"output": 0}, POSITIONS),
    "softmax over words": (nn.Softmax(1), WORDS, {}, POSITIONS),
    "batch norm": (nn.BatchNorm1d(8, track_running_stats=False), WORDS[:, 0], {}, ROWS),
    "of images": (nn.BatchNorm2d(3, track_running_stats=False), IMAGES, FIRST, SAMPLES),
    "functional": (BatchStatistics(), WORDS[:, 0], {}, ROWS),
    "instance norm": (nn.InstanceNorm2d(3), IMAGES, FIRST, POSITIONS),
    "function of rows": (lambda x: x - x.mean(0), WORDS[:, 0], {}, ROWS),
    "function of arrays": (lambda x: x - x.mean(0), WORDS[:, 0].numpy(), {}, ROWS),
    "one column each": (
        lambda u, v: u * v.mean(),
        (randn(9), randn(9)),
        {"feature_dim": None},
        ROWS,
    ),
    "state": (Counting(), WORDS, {}, TWICE),
    "mask": (Scaled(), (WORDS, GATE), {}, r"depends on 'gate'.*say mask='gate'"),
    "left out": (Scaled(), (WORDS, randn(4, 5)), {"inputs": ("x",)}, "depends on 'gate'"),
}


@pytest.mark.parametrize(("block", "data", "options", "text"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_named(block, data, options, text):
    (message,) = messages(block, data, **options)
    assert message.startswith("block 'block': its output") or "it answers" in message
    assert re.search(text, message), message


class Edge(nn.Module):
    def forward(self, u, v):
        return ((u - v) ** 2).sum(-1, keepdim=True)


class InPlace(nn.Module):
    def forward(self, x):
        return x.mul_(x)


def cell(x, hx):
    return nn.functional.tanh(x + hx[0] * hx[1])


SENSE = {
    "mlp": (nn.Sequential(nn.Linear(8, 4), nn.SiLU(), nn.Linear(4, 2)), WORDS, {}),
    "1x1": (nn.Conv2d(3, 2, 1), IMAGES, FIRST),
    "frozen batch norm": (nn.BatchNorm2d(3).train(), IMAGES, FIRST),
    "layer norm": (nn.LayerNorm(8), WORDS, {}),
    "dropout": (nn.Dropout(), WORDS, {}),
    "edges": (Edge(), (randn(2, 4, 1, 3), randn(2, 1, 4, 3)), {}),
    "in place": (InPlace(), WORDS, {}),
    "cell": (nn.LSTMCell(8, 3), (WORDS[:, 0], (randn(4, 3), randn(4, 3))), {"output": 0}),
    "masked": (Scaled(), (WORDS, GATE), {"mask": "gate"}),
    "padding alone": (Scaled(), (WORDS, torch.ones(4, 5, dtype=torch.bool)), {}),
    "half": (nn.Linear(8, 4).bfloat16(), WORDS.bfloat16(), {}),
    "one row": (nn.Linear(8, 4), WORDS[0, 0], {}),
    "arrays": (lambda x: np.tanh(x), WORDS.numpy(), {}),
    "constant": (lambda x: torch.zeros_like(x), WORDS, {}),
    "a number": (lambda x, t: x * t, (WORDS, torch.tensor(2.0)), {}),
}


@pytest.mark.parametrize(("block", "data", "options"), SENSE.values(), ids=SENSE)
def test_blocks_that_map_rows_are_left_in_peace(block, data, options):
    assert messages(block, data, **options) == []


def test_asking_changes_nothing():
    net = Net()
    net.norm.eval()
    before = state_of_the_world(net)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    assert messages(net, randn(30, 3)) == []
    assert state_of_the_world(net) == before
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())


def test_it_takes_a_handful_of_calls():
    calls = []
    block = nn.Conv2d(3, 2, 1)
    block.register_forward_hook(lambda *_: calls.append(1))
    messages(block, [IMAGES] * 3, **FIRST)
    assert len(calls) <= 3 + 5


@pytest.mark.parametrize("reduce", [None, Reduction(1, 1)])
def test_distilling_warns_and_goes_on(reduce):
    block = SymbolicModel(nn.Conv2d(3, 2, 3, padding=1), "conv", feature_dim=1)
    with pytest.warns(DependenceWarning, match=r"block 'conv': .*other positions"):
        block.distill(randn(8, 3, 6, 6), reduce=reduce, engine="quadratic", output_dim=0)
    assert block.fronts


def test_a_block_inside_a_model_is_asked_and_a_recording_is_not():
    net = Net()
    net.norm.eval()
    net.law = SymbolicModel(Law(), "law")
    recording = net.law.record(randn(40, 3), parent_model=net)
    net.law.distill(randn(40, 3), parent_model=net, engine="quadratic")
    net.law.distill(recording, engine="quadratic")
    assert {*net.law.fronts} == {0, 1}
