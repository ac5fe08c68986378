"""What stands in for the MLP of some layers: the rows of the benchmark's table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from symtorch import Recording, Reduction, SymbolicModel, heal
from symtorch.reduction import gradient_moment

from .model import Tail, layers_of

INPUTS, OUTPUTS = 32, 8
"""Coordinates of the published experiment."""

PRODUCTS: Mapping[str, Any] = {"maxsize": 300}
"""For nonlinear terms beside a linear path: up to about fifty products in one equation."""


@dataclass(frozen=True)
class Recipe:
    """How the MLPs are replaced.

    Args:
        reduction: coordinates; None for the rows that need none.
        engine: of the search.
        sr_params: its options.
        equations: whether the equations are used, or only the simplest ones, numbers that
            leave all to the linear path.
        healed: whether heal() follows.
    """

    reduction: Reduction | None = None
    engine: str = "auto"
    sr_params: Mapping[str, Any] | None = None
    equations: bool = True
    healed: bool = False


PUBLISHED = Recipe(Reduction(INPUTS, OUTPUTS, method="pca"))
SMALL = Recipe(Reduction(INPUTS, 2, linear=INPUTS), "quadratic", PRODUCTS)
LARGE = Recipe(Reduction(INPUTS, 32, method="gradient", linear=True), "quadratic", PRODUCTS)

RECIPES: dict[str, Recipe] = {
    "intact": Recipe(),
    "zero": Recipe(),
    "mean": Recipe(),
    "PCA control": Recipe(),
    "published": PUBLISHED,
    "published, healed": replace(PUBLISHED, healed=True),
    "supervised 40k": replace(SMALL, equations=False),
    "supervised 40k + symbolic": SMALL,
    "supervised 40k + symbolic, healed": replace(SMALL, healed=True),
    "supervised": replace(LARGE, equations=False),
    "supervised, healed": replace(LARGE, equations=False, healed=True),
    "supervised + symbolic": LARGE,
    "supervised + symbolic, healed": replace(LARGE, healed=True),
}
"""The rows. Those of one reduction and engine share what was distilled."""


class Constant(nn.Module):
    """A vector in the place of what a block computes."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value.to(x.dtype).expand_as(x)


class Projected(nn.Module):
    """The true block, which sees and answers in principal components only.

    Args:
        block: the block.
        x: [rows, inputs], sample of its inputs.
        y: [rows, outputs], of its outputs.
    """

    def __init__(self, block: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
        super().__init__()
        self.block = block
        for name, table, count in (("x", x, INPUTS), ("y", y, OUTPUTS)):
            _, vectors = torch.linalg.eigh(torch.cov(table.double().T))
            top = vectors[:, -count:]
            self.register_buffer(f"{name}_plane", (top @ top.T).to(table))
            self.register_buffer(f"{name}_mean", table.mean(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(self.x_mean + (x - self.x_mean) @ self.x_plane)
        return self.y_mean + (y - self.y_mean) @ self.y_plane


def plain_stand_in(row: str, mlp: nn.Module, recording: Recording) -> nn.Module:
    """The control, or the mean, for an MLP and what was recorded of it."""
    if row == "PCA control":
        return Projected(mlp, recording.inputs, recording.outputs)
    return Constant(recording.outputs.mean(0))


def distill(
    model: nn.Module,
    layer: int,
    hidden: Sequence[torch.Tensor],
    recipe: Recipe,
    weight: torch.Tensor | None,
    *,
    seconds: float,
    max_samples: int,
) -> SymbolicModel:
    """A wrapped MLP with equations, fitted where the layers before it leave off.

    Args:
        model: whole; what stands in for earlier layers is in force, and fitted around.
        layer: whose MLP.
        hidden: batches of what enters the layer, [windows, tokens, width] each.
        recipe: what to do.
        weight: what an error of the MLP's output costs.
        seconds: for the search of one equation.
        max_samples: rows for the search.
    """
    assert recipe.reduction is not None
    block = SymbolicModel(layers_of(model)[layer].mlp, f"model.layers.{layer}.mlp")
    layers_of(model)[layer].mlp = block
    reduction = recipe.reduction
    if reduction.method != "pca":
        reduction = replace(reduction, weight=weight)
    block.distill(
        hidden,
        parent_model=Tail(model, layer, stop=layer + 1),
        reduce=reduction,
        engine=recipe.engine,
        sr_params={
            **(recipe.sr_params or {}),
            "timeout_in_seconds": seconds * reduction.outputs,
        },
        max_samples=max_samples,
    )
    return block


def put_in_force(block: SymbolicModel, *, equations: bool) -> None:
    """Put equations in force: the most accurate ones on rows held out, or the simplest.

    Not the ones that `Front.get_best` would choose: where noise leaves most of the variance, it
    takes all equations for equally good.
    """
    block.switch_to_symbolic(
        {
            dim: front.get_best("accuracy").complexity if equations else front[0].complexity
            for dim, front in block.fronts.items()
        }
    )


def loss_weight(
    model: nn.Module, layer: int, start: int, hidden: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Second moment of the gradient of the next-token loss at an MLP's output."""
    tail = Tail(model, start)
    mlp = layers_of(model)[layer].mlp
    layout = SymbolicModel(mlp).record(hidden[:1], parent_model=tail).layout
    pairs = list(zip(hidden.split(2), tokens.split(2), strict=True))
    return gradient_moment(
        tail, mlp, layout, pairs, lambda logits, pair: nll(logits, pair[1]).sum(),
        input_of=lambda pair: pair[0],
    )  # fmt: skip


def nll(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Negative log-likelihood of each next token, [batch, tokens - 1], nats."""
    flat = logits[:, :-1].float().flatten(0, 1)
    losses = nn.functional.cross_entropy(flat, tokens[:, 1:].flatten(), reduction="none")
    return losses.view(len(tokens), -1)


def healed(
    model: nn.Module,
    start: int,
    hidden: torch.Tensor,
    *,
    steps: int,
    windows: int,
    learning_rate: float,
    half: bool,
    progress: Callable[[Any], None] | None = None,
) -> Any:
    """heal() of the layers from ``start`` on, against the intact ones."""
    held_out, train = hidden[:16], hidden[16:]
    return heal(
        Tail(model, start, half=half),
        list(train.split(windows)),
        held_out=list(held_out.split(4)),
        steps=steps,
        learning_rate=learning_rate,
        evaluate_every=max(1, steps // 8),
        progress=progress,
    )


def numbers(block: nn.Module) -> int:
    """How many numbers a stand-in holds."""
    if isinstance(block, SymbolicModel):
        assert block.symbolic_state.switch is not None
        assert block.symbolic_state.reduction is not None
        constants = sum(len(e.constants) for e in block.symbolic_state.switch.expressions.values())
        return block.symbolic_state.reduction.numbers + constants
    kept = [*block.parameters(), *block.buffers()]
    return sum(tensor.numel() for tensor in kept)


def terms(block: nn.Module) -> int:
    """Terms of the equations in force: constants in them that are no exponent."""
    if not isinstance(block, SymbolicModel) or block.symbolic_state.switch is None:
        return 0
    return sum(len(e.constants) for e in block.symbolic_state.switch.expressions.values())
