"""Distilling: from a block and data to equations for its outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..errors import StateError
from ..recording.dependence import DependenceProbe
from ..recording.features import Features, Transform
from ..recording.query import oracles_for
from ..recording.recording import Recording
from ..reduction import Reduction
from ..search import SearchOptions
from ..slime.blocks import explain_outputs
from ..slime.neighbourhood import Locality
from .front_files import front_paths
from .results import Distilled
from .searching import Work, distill_outputs
from .source import Source, outputs_asked_for
from .state import Findings, SymbolicState


@dataclass(frozen=True)
class Variables:
    """What equations are written in; arguments as for `SymbolicModel.distill`."""

    names: Sequence[str] | None = None
    transforms: Mapping[str, Transform] | Sequence[Transform] | None = None

    def features(self, columns: Sequence[str]) -> Features:
        """As functions of a block's columns."""
        return Features.plan(columns, self.names, self.transforms)


@dataclass(frozen=True)
class Search:
    """How to search; arguments as for `SymbolicModel.distill`."""

    options: SearchOptions
    engine: str = "auto"
    weights: Any = None
    validation_fraction: float = 0.25
    work: Work = field(default_factory=Work)


def distill(
    block: nn.Module,
    state: SymbolicState,
    source: Source,
    dims: int | Sequence[int] | None,
    variables: Variables,
    search: Search,
    *,
    save_path: str | os.PathLike[str] | None = None,
    reduce: Reduction | None = None,
) -> Findings:
    """Find equations for what a block does; arguments as for `SymbolicModel.distill`."""
    reduction = None
    probe = DependenceProbe(block, state.block_name)
    with nullcontext() if isinstance(source.inputs, Recording) else probe.attached():
        if reduce is None:
            recording = source.record(block, state)
        else:
            reduction, recording = source.record_reduced(block, state, reduce)
            if variables == Variables():
                variables = Variables([f"z{i}" for i in range(reduce.inputs)])
    probe.warn(recording.layout if reduction is None else reduction.layout, recording.precision)
    asked = outputs_asked_for(state, dims, recording)
    if reduction is None:
        state.results["distilled"].check_layout(recording.layout, asked)
    features = variables.features(recording.names)
    paths = front_paths(save_path, state.block_name, asked)
    fronts = distill_outputs(
        recording,
        asked,
        features,
        weights=search.weights,
        engine=search.engine,
        options=search.options,
        oracles=oracles_for(block, recording) if reduction is None else {},
        validation_fraction=search.validation_fraction,
        random_state=source.random_state,
        work=search.work,
    )
    found = {dim: Distilled(front, features) for dim, front in fronts.items()}
    return Findings("distilled", recording.layout, found, reduction, paths)


def explain(
    block: nn.Module,
    state: SymbolicState,
    x: Any,
    source: Source,
    dims: int | Sequence[int] | None,
    variables: Variables,
    locality: Locality,
    options: SearchOptions,
    *,
    save_path: str | os.PathLike[str] | None = None,
) -> Findings:
    """Find equations that hold around a row; arguments as for `SymbolicModel.explain`.

    Raises:
        StateError: the block was reduced.
    """
    if state.reduction is not None:
        raise StateError(
            f"block '{state.block_name}': equations around a row explain the block's own "
            f"columns, not reduced ones; clear_fronts() forgets a reduction"
        )
    recording = source.record(block, state)
    asked = outputs_asked_for(state, dims, recording)
    state.results["explained"].check_layout(recording.layout, asked)
    features = variables.features(recording.names)
    paths = front_paths(save_path, state.block_name, asked)
    fronts = explain_outputs(
        block, recording, asked, features, x, locality, options, random_state=source.random_state
    )
    found = {dim: Distilled(front, features) for dim, front in fronts.items()}
    return Findings("explained", recording.layout, found, None, paths)
