"""From a recording to fronts: one search an output, side by side if asked to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..errors import InputError
from ..lazy import LazyModule
from ..recording.contexts import gradients
from ..recording.dims import as_list
from ..recording.features import Features
from ..recording.recording import Recording
from ..search import Engine, Problem, Progress, SearchOptions, register_engine, search
from ..search.front import Front
from ..search.problem import Oracle
from ..search.quality import warn_of_poor_fits
from ..search.registry import SECONDS_PER_OUTPUT, check_honoured, engine_named

joblib = LazyModule("joblib")

ProgressArgument = bool | Callable[[Progress], None] | None


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
    n_jobs: int = 1,
    progress: ProgressArgument = None,
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
        n_jobs: searches side by side, in processes; the answers do not depend on it.
        progress: True for a bar, or a callback.

    Raises:
        InputError: data or options that cannot be used.
    """
    guest = engine_named(engine)
    check_honoured(guest, options)
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
    jobs = min(joblib.effective_n_jobs(n_jobs), len(dims))
    share = options.replace(timeout_in_seconds=total / -(-len(dims) // jobs))
    if jobs > 1:
        found = joblib.Parallel(n_jobs=jobs)(
            joblib.delayed(_search_elsewhere)(guest, problem, share, random_state)
            for problem in problems
        )
        fronts = dict(zip(dims, found, strict=True))
        warn_of_poor_fits(fronts, recording.block_name)
        return fronts
    with _Reporter(progress, len(dims)) as reporter:
        fronts = {}
        for position, (dim, problem) in enumerate(zip(dims, problems, strict=True)):
            report = reporter.for_output(position, dim)
            fronts[dim] = _search_one(problem, share, engine, random_state, report)
    warn_of_poor_fits(fronts, recording.block_name)
    return fronts


def _search_one(
    problem: Problem,
    options: SearchOptions,
    engine: str,
    random_state: int,
    progress: Callable[[Progress], None] | None,
) -> Front:
    return search(problem, options, engine=engine, random_state=random_state, progress=progress)


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


def _search_elsewhere(guest: Engine, problem: Problem, options: SearchOptions, seed: int) -> Front:
    # Another process knows only the engines that come with the package.
    register_engine("here", lambda: guest)
    return _search_one(problem, options, "here", seed, None)


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


class _Reporter:
    """Turns the progress of one output into that of the whole call."""

    def __init__(self, progress: ProgressArgument, outputs: int) -> None:
        self._callback = progress if callable(progress) else None
        self._bar = tqdm(total=100, unit="%", leave=False) if progress is True else None
        self._outputs = outputs

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def for_output(self, position: int, dim: int) -> Callable[[Progress], None]:
        def report(progress: Progress) -> None:
            fraction = (position + progress.fraction) / self._outputs
            message = f"output {dim}: {progress.message}"
            if self._callback is not None:
                self._callback(Progress(fraction, progress.best_loss, message))
            if self._bar is not None:
                self._bar.set_postfix_str(f"{message}, loss {progress.best_loss:.3g}")
                self._bar.update(int(100 * fraction) - self._bar.n)

        return report
