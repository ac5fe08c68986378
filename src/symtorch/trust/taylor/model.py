"""TaylorModel: a polynomial over a box and how far the function may be from it.

Plain intervals forget that two quantities move together: over a box, a network and its
equation each range over 2 while their difference stays below 0.01. A Taylor model keeps
that: over the box ``centre + radius*t``, -1 <= t <= 1, a quantity is

    c + sum_i g_i t_i + sum_ij h_ij t_i t_j + rest,   |rest| <= remainder,

so that in a difference the polynomials cancel, coefficient by coefficient, and only the
remainders add up: of third order in the box's size. Coefficients are plain floats, no enclosures:
whatever rounding does to them is put into the remainder. (Makino and Berz, "Taylor models and
other validated functional inclusion methods", 2003.) Order 1 and order 0 are
first-order forms and plain intervals, from the same code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from ..intervals.interval import Interval, above, below

EPSILON = 2.0**-52
"""Twice the relative error of one rounding."""

UNDERFLOW = 2.0**-1000
"""More than all results lost among the subnormal numbers, in any of the sums here."""


@dataclass(frozen=True)
class Basis:
    """The monomials of a polynomial in ``t``: 1, then t_i, then t_i**2, then t_i*t_j.

    Args:
        dims: number of t's.
        order: highest degree, 0, 1 or 2.
    """

    dims: int
    order: int

    @property
    def size(self) -> int:
        """Number of monomials."""
        return 1 + self.dims * self.order + len(self.pairs)

    @cached_property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The i < j of the products."""
        if self.order < 2:
            return ()
        return tuple((i, j) for i in range(self.dims) for j in range(i + 1, self.dims))

    @property
    def linear(self) -> slice:
        """Where the t_i are."""
        return slice(1, 1 + self.dims * min(self.order, 1))

    @property
    def squares(self) -> slice:
        """Where the t_i**2 are."""
        return slice(1 + self.dims, 1 + 2 * self.dims) if self.order == 2 else slice(0, 0)

    @property
    def products(self) -> slice:
        """Where the t_i*t_j are."""
        return slice(1 + 2 * self.dims, self.size) if self.order == 2 else slice(0, 0)


