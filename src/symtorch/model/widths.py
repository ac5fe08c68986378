"""How many outputs a block has, as far as that can be known without a call."""

from __future__ import annotations

from torch import nn

from ..errors import InputError
from .state import SymbolicState


def check_width(block: nn.Module, state: SymbolicState, width: int) -> None:
    """Make sure that a block has as many outputs as a user says, where that is known.

    Raises:
        InputError: it has another number.
    """
    known = _known_width(block, state)
    if known is not None and known != width:
        raise InputError(
            f"block '{state.block_name}' has {known} outputs; setup_pruning was told "
            f"initial_dim={width}"
        )


def _known_width(block: nn.Module, state: SymbolicState) -> int | None:
    for found in state.results.values():
        if found.layout is not None:
            return found.layout.output.width
    if state.width is not None:
        return state.width
    last = block
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    plain = state.request.output is None and state.request.feature_dim in ("auto", -1)
    return last.out_features if isinstance(last, nn.Linear) and plain else None
