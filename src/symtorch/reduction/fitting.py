"""From what was recorded of a wide block to its coordinates, and to tables in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..errors import InputError
from ..recording.moments import Moments
from ..recording.recording import Recording
from .coordinates import Coordinates, Shape
from .directions import (
    LowRank,
    active,
    beyond_chance,
    curved,
    linear_map,
    principal,
    reduced_rank,
    roots,
    without_linear,
)
from .request import Reduction
from .sensitivity import Slopes

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
    slopes_along: Callable[[torch.Tensor], Slopes] | None = None,
) -> Reduced:
    """Choose coordinates, and write a recording in them.

    Args:
        recording: a sample of the block's rows.
        moments: of all its rows.
        request: what is wanted.
        weight: [outputs, outputs], what an error of the outputs costs; equal if None.
        slopes_along: gradients of the block, see `output_slopes`; for the method "gradient".

    Raises:
        InputError: the block has fewer coordinates than asked for.
    """
    weight = request.weight if weight is None else weight
    _check_weight(weight, len(moments.yy), recording.block_name)
    predictive = reduced_rank(moments, weight, request.ridge)
    certain = beyond_chance(predictive, moments)
    path = predictive.first(min(request.rank, certain))
    full = linear_map(moments, request.ridge) if request.linear is True else None
    slopes = path.encoder @ path.decoder if full is None else full
    x = recording.inputs.double().cpu() - moments.x_mean
    rest = recording.outputs.double().cpu() - moments.y_mean - x @ slopes

    match request.method:
        case "pca":
            encoder = principal(moments.xx).encoder
        case "gradient":
            assert slopes_along is not None
            found = slopes_along(roots(weight, len(moments.yy))[0])
            encoder = active(found.values - found.along @ slopes.mT, moments)
        case "supervised":
            encoder = predictive.encoder
            if certain < request.inputs:
                encoder = encoder[:, :certain]
                bent = curved(x, rest, moments, beside=encoder)
                encoder = torch.cat([encoder, bent], dim=1)
    _check_count(encoder, request.inputs, "inputs", recording)
    shared = request.method == "supervised"
    if shared:
        encoder = encoder[:, : max(request.inputs, path.rank)]
    else:
        encoder = torch.cat([encoder[:, : request.inputs], path.encoder], dim=1)

    z, left = x @ encoder[:, : request.inputs], without_linear(moments, slopes)
    if request.method == "pca":
        outputs = principal(left.yy)
    else:
        outputs = reduced_rank(Moments.of(_quadratic(z), rest), weight)
    _check_count(outputs.encoder, request.outputs, "outputs", recording)
    outputs = outputs.first(request.outputs)

    shape = Shape(
        width=len(moments.xx),
        inputs=request.inputs,
        outputs=request.outputs,
        rank=path.rank,
        shared=shared,
        full=full is not None,
        target=len(moments.yy),
    )
    coordinates = Coordinates(shape, recording.layout, recording.block_name, request.method)
    offset = moments.y_mean if full is None else moments.y_mean - moments.x_mean @ full
    coordinates.fill(
        encoder=encoder,
        encoder_bias=-moments.x_mean @ encoder,
        decoder=torch.cat([outputs.decoder, path.decoder]),
        output_bias=offset,
        input_scale=moments.xx.diagonal().sqrt(),
        **_variances(outputs, moments, left, weight),
        **({} if full is None else {"linear": full}),
    )
    kind = recording.inputs.dtype
    targets = (rest @ outputs.reader).to(kind)
    reduced = replace(
        recording, column_names=(), inputs=z.to(kind), outputs=targets, layout=coordinates.core
    )
    return Reduced(coordinates, reduced)


def _variances(
    outputs: LowRank, moments: Moments, left: Moments, weight: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """Variance of each reduced output, its share in that of the block, and the linear path's."""
    width = len(moments.yy)
    cost = torch.eye(width, dtype=torch.float64) if weight is None else weight.double().cpu()
    total = (cost * moments.yy).sum()
    spread = (outputs.reader * (left.yy @ outputs.reader)).sum(0)
    reach = (outputs.decoder @ cost * outputs.decoder).sum(1)
    return {
        "spread": spread,
        "shares": spread * reach / total,
        "linear_share": 1 - (cost * left.yy).sum() / total,
    }


def _check_weight(weight: torch.Tensor | None, width: int, name: str) -> None:
    if weight is None:
        return
    if weight.shape != (width, width):
        raise InputError(
            f"block '{name}': Reduction(weight=...) must be [{width}, {width}], outputs by "
            f"outputs; got {[*weight.shape]}"
        )
    if not bool(weight.isfinite().all()) or not float(weight.trace()) > 0:
        raise InputError(
            f"block '{name}': errors of the outputs have no finite, positive weight: the loss "
            f"does not feel them, or its gradient is not finite"
        )


def _quadratic(z: torch.Tensor) -> torch.Tensor:
    """Coordinates and the products of the first of them."""
    first = z[:, :PRODUCTS_OF]
    a, b = torch.triu_indices(first.shape[1], first.shape[1])
    return torch.cat([z, first[:, a] * first[:, b]], dim=1)


def _check_count(encoder: torch.Tensor, count: int, what: str, recording: Recording) -> None:
    if encoder.shape[1] < count:
        raise InputError(
            f"block '{recording.block_name}': Reduction asks for {count} {what}, and "
            f"{encoder.shape[1]} is all there are in {recording.rows_seen} rows"
        )
