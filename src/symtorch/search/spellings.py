"""The ways to name variables, weights and seed that users of PySR know."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InputError, UnsupportedTypeError
from .options import SearchOptions


def merge_spellings(
    sr_params: Mapping[str, Any] | SearchOptions | None,
    variable_names: Sequence[str] | None,
    weights: Any,
    random_state: int | None,
) -> tuple[Sequence[str] | None, Any, int, SearchOptions]:
    """Names, weights, seed and options, by whichever way each of them came.

    Raises:
        InputError: unknown names; options that cannot be used.
        UnsupportedTypeError: a seed that is no whole number.
    """
    given: dict[str, Any] = {}
    if isinstance(sr_params, SearchOptions):
        options = sr_params
    else:
        params = dict(sr_params or {})
        for name in ("variable_names", "weights", "random_state"):
            if name in params:
                given.setdefault(name, params.pop(name))
        options = SearchOptions.from_params(params)
    if variable_names is None:
        variable_names = given.get("variable_names")
    if weights is None:
        weights = given.get("weights")
    seed = given.get("random_state")
    return variable_names, weights, seed_of(random_state if seed is None else seed), options


def seed_of(random_state: int | None) -> int:
    """A seed that every generator takes: any whole number, and None for 0.

    >>> seed_of(7), seed_of(None), 0 <= seed_of(-1) < 2**63
    (7, 0, True)

    Raises:
        UnsupportedTypeError: anything else, a generator for instance.
    """
    if random_state is None:
        return 0
    try:
        return operator.index(random_state) % 2**63
    except TypeError:
        raise UnsupportedTypeError(
            f"random_state must be a whole number or None; got {type(random_state).__name__}"
        ) from None


def jobs_of(n_jobs: int | None) -> int:
    """Processes side by side, as joblib counts them: -1 for all cores.

    Raises:
        InputError: 0 of them, or no whole number.
    """
    if n_jobs is None:
        return 1
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise InputError(f"n_jobs must be a whole number, -1 for all cores; got {n_jobs!r}")
    return n_jobs
