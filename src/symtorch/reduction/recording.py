"""One pass over data with a wide block watched: its moments, a sample, its coordinates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..errors import InputError
from ..recording.adapters.request import LayoutRequest
from ..recording.batches import Data, check_repeatable
from ..recording.moments import MomentReservoir, Moments
from ..recording.recorder import Recorder, run_recorders
from ..recording.recording import Recording
from .fitting import Reduced, reduce_recording
from .request import Reduction
from .sensitivity import gradient_moment, output_slopes


def record_reduced(
    block: nn.Module,
    name: str,
    data: Data | Recording,
    reduction: Reduction,
    *,
    model: nn.Module | Callable[..., Any] | None = None,
    request: LayoutRequest = LayoutRequest(),  # noqa: B008  (frozen)
    max_samples: int | None = 10_000,
    input_of: Callable[[Any], Any] | None = None,
    random_state: int = 0,
) -> Reduced:
    """Record a wide block in the few coordinates asked for.

    All rows go into the coordinates, ``max_samples`` of them into the recording.

    Args:
        block: the block.
        name: for messages.
        data: batches, iterated twice where the reduction has a loss; or a recording, whose
            rows are then all there is.
        reduction: what is wanted.
        model: takes the batches; the block itself if None.
        request: what the user said about the block's calls.
        max_samples: rows of the recording; None for all.
        input_of: takes a batch to the model's input.
        random_state: seed of the sample.

    Raises:
        InputError: data that cannot be used; fewer coordinates than asked for.
        StateError: the model does not call the block.
    """
    if isinstance(data, Recording):
        if reduction.loss is not None:
            raise InputError(
                f"block '{name}': Reduction(loss=...) needs the data that the model takes, to "
                f"differentiate the loss; it was given a Recording"
            )
        moments = Moments.of(data.inputs, data.outputs)
        return reduce_recording(
            data, moments, reduction, None, lambda root: output_slopes(block, data, root)
        )
    model = block if model is None else model
    if reduction.loss is not None:
        if not isinstance(model, nn.Module):
            raise InputError(
                f"block '{name}': Reduction(loss=...) needs parent_model to be an nn.Module"
            )
        check_repeatable(data, f"block '{name}': Reduction(loss=...) passes over the data twice")
    reservoir = MomentReservoir(max_samples, random_state)
    recorder = Recorder(block, name, request, max_samples, random_state, reservoir=reservoir)
    run_recorders(model, [recorder], data, input_of, random_state)
    recording = recorder.recording()
    weight = None
    if reduction.loss is not None:
        assert isinstance(model, nn.Module)
        weight = gradient_moment(
            model,
            block,
            recording.layout,
            data,
            reduction.loss,
            input_of=input_of,
            random_state=random_state,
        )
    return reduce_recording(
        recording,
        reservoir.sums.moments(),
        reduction,
        weight,
        lambda root: output_slopes(block, recording, root, random_state),
    )
