"""Monotone functions ``z = g(y)`` of the target under which a law is a sum or a product.

As in a generalised linear model, the search explains z and the inverse of the transform is written
around the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..trees.tree import Tree, const, is_number, merge_powers, num
from ..trees.vocabulary import MaybeTree, Vocabulary


@dataclass(frozen=True)
class TargetTransform:
    """forward: y [n] -> z [n]; derivative: dz/dy [n]; inverse: tree of z -> tree of y (None if it
    cannot be written); power: the exponent where z is a power of y."""

    name: str
    forward: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    inverse: Callable[[Vocabulary, MaybeTree], MaybeTree]
    power: float = 0.0


def power_transform(p: float) -> TargetTransform:
    """``z = y^p``."""
    return TargetTransform(
        f"y^{p:g}",
        lambda y: y**p,
        lambda y: p * y ** (p - 1),
        lambda v, z: _root(v, z, 1 / p),
        power=p,
    )


def _root(vocabulary: Vocabulary, z: MaybeTree, p: float) -> MaybeTree:
    """``z ** p`` factor by factor: of ``a*b^2`` the square root is taken as ``b*sqrt(a)``, which
    keeps b's sign."""
    if z is None or abs(p) == 1:
        return vocabulary.power(z, p)
    scale = 1.0
    factors: list[tuple[Tree, float]] = []
    for tree, exponent in merge_powers([(z, 1.0)]):
        if is_number(tree):
            if tree[1] <= 0:
                return vocabulary.power(z, p)
            scale *= float(tree[1] ** (exponent * p))
        else:
            factors.append((tree, exponent * p))
    if all(abs(exponent) % 1 != 0 for _, exponent in factors):
        return vocabulary.power(z, p)
    body = vocabulary.product(factors)
    return None if body is None else vocabulary.scaled(scale, body)


def offset_transform(p: float, c: float) -> TargetTransform:
    """``z = y^p - c``: what is left of ``y = (c + product)^(1/p)``."""
    return TargetTransform(
        f"y^{p:g}-{c:g}",
        lambda y: y**p - c,
        lambda y: p * y ** (p - 1),
        lambda v, z: v.power(v.add(const(c) if c not in (1.0, -1.0) else num(c), z), 1 / p),
    )


def unary_transform(
    outer: str, forward: Callable[[Tensor], Tensor], derivative: Callable[[Tensor], Tensor]
) -> TargetTransform:
    """``y = outer(z)``."""
    return TargetTransform(outer, forward, derivative, lambda v, z: v.apply(outer, z))


IDENTITY = power_transform(1)


def sum_transforms(y: Tensor, vocabulary: Vocabulary) -> list[TargetTransform]:
    """Transforms worth trying for sums, most common first, that are defined on all of ``y`` [n]."""
    transforms = [IDENTITY]
    powers = [2.0, -1.0, -2.0]
    if bool((y > 0).all()):
        powers += [0.5, -0.5]
    if bool((y != 0).all()):
        transforms += [
            power_transform(p) for p in powers if vocabulary.power(("x", 0), 1 / p) is not None
        ]
    elif vocabulary.power(("x", 0), 0.5) is not None:
        transforms.append(power_transform(2.0))
    transforms += transcendental_transforms(y, vocabulary)
    return transforms


def transcendental_transforms(y: Tensor, vocabulary: Vocabulary) -> list[TargetTransform]:
    """``y = exp(z)``, ``log(z)``, ``sin(z)`` ... where the vocabulary and the range of y [n]
    allow."""
    transforms: list[TargetTransform] = []
    has = vocabulary.unary
    if "exp" in has and bool((y > 0).all()):
        transforms.append(unary_transform("exp", torch.log, torch.reciprocal))
    if "log" in has and float(y.abs().max()) < 300:
        transforms.append(unary_transform("log", torch.exp, torch.exp))
    bounded = bool((y.abs() < 1).all())
    if "sin" in has and bounded:
        transforms.append(unary_transform("sin", torch.asin, lambda y: (1 - y**2).rsqrt()))
    if "cos" in has and bounded:
        transforms.append(unary_transform("cos", torch.acos, lambda y: -(1 - y**2).rsqrt()))
    if "tanh" in has and bounded:
        transforms.append(unary_transform("tanh", torch.atanh, lambda y: 1 / (1 - y**2)))
    return transforms
