"""Names of columns of data, turned into names that equations can use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..lazy import LazyModule
from ..symbolic.names import check_names
from .batches import call_of

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")


def names_in(batch: Any) -> tuple[str, ...]:
    """Names of the columns of a batch that is one DataFrame; none for other batches.

    >>> import pandas
    >>> names_in(pandas.DataFrame({"mean radius": [1.0], "area": [2.0]}))
    ('mean_radius', 'area')
    """
    args, kwargs = call_of(batch)
    values = [*args, *kwargs.values()]
    if len(values) != 1 or not isinstance(values[0], pd.DataFrame):
        return ()
    return fit_names([*values[0].columns])


def fit_names(names: Sequence[Any]) -> tuple[str, ...]:
    """Names turned into distinct ones that equations can use.

    >>> fit_names(["petal length (cm)", "exp", "2nd", "a", "a"])
    ('petal_length_cm', 'exp_', 'x2nd', 'a', 'a_2')
    """
    taken: list[str] = []
    for name in names:
        word = re.sub(r"\W+", "_", str(name)).strip("_") or "x"
        word = f"x{word}" if word[0].isdigit() else word
        if not _usable(word):
            word = f"{word}_" if _usable(f"{word}_") else "x"
        unique = next(
            option
            for option in (word, *(f"{word}_{n}" for n in range(2, len(names) + 2)))
            if option not in taken
        )
        taken.append(unique)
    return check_names(taken)


def _usable(word: str) -> bool:
    try:
        check_names([word])
    except InputError:
        return False
    return True
