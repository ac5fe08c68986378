"""Executor: what all ways of carrying equations out have in common."""

from __future__ import annotations

from typing import Protocol

import torch


class Executor(Protocol):
    """Carries equations out; `Execution` chooses one for each call.

    `Direct` runs a small graph step by step, `Grouped` whole tensors on any device; of these
    `Followed` takes the better one. `Workspaces` runs in memory that is kept, on the CPU, and
    `Differentiated` adds the gradient. `NodeByNode` and `InPieces` are for compilers.
    """

    def run(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs].

        Args:
            x: float32 or float64.
            trained: the constants that can be trained; of a layer without, anything.
        """
