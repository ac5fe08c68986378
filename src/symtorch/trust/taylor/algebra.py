"""Sums, products and matrix products of Taylor models, rounding included."""

from __future__ import annotations

import torch

from ..intervals.interval import Interval
from .model import EPSILON, UNDERFLOW, TaylorModel, with_margin


def add(a: TaylorModel, b: TaylorModel, sign: float = 1.0) -> TaylorModel:
    """``a + b``, or ``a - b`` for a sign of -1."""
    coefficients = a.coefficients + sign * b.coefficients
    remainder = a.remainder + b.remainder + EPSILON * (a.size + b.size)
    known = a.range + b.range if sign > 0 else a.range - b.range
    return TaylorModel.of(a.basis, coefficients, with_margin(remainder), known)


def negated(a: TaylorModel) -> TaylorModel:
    """``-a``, exact."""
    return TaylorModel(a.basis, -a.coefficients, a.remainder, -a.range)


def multiply(a: TaylorModel, b: TaylorModel) -> TaylorModel:
    """``a*b``: products of the polynomials up to the order, all beyond in the remainder."""
    basis, p, q = a.basis, a.coefficients, b.coefficients
    coefficients = p[:1] * q
    coefficients[1:] += q[:1] * p[1:]
    sizes_a, sizes_b = _sizes(a), _sizes(b)
    beyond = _beyond(basis.order, sizes_a, sizes_b)
    if basis.order == 2:
        g, h = p[basis.linear], q[basis.linear]
        coefficients[basis.squares] += g * h
        first, second = _pairs_of(basis.pairs)
        coefficients[basis.products] += g[first] * h[second] + g[second] * h[first]
    whole_a, whole_b = a.size, b.size
    # Four products and three sums at most make a coefficient.
    rounding = 8 * EPSILON * whole_a * whole_b
    rest = times(a.remainder, b.range.magnitude) + times(b.remainder, whole_a)
    return TaylorModel.of(
        basis, coefficients, with_margin(beyond + rounding + rest), a.range * b.range
    )


def scale(a: TaylorModel, by: torch.Tensor, error: torch.Tensor | float = 0.0) -> TaylorModel:
    """``a*by`` for numbers that are known to within ``error``."""
    size = a.size
    remainder = (
        times(a.remainder, by.abs() + error)
        + times(torch.as_tensor(error, dtype=torch.float64), size)
        + EPSILON * by.abs() * size
    )
    return TaylorModel.of(a.basis, a.coefficients * by, with_margin(remainder))


def shift(a: TaylorModel, by: torch.Tensor, error: torch.Tensor | float = 0.0) -> TaylorModel:
    """``a + by`` for numbers that are known to within ``error``."""
    coefficients = a.coefficients.clone()
    coefficients[0] += by
    remainder = a.remainder + error + EPSILON * (a.centre.abs() + by.abs())
    return TaylorModel.of(a.basis, coefficients, with_margin(remainder))


def affine(a: TaylorModel, weight: torch.Tensor, bias: torch.Tensor) -> TaylorModel:
    """``weight @ a + bias``: [boxes, in] -> [boxes, out].

    A sum of n products, in whatever order and with fused multiplications or without, is
    off by at most n*u/(1 - n*u) times the sum of absolute values (Higham, "Accuracy and
    Stability of Numerical Algorithms", 3.5), u half of `EPSILON`.
    """
    steps = weight.shape[1] + 4
    coefficients = a.coefficients @ weight.T
    coefficients[0] += bias
    size = a.size
    loads = torch.stack([size, a.remainder.nan_to_num(posinf=0.0)]) @ weight.abs().T
    unknown = torch.isinf(a.remainder).any(-1, keepdim=True)
    # The sums of absolute values are themselves off by as much: twice u covers that.
    remainder = loads[1] * (1 + steps * EPSILON) + steps * EPSILON * (loads[0] + bias.abs())
    remainder = torch.where(unknown, torch.inf, remainder)
    return TaylorModel.of(a.basis, coefficients, with_margin(remainder) + steps * UNDERFLOW)


def concatenate(models: list[TaylorModel]) -> TaylorModel:
    """Functions of several models side by side."""
    return TaylorModel(
        models[0].basis,
        torch.cat([m.coefficients for m in models], -1),
        torch.cat([m.remainder for m in models], -1),
        Interval(
            torch.cat([m.range.lower for m in models], -1),
            torch.cat([m.range.upper for m in models], -1),
        ),
    )


def choose(condition: torch.Tensor, yes: TaylorModel, no: TaylorModel) -> TaylorModel:
    """One model where the condition holds, the other elsewhere."""
    return TaylorModel(
        yes.basis,
        torch.where(condition, yes.coefficients, no.coefficients),
        torch.where(condition, yes.remainder, no.remainder),
        Interval(
            torch.where(condition, yes.range.lower, no.range.lower),
            torch.where(condition, yes.range.upper, no.range.upper),
        ),
    )


def unknown_where(condition: torch.Tensor, a: TaylorModel) -> TaylorModel:
    """Nothing known where the condition holds."""
    if not bool(condition.any()):
        return a
    remainder = torch.where(condition, torch.inf, a.remainder)
    return TaylorModel.of(a.basis, a.coefficients, remainder)


def _sizes(a: TaylorModel) -> list[torch.Tensor]:
    """Bounds of the parts of each degree."""
    c, basis = a.coefficients.abs(), a.basis
    parts = [c[0]]
    if basis.order:
        parts.append(c[basis.linear].sum(0))
    if basis.order == 2:
        parts.append(c[1 + basis.dims :].sum(0))
    return parts


def _beyond(order: int, a: list[torch.Tensor], b: list[torch.Tensor]) -> torch.Tensor:
    """A bound of the products whose degree is above the order."""
    total = torch.zeros_like(a[0] * b[0])
    for i, part in enumerate(a):
        for j, other in enumerate(b):
            if i + j > order:
                total = total + part * other
    return total


def _pairs_of(pairs: tuple[tuple[int, int], ...]) -> tuple[list[int], list[int]]:
    return [i for i, _ in pairs], [j for _, j in pairs]


def times(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """A product of sizes in which 0 times inf is 0: an exact part needs no other one."""
    return torch.where((a == 0) | (b == 0), 0.0, a * b)
