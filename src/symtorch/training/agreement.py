"""Losses between a model's output and its teacher's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from ..errors import InputError

Agreement: TypeAlias = Literal["kl", "mse"]
"""How a model's output is compared with the teacher's."""

CHUNK = 2**22
"""Logits that are compared at a time: chunks of this size stay in the cache."""


def _logits(output: Any) -> torch.Tensor:
    values = getattr(output, "logits", output)
    if not isinstance(values, torch.Tensor):
        raise InputError(
            f"heal compares a model's outputs, tensors or objects with .logits; got "
            f"{type(output).__name__}: give loss(output, batch), or wrap the model in one "
            f"that returns a tensor"
        )
    return values


def divergence(output: Any, target: Any) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher, in nats, mean over all rows.

    >>> float(divergence(torch.zeros(3, 2), torch.zeros(3, 2)))     # logits [..., classes]
    0.0
    """
    ours, theirs = (_logits(o).flatten(0, -2) for o in (output, target))
    rows, classes = ours.shape
    # In chunks: log-probabilities over a vocabulary take hundreds of MiB.
    size = max(1, CHUNK // classes)
    total = ours.new_zeros((), dtype=torch.float32)
    for start in range(0, rows, size):
        ln_q, ln_p = (t[start : start + size].float().log_softmax(-1) for t in (ours, theirs))
        total = total + nn.functional.kl_div(ln_q, ln_p, reduction="sum", log_target=True)
    return total / rows


def difference(output: Any, target: Any) -> torch.Tensor:
    """Mean squared difference from the teacher."""
    return nn.functional.mse_loss(_logits(output), _logits(target))


CRITERIA: dict[str, Callable[[Any, Any], torch.Tensor]] = {"kl": divergence, "mse": difference}
