"""Local equations for the outputs of a wrapped block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..recording.contexts import evaluating
from ..recording.features import Features
from ..recording.layout import read_output
from ..recording.recording import Recording
from ..search import SearchOptions
from ..search.front import Front
from .columns import Columns
from .fitting import Answers, check_options, fit_front
from .link import Identity
from .neighbourhood import Locality
from .planning import Plan
from .target import Query, answers
from .view import View


def explain_outputs(
    block: nn.Module,
    recording: Recording,
    dims: Sequence[int],
    features: Features,
    slime_params: Mapping[str, Any] | None,
    options: SearchOptions,
    *,
    random_state: int,
    engine: str = "auto",
    weights: Any = None,
) -> dict[int, Front]:
    """Equations for some outputs of a block around one row of its inputs.

    Args:
        block: it is asked about new rows.
        recording: of the block; its inputs are the data.
        dims: outputs to explain.
        features: variables to explain them with.
        slime_params: the predecessor's names: ``x`` [columns], None for all of the data;
            ``J_nn``, ``num_synthetic``, ``real_weighting``, ``nn_metric``, ``var``.
        options: of the search.
        random_state: seed of the rows and of the search.
        engine: only ``"auto"`` and ``"local"`` are possible.
        weights: only None is possible: nearness makes the weights.

    Raises:
        InputError: arguments that do not fit, a block that cannot be asked row by row.
    """
    if engine not in ("auto", "local"):
        raise InputError(f"local equations are searched by the engine 'local'; got '{engine}'")
    if weights is not None:
        raise InputError("local equations weight rows by their nearness to x; leave weights out")
    check_options(options)
    locality, x = Locality.from_old(slime_params)
    columns = Columns.of(recording.inputs, recording.names)
    plan = Plan.around(x, recording.inputs, columns, locality, random_state)
    view = View(columns, plan.reference, features)
    said = answers(_query(block, recording), columns, plan.rows)
    return {
        dim: fit_front(
            Answers.of(plan, said[:, dim]), plan.center, view, Identity(), options, random_state
        )
        for dim in dims
    }


def _query(block: nn.Module, recording: Recording) -> Query:
    """The block as a function of its columns: [rows, columns] -> [rows, outputs]."""
    layout = recording.layout

    def ask(table: torch.Tensor) -> torch.Tensor:
        if layout.inputs.feature_dim is None:
            parts: Sequence[Any] = table.unbind(-1)
        else:
            parts = torch.split(table, [*layout.inputs.widths], dim=-1)
        if layout.output.kind == "numpy":
            parts = [part.cpu().numpy() for part in parts]
        named = dict(zip(layout.inputs.arguments, parts, strict=True))
        with evaluating(block):
            output = block(**named) if len(parts) > 1 else block(*parts)
        return read_output(layout, output, recording.block_name)

    # Tried, not guessed: it must say again what it said when it was recorded.
    rows = slice(0, 64)
    expected = recording.outputs[rows]
    try:
        with torch.no_grad():
            again = ask(recording.inputs[rows]).to(expected)
        alike = again.shape == expected.shape and np.allclose(
            again.cpu(), expected.cpu(), rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )
    except Exception as error:  # a block may refuse for any reason
        raise InputError(
            f"block '{recording.block_name}' cannot be asked about new rows, as local "
            f"equations need: {error!r}"
        ) from error
    if not alike:
        raise InputError(
            f"block '{recording.block_name}' answers differently when it is asked about its "
            f"rows alone (does it mix rows, or need more than its columns?), so no local "
            f"equation can be found"
        )
    return ask
