"""Putting a row's stand-ins in the place of the MLPs, and keeping what was distilled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from symtorch import SymbolicModel

from . import recipes
from .model import Tail, layers_of
from .recipes import RECIPES, Recipe
from .study import Study


def put_in_place(study: Study, layers: Sequence[int], row: str) -> list[nn.Module]:
    """Replace the MLPs, one layer after the other, each fitted behind those before it."""
    recipe = RECIPES[row]
    if recipe.reduction is not None:
        distil = heal_blocks if recipe.healed else distil_blocks
        distil(study, layers, recipe)
    elif row == "zero":
        for layer in layers:
            zeros = torch.zeros(study.model.config.hidden_size, device=study.arguments.device)
            layers_of(study.model)[layer].mlp = recipes.Constant(zeros)
    elif row != "intact":
        for layer, batches in study.entering(layers):
            mlp = study.mlps[layer]
            recording = SymbolicModel(mlp).record(
                batches,
                parent_model=Tail(study.model, layer, stop=layer + 1),
                max_samples=study.arguments.max_samples,
            )
            stand_in = recipes.plain_stand_in(row, mlp, recording)
            layers_of(study.model)[layer].mlp = stand_in.to(study.arguments.device)
    return [layers_of(study.model)[layer].mlp for layer in layers]


def distil_blocks(study: Study, layers: Sequence[int], recipe: Recipe) -> None:
    """Equations in the MLPs' places, distilled unless they are kept."""
    assert recipe.reduction is not None
    a = study.arguments
    path = blocks_file(study, layers, recipe)
    if path.exists():
        load_blocks(study, layers, path)
    else:
        weights: dict[int, torch.Tensor] = {}
        if recipe.reduction.method != "pca":
            # Of the intact model, so before any layer is replaced.
            weights = {layer: study.weight(layer, layers[0]) for layer in layers}
        for layer, batches in study.entering(layers):
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


def heal_blocks(study: Study, layers: Sequence[int], recipe: Recipe) -> None:
    """The same, healed."""
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


def blocks_file(study: Study, layers: Sequence[int], recipe: Recipe, more: str = "") -> Path:
    assert recipe.reduction is not None
    r = recipe.reduction
    name = f"{r.method}-{r.inputs}-{r.outputs}-{r.linear}-{recipe.engine}{more}"
    return study.cache / f"blocks-{'-'.join(map(str, layers))}-{name}.pt"


def save_blocks(study: Study, layers: Sequence[int], path: Path) -> None:
    states = {}
    for layer in layers:
        state = layers_of(study.model)[layer].mlp.state_dict()
        # Without the block itself: the model has it.
        states[str(layer)] = {k: v for k, v in state.items() if not k.startswith("block.")}
    torch.save(states, path)


def load_blocks(study: Study, layers: Sequence[int], path: Path) -> None:
    states = torch.load(path, weights_only=True)
    for layer in layers:
        block = SymbolicModel(study.mlps[layer], f"model.layers.{layer}.mlp")
        block.load_state_dict(states[str(layer)], strict=False)
        layers_of(study.model)[layer].mlp = block.eval()
