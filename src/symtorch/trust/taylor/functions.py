"""Functions of one argument on Taylor models."""

from __future__ import annotations

import torch

from ..intervals import Interval, Rule
from ..intervals import elementary as f
from ..intervals.elementary import constant
from .algebra import add, choose, multiply, negated, scale, shift, times
from .model import EPSILON, TaylorModel, with_margin


def smooth(x: TaylorModel, rule: Rule) -> TaylorModel:
    """A function with two derivatives, expanded about the centre.

    With z0 the centre and y = x - z0,

        f(x) = f(z0) + f'(z0) y + f''(z) y**2 / 2   for some z in the range of x.

    Any b may stand for f''(z) when the remainder takes half its distance times
    y**2; the middle of the range of f'' makes that least. y**2 is itself a polynomial, so the
    distance, which shrinks with the box, leaves an error of third order.
    """
    known = rule.value(x.range)
    if rule.first is None or rule.second is None or not x.basis.order:
        return _constant(x, known)
    z0 = Interval.of(x.centre)
    value, slope, curvature = rule.value(z0), rule.first(z0), rule.second(x.range)
    half = 0.5 * curvature.middle if x.basis.order == 2 else torch.zeros_like(x.centre)
    reach = x.range.radius_about(x.centre)
    error = (
        value.radius_about(value.middle)
        + times(slope.radius_about(slope.middle), reach)
        + times((curvature * constant(0.5)).radius_about(half), reach.square())
    )
    model = _parabola(x, value.middle, slope.middle, half)
    return TaylorModel.of(x.basis, model.coefficients, with_margin(model.remainder + error), known)


def _parabola(
    x: TaylorModel, value: torch.Tensor, slope: torch.Tensor, half: torch.Tensor
) -> TaylorModel:
    """``value + slope*y + half*y**2`` for y = x - its centre; the range is left open."""
    basis = x.basis
    p = x.coefficients.clone()
    p[0] = 0.0
    coefficients = slope * p
    coefficients[0] = value
    linear = p[basis.linear].abs().sum(0)
    curved = p[1 + basis.dims :].abs().sum(0)
    size = linear + curved
    if basis.order == 2:
        g = p[basis.linear]
        coefficients[basis.squares] += half * g.square()
        for k, (i, j) in enumerate(basis.pairs, start=basis.products.start):
            coefficients[k] += (2 * half) * (g[i] * g[j])
    cubic = half.abs() * (curved * (2 * linear + curved))
    blurred = times(x.remainder, slope.abs() + half.abs() * (2 * size + x.remainder))
    rounding = 8 * EPSILON * (value.abs() + slope.abs() * size + half.abs() * size.square())
    remainder = with_margin(cubic + blurred + rounding)
    return TaylorModel(basis, coefficients, remainder, x.range)


def _constant(x: TaylorModel, known: Interval) -> TaylorModel:
    """A function of which only the range is known."""
    return TaylorModel.of(
        x.basis,
        torch.zeros_like(x.coefficients),
        torch.full_like(x.remainder, torch.inf),
        known,
    )


def absolute(x: TaylorModel) -> TaylorModel:
    """``|x|``: x or -x on either side of 0, a strip about the chord across it.

    From l < 0 to u > 0, |x| - s*x is least at 0, where it is 0, and largest at an end, for any
    slope s from -1 to 1; with that of the chord both ends are equal.
    """
    low, high = x.range.lower, x.range.upper
    across = (low < 0) & (high > 0)
    slope = torch.where(across, (high + low) / torch.where(across, high - low, 1.0), 0.0)
    slope = torch.where(
        across, slope.nan_to_num(0.0).clamp(-1.0, 1.0), torch.where(low >= 0, 1.0, -1.0)
    )
    top = torch.maximum(high * (1 - slope), -low * (1 + slope))
    half = torch.where(across, 0.5 * with_margin(top), 0.0)
    sloped = scale(x, slope)
    sure = TaylorModel.of(
        x.basis,
        x.coefficients * torch.where(low >= 0, 1.0, -1.0),
        x.remainder,
        x.range.abs(),
    )
    strip = shift(sloped, half)
    strip = TaylorModel.of(
        x.basis, strip.coefficients, with_margin(strip.remainder + half), x.range.abs()
    )
    return choose(across, strip, sure)


def leaky(x: TaylorModel, slope: float) -> TaylorModel:
    """``x`` where positive, ``slope*x`` elsewhere; a slope of 0 is a relu."""
    half = torch.full_like(x.centre, 0.5)
    low = torch.as_tensor(slope, dtype=torch.float64) * half
    # ((1 + s)*x + (1 - s)*|x|)/2; the sums and differences are rounded once.
    sum_of_slopes, difference = half + low, half - low
    mixed = add(scale(x, sum_of_slopes, EPSILON), scale(absolute(x), difference, EPSILON))
    factor = Interval.of(float(slope))
    known = f.maximum(x.range, constant(0.0)) + f.minimum(x.range, constant(0.0)) * factor
    return TaylorModel.of(x.basis, mixed.coefficients, mixed.remainder, known)


def maximum(x: TaylorModel, y: TaylorModel) -> TaylorModel:
    """``(x + y + |x - y|)/2``."""
    half = torch.full_like(x.centre, 0.5)
    top = scale(add(add(x, y), absolute(add(x, y, -1.0))), half)
    known = f.maximum(x.range, y.range)
    return TaylorModel.of(x.basis, top.coefficients, top.remainder, known)


def minimum(x: TaylorModel, y: TaylorModel) -> TaylorModel:
    """``-max(-x, -y)``."""
    return negated(maximum(negated(x), negated(y)))


def divide(x: TaylorModel, y: TaylorModel, reciprocal: Rule) -> TaylorModel:
    """``x/y``; nothing known where y may be 0."""
    quotient = multiply(x, smooth(y, reciprocal))
    return TaylorModel.of(x.basis, quotient.coefficients, quotient.remainder, x.range / y.range)
