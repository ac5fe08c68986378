"""From the recording of a wide block to its coordinates, and to a recording in them."""

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

PRODUCT_COORDINATES = 32
"""Coordinates whose products predict the output directions: the products of more coordinates
would outnumber what a sample's rows can determine."""


@dataclass(frozen=True)
class Reduced:
    """A wide block in few coordinates.

    Args:
        coordinates: the matrices, on the CPU in float32.
        recording: z0, z1, ... [rows, inputs], and the reduced outputs that equations are to compute
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
    """Choose coordinates, and express a recording in them.

    Args:
        recording: a sample of the block's rows.
        moments: of all its rows.
        request: the user's request.
        weight: [outputs, outputs], the cost of an error of the outputs; equal weights if None.
        slopes_along: gradients of the block, see `output_slopes`; for the method "gradient".

    Raises:
        InputError: the data have fewer coordinates than requested.
    """
    weight = request.weight if weight is None else weight
    _check_weight(weight, len(moments.yy), recording.block_name)
    predictive = reduced_rank(moments, weight, request.ridge)
    certain = beyond_chance(predictive, moments)
    linear = _LinearPath(
        predictive.first(min(request.rank, certain)),
        linear_map(moments, request.ridge) if request.linear is True else None,
    )
    x = recording.inputs.double().cpu() - moments.x_mean
    residual = recording.outputs.double().cpu() - moments.y_mean - x @ linear.slopes

    match request.method:
        case "pca":
            encoder = principal(moments.xx).encoder
        case "gradient":
            assert slopes_along is not None
            found = slopes_along(roots(weight, len(moments.yy))[0])
            encoder = active(found.values - found.along @ linear.slopes.mT, moments)
        case "supervised":
            encoder = predictive.encoder
            if certain < request.inputs:
                encoder = _and_curved(encoder[:, :certain], x, residual, moments)
    _check_count(encoder, request.inputs, "inputs", recording)

    z = x @ encoder[:, : request.inputs]
    if request.method == "pca":
        outputs = principal(without_linear(moments, linear.slopes).yy)
    else:
        outputs = reduced_rank(Moments.of(_quadratic(z), residual), weight)
    _check_count(outputs.encoder, request.outputs, "outputs", recording)
    outputs = outputs.first(request.outputs)

    coordinates = _coordinates(encoder, outputs, linear, recording, moments, request, weight)
    z, targets = (t.to(recording.inputs.dtype) for t in (z, residual @ outputs.reader))
    reduced = replace(
        recording, column_names=(), inputs=z, outputs=targets, layout=coordinates.core
    )
    return Reduced(coordinates, reduced)


def _and_curved(
    encoder: torch.Tensor, x: torch.Tensor, residual: torch.Tensor, moments: Moments
) -> torch.Tensor:
    """An encoder, followed by the directions along which the residual curves most."""
    return torch.cat([encoder, curved(x, residual, moments, beside=encoder)], dim=1)


@dataclass(frozen=True)
class _LinearPath:
    """The linear map beside the equations: of low rank, or a full matrix in its place."""

    low_rank: LowRank
    full: torch.Tensor | None

    @property
    def slopes(self) -> torch.Tensor:
        """The map as one matrix, [inputs, outputs]."""
        if self.full is not None:
            return self.full
        return self.low_rank.encoder @ self.low_rank.decoder


def _coordinates(
    encoder: torch.Tensor,
    outputs: LowRank,
    linear: _LinearPath,
    recording: Recording,
    moments: Moments,
    request: Reduction,
    weight: torch.Tensor | None,
) -> Coordinates:
    """The module with the matrices that were found."""
    path, full = linear.low_rank, linear.full
    # The coordinates of the linear path are the leading ones that predict the outputs, so
    # under "supervised" the equations read the same ones.
    shared = request.method == "supervised"
    if shared:
        encoder = encoder[:, : max(request.inputs, path.rank)]
    else:
        encoder = torch.cat([encoder[:, : request.inputs], path.encoder], dim=1)
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
    coordinates.fill(
        encoder=encoder,
        encoder_bias=-moments.x_mean @ encoder,
        decoder=torch.cat([outputs.decoder, path.decoder]),
        output_bias=moments.y_mean if full is None else moments.y_mean - moments.x_mean @ full,
        input_scale=moments.xx.diagonal().sqrt(),
        **_variances(outputs, moments, without_linear(moments, linear.slopes), weight),
        **({} if full is None else {"linear": full}),
    )
    return coordinates


def _variances(
    outputs: LowRank, moments: Moments, residual: Moments, weight: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """Variance of each reduced output, its share of the block's variance, and the linear path's."""
    width = len(moments.yy)
    cost = torch.eye(width, dtype=torch.float64) if weight is None else weight.double().cpu()
    total = (cost * moments.yy).sum()
    spread = (outputs.reader * (residual.yy @ outputs.reader)).sum(0)
    cost_per_variance = (outputs.decoder @ cost * outputs.decoder).sum(1)
    return {
        "spread": spread,
        "shares": spread * cost_per_variance / total,
        "linear_share": 1 - (cost * residual.yy).sum() / total,
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
            f"does not depend on them, or its gradient is not finite"
        )


def _quadratic(z: torch.Tensor) -> torch.Tensor:
    """Coordinates and the products of the first of them."""
    first = z[:, :PRODUCT_COORDINATES]
    a, b = torch.triu_indices(first.shape[1], first.shape[1])
    return torch.cat([z, first[:, a] * first[:, b]], dim=1)


def _check_count(encoder: torch.Tensor, count: int, what: str, recording: Recording) -> None:
    if encoder.shape[1] < count:
        raise InputError(
            f"block '{recording.block_name}': Reduction asks for {count} {what}, and "
            f"{encoder.shape[1]} is all there are in {recording.rows_seen} rows"
        )
