"""Source: where the rows come from that a block is distilled or explained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import StateError
from ..recording.batches import Data
from ..recording.recorder import Recorder, run_recorders
from ..recording.recording import Recording
from ..reduction import Coordinates, Reduction, record_reduced
from .searching import chosen_outputs
from .state import SymbolicState
from .switch import parameter_of


@dataclass(frozen=True)
class Source:
    """Data, and how to run a model on it; arguments as for `SymbolicModel.distill`."""

    inputs: Data | Recording
    parent_model: nn.Module | Callable[..., Any] | None = None
    max_samples: int | None = 10_000
    input_of: Callable[[Any], Any] | None = None
    random_state: int = 0

    def record(self, block: nn.Module, state: SymbolicState) -> Recording:
        """What the block does on these data."""
        if isinstance(self.inputs, Recording):
            return self.inputs
        recorder = Recorder(
            block, state.block_name, state.request, self.max_samples, self.random_state
        )
        model = block if self.parent_model is None else self.parent_model
        with state.out_of_force():
            run_recorders(model, [recorder], self.inputs, self.input_of, self.random_state)
        recording = recorder.recording()
        state.width = recording.layout.output.width
        return recording

    def record_reduced(
        self, block: nn.Module, state: SymbolicState, request: Reduction
    ) -> tuple[Coordinates, Recording]:
        """Few coordinates for the block, and what it does in them.

        Raises:
            StateError: the block is pruned.
        """
        if state.pruning is not None:
            raise StateError(
                f"block '{state.block_name}' is pruned, which leaves few outputs already; "
                f"distill it without reduce"
            )
        with state.out_of_force():
            reduced = record_reduced(
                block,
                state.block_name,
                self.inputs,
                request,
                model=self.parent_model,
                request=state.request,
                max_samples=self.max_samples,
                input_of=self.input_of,
                random_state=self.random_state,
            )
        like = parameter_of(block)
        coordinates = reduced.coordinates
        return coordinates if like is None else coordinates.to(like), reduced.recording


def outputs_asked_for(
    state: SymbolicState, dims: int | Sequence[int] | None, recording: Recording
) -> list[int]:
    """Numbers of the outputs to search equations for; None is all that were not pruned.

    Raises:
        InputError: there is no such output, or it was pruned.
    """
    width = recording.layout.output.width
    if state.pruning is not None:
        state.pruning.check_width(width, state.block_name)
        dims = state.pruning.choose(dims, state.block_name)
    return chosen_outputs(dims, width, state.block_name)
