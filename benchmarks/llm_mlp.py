"""Language models with MLP layers replaced by equations in few coordinates: what it costs.

One run does everything; with ``--cache FOLDER`` it can be run in parts, each of which adds to
the figures that are there. Articles for fitting, for the choice of layers and for the test are
disjoint. See docs/wide_blocks.md for what was run, and how long it takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from language import corpus, recipes, speed
from language.model import (
    MISSING,
    QWEN,
    Tail,
    layers_of,
    load,
    packaged_model,
    random_model,
    states_before,
)
from language.recipes import RECIPES, Recipe
from torch import nn

from symtorch import SymbolicModel, rank_blocks
from symtorch._figures import Figures, print_table, script_arguments

PARTS = ("rank", "rows", "speed", "shape")
SETS = ("15", "14,15,18", "12,13,14,15,17,18,19")
PUBLISHED_SIZE = 40_000


class Study:
    """The model, the texts and what was measured so far, kept in a folder.

    Args:
        arguments: of the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.cache: Path = arguments.cache
        self.cache.mkdir(parents=True, exist_ok=True)
        self.model, self.tokenizer = load(arguments.model, arguments.device)
        self.mlps = [layer.mlp for layer in layers_of(self.model)]
        self._results = self.cache / "results.json"
        self.results: dict[str, Any] = {"rows": {}, "ranking": {}, "speed": {}}
        if self._results.exists():
            self.results = json.loads(self._results.read_text())

    def save(self) -> None:
        self._results.write_text(json.dumps(self.results, indent=1))

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

    def states(self, part: str, layer: int) -> torch.Tensor:
        """Hidden states that enter a layer of the intact model."""
        windows = self.windows[part]
        path = self.cache / f"states-{part}-{len(windows)}-{layer}.pt"
        if not path.exists():
            self.restore()
            batches = windows.batches(8)
            torch.save(states_before(self.model, layer, batches, self.arguments.device), path)
        return torch.load(path, weights_only=True, mmap=True)

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


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if "shape" in arguments.parts:
        shape = time_shape(arguments)
        print_table([{"row": row, **flat(ratios)} for row, ratios in shape.items()])
        if arguments.parts == ["shape"]:
            Figures({"Qwen2.5-1.5B's shape": shape}).finish(arguments.json)
            return
    study = Study(arguments)
    if "rank" in arguments.parts:
        rank(study)
    for layers in chosen_sets(study):
        if "rows" in arguments.parts:
            for row in arguments.rows:
                measure(study, layers, row)
    if "speed" in arguments.parts:
        for layers in chosen_sets(study):
            time_it(study, layers)
    report(study).finish(arguments.json)


# ------------------------------------------------------------------ which layers


def rank(study: Study) -> None:
    """What each MLP is worth, and the best sets among the cheapest, on articles of their own."""
    batches = study.windows["choice"].batches(4)
    count = max(len(text.split(",")) for text in study.arguments.sets)

    def loss(output: Any, tokens: torch.Tensor) -> torch.Tensor:
        return recipes.nll(output.logits, tokens).mean()

    study.restore()
    singles = rank_blocks(study.model, "model.layers.*.mlp", batches, loss)
    cheapest = [row.blocks[0] for row in singles.rows[: count + 3]]
    sets = rank_blocks(study.model, cheapest, batches, loss, grow=count)
    print(f"{singles}\n\n{sets}\n")
    study.results["ranking"] = {
        "singles": singles.table.to_dict("records"),
        "sets": sets.table.to_dict("records"),
    }
    study.save()


def chosen_sets(study: Study) -> list[tuple[int, ...]]:
    """The sets of layers: as given, or ``best:3`` for the best three that ranking found."""
    result = []
    for text in study.arguments.sets:
        if text.startswith("best:"):
            size = int(text.removeprefix("best:"))
            names = [row["blocks"].split() for row in study.results["ranking"]["sets"]]
            blocks = next(found for found in names if len(found) == size)
            result.append(tuple(sorted(int(name.split(".")[2]) for name in blocks)))
        else:
            result.append(tuple(sorted(int(number) for number in text.split(","))))
    return result


# ------------------------------------------------------------------ rows