@dataclass(frozen=True, eq=False)
class TaylorModel:
    """Functions over a batch of boxes.

    Args:
        basis: of the polynomials.
        coefficients: [monomials, boxes, ...], finite.
        remainder: [boxes, ...], inf where nothing is known.
        range: [boxes, ...] of the functions' values.
    """

    basis: Basis
    coefficients: torch.Tensor
    remainder: torch.Tensor
    range: Interval

    @classmethod
    def of(
        cls,
        basis: Basis,
        coefficients: torch.Tensor,
        remainder: torch.Tensor,
        known: Interval | None = None,
    ) -> TaylorModel:
        """A model with its range worked out.

        Args:
            basis: of the polynomials.
            coefficients: [monomials, boxes, ...]; not finite where an overflow happened.
            remainder: [boxes, ...].
            known: a range known otherwise. Where it says more than the polynomial does,
                the model becomes that range.
        """
        size = coefficients.abs().sum(0)
        lost = ~torch.isfinite(size + remainder)
        if bool(lost.any()):
            coefficients = torch.where(lost, 0.0, coefficients)
            size = torch.where(lost, 0.0, size)
            remainder = torch.where(lost, math.inf, remainder)
        around = _range_of(basis, coefficients, remainder, size)
        if known is not None:
            known = Interval(known.lower.expand_as(remainder), known.upper.expand_as(remainder))
            middle = known.middle
            radius = known.radius_about(middle)
            flat = radius < remainder
            if bool(flat.any()):
                constant = torch.cat([middle[None], torch.zeros_like(coefficients[1:])])
                coefficients = torch.where(flat, constant, coefficients)
                size = torch.where(flat, middle.abs(), size)
                remainder = torch.where(flat, radius, remainder)
            around = around.intersect(known)
        model = cls(basis, coefficients, remainder, around)
        model.__dict__["size"] = size  # worked out already
        return model

    @classmethod
    def variables(cls, basis: Basis, lower: torch.Tensor, upper: torch.Tensor) -> TaylorModel:
        """The coordinates of boxes [boxes, dims], as functions of t: [boxes, dims].

        >>> corner, side = torch.zeros(1, 2).double(), torch.ones(1, 2).double()
        >>> x = TaylorModel.variables(Basis(2, 1), corner, side)
        >>> x.coefficients[:, 0].round(decimals=3).tolist()    # of 1, t0 and t1 in both columns
        [[0.5, 0.5], [0.5, 0.0], [0.0, 0.5]]
        """
        centre = 0.5 * lower + 0.5 * upper
        radius = torch.maximum(upper - centre, centre - lower)
        radius = torch.where(upper == lower, 0.0, above(radius))
        coefficients = torch.zeros(basis.size, *lower.shape, dtype=torch.float64)
        coefficients[0] = centre
        remainder = torch.zeros_like(lower) if basis.order else radius
        if basis.order:
            for i in range(basis.dims):
                coefficients[1 + i, :, i] = radius[:, i]
        return cls(basis, coefficients, remainder, Interval(lower, upper))

    @classmethod
    def constant(cls, basis: Basis, value: float, like: torch.Tensor) -> TaylorModel:
        """The same exact number over all boxes, in the shape of a remainder."""
        coefficients = torch.zeros(basis.size, *like.shape, dtype=torch.float64)
        coefficients[0] = value
        number = torch.full_like(like, value, dtype=torch.float64)
        return cls(basis, coefficients, torch.zeros_like(number), Interval.of(number))

    def __getitem__(self, columns: int | slice | list[int]) -> TaylorModel:
        """Some of the functions [boxes, functions]."""
        return TaylorModel(
            self.basis,
            self.coefficients[..., columns],
            self.remainder[..., columns],
            Interval(self.range.lower[..., columns], self.range.upper[..., columns]),
        )

    def as_column(self) -> TaylorModel:
        """One function [boxes] as a table of one, [boxes, 1]."""
        return TaylorModel(
            self.basis,
            self.coefficients.unsqueeze(-1),
            self.remainder.unsqueeze(-1),
            Interval(self.range.lower.unsqueeze(-1), self.range.upper.unsqueeze(-1)),
        )

    @property
    def centre(self) -> torch.Tensor:
        """The polynomial at the centre of the box."""
        return self.coefficients[0]

    @cached_property
    def size(self) -> torch.Tensor:
        """The sum of the coefficients' absolute values, which bounds the polynomial."""
        return self.coefficients.abs().sum(0)

    def highest_point(self) -> torch.Tensor:
        """About where |polynomial| is largest: t [dims, boxes, ...], products left out."""
        c, basis = self.coefficients, self.basis
        if not basis.order:
            return torch.zeros(basis.dims, *self.remainder.shape, dtype=torch.float64)
        top = torch.where(self.range.upper >= -self.range.lower, 1.0, -1.0).to(c)
        g, h = top * c[basis.linear], torch.zeros_like(c[basis.linear])
        if basis.order == 2:
            h = top * c[basis.squares]
        end = torch.where(g < 0, -1.0, 1.0)
        inside = (h < 0) & (g.abs() < -2 * h)
        return torch.where(inside, -g / torch.where(inside, 2 * h, 1.0), end)


def with_margin(size: torch.Tensor) -> torch.Tensor:
    """A remainder rounded up, after at most 100 roundings of positive numbers."""
    return size * (1.0 + 100 * EPSILON) + UNDERFLOW


def _range_of(
    basis: Basis, c: torch.Tensor, remainder: torch.Tensor, size: torch.Tensor
) -> Interval:
    """Bounds of the polynomial, exact in each t_i, and the remainder."""
    high = low = torch.zeros_like(remainder)
    if basis.order:
        g = c[basis.linear].abs()
        highs, lows = g, -g
        if basis.order == 2:
            h = c[basis.squares]
            # The vertex of g*t + h*t**2 is inside when |g| < 2|h|; it is at height -g**2/4h.
            vertex = g.square() / torch.where(h == 0, 1.0, -4 * h)
            inside = g < 2 * h.abs()
            highs = torch.where(inside & (h < 0), vertex, g + h)
            lows = torch.where(inside & (h > 0), vertex, h - g)
        high, low = highs.sum(0), lows.sum(0)
    if basis.pairs:
        products = c[basis.products].abs().sum(0)
        high, low = high + products, low - products
    slack = with_margin(remainder + (4 * basis.size + 16) * EPSILON * size)
    return Interval(below(c[0] + low - slack), above(c[0] + high + slack))
