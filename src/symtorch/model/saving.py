"""Saving: the state of a wrapped block as a document, and back; nothing in it is executed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..documents import Format, text_of, to_bytes
from ..errors import InputError
from ..pruning.mask import PruningMask, SavedMask
from ..recording.adapters.layout import Layout
from ..recording.adapters.request import LayoutRequest
from ..recording.dims import is_number
from ..recording.features import Features, SavedFeatures
from ..reduction.coordinates import SavedReduction
from ..search.front import Front
from ..search.saved_front import SavedFront
from .results import KINDS, Distilled, Kind, Results
from .state import SymbolicState


@dataclass(frozen=True)
class SavedOutput:
    """What was found for one output."""

    front: SavedFront
    features: SavedFeatures


@dataclass(frozen=True)
class SavedResults:
    """What was found for a block: its layout, and by output."""

    layout: Any
    outputs: dict[str, SavedOutput]


@dataclass(frozen=True)
class SavedSwitch:
    """The equations in force: of which kind, their complexity by output."""

    kind: Kind
    chosen: dict[str, int]
    trainable_constants: bool


@dataclass(frozen=True)
class SavedBlock:
    """All that a file keeps of a wrapped block beside its tensors."""

    block_name: str
    request: LayoutRequest
    distilled: SavedResults
    explained: SavedResults
    switch: SavedSwitch | None
    pruning: SavedMask | None
    reduction: SavedReduction | None


_FORMAT = Format("symtorch.block", 2, "state of a SymbolicModel", SavedBlock)


def is_saved_block(value: Any) -> bool:
    """Whether something in a state dict is the state of a wrapped block."""
    try:
        return f'"format": "{_FORMAT.name}"' in text_of(value)[:200]
    except InputError:
        return False


def to_tensor(state: SymbolicState) -> torch.Tensor:
    """A state as JSON in a uint8 tensor [bytes].

    Tensors of bytes are what every reader of state dicts copes with, and what
    ``torch.load(weights_only=True)`` lets through. Numbers in training are not in it: the
    constants of equations and the matrices of a reduction are tensors beside it.
    """
    switch, pruning, reduction = state.switch, state.pruning, state.reduction
    saved = SavedBlock(
        block_name=state.block_name,
        request=state.request,
        distilled=_saved_results(state.results["distilled"]),
        explained=_saved_results(state.results["explained"]),
        switch=None
        if switch is None
        else SavedSwitch(
            switch.kind,
            {str(dim): size for dim, size in switch.chosen.items()},
            switch.trainable_constants,
        ),
        pruning=None if pruning is None else pruning.to_saved(),
        reduction=None if reduction is None else reduction.to_saved(),
    )
    return to_bytes(_FORMAT.write(saved))


def read_block(value: Any) -> SavedBlock:
    """What `to_tensor` wrote.

    Raises:
        InputError: it did not write this.
    """
    return _FORMAT.read(text_of(value))


def results_of(saved: SavedBlock, block_name: str) -> dict[Kind, Results]:
    """The results in a document.

    Raises:
        InputError: they do not fit together, or cannot be read.
    """
    return {kind: _read_results(getattr(saved, kind), block_name, kind) for kind in KINDS}


def mask_of(
    saved: SavedBlock,
    results: Mapping[Kind, Results],
    block_name: str,
    device: torch.device | None,
) -> PruningMask | None:
    """The mask in a document.

    Raises:
        InputError: it is none, or of another width than the equations.
    """
    if saved.pruning is None:
        return None
    mask = PruningMask.from_saved(saved.pruning, device)
    for found in results.values():
        if found.layout is not None:
            mask.check_width(found.layout.output.width, block_name)
    return mask


def chosen_of(saved: SavedSwitch, results: Mapping[Kind, Results]) -> dict[int, int]:
    """The complexities in force.

    Raises:
        InputError: of an output or an equation that there is not.
    """
    if not saved.chosen or not all(map(is_number, saved.chosen)):
        raise InputError("saved choices are malformed")
    chosen = {int(dim): complexity for dim, complexity in saved.chosen.items()}
    found = results[saved.kind]
    for dim, complexity in chosen.items():
        if dim not in found.outputs:
            raise InputError(f"output {dim} is switched but has no equations")
        found.outputs[dim].front.select(complexity)
    return chosen


def _saved_results(found: Results) -> SavedResults:
    return SavedResults(
        None if found.layout is None else found.layout.to_saved(),
        {
            str(dim): SavedOutput(output.front.to_saved(), output.features.to_saved())
            for dim, output in found.outputs.items()
        },
    )


def _read_results(saved: SavedResults, block_name: str, kind: Kind) -> Results:
    layout = None if saved.layout is None else Layout.from_saved(saved.layout)
    outputs = {}
    for key, entry in saved.outputs.items():
        if not is_number(key) or layout is None or int(key) >= layout.output.width:
            raise InputError(f"saved equations for an output {key[:20]!r} that the block lacks")
        features = Features.from_saved(entry.features)
        front = Front.from_saved(entry.front)
        if len(features.columns) != layout.inputs.count or front.variables != features.names:
            raise InputError(f"the equations of output {key} do not fit the block's columns")
        outputs[int(key)] = Distilled(front, features)
    return Results(block_name, kind, layout, outputs)


def warn_of_functions(state: SymbolicState) -> None:
    """Tell which variable transforms a file cannot hold."""
    for kind in KINDS:
        for dim, found in state.results[kind].outputs.items():
            if found.features.unsaved:
                warnings.warn(
                    f"block '{state.block_name}', output {dim}: variable transforms "
                    f"{found.features.unsaved} are Python functions and are not saved; after "
                    f"loading hand them over with set_variable_transforms, or write them as "
                    f"text, {{'r': 'sqrt(dx**2 + dy**2)'}}",
                    stacklevel=3,
                )
