"""PrunableBlock: a wrapped block that can be recorded, and lose outputs while it trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import StateError
from ..pruning.mask import PruningMask
from ..pruning.schedule import PruningSchedule
from ..recording.batches import Data
from ..recording.recording import Recording
from .source import Source
from .stateful import StatefulWrapper
from .switch import device_of
from .widths import check_width


class PrunableBlock(StatefulWrapper):
    """What a training loop does with a `SymbolicModel`."""

    def record(
        self,
        inputs: Data,
        *,
        parent_model: nn.Module | Callable[..., Any] | None = None,
        max_samples: int | None = 10_000,
        input_of: Callable[[Any], Any] | None = None,
        random_state: int = 0,
    ) -> Recording:
        """Record what the block does; arguments as for `SymbolicModel.distill`."""
        source = Source(inputs, parent_model, max_samples, input_of, random_state)
        return source.record(self._module, self.symbolic_state)

    def setup_pruning(
        self,
        initial_dim: int,
        target_dim: int,
        total_steps: int,
        end_step_frac: float = 0.5,
        decay_rate: str = "exp",
    ) -> None:
        """Plan to take outputs away while the model trains; all are active again from now.

        >>> import torch
        >>> from symtorch import SymbolicModel
        >>> block = SymbolicModel(nn.Linear(4, 20), "message")
        >>> block.setup_pruning(20, 2, total_steps=100)
        >>> block.prune(100, torch.randn(50, 4))        # in a training loop: after each step
        >>> len(block.get_active_dimensions())
        2

        Args:
            initial_dim: outputs of the block.
            target_dim: outputs that stay in the end.
            total_steps: of the training, in whatever `prune` counts: batches or epochs.
            end_step_frac: share of the training after which pruning is done.
            decay_rate: ``"exp"``, ``"linear"`` or ``"cosine"``, see `PruningSchedule`.

        Raises:
            InputError: values that make no schedule, or another number of outputs than
                the block has, as far as its type or a recorded call shows; nothing changes.
        """
        schedule = PruningSchedule(initial_dim, target_dim, total_steps, end_step_frac, decay_rate)
        check_width(self._module, self.symbolic_state, schedule.initial_dim)
        mask = PruningMask(schedule, device=device_of(self._module))
        self.symbolic_state.set_pruning(mask, self._module)

    def prune(
        self,
        step: int,
        sample_data: Data,
        parent_model: nn.Module | Callable[..., Any] | None = None,
    ) -> None:
        """Take away as many outputs as the schedule asks for at a step of the training.

        Of the active outputs those with the largest standard deviation on a sample stay;
        what was pruned stays pruned. Cheap at steps at which nothing is to be done: the
        model then does not run.

        Args:
            step: counted from 0.
            sample_data: what to run the model on, as for `SymbolicModel.distill`.
            parent_model: as for `SymbolicModel.distill`.

        Raises:
            StateError: `setup_pruning` was not called, or ``parent_model`` does not call
                the block.
            InputError: outputs that are not finite, or not as many as was said; the mask
                stays as it was.
        """
        pruning = self._pruning_set_up()
        count = pruning.schedule.dimensions_at(step)
        if count < len(pruning.dims):
            recording = self.record(sample_data, parent_model=parent_model)
            pruning.keep_widest(count, recording.outputs, self.block_name)
            self.symbolic_state.follow(self._module)

    def get_active_dimensions(self) -> list[int]:
        """Numbers of the outputs that were not pruned, ascending.

        Raises:
            StateError: `setup_pruning` was not called.
        """
        return list(self._pruning_set_up().dims)

    def _pruning_set_up(self) -> PruningMask:
        pruning = self.symbolic_state.pruning
        if pruning is None:
            raise StateError(
                f"block '{self.block_name}' is not being pruned; call "
                f"setup_pruning(initial_dim, target_dim, total_steps) first"
            )
        return pruning
