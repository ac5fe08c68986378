"""Directions: the few coordinates of wide inputs and outputs that matter, from their moments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..recording.moments import Moments

RIDGE = 1e-4
"""Added to the inputs' covariance, times their mean variance: it keeps slopes small along
directions that the sample does not determine."""

_NEGLIGIBLE = 1e-9
"""Share of the largest eigenvalue below which an eigenvalue is rounding error."""

_LEAST_WEIGHT = 1e-4
"""Share of a weight's mean eigenvalue that every direction gets, so that it can be inverted."""

_TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True)
class LowRank:
    """A linear map through few coordinates of unit variance.

    Args:
        encoder: [inputs, rank]; ``z = (x - mean) @ encoder``.
        decoder: [rank, outputs]; ``y = mean + z @ decoder``.
        reader: [outputs, rank]: recovers z from an output, ``z = (y - mean) @ reader``.
    """

    encoder: torch.Tensor
    decoder: torch.Tensor
    reader: torch.Tensor

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return self.encoder.shape[1]

    def first(self, count: int) -> LowRank:
        """Only the most important coordinates."""
        return LowRank(self.encoder[:, :count], self.decoder[:count], self.reader[:, :count])


def linear_map(moments: Moments, ridge: float = RIDGE) -> torch.Tensor:
    """Ridge regression of outputs on inputs, [inputs, outputs], for centred columns."""
    scale = ridge * moments.xx.diagonal().mean()
    ridged = moments.xx + scale * torch.eye(len(moments.xx), dtype=torch.float64)
    # A constant column, or one that is a sum of others, makes this singular.
    solution: torch.Tensor = torch.linalg.lstsq(ridged, moments.xy, driver="gelsd").solution
    return solution


def reduced_rank(
    moments: Moments, weight: torch.Tensor | None = None, ridge: float = RIDGE
) -> LowRank:
    """Reduced-rank regression: the linear map as coordinates, ordered by what they predict.

    The first r coordinates are the best linear map of rank r, for the squared error under
    ``weight`` (A. J. Izenman, "Reduced-rank regression for the multivariate linear model",
    Journal of Multivariate Analysis 5, 1975).

    >>> x = torch.randn(500, 6, dtype=torch.float64)
    >>> y = torch.stack([x[:, 0] + x[:, 1], 3 * x[:, 2]], dim=1)
    >>> found = reduced_rank(Moments.of(x, y))
    >>> found.encoder.shape, found.decoder.shape              # the strongest comes first
    (torch.Size([6, 2]), torch.Size([2, 2]))
    >>> int(found.encoder[:, 0].abs().argmax())
    2

    Args:
        moments: of inputs and outputs.
        weight: [outputs, outputs], positive semidefinite: what an error costs, such as the
            second moment of a loss's gradient; equal weights by default.
        ridge: see `RIDGE`.

    Returns:
        All coordinates that predict anything, in descending order of predicted variance.
    """
    slopes = linear_map(moments, ridge)
    root, inverse = roots(weight, slopes.shape[1])
    predicted = root @ slopes.mT @ moments.xx @ slopes @ root
    values, vectors = torch.linalg.eigh((predicted + predicted.mT) / 2)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > _NEGLIGIBLE * values[0].clamp(min=_TINY)
    values, vectors = values[kept], _signed(vectors[:, kept])
    encoder = slopes @ root @ vectors / values.sqrt()
    decoder = values.sqrt()[:, None] * (vectors.mT @ inverse)
    return LowRank(encoder, decoder, root @ vectors / values.sqrt())


def beyond_chance(found: LowRank, moments: Moments) -> int:
    """Number of leading coordinates that predict more than noise would seem to, by chance.

    Regressing noise on n columns seems to explain as much of it as n rows hold. The best of m
    output directions seems to explain ``(sqrt(n) + sqrt(m))**2`` rows (the edge of the
    spectrum of a random matrix; Marchenko and Pastur, 1967).
    """
    inputs, outputs = found.encoder.shape[0], int(torch.linalg.matrix_rank(moments.yy))
    residual = without_linear(moments, found.encoder @ found.decoder).yy
    noise = (found.reader * (residual @ found.reader)).sum(0)
    # Coordinates have a predicted variance of 1.
    predicted = noise * (inputs**0.5 + outputs**0.5) ** 2 < moments.rows
    return int(predicted.long().cumprod(0).sum())


def principal(covariance: torch.Tensor) -> LowRank:
    """Principal components: coordinates of unit variance, and the map back.

    >>> found = principal(torch.diag(torch.tensor([1.0, 9.0, 4.0]).double()))
    >>> found.encoder[:, 0].round(decimals=3)
    tensor([0.0000, 0.3330, 0.0000], dtype=torch.float64)
    """
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0), vectors.flip(1)
    kept = values > _NEGLIGIBLE * values[0].clamp(min=_TINY)
    values, vectors = values[kept], _signed(vectors[:, kept])
    encoder = vectors / values.sqrt()
    return LowRank(encoder, values.sqrt()[:, None] * vectors.mT, encoder)