def measure(study: Study, layers: tuple[int, ...], row: str) -> None:
    """One row of the table for one set of layers, unless it is there."""
    key = f"{','.join(map(str, layers))} | {row}"
    done = study.results["rows"]
    if key in done:
        return
    study.restore()
    begun = time.perf_counter()
    blocks = put_in_place(study, layers, RECIPES[row], row)
    seconds = time.perf_counter() - begun
    measured: dict[str, Any] = {
        "layers": layers,
        "row": row,
        "seconds": seconds,
        "numbers": max(recipes.numbers(block) for block in blocks) if row != "intact" else None,
        "terms": sum(map(recipes.terms, blocks)),
        "losses": {p: study.losses(p, layers[0]).tolist() for p in tested(study)},
    }
    recipe = RECIPES[row]
    if recipe.reduction is not None and recipe.equations:
        for block in blocks:
            recipes.put_in_force(block, equations=False)
        measured["without_equations"] = study.losses("test", layers[0]).tolist()
    study.restore()
    done[key] = measured
    study.save()
    print(
        f"{key}: {sum(measured['losses']['test']) / len(measured['losses']['test']):.4f} nats",
        flush=True,
    )


def tested(study: Study) -> list[str]:
    return [part for part in ("test", "second") if part in study.windows]


def put_in_place(
    study: Study, layers: tuple[int, ...], recipe: Recipe, row: str
) -> list[nn.Module]:
    """Replace the MLPs, one layer after the other, each fitted behind those before it."""
    if recipe.reduction is not None:
        distil = heal_blocks if recipe.healed else distil_blocks
        distil(study, layers, recipe)
    elif row != "intact":
        for layer, batches in entering(study, layers):
            mlp = study.mlps[layer]
            recording = SymbolicModel(mlp).record(
                batches,
                parent_model=Tail(study.model, layer, stop=layer + 1),
                max_samples=study.arguments.max_samples,
            )
            stand_in = recipes.plain_stand_in(row, mlp, recording)
            layers_of(study.model)[layer].mlp = stand_in.to(study.arguments.device)
    return [layers_of(study.model)[layer].mlp for layer in layers]


def entering(study: Study, layers: tuple[int, ...]) -> Iterator[tuple[int, list[torch.Tensor]]]:
    """Each layer, and the hidden states that enter it behind what stands in for earlier ones.

    They pass through each layer once: what is put in a layer's place has to be there before
    the next one is asked for.
    """
    device, at = study.arguments.device, layers[0]
    hidden = study.states("fit", at)
    for layer in layers:
        if layer > at:
            hidden = states_before(study.model, layer, hidden.split(8), device, at)
            at = layer
        yield layer, [states.to(device) for states in hidden.split(8)]


def distil_blocks(study: Study, layers: tuple[int, ...], recipe: Recipe) -> None:
    assert recipe.reduction is not None
    a = study.arguments
    path = blocks_file(study, layers, recipe)
    if path.exists():
        load_blocks(study, layers, path)
    else:
        weights: dict[int, torch.Tensor] = {}
        if recipe.reduction.method != "pca":
            # Of the intact model, so before any layer is replaced.
            weights = {layer: weight_of(study, layer, layers[0]) for layer in layers}
        for layer, batches in entering(study, layers):
            block = recipes.distill(
                study.model,
                layer,
                batches,
                recipe,
                weights.get(layer),
                seconds=a.seconds,
                max_samples=a.max_samples,
            )
            recipes.put_in_force(block, equations=True)
        save_blocks(study, layers, path)
    for layer in layers:
        recipes.put_in_force(layers_of(study.model)[layer].mlp, equations=recipe.equations)


def weight_of(study: Study, layer: int, start: int) -> torch.Tensor:
    path = study.cache / f"weight-{layer}.pt"
    if not path.exists():
        rows = slice(study.arguments.weight_windows)
        states, tokens = study.states("fit", start)[rows], study.windows["fit"].tokens[rows]
        device = study.arguments.device
        weight = recipes.loss_weight(
            study.model, layer, start, states.to(device), tokens.to(device)
        )
        torch.save(weight, path)
    return torch.load(path, weights_only=True)


def heal_blocks(study: Study, layers: tuple[int, ...], recipe: Recipe) -> None:
    a = study.arguments
    distil_blocks(study, layers, recipe)
    kind = "" if recipe.equations else "-without"
    path = blocks_file(study, layers, recipe, f"{kind}-healed-{a.heal_steps}")
    if path.exists():
        load_blocks(study, layers, path)
        return
    states = study.states("fit", layers[0]).to(a.device)
    result = recipes.healed(
        study.model,
        layers[0],
        # The last ones: the first were for the weights.
        states.flip(0),
        steps=a.heal_steps,
        windows=a.heal_batch,
        learning_rate=a.heal_rate,
        half=a.half,
        progress=lambda p: print(
            f"  step {p.step}: {p.loss:.4f}, held out {p.held_out:.4f}", flush=True
        ),
    )
    print(f"  healed: {result}")
    save_blocks(study, layers, path)


def blocks_file(study: Study, layers: tuple[int, ...], recipe: Recipe, more: str = "") -> Path:
    assert recipe.reduction is not None
    r = recipe.reduction
    name = f"{r.method}-{r.inputs}-{r.outputs}-{r.linear}-{recipe.engine}{more}"
    return study.cache / f"blocks-{'-'.join(map(str, layers))}-{name}.pt"


