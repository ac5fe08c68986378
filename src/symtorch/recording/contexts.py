"""Context managers that restore what they change, also when something raises inside."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards each submodule is back in the mode it was in.

    >>> model = nn.Sequential(nn.Dropout(), nn.Dropout().eval())
    >>> with evaluating(model):
    ...     model[0].training
    False
    >>> model[0].training, model[1].training
    (True, False)
    """
    # Not module.train(mode): that would force one mode on all children, and a model
    # with some frozen BatchNorms has two.
    modes = [(sub, sub.training) for module in modules for sub in module.modules()]
    try:
        for sub, _ in modes:
            sub.training = False
        yield
    finally:
        for sub, mode in modes:
            sub.training = mode


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds all global random generators inside, and restores their states afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    devices = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


@contextmanager
def gradients(enabled: bool) -> Iterator[None]:
    """Autograd on or off, in any mode of the caller.

    Tensors made inside are ordinary ones even if the caller is in inference mode: they
    outlive it, and a search cannot differentiate through inference tensors.
    """
    with torch.inference_mode(False), torch.set_grad_enabled(enabled):
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Torch on that many CPU threads inside.

    A sum split over more threads rounds differently; searches pin the count so that
    their answers do not depend on the machine's load or on ``n_jobs``.
    """
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def eagerly() -> Iterator[None]:
    """Compiled code runs as plain Python inside."""
    # Importing the compiler takes seconds; if nobody has imported it, nothing is compiled.
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
