"""What the context managers touch is put back, also when something raises inside."""

import random
from contextlib import suppress

import numpy as np
import pytest
import torch
from helpers import state_of_the_world
from torch import nn

from symtorch.recording.contexts import evaluating, seeded, threads


@pytest.fixture
def model() -> nn.Module:
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    net[1][0].eval()
    return net


def disturb(model: nn.Module) -> None:
    model.train()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    torch.set_num_threads(2)


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_everything_is_put_back(model, error):
    before = state_of_the_world(model)
    with suppress(RuntimeError, KeyboardInterrupt), evaluating(model), seeded(3), threads(1):
        disturb(model)
        if error:
            raise error
    assert state_of_the_world(model) == before


def test_inside_every_submodule_evaluates(model):
    with evaluating(model):
        assert not any(part.training for part in model.modules())


def test_inside_the_same_seed_gives_the_same_numbers():
    def numbers(seed):
        with seeded(seed):
            return torch.rand(1).item(), np.random.rand(), random.random()  # noqa: NPY002

    assert numbers(7) == numbers(7)
    assert all(a != b for a, b in zip(numbers(7), numbers(8), strict=True))


def test_inside_torch_has_that_many_threads():
    with threads(1):
        assert torch.get_num_threads() == 1
