"""Tokens a second of two models, taken in turns so that a busy machine slows both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import nn

from .model import layers_of


def against(
    model: nn.Module,
    replaced: Mapping[int, nn.Module],
    prompt: torch.Tensor,
    *,
    pairs: int,
    new_tokens: int,
) -> dict[str, dict[str, float]]:
    """How much faster a model is with some MLPs replaced, in prefill and in decoding.

    Args:
        model: with its own MLPs in place, as afterwards.
        replaced: what stands in, by layer.
        prompt: [1, tokens].
        pairs: runs of each.
        new_tokens: to decode after the first 64 of the prompt.
    """
    layers = layers_of(model)
    intact = {layer: layers[layer].mlp for layer in replaced}

    def taking(parts: Mapping[int, nn.Module], work: Callable[[], float]) -> float:
        for layer, part in parts.items():
            layers[layer].mlp = part
        return work()

    works = {
        "prefill": partial(prefill, model, prompt),
        "decoding": partial(decode, model, prompt[:, :64], new_tokens),
    }
    try:
        return {
            name: paired(partial(taking, intact, work), partial(taking, replaced, work), pairs)
            for name, work in works.items()
        }
    finally:
        for layer, part in intact.items():
            layers[layer].mlp = part


def prefill(model: nn.Module, tokens: torch.Tensor) -> float:
    """Seconds to read a prompt [1, tokens]."""
    return _timed(lambda: model(tokens, use_cache=True), tokens)


def decode(model: nn.Module, tokens: torch.Tensor, new: int) -> float:
    """Seconds to write ``new`` tokens after a prompt, with a cache, the prompt not counted."""
    with torch.no_grad():
        cache = model(tokens, use_cache=True).past_key_values
    last = tokens[:, -1:]

    def write() -> None:
        past, token = cache, last
        for _ in range(new):
            output = model(token, past_key_values=past, use_cache=True)
            past, token = output.past_key_values, output.logits[:, -1:].argmax(-1)

    return _timed(write, tokens)


def _timed(work: Callable[[], object], tokens: torch.Tensor) -> float:
    with torch.no_grad():
        _wait(tokens)
        begun = time.perf_counter()
        work()
        _wait(tokens)
    return time.perf_counter() - begun


def _wait(tokens: torch.Tensor) -> None:
    if tokens.is_cuda:
        torch.cuda.synchronize()


def paired(
    first: Callable[[], float], second: Callable[[], float], pairs: int, seed: int = 0
) -> dict[str, float]:
    """How much longer the first takes, from runs in turns.

    Returns:
        ``ratio``, the median of first / second; ``low`` and ``high``, a 95 % bootstrap
        interval of it; ``first_s`` and ``second_s``, medians.
    """
    first(), second()
    times = []
    for turn in range(pairs):
        order = (first, second) if turn % 2 else (second, first)
        taken = {work: work() for work in order}
        times.append((taken[first], taken[second]))
    a, b = np.array(times).T
    ratios = a / b
    draws = np.random.default_rng(seed).choice(ratios, (2000, pairs))
    low, high = np.quantile(np.median(draws, axis=1), [0.025, 0.975])
    return {
        "ratio": float(np.median(ratios)),
        "low": float(low),
        "high": float(high),
        "first_s": float(np.median(a)),
        "second_s": float(np.median(b)),
    }
