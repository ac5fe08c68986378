"""Gradient: workspaces as one node of autograd's graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from .workspaces import Workspaces

Differentiable: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""The same function written with operations that autograd can follow."""


class Evaluate(torch.autograd.Function):
    """Evaluates in a workspace; goes back by the program's own pullbacks.

    Only inputs are kept for the way back. The values in between are still in the workspace
    if no other call came in between, and are computed again otherwise.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        trained: torch.Tensor,
        workspaces: Workspaces,
        differentiable: Differentiable,
    ) -> torch.Tensor:
        """[rows, columns] -> [rows, outputs]."""
        ctx.save_for_backward(x, trained)
        ctx.workspaces = workspaces
        ctx.differentiable = differentiable
        ctx.token = object()
        return workspaces.run(x, trained, ctx.token)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of the inputs and of the trainable constants."""
        x, trained = ctx.saved_tensors
        (gradient,) = gradients
        asked = ctx.needs_input_grad[:2]
        if not torch.is_grad_enabled():
            found = ctx.workspaces.pull_back(x, trained, gradient, ctx.token)
            return (
                *(g if needed else None for g, needed in zip(found, asked, strict=True)),
                None,
                None,
            )
        # Someone wants to differentiate what is computed here.
        result = ctx.differentiable(x, trained)
        wanted = [t for t, needed in zip((x, trained), asked, strict=True) if needed]
        parts = iter(
            torch.autograd.grad(result, wanted, gradient, create_graph=True, materialize_grads=True)
        )
        return (*(next(parts) if needed else None for needed in asked), None, None)


class Differentiated:
    """Workspaces with gradients, for the CPU.

    Args:
        workspaces: of the program.
        differentiable: the same function, for second derivatives.
    """

    def __init__(self, workspaces: Workspaces, differentiable: Differentiable) -> None:
        self.workspaces = workspaces
        self.differentiable = differentiable

    def run(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        result: torch.Tensor = Evaluate.apply(x, trained, self.workspaces, self.differentiable)  # type: ignore[no-untyped-call]
        return result
