"""The model, the texts and what was measured so far, kept in a folder."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from . import corpus, recipes
from .model import Tail, layers_of, load, states_before
from .results import Results

SIZES = (
    *("length", "fit_windows", "choice_windows", "test_windows", "weight_windows"),
    *("max_samples", "seconds", "heal_steps", "heal_batch", "heal_rate", "half"),
)
"""Arguments that figures depend on."""


class Study:
    """A model whose MLPs are replaced and put back, and the folder of what is computed.

    Args:
        arguments: of the command line.

    Raises:
        SystemExit: the folder has figures of another model or of other sizes.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.cache: Path = arguments.cache
        self.results = Results(self.cache / "results")
        self._check_settings()
        self.model, self.tokenizer = load(arguments.model, arguments.device)
        self.mlps = [layer.mlp for layer in layers_of(self.model)]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What the figures depend on."""
        a = vars(self.arguments)
        texts = {"model": a["model"].name, "text": a["text"].name}
        return texts | {name: a[name] for name in SIZES}

    def _check_settings(self) -> None:
        path = self.cache / "settings.json"
        if not path.exists():
            path.write_text(json.dumps(self.settings, indent=1))
        kept = json.loads(path.read_text())
        for name, value in self.settings.items():
            if kept.get(name) != value:
                raise SystemExit(
                    f"{self.cache} holds figures for {name}={kept.get(name)}, not {value}: give "
                    f"another --cache, or the same {name}"
                )

    @cached_property
    def windows(self) -> dict[str, corpus.Windows]:
        """Windows of tokens by what they are for."""
        a = self.arguments
        articles = corpus.read_articles(a.text)
        test, choice, fit = corpus.split(articles, [len(articles) // 4, len(articles) // 9])

        def cut(texts: Sequence[str], count: int, per_article: int | None) -> corpus.Windows:
            def encode(text: str) -> list[int]:
                return self.tokenizer(text, add_special_tokens=False)["input_ids"]

            found = corpus.cut(texts, encode, length=a.length, per_article=per_article)
            return found.first(count)

        parts = {
            "fit": cut(fit, a.fit_windows, None),
            "choice": cut(choice, a.choice_windows, 6),
            "test": cut(test, a.test_windows, 4),
        }
        if a.second_text is not None:
            # Short news items, one after the other.
            news = corpus.read_articles(a.second_text)
            pieces = ["\n".join(news[i : i + 20]) for i in range(0, len(news), 20)]
            parts["second"] = cut(pieces, a.test_windows, None)
        return parts

    @property
    def tested(self) -> list[str]:
        """The parts that rows are judged on."""
        return [part for part in ("test", "second") if part in self.windows]

    def states(self, part: str, layer: int) -> torch.Tensor:
        """Hidden states that enter a layer of the intact model."""
        windows = self.windows[part]
        path = self.cache / f"states-{part}-{len(windows)}-{layer}.pt"
        if not path.exists():
            self.restore()
            batches = windows.batches(8)
            torch.save(states_before(self.model, layer, batches, self.arguments.device), path)
        return torch.load(path, weights_only=True, mmap=True)

    def entering(self, layers: Sequence[int]) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """Each layer, and the hidden states that enter it behind what stands in for earlier ones.

        They pass through each layer once: what is put in a layer's place has to be there
        before the next one is asked for.
        """
        device, at = self.arguments.device, layers[0]
        hidden = self.states("fit", at)
        for layer in layers:
            if layer > at:
                hidden = states_before(self.model, layer, hidden.split(8), device, at)
                at = layer
            yield layer, [states.to(device) for states in hidden.split(8)]

    def weight(self, layer: int, start: int) -> torch.Tensor:
        """What an error of an MLP's output costs, in the intact model from ``start`` on."""
        path = self.cache / f"weight-{layer}.pt"
        if not path.exists():
            self.restore()
            rows, device = slice(self.arguments.weight_windows), self.arguments.device
            states = self.states("fit", start)[rows].to(device)
            tokens = self.windows["fit"].tokens[rows].to(device)
            torch.save(recipes.loss_weight(self.model, layer, start, states, tokens), path)
        return torch.load(path, weights_only=True)

    def restore(self) -> None:
        """Every MLP back in its place."""
        for layer, mlp in zip(layers_of(self.model), self.mlps, strict=True):
            layer.mlp = mlp

    def losses(self, part: str, start: int) -> torch.Tensor:
        """Nats per token of each window, the model as it is now from ``start`` on."""
        tail, device = Tail(self.model, start), self.arguments.device
        tokens, values = self.windows[part].tokens, []
        with torch.no_grad():
            for states, batch in zip(
                self.states(part, start).split(4), tokens.split(4), strict=True
            ):
                logits = tail(states.to(device))
                values.append(recipes.nll(logits, batch.to(device)).mean(1).cpu())
        return torch.cat(values)
