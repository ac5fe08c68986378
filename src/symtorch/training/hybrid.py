"""Selecting the parameters of a hybrid model that healing trains, and freezing the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from ..errors import StateError
from ..layer.layer import SymbolicLayer
from ..model.model import SymbolicModel


@contextmanager
def trainable(blocks: Sequence[SymbolicModel]) -> Iterator[None]:
    """Trainable constants in switched blocks; afterwards frozen ones are frozen again."""
    in_force = [(block, block.symbolic_state.switch) for block in blocks]
    frozen = [(b, switch) for b, switch in in_force if switch and not switch.trainable_constants]
    try:
        for block, switch in frozen:
            block.equations_of(switch.kind).switch_to_symbolic(
                switch.chosen, trainable_constants=True, compile=switch.compiled
            )
        yield
    finally:
        for block, switch in frozen:
            block.equations_of(switch.kind).switch_to_symbolic(
                switch.chosen, compile=switch.compiled
            )


def symbolic_parameters(model: nn.Module, blocks: Sequence[SymbolicModel]) -> list[nn.Parameter]:
    """Constants of equations and matrices of reductions, each once.

    Raises:
        StateError: the model has none.
    """
    found: dict[int, nn.Parameter] = {}
    parts: list[nn.Module] = [m for m in model.modules() if isinstance(m, SymbolicLayer)]
    reductions = [block.symbolic_state.reduction for block in blocks]
    parts += [reduction for reduction in reductions if reduction is not None]
    for part in parts:
        found |= {id(p): p for p in part.parameters() if p.numel()}
    if not found:
        names = [m.block_name for m in model.modules() if isinstance(m, SymbolicModel)]
        raise StateError(
            f"nothing to heal in {type(model).__name__}: no block is switched to equations with "
            f"constants (wrapped are {names}); call switch_to_symbolic() first"
        )
    return list(found.values())


@contextmanager
def alone(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Only these require gradients inside; afterwards flags and gradients are as before."""
    everything = {id(p): p for p in (*model.parameters(), *parameters)}.values()
    before = [(p, p.requires_grad, p.grad) for p in everything]
    try:
        for p in everything:
            p.requires_grad_(False)
        for p in parameters:
            p.requires_grad_(True)
        yield
    finally:
        for p, flag, gradient in before:
            p.requires_grad_(flag)
            p.grad = gradient
