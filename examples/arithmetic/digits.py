"""Decimal places: as variables of equations, as operators of a search, as parts of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from symtorch.recording.features import Transform

OPERATORS = ("last(x) = mod(x, 10)", "tens(x) = floor(x/10)", "hundreds(x) = floor(x/100)")
"""What arithmetic in base ten is made of: the last digit, and what stands before it."""

PLACES = ("units", "tens", "hundreds", "thousands")


@dataclass(frozen=True)
class Place:
    """One part of an answer: a digit, or all digits from one on.

    >>> answers = torch.tensor([1234.0, 56.0])
    >>> Place("tens digit", 10, True)(answers), Place("leading digits", 100, False)(answers)
    (tensor([3., 5.]), tensor([12.,  0.]))

    Args:
        name: in reports.
        unit: what the part's last digit counts: 1, 10, 100, ...
        single: one digit; or it and all before it.
    """

    name: str
    unit: int
    single: bool

    def __call__(self, answers: torch.Tensor) -> torch.Tensor:
        """The part of each answer: [rows] -> [rows]."""
        shifted = torch.floor(answers / self.unit)
        return torch.remainder(shifted, 10) if self.single else shifted


def places(count: int) -> tuple[Place, ...]:
    """That many single digits from the last on, and one part of all before them."""
    single = tuple(Place(f"{PLACES[k]} digit", 10**k, True) for k in range(count))
    return (*single, Place("leading digits", 10**count, False))


def lead(numbers: torch.Tensor) -> torch.Tensor:
    """Whole numbers with every digit but the first set to zero.

    >>> lead(torch.tensor([7.0, 45.0, 989.0, -31.0, 0.0]))
    tensor([  7.,  40., 900., -30.,   0.])
    """
    size = numbers.abs().clamp(min=1)
    # Half a unit more keeps the logarithm of a power of ten on the right side of rounding.
    unit = 10 ** torch.floor(torch.log10(size + 0.5))
    return torch.sign(numbers) * torch.floor(numbers.abs() / unit) * unit


def digit_variables(columns: Sequence[str]) -> dict[str, Transform]:
    """The columns, their three digits (``a0`` is the last) and their leading digit (``a_lead``)."""
    variables: dict[str, Transform] = {name: name for name in columns}
    for name in columns:
        for k in range(3):
            variables[f"{name}{k}"] = f"mod(floor({name}/{10**k}), 10)"
    for i, name in enumerate(columns):
        variables[f"{name}_lead"] = lambda table, i=i: lead(table[:, i])
    return variables
