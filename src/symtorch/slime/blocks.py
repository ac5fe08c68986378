"""Local equations for the outputs of a wrapped block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from ..errors import InputError
from ..recording.features import Features
from ..recording.query import BlockQuery
from ..recording.recording import Recording
from ..search import SearchOptions
from ..search.front import Front
from .columns import Columns
from .fitting import Answers, check_options, fit_front
from .link import Identity
from .neighbourhood import Locality
from .planning import Plan
from .target import answers
from .view import View


def explain_outputs(
    block: nn.Module,
    recording: Recording,
    dims: Sequence[int],
    features: Features,
    x: Any,
    locality: Locality,
    options: SearchOptions,
    *,
    random_state: int,
) -> dict[int, Front]:
    """Equations for some outputs of a block around one row of its inputs.

    Args:
        block: evaluated at new rows.
        recording: of the block; its inputs are the data.
        dims: outputs to explain.
        features: variables to explain them with.
        x: [columns], the row; None explains all of the data.
        locality: what counts as near.
        options: of the search.
        random_state: seed of the rows and of the search.

    Raises:
        InputError: arguments that do not fit, a block that cannot be evaluated row by row.
    """
    check_options(options)
    columns = Columns.of(recording.inputs, recording.names)
    plan = Plan.around(x, recording.inputs, columns, locality, random_state)
    view = View(columns, plan.reference, features)
    predictions = answers(_query(block, recording), columns, plan.rows)
    return {
        dim: fit_front(
            Answers.of(plan, predictions[:, dim]),
            plan.center,
            view,
            Identity(),
            options,
            random_state,
        )
        for dim in dims
    }


def _query(block: nn.Module, recording: Recording) -> BlockQuery:
    try:
        return BlockQuery.of(block, recording)
    except InputError as error:
        raise InputError(f"{error}, so no local equation can be found") from error.__cause__