def save_blocks(study: Study, layers: tuple[int, ...], path: Path) -> None:
    states = {}
    for layer in layers:
        state = layers_of(study.model)[layer].mlp.state_dict()
        # Without the block itself: the model has it.
        states[str(layer)] = {k: v for k, v in state.items() if not k.startswith("block.")}
    torch.save(states, path)


def load_blocks(study: Study, layers: tuple[int, ...], path: Path) -> None:
    states = torch.load(path, weights_only=True)
    for layer in layers:
        block = SymbolicModel(study.mlps[layer], f"model.layers.{layer}.mlp")
        block.load_state_dict(states[str(layer)], strict=False)
        layers_of(study.model)[layer].mlp = block.eval()


# ------------------------------------------------------------------ speed


def time_it(study: Study, layers: tuple[int, ...]) -> None:
    """Tokens a second against the intact model, for the rows that are distilled already."""
    a = study.arguments
    for row in a.rows:
        recipe = RECIPES[row]
        if recipe.reduction is None or not blocks_file(study, layers, recipe).exists():
            continue
        study.restore()
        distil_blocks(study, layers, recipe)
        replaced = {layer: layers_of(study.model)[layer].mlp for layer in layers}
        study.restore()
        prompt = study.windows["test"].tokens[:1].to(a.device)
        study.results["speed"][f"{','.join(map(str, layers))} | {row}"] = speed.against(
            study.model, replaced, prompt, pairs=a.pairs, new_tokens=a.new_tokens
        )
        study.save()


