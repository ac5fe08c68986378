"""Language models with MLP layers replaced by equations in few coordinates: what it costs.

One run does everything; with ``--cache FOLDER`` it can be run in parts, each of which adds to
the figures that are there, also side by side. Articles for fitting, for the choice of layers
and for the test are disjoint. See docs/wide_blocks.md for what was run, and how long it takes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from language import corpus, recipes, speed
from language.model import (
    MISSING,
    QWEN,
    layers_of,
    packaged_model,
    random_model,
    states_before,
)
from language.placing import blocks_file, put_in_place
from language.recipes import RECIPES
from language.report import average, flat, named, report
from language.study import Study
from support.figures import Figures, print_table, script_arguments

from symtorch import rank_blocks

PARTS = ("rank", "rows", "speed", "shape")
BEST = "best:"
SETS = ("15", "14,15,18", "12,13,14,15,17,18,19")


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
    count = max(map(size_of, study.arguments.sets))

    def loss(output: Any, tokens: torch.Tensor) -> torch.Tensor:
        return recipes.nll(output.logits, tokens).mean()

    study.restore()
    singles = rank_blocks(study.model, "model.layers.*.mlp", batches, loss)
    cheapest = [row.blocks[0] for row in singles.rows[: count + 3]]
    sets = rank_blocks(study.model, cheapest, batches, loss, grow=count)
    print(f"{singles}\n\n{sets}\n")
    for name, ranking in (("singles", singles), ("sets", sets)):
        study.results.put("ranking", name, ranking.table.to_dict("records"))


def chosen_sets(study: Study) -> list[tuple[int, ...]]:
    """The sets of layers: as given, or ``best:3`` for the best three that ranking found."""
    result = []
    for text in study.arguments.sets:
        if text.startswith(BEST):
            names = [row["blocks"].split() for row in study.results.of("ranking")["sets"]]
            blocks = next(found for found in names if len(found) == size_of(text))
            result.append(tuple(sorted(int(name.split(".")[2]) for name in blocks)))
        else:
            result.append(tuple(sorted(int(number) for number in text.split(","))))
    return result


def size_of(text: str) -> int:
    """How many layers a set has."""
    return int(text.removeprefix(BEST)) if text.startswith(BEST) else len(text.split(","))


# ------------------------------------------------------------------ rows


def measure(study: Study, layers: tuple[int, ...], row: str) -> None:
    """One row of the table for one set of layers, unless it is there."""
    key = named(layers, row)
    if study.results.has("rows", key):
        return
    study.restore()
    begun = time.perf_counter()
    blocks = put_in_place(study, layers, row)
    seconds = time.perf_counter() - begun
    losses = {part: study.losses(part, layers[0]).tolist() for part in study.tested}
    measured: dict[str, Any] = {
        "layers": layers,
        "row": row,
        "seconds": seconds,
        "numbers": max(recipes.numbers(block) for block in blocks) if row != "intact" else None,
        "terms": sum(map(recipes.terms, blocks)),
        "losses": losses,
    }
    recipe = RECIPES[row]
    if recipe.reduction is not None and recipe.equations:
        for block in blocks:
            recipes.put_in_force(block, equations=False)
        measured["without_equations"] = study.losses("test", layers[0]).tolist()
    study.restore()
    study.results.put("rows", key, measured)
    print(f"{key}: {average(losses['test']):.4f} nats", flush=True)


# ------------------------------------------------------------------ speed


def time_it(study: Study, layers: tuple[int, ...]) -> None:
    """Tokens a second against the intact model, for what can be put in place without a search.

    Healing changes numbers only, so that a row stands for itself healed, too.
    """
    a = study.arguments
    for row in a.rows:
        recipe, key = RECIPES[row], named(layers, row)
        ready = row == "zero" or (
            recipe.reduction is not None and blocks_file(study, layers, recipe).exists()
        )
        if recipe.healed or not ready or study.results.has("speed", key):
            continue
        study.restore()
        replaced = dict(zip(layers, put_in_place(study, layers, row), strict=True))
        study.restore()
        prompt = study.windows["test"].tokens[:1].to(a.device)
        times = speed.against(study.model, replaced, prompt, pairs=a.pairs, new_tokens=a.new_tokens)
        study.results.put("speed", key, times)
        print(f"{key}: {flat(times)}", flush=True)


def time_shape(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same for a model with the shape of Qwen2.5-1.5B and random weights, in bfloat16."""
    model = random_model(QWEN).to(arguments.device)
    # Random weights have nothing to fit: a few rows give coordinates, and as many terms as of
    # real ones. Each layer is fitted to the rows that enter the first, for want of better ones.
    tokens = torch.randint(QWEN["vocab_size"], (8, 128), device=arguments.device)
    layers = (14, 15, 18)
    hidden = states_before(model, layers[0], tokens.split(2), arguments.device)
    batches = [states.to(arguments.device) for states in hidden.split(2)]
    published = replace(RECIPES["published"], engine="quadratic", sr_params={"maxsize": 80})
    result = {}
    for row, recipe in (
        ("published", published),
        ("supervised 40k + symbolic", RECIPES["supervised 40k + symbolic"]),
        ("supervised + symbolic", RECIPES["supervised + symbolic"]),
    ):
        intact = {layer: layers_of(model)[layer].mlp for layer in layers}
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
        print(f"{row}: {flat(result[row])}", flush=True)
    return result


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
    arguments.cache.mkdir(parents=True, exist_ok=True)
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
