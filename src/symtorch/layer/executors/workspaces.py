"""Workspaces: those that a layer keeps, and the rows of a call shared out to them."""

from __future__ import annotations

import functools

import torch

from ..planning.placement import place_blocks
from ..planning.program import Program
from .workspace import Workspace, copy_transposed

TARGET_BYTES = 1 << 22
"""Of a workspace, about; more rows are done in several goes, so that caches serve."""

FEWEST_ROWS = 512
"""Goes are not shorter than this: the calls would outweigh the arithmetic."""

KEPT = 4
"""Workspaces kept for each layer, the last used ones."""


@functools.lru_cache(maxsize=1024)
def rows_at_a_time(rows: int, bytes_per_row: int, *, exact: bool) -> int:
    """How many rows to do in one go.

    >>> [rows_at_a_time(rows, 400, exact=False) for rows in (1, 9, 500, 512, 100_000)]
    [1, 9, 512, 512, 10240]

    Args:
        rows: there are.
        bytes_per_row: memory that one takes.
        exact: no more than there are; otherwise a few more, so that few sizes occur.
    """
    most = max(TARGET_BYTES // max(bytes_per_row, 1), FEWEST_ROWS)
    goes = -(-rows // most)
    each = -(-rows // max(goes, 1))
    if exact or each < 16:
        return max(each, 1)
    unit = 1 << (each.bit_length() - 4)
    return -(-each // unit) * unit


class Workspaces:
    """The workspaces of a layer: each is out of the collection while it is in use.

    So that threads that call a layer at the same time do not share one.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.outputs = program.outputs.stop - program.outputs.start
        # By whether all values are kept to the end.
        self.placements = {keep: place_blocks(program, keep=keep) for keep in (True, False)}
        self.free: list[Workspace] = []
        self.last_rows = 0

    def run(self, x: torch.Tensor, trained: torch.Tensor, token: object = None) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs].

        Args:
            x: float32 or float64, on the CPU, without gradient.
            trained: the trainable constants.
            token: for `pull_back` to find what this call left in memory.
        """
        rows = x.shape[0]
        result = x.new_empty(rows, self.outputs)
        keep = token is not None
        size = self.rows_at_a_time(x, keep)
        for start, stop in self.goes(rows, size):
            whole = stop - start == rows
            workspace = self.take(stop - start if keep else size, x.dtype, keep, token)
            if self.program.trainable:
                workspace.set_constants(trained)
            workspace.run(x if whole else x[start:stop])
            outputs = workspace.outputs
            if stop - start < workspace.rows:
                outputs = outputs[:, : stop - start]
            copy_transposed(outputs.t(), result if whole else result[start:stop])
            workspace.holds = token if whole else None
            self.free.append(workspace)
        self.last_rows = rows
        return result

    def pull_back(
        self, x: torch.Tensor, trained: torch.Tensor, gradient: torch.Tensor, token: object
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gradients of the inputs [rows, columns] and of the trainable constants."""
        parts: list[torch.Tensor] = []
        of_trained = torch.zeros_like(trained) if self.program.trainable else None
        for start, stop in self.goes(x.shape[0], self.rows_at_a_time(x, True)):
            workspace = self.take(stop - start, x.dtype, True, token)
            if workspace.holds is not token:
                if self.program.trainable:
                    workspace.set_constants(trained)
                workspace.run(x[start:stop])
            workspace.holds = None
            workspace.pull_back(gradient[start:stop])
            parts.append(workspace.gradient_of_inputs(stop - start, x.shape[1]))
            if of_trained is not None:
                of_trained += workspace.gradient_of_trained(len(trained))
            self.free.append(workspace)
        if len(parts) == 1:
            return parts[0], of_trained
        return torch.cat(parts) if parts else torch.zeros_like(x), of_trained

    def rows_at_a_time(self, x: torch.Tensor, keep: bool) -> int:
        """How many rows of an input to do in one go."""
        placement = self.placements[keep]
        slots = placement.computed + placement.copied
        # Sums over rows, as the gradients of constants are, must not see rows too many. And
        # who calls twice with as many rows is worth a workspace that fits.
        exact = keep or x.shape[0] == self.last_rows
        return rows_at_a_time(x.shape[0], slots * x.itemsize, exact=exact)

    def goes(self, rows: int, size: int) -> list[tuple[int, int]]:
        """Start and stop of the rows to be done at a time."""
        if 0 < rows <= size:
            return [(0, rows)]
        return [(start, min(start + size, rows)) for start in range(0, rows, size)]

    def take(self, rows: int, dtype: torch.dtype, keep: bool, token: object) -> Workspace:
        """A kept workspace, that which holds a call's values if there is, or a new one."""
        placement = self.placements[keep]
        fitting = None
        for workspace in (*self.free,):
            if (
                workspace.rows == rows
                and workspace.placement is placement
                and workspace.dtype is dtype
            ):
                fitting = workspace
                if workspace.holds is token:
                    break
        if fitting is not None:
            try:
                self.free.remove(fitting)
            except ValueError:  # another thread was faster
                pass
            else:
                return fitting
        del self.free[: -KEPT + 1]
        # Made inside inference mode, it could not be written to outside.
        with torch.inference_mode(False):
            return Workspace(self.program, placement, rows, dtype)