def time_shape(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same for a model with the shape of Qwen2.5-1.5B and random weights, in bfloat16."""
    model = random_model(QWEN).to(arguments.device)
    tokens = torch.randint(QWEN["vocab_size"], (8, 256), device=arguments.device)
    layers = (14, 15, 18)
    hidden = states_before(model, layers[0], tokens.split(2), arguments.device)
    result = {}
    for row in ("published", "supervised + symbolic"):
        intact = {layer: layers_of(model)[layer].mlp for layer in layers}
        # Random weights have nothing to fit: few terms, and coordinates that any rows give.
        recipe = replace(RECIPES[row], engine="quadratic", sr_params={"maxsize": 60})
        batches = [states.to(arguments.device) for states in hidden.split(2)]
        for layer in layers:
            block = recipes.distill(
                model, layer, batches, recipe, None, seconds=20, max_samples=2_000
            )
            recipes.put_in_force(block, equations=True)
        replaced = {layer: layers_of(model)[layer].mlp for layer in layers}
        for layer, mlp in intact.items():
            layers_of(model)[layer].mlp = mlp
        result[row] = speed.against(
            model,
            replaced,
            tokens[:1],
            pairs=arguments.pairs,
            new_tokens=arguments.new_tokens,
        )
    return result


# ------------------------------------------------------------------ report


def report(study: Study) -> Figures:
    """The table, and the bars."""
    rows = study.results["rows"]
    articles = study.windows["test"].article
    table = []
    for key, measured in rows.items():
        layers = ",".join(map(str, measured["layers"]))
        intact = rows.get(f"{layers} | intact")
        if intact is None:
            continue
        rise, error = compared(measured["losses"]["test"], intact["losses"]["test"], articles)
        mean = rows.get(f"{layers} | mean")
        fast = study.results["speed"].get(key, {})
        entry = {
            "layers": layers,
            "row": measured["row"],
            "rise": round(rise, 4),
            "s.e.": round(error, 4),
            "nats": average(measured["losses"]["test"]),
            "perplexity": float(torch.tensor(average(measured["losses"]["test"])).exp()),
            "second text": "",
            "numbers": measured["numbers"] or "",
            "MiB": round(measured["numbers"] * 4 / 2**20, 2) if measured["numbers"] else "",
            "terms": measured["terms"],
            "seconds": round(measured["seconds"], 1),
            "nonlinear": "",
            "prefill": "",
            "decoding": "",
        }
        if "second" in measured["losses"]:
            entry["second text"] = round(
                average(measured["losses"]["second"]) - average(intact["losses"]["second"]), 4
            )
        if mean is not None and "without_equations" in measured:
            gain = average(mean["losses"]["test"]) - average(measured["losses"]["test"])
            part = average(measured["without_equations"]) - average(measured["losses"]["test"])
            entry["nonlinear"] = f"{part / gain:.0%}"
        table.append(entry | flat(fast))
    if table:
        print_table(table)
    figures = Figures({"table": table, **study.results})
    for name, layers, row, bar in (
        ("three layers, rise in nats", 3, "supervised + symbolic, healed", 0.09),
        ("three layers of published size, rise", 3, "supervised 40k + symbolic, healed", 0.16),
        ("seven layers, rise in nats", 7, "supervised + symbolic, healed", 0.25),
    ):
        for entry in table:
            if entry["row"] == row and entry["layers"].count(",") == layers - 1:
                figures.check(f"{name} ({entry['layers']})", entry["rise"], "<=", bar)
    by_key = {(entry["layers"], entry["row"]): entry for entry in table}
    for (layers, row), entry in by_key.items():
        published = by_key.get((layers, "published"))
        if row == "supervised + symbolic, healed" and published and layers.count(",") == 2:
            for name in ("prefill", "decoding"):
                ours, theirs = (
                    study.results["speed"].get(f"{layers} | {r}", {}).get(name)
                    for r in (row, "published")
                )
                if ours and theirs:
                    # Slower only if even the fast end of ours is below the slow end of theirs.
                    figures.check(f"{name}, speed-up", ours["high"], ">=", theirs["low"])
            share = entry["rise"] / published["rise"]
            figures.check("rise over that of the published recipe", round(share, 3), "<=", 0.333)
        if "40k" in row:
            figures.check(f"{row} ({layers}), numbers", entry["numbers"], "<=", PUBLISHED_SIZE)
    return figures


def flat(ratios: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Ratios of times, intact over replaced, with their intervals."""
    return {n: f"{r['ratio']:.3f} ({r['low']:.3f}-{r['high']:.3f})" for n, r in ratios.items()}


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def compared(
    ours: Sequence[float], theirs: Sequence[float], articles: torch.Tensor
) -> tuple[float, float]:
    """Mean difference of windows, and its standard error: windows of an article are alike."""
    difference = torch.tensor(ours) - torch.tensor(theirs)
    mean = difference.mean()
    groups = [(difference[articles == a] - mean).sum() for a in articles.unique()]
    count = len(groups)
    spread = torch.stack(groups).square().sum() * (count / max(count - 1, 1))
    return float(mean), float(spread.sqrt() / len(difference))


# ------------------------------------------------------------------ command line


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = script_arguments(__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", type=Path, help="folder or GGUF file; by default SmolLM2-135M from a package")
    add("--text", type=Path, help="Wikipedia dump (.bz2), or text with an article on each line")
    add("--second-text", type=Path, help="another text, judged too")
    add("--cache", type=Path, help="folder for what is computed; a temporary one by default")
    add("--parts", nargs="+", choices=PARTS, default=["rows", "speed"])
    add("--sets", nargs="+", default=SETS, help="layers to replace: 14,15,18 or best:3")
    add("--rows", nargs="+", choices=RECIPES, default=list(RECIPES), metavar="ROW")
    add("--fast", action="store_true", help="one layer and few tokens, within a minute")
    add("--device", default="cpu")
    add("--threads", type=int, default=1)
    add("--length", type=int, default=256, help="tokens of a window")
    add("--fit-windows", type=int, default=600)
    add("--choice-windows", type=int, default=32)
    add("--test-windows", type=int, default=80)
    add("--weight-windows", type=int, default=48, help="for the gradient of the loss")
    add("--max-samples", type=int, default=60_000, help="rows for a search")
    add("--seconds", type=float, default=20.0, help="for the search of one equation")
    add("--heal-steps", type=int, default=400)
    add("--heal-batch", type=int, default=4, help="windows of a step")
    add("--heal-rate", type=float, default=0.003)
    add("--half", action="store_true", help="heal in bfloat16 where it is not the equations'")
    add("--pairs", type=int, default=15, help="runs of each, for tokens a second")
    add("--new-tokens", type=int, default=64)
    arguments = parser.parse_args(given)
    arguments.model = arguments.model or packaged_model()
    if arguments.model is None:
        raise SystemExit(MISSING)
    arguments.text = arguments.text or corpus.packaged_text(corpus.WIKIPEDIA)
    arguments.second_text = arguments.second_text or corpus.packaged_text(corpus.NEWS)
    if arguments.text is None:
        raise SystemExit(corpus.MISSING)
    arguments.cache = arguments.cache or Path(tempfile.mkdtemp(prefix="llm_mlp-"))
    if arguments.fast:
        small = {
            "sets": ["15"],
            "rows": ["intact", "mean", "supervised 40k + symbolic, healed"],
            "length": 64,
            "fit_windows": 40,
            "test_windows": 4,
            "weight_windows": 2,
            "seconds": 1.0,
            "heal_steps": 2,
            "heal_batch": 2,
            "pairs": 2,
            "new_tokens": 2,
            "second_text": None,
        }
        for name, value in small.items():
            setattr(arguments, name, value)
    return arguments


if __name__ == "__main__":
    main()
