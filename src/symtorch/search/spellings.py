"""The ways to name variables, weights and seed that users of PySR know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .options import SearchOptions


def merge_spellings(
    sr_params: Mapping[str, Any] | SearchOptions | None,
    variable_names: Sequence[str] | None,
    weights: Any,
    random_state: int,
) -> tuple[Sequence[str] | None, Any, int, SearchOptions]:
    """Names, weights, seed and options, by whichever way each of them came."""
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
    return variable_names, weights, random_state if seed is None else int(seed), options
