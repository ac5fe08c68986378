"""Names: what may stand for a variable or an operator in an equation."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Collection, Sequence

from ..errors import InputError
from .operators import OPERATORS

NOT_FINITE = frozenset({"nan", "inf"})
"""Words that are numbers, though not finite ones."""

_AN = {"variable": "a variable", "operator": "an operator"}


def check_names(names: Sequence[str], operators: Collection[str] = ()) -> tuple[str, ...]:
    """Check that every name can stand for a variable in an equation, and return them.

    >>> check_names(["x0", "theta", "E"])
    ('x0', 'theta', 'E')

    Args:
        names: one per input column.
        operators: operators in use beside the table's.

    Raises:
        InputError: a name that is not an identifier, is a word of Python's grammar, an
            operator's name or there twice; the message says which.
    """
    if isinstance(names, str):
        raise InputError(f"variable names must be a list of names; got the text {names!r}")
    names = tuple(names)
    seen: set[str] = set()
    for name in names:
        check_word(name, "variable")
        if name in OPERATORS or name in operators:
            raise InputError(f"'{name}' is an operator, so it cannot be a variable name")
        if name in seen:
            raise InputError(f"variable name '{name}' is there twice")
        seen.add(name)
    return names


def check_word(word: object, kind: str) -> None:
    """Check that a word can be the name of a ``"variable"`` or an ``"operator"``.

    Raises:
        InputError: it cannot; the message says why.
    """
    if not isinstance(word, str) or not word.isidentifier() or keyword.iskeyword(word):
        raise InputError(
            f"{clip(repr(word))} cannot be the name of {_AN[kind]}; use letters, digits and _, "
            f"no digit first, no word of Python's own"
        )
    # Python's grammar reads names in this form, so another spelling of the same letters
    # would not be found again in an equation.
    normal = unicodedata.normalize("NFKC", word)
    if word != normal:
        raise InputError(f"{kind} name '{word}' would be read as '{normal}'; use that spelling")
    if word in NOT_FINITE:
        raise InputError(f"'{word}' is a number, so it cannot be the name of {_AN[kind]}")


def clip(text: str, length: int = 80) -> str:
    """The start of a text, for messages."""
    return text if len(text) <= length else text[: length - 3] + "..."
