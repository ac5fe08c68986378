"""From what was recorded of a wide block to its coordinates, and to tables in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..capture import Recording
from ..errors import InputError
from .coordinates import Coordinates, Shape
from .directions import (
    beyond_chance,
    curved,
    linear_map,
    principal,
    reduced_rank,
    without_linear,
)
from .moments import Moments
from .request import Reduction

PRODUCTS_OF = 32
"""Output directions are judged by products of this many coordinates: more products than that
would need more rows than a sample has."""


@dataclass(frozen=True)
class Reduced:
    """A wide block in few coordinates.

    Args:
        coordinates: the matrices, on the CPU in float32.
        recording: z0, z1, ... [rows, inputs], and what the equations are to compute
            [rows, outputs].
    """

    coordinates: Coordinates
    recording: Recording


def reduce_recording(
    recording: Recording,
    moments: Moments,
    request: Reduction,
    weight: torch.Tensor | None = None,
) -> Reduced:
    """Choose coordinates, and write a recording in them.

    Args:
        recording: a sample of the block's rows.
        moments: of all its rows.
        request: what is wanted.
        weight: [outputs, outputs], what an error of the outputs costs; equal if None.

    Raises:
        InputError: the block has fewer coordinates than asked for.
    """
    supervised = request.method == "supervised"
    x = recording.inputs.double().cpu() - moments.x_mean
    y = recording.outputs.double().cpu() - moments.y_mean
    predictive = reduced_rank(moments, weight, request.ridge)
    full = request.linear is True
    certain = beyond_chance(predictive, moments)
    path = predictive.first(min(request.rank, certain))
    slopes = linear_map(moments, request.ridge) if full else path.encoder @ path.decoder
    rest, left = y - x @ slopes, without_linear(moments, slopes)

    if not supervised:
        inputs = principal(moments.xx).encoder
    else:
        inputs = predictive.encoder
        if certain < request.inputs:
            inputs = inputs[:, :certain]
            inputs = torch.cat([inputs, curved(x, rest, moments, beside=inputs)], dim=1)
    inputs = _first(inputs, max(request.inputs, path.rank * supervised), "inputs", recording)
    z = x @ inputs[:, : request.inputs]
    outputs = (
        reduced_rank(Moments.of(_quadratic(z), rest), weight) if supervised else principal(left.yy)
    )
    _first(outputs.encoder, request.outputs, "outputs", recording)
    outputs = outputs.first(request.outputs)

    shape = Shape(
        width=len(moments.xx),
        inputs=request.inputs,
        outputs=request.outputs,
        rank=path.rank,
        shared=supervised,
        full=full,
        target=len(moments.yy),
    )
    coordinates = Coordinates(shape, recording.layout, recording.block_name, request.method)
    encoder = inputs if supervised else torch.cat([inputs, path.encoder], dim=1)
    cost = torch.eye(shape.target, dtype=torch.float64) if weight is None else weight.double().cpu()
    total = (cost * moments.yy).sum()
    spread = (outputs.reader * (left.yy @ outputs.reader)).sum(0)
    reach = (outputs.decoder @ cost * outputs.decoder).sum(1)
    values = {
        "encoder": encoder,
        "encoder_bias": -moments.x_mean @ encoder,
        "decoder": torch.cat([outputs.decoder, path.decoder]),
        "output_bias": moments.y_mean - (moments.x_mean @ slopes if full else 0.0),
        "input_scale": moments.xx.diagonal().sqrt(),
        "shares": spread * reach / total,
        "spread": spread,
        "linear_share": 1 - (cost * left.yy).sum() / total,
    }
    if full:
        values["linear"] = slopes
    with torch.no_grad():
        for name, value in values.items():
            getattr(coordinates, name).copy_(value)
    kind = recording.inputs.dtype
    return Reduced(
        coordinates,
        replace(
            recording,
            inputs=z.to(kind),
            outputs=(rest @ outputs.reader).to(kind),
            layout=coordinates.core,
        ),
    )


def _quadratic(z: torch.Tensor) -> torch.Tensor:
    """Coordinates and the products of the first of them."""
    first = z[:, :PRODUCTS_OF]
    a, b = torch.triu_indices(first.shape[1], first.shape[1])
    return torch.cat([z, first[:, a] * first[:, b]], dim=1)


def _first(encoder: torch.Tensor, count: int, what: str, recording: Recording) -> torch.Tensor:
    if encoder.shape[1] < count:
        raise InputError(
            f"block '{recording.block_name}': Reduction asks for {count} {what}, and "
            f"{encoder.shape[1]} is all there are in {recording.rows_seen} rows"
        )
    return encoder[:, :count]
