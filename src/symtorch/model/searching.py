"""From a recording to fronts: one search an output, side by side if asked to."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..errors import InputError, InterruptedWarning
from ..jobs import Checkpoint, Manifest, Outcome, Reporter, Searches, run_searches
from ..jobs import ProgressArgument as ProgressArgument
from ..jobs.checkpoint import Resume as Resume
from ..lazy import LazyModule
from ..recording.contexts import gradients
from ..recording.dims import as_list
from ..recording.features import Features
from ..recording.recording import Recording
from ..search import Problem, SearchOptions
from ..search.front import Front
from ..search.problem import Oracle
from ..search.quality import warn_of_poor_fits
from ..search.registry import SECONDS_PER_OUTPUT, check_honoured, engine_named

joblib = LazyModule("joblib")


@dataclass(frozen=True)
class Work:
    """How searches are run; arguments as for `SymbolicModel.distill`."""

    n_jobs: int = 1
    progress: ProgressArgument = None
    stop: Callable[[], bool] = lambda: False
    checkpoint: str | os.PathLike[str] | None = None
    resume: Resume = "same"


def chosen_outputs(asked: int | Sequence[int] | None, width: int, name: str) -> list[int]:
    """Output numbers from what a user asked for; None is all.

    Raises:
        InputError: there is no such output.
    """
    if asked is None:
        return list(range(width))
    dims = as_list(asked)
    if not dims:
        raise InputError(f"block '{name}': dims is empty; None asks for all outputs")
    for dim in dims:
        if not 0 <= dim < width:
            raise InputError(f"block '{name}' has outputs 0-{width - 1}; asked for output {dim}")
    return list(dict.fromkeys(dims))


@gradients(True)
def distill_outputs(
    recording: Recording,
    dims: Sequence[int],
    features: Features,
    *,
    weights: Any = None,
    engine: str = "auto",
    options: SearchOptions,
    oracles: Mapping[int, Oracle] = {},
    validation_fraction: float = 0.25,
    random_state: int = 0,
    work: Work | None = None,
) -> dict[int, Front]:
    """Search equations for some outputs of a recording.

    Args:
        recording: the tables.
        dims: outputs to explain.
        features: variables to explain them with.
        weights: one per row that passed while recording, or per row kept.
        engine: name of the search engine.
        options: of the search; the timeout is shared by all outputs.
        oracles: the functions behind outputs, where they can be queried.
        validation_fraction: share of rows held out.
        random_state: seed.
        work: how the searches are run; their answers do not depend on it.

    Returns:
        A front for each output; after an interrupt, for those that have one.

    Raises:
        InputError: data or options that cannot be used.
    """
    work = work or Work()
    guest = engine_named(engine)
    options = check_honoured(guest, options)
    _check_rows(recording)
    with torch.no_grad():
        table = features(recording.inputs)
    row_weights = _row_weights(weights, recording)
    problems = []
    for dim in dims:
        try:
            problem = Problem.split(
                table,
                recording.outputs[:, dim],
                features.names,
                weights=row_weights,
                validation_fraction=validation_fraction,
                random_state=random_state,
                oracle=oracles.get(dim) if features.transforms is None else None,
                precision=recording.precision,
            )
        except InputError as error:
            raise InputError(f"block '{recording.block_name}', output {dim}: {error}") from None
        problems.append(problem)
    _check_inputs_vary(problems[0], recording.block_name)
    total = options.timeout_in_seconds or SECONDS_PER_OUTPUT * len(dims)
    # Searches run in ceil(outputs / jobs) rounds, which share the budget evenly.
    jobs = min(joblib.effective_n_jobs(work.n_jobs), len(dims))
    share = options.replace(timeout_in_seconds=total / -(-len(dims) // jobs))
    by_output = dict(zip(dims, problems, strict=True))
    searches = Searches(share, engine, random_state)
    if work.checkpoint is not None:
        manifest = Manifest.of(recording.block_name, by_output, share, engine, random_state)
        kept = Checkpoint.opened(work.checkpoint, manifest, work.resume)
        searches = replace(searches, checkpoint=kept)
    with Reporter(work.progress, len(dims), work.stop) as reporter:
        outcome = run_searches(by_output, searches, reporter, guest, jobs)
    fronts = dict(outcome.fronts)
    _warn_of_interruption(recording.block_name, outcome)
    warn_of_poor_fits(fronts, recording.block_name)
    return fronts


def _warn_of_interruption(name: str, outcome: Outcome) -> None:
    cut = [dim for dim, front in outcome.fronts.items() if front.interrupted]
    if not cut and not outcome.missing:
        return
    missing = f"; outputs {[*outcome.missing]} were not searched" if outcome.missing else ""
    warnings.warn(
        f"block '{name}': interrupted; outputs {[*outcome.fronts]} have equations, those of "
        f"{cut} as far as the search had come{missing}",
        InterruptedWarning,
        stacklevel=2,
    )


def _check_rows(recording: Recording) -> None:
    if recording.rows_seen > 1:
        return
    message = f"block '{recording.block_name}': a law cannot be found from 1 row"
    inputs = recording.layout.inputs
    if inputs.feature_dim is not None and inputs.count > 1:
        shown = ", ".join(inputs.names[:4]) + (", ..." if inputs.count > 4 else "")
        message += (
            f"; its inputs were read as {inputs.count} features {shown} of one row: if each "
            f"element is a row and each argument one column, say feature_dim=None"
        )
    raise InputError(message)


def _row_weights(weights: Any, recording: Recording) -> torch.Tensor | None:
    if weights is None:
        return None
    if not isinstance(weights, torch.Tensor):
        weights = torch.from_numpy(np.array(weights, dtype=np.float64))
    row_weights: torch.Tensor = (
        weights.detach().to(recording.row_index.device, torch.float64).flatten()
    )
    if len(row_weights) == recording.rows_seen:
        return row_weights[recording.row_index]
    if len(row_weights) == len(recording):
        return row_weights
    raise InputError(
        f"{len(row_weights)} weights, but {recording.rows_seen} rows passed block "
        f"'{recording.block_name}' ({len(recording)} were kept)"
    )


def _check_inputs_vary(problem: Problem, name: str) -> None:
    X = problem.train.X
    flat = (X.amax(0) == X.amin(0)).tolist()
    constant = [column for column, is_flat in zip(problem.names, flat, strict=True) if is_flat]
    if len(constant) == len(problem.names):
        y = problem.train.y
        if float(y.max()) > float(y.min()):
            raise InputError(
                f"block '{name}': every input column is constant in the sample "
                f"({', '.join(constant)}), so no law can be found; record varied data"
            )
