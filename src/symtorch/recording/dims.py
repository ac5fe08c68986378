"""The numbers of outputs: as users pass them, and as keys of saved files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def as_list(numbers: int | Sequence[int]) -> list[int]:
    """One number or several, NumPy's included, as a list.

    >>> as_list(0), as_list([2, 1])
    ([0], [2, 1])
    """
    if isinstance(numbers, int | np.integer):
        return [int(numbers)]
    return [int(number) for number in numbers]


def is_number(key: str) -> bool:
    """Whether a key is an output's number in plain digits, without sign, space or underscore."""
    return len(key) < 10 and key.isascii() and key.isdecimal()