def curved(
    x: torch.Tensor, y: torch.Tensor, moments: Moments, beside: torch.Tensor | None = None
) -> torch.Tensor:
    """Principal Hessian directions: coordinates along which outputs bend, the strongest first.

    They are the eigenvectors of ``E[y x x^T]`` for whitened inputs, summed in squares over
    the outputs, and hold all directions of a quadratic function of normal inputs (K.-C. Li,
    "On principal Hessian directions for data visualization and dimension reduction", Journal
    of the American Statistical Association 87, 1992).

    >>> x = torch.randn(5000, 4, dtype=torch.float64)
    >>> y = (x[:, :1] + x[:, 1:2]) ** 2
    >>> curved(x, y, Moments.of(x, y))[:, 0].abs().round(decimals=1)
    tensor([0.7000, 0.7000, 0.0000, 0.0000], dtype=torch.float64)

    Args:
        x: [rows, inputs], centred.
        y: [rows, outputs].
        moments: of the inputs.
        beside: [inputs, known], an encoder to coordinates chosen before, of unit variance and
            uncorrelated; the new ones are uncorrelated with them.

    Returns:
        [inputs, inputs - known], an encoder to coordinates of unit variance.
    """
    whitening = principal(moments.xx).encoder
    white = x @ whitening
    y = (y - y.mean(0)) / y.std(0).clamp(min=_TINY)
    # One output at a time: a Hessian for each would not fit into memory.
    squared_hessians = white.new_zeros(white.shape[1], white.shape[1])
    for column in y.unbind(1):
        hessian = (white * column[:, None]).mT @ white / len(white)
        squared_hessians += hessian @ hessian
    known = 0
    if beside is not None:
        # The directions of these coordinates among whitened inputs are projected out.
        taken = whitening.mT @ moments.xx @ beside
        free = torch.eye(len(squared_hessians), dtype=torch.float64) - taken @ taken.mT
        squared_hessians, known = free @ squared_hessians @ free, beside.shape[1]
    _, vectors = torch.linalg.eigh(squared_hessians)
    return whitening @ _signed(vectors.flip(1)[:, : len(squared_hessians) - known])


def active(slopes: torch.Tensor, moments: Moments) -> torch.Tensor:
    """Active subspace: coordinates along which outputs change most, the strongest first.

    They are the eigenvectors of the second moment of gradients, for whitened inputs (P. G.
    Constantine, E. Dow and Q. Wang, "Active subspace methods in theory and practice", SIAM
    Journal on Scientific Computing 36, 2014).

    >>> x = torch.randn(5000, 3, dtype=torch.float64)
    >>> slopes = torch.zeros_like(x)
    >>> slopes[:, 1] = torch.cos(x[:, 1])                     # of y = sin(x1)
    >>> active(slopes, Moments.of(x, x))[:, 0].abs().round(decimals=1)
    tensor([0., 1., 0.], dtype=torch.float64)

    Args:
        slopes: [rows, inputs], gradients of some outputs at some rows.
        moments: of the inputs.

    Returns:
        [inputs, rank], an encoder to coordinates of unit variance.
    """
    whitening = principal(moments.xx)
    white = slopes @ whitening.decoder.mT
    _, vectors = torch.linalg.eigh(white.mT @ white)
    return whitening.encoder @ _signed(vectors.flip(1))


def without_linear(moments: Moments, slopes: torch.Tensor) -> Moments:
    """The moments of inputs and of the residual that a linear map leaves of the outputs."""
    shared = moments.xy.mT @ slopes
    residual = moments.yy - shared - shared.mT + slopes.mT @ moments.xx @ slopes
    y_mean = moments.y_mean - moments.x_mean @ slopes
    return replace(moments, y_mean=y_mean, xy=moments.xy - moments.xx @ slopes, yy=residual)


def roots(weight: torch.Tensor | None, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Square root of a weight, and its inverse; see `_LEAST_WEIGHT`."""
    if weight is None:
        identity = torch.eye(width, dtype=torch.float64)
        return identity, identity
    values, vectors = torch.linalg.eigh(weight.double().cpu())
    roots = values.clamp(min=_LEAST_WEIGHT * float(values.mean())).sqrt()
    return (vectors * roots) @ vectors.mT, (vectors / roots) @ vectors.mT


def _signed(vectors: torch.Tensor) -> torch.Tensor:
    """Columns with their largest entry positive: eigenvectors come with either sign."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0)
