"""Recording a wide block: its moments and a sample in one pass, then its coordinates."""

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
    """Record a wide block in the few coordinates requested.

    Coordinates are chosen from the moments of all rows; the recording keeps ``max_samples``
    of them. (Most lines of this function describe and pass on its arguments.)

    Args:
        block: the block.
        name: for messages.
        data: batches, iterated twice if the reduction has a loss; or a recording, whose rows then
            give the moments too.
        reduction: the user's request.
        model: is called with the batches; the block itself if None.
        request: how the user describes the block's calls.
        max_samples: rows of the recording; None for all.
        input_of: takes a batch to the model's input.
        random_state: seed of the sample.

    Raises:
        InputError: data that cannot be used; fewer coordinates than asked for.
        StateError: the model does not call the block.
    """
    model = block if model is None else model
    if reduction.loss is not None:
        _check_differentiable(name, data, model)
    if isinstance(data, Recording):
        moments = Moments.of(data.inputs, data.outputs)
        return reduce_recording(
            data, moments, reduction, None, lambda root: output_slopes(block, data, root)
        )
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


def _check_differentiable(name: str, data: Any, model: nn.Module | Callable[..., Any]) -> None:
    """Make sure, before anything is recorded, that a loss can be differentiated afterwards."""
    if isinstance(data, Recording):
        raise InputError(
            f"block '{name}': Reduction(loss=...) needs the data that the model takes, to "
            f"differentiate the loss; it was given a Recording"
        )
    if not isinstance(model, nn.Module):
        raise InputError(
            f"block '{name}': Reduction(loss=...) needs parent_model to be an nn.Module"
        )
    check_repeatable(data, f"block '{name}': Reduction(loss=...) passes over the data twice")
