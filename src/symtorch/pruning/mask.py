"""PruningMask: which outputs of a block stay as it trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from ..recording.adapters.output import map_output
from ..recording.adapters.request import LayoutRequest
from ..recording.dims import as_list
from ..recording.hooks import no_op_hook
from .schedule import PruningSchedule


class PruningMask(nn.Module):
    """Which outputs of a block are active; a call sets the others to zero.

    >>> mask = PruningMask(PruningSchedule(3, 1, total_steps=10))
    >>> mask.keep_widest(2, torch.tensor([[0.0, 5.0, 2.0], [1.0, -5.0, -2.0]]), "block")
    >>> mask.dims
    (1, 2)
    >>> mask(torch.ones(1, 3), LayoutRequest(), "block")
    tensor([[0., 1., 1.]])

    Args:
        schedule: how many outputs stay at each step.
        dims: numbers of the active outputs; all by default.
        device: of the mask.
    """

    def __init__(
        self,
        schedule: PruningSchedule,
        dims: Sequence[int] | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        # Not persistent: the mask is saved with the schedule, so that both are checked, and
        # take effect, together.
        active = torch.zeros(schedule.initial_dim, dtype=torch.bool, device=device)
        self.register_buffer("active", active, persistent=False)
        self._keep(range(schedule.initial_dim) if dims is None else dims)
        self.register_forward_pre_hook(no_op_hook)

    active: torch.Tensor

    def _keep(self, dims: Sequence[int]) -> None:
        # Kept as numbers too: reading them from the tensor would make every switched call wait
        # for the GPU.
        self.dims = tuple(sorted(dims))
        self.pruned = tuple(sorted(set(range(self.schedule.initial_dim)) - set(dims)))
        self.active.fill_(False)
        self.active[list(self.dims)] = True

    def keep_widest(self, count: int, outputs: torch.Tensor, name: str) -> None:
        """Keep the active outputs with the largest standard deviation.

        Of equal ones the lower numbers stay. Pruned outputs stay pruned.

        Args:
            count: how many to keep.
            outputs: [rows, outputs], of the block without its mask.
            name: of the block, for messages.

        Raises:
            InputError: the number of outputs is not the schedule's ``initial_dim``, or values
                are not finite; the mask stays as it was.
        """
        self.check_width(outputs.shape[1], name)
        spread = outputs[:, list(self.dims)].double().std(0, correction=0)
        bad = (~spread.isfinite()).nonzero().flatten().tolist()
        if bad:
            raise InputError(
                f"block '{name}': outputs {[self.dims[i] for i in bad]} are NaN or infinite on "
                f"the sample, so that they cannot be ranked; nothing was pruned"
            )
        widest = spread.argsort(descending=True, stable=True)[:count].tolist()
        self._keep([self.dims[i] for i in widest])

    def choose(self, dims: int | Sequence[int] | None, name: str) -> list[int]:
        """The outputs that a user asks for; None means all active ones.

        Raises:
            InputError: one of them was pruned.
        """
        if dims is None:
            return list(self.dims)
        asked = as_list(dims)
        gone = [dim for dim in asked if dim in self.pruned]
        if gone:
            raise InputError(
                f"block '{name}': outputs {gone} were pruned and are always zero; active "
                f"outputs: {[*self.dims]}"
            )
        return asked

    def forward(self, output: Any, request: LayoutRequest, name: str) -> Any:
        """A block's output, with the pruned outputs exactly zero.

        Args:
            output: of the block; the table may be a part of it.
            request: where the table is, and its axis of features.
            name: of the block, for messages.

        Raises:
            InputError: the number of outputs is not the schedule's ``initial_dim``.
        """
        if not self.pruned:
            return output
        axis = request.feature_dim if isinstance(request.feature_dim, int) else -1

        def masked(table: torch.Tensor) -> torch.Tensor:
            self.check_width(table.shape[axis], name)
            shape = [1] * table.ndim
            shape[axis] = -1
            # Filled, not multiplied: nan times zero is nan.
            return table.masked_fill(~self.active.to(table.device).view(shape), 0)

        return map_output(output, request.output, masked, name)

    def check_width(self, width: int, name: str) -> None:
        """Make sure that a block has as many outputs as the schedule begins with.

        Raises:
            InputError: it has more or fewer.
        """
        if width != self.schedule.initial_dim:
            raise InputError(
                f"block '{name}' has {width} outputs; setup_pruning was told "
                f"initial_dim={self.schedule.initial_dim}"
            )

    def to_saved(self) -> SavedMask:
        """Schedule and mask in the form of a document."""
        return SavedMask(self.schedule, "".join("01"[flag] for flag in self.active.tolist()))

    @classmethod
    def from_saved(cls, saved: SavedMask, device: torch.device | None = None) -> PruningMask:
        """The inverse of `to_saved`."""
        dims = [dim for dim, flag in enumerate(saved.active) if flag == "1"]
        return cls(saved.schedule, dims, device)

    def extra_repr(self) -> str:
        """How many outputs are active."""
        return f"{len(self.dims)} of {self.schedule.initial_dim} outputs active"


@dataclass(frozen=True)
class SavedMask:
    """A `PruningMask` in a document: ``active`` has a "1" or "0" per output.

    Raises:
        InputError: schedule and mask that do not fit together.
    """

    schedule: PruningSchedule
    active: str

    def __post_init__(self) -> None:
        # Checked before anything of the schedule's size is allocated.
        sound = (
            len(self.active) == self.schedule.initial_dim
            and set(self.active) <= {"0", "1"}
            and self.active.count("1") >= self.schedule.target_dim
        )
        if not sound:
            raise InputError(f"not a saved pruning mask: '{self.active[:80]}' for {self.schedule}")
