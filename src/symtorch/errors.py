"""The errors SymTorch raises.

Each one is also the built-in error a Python user would reach for, so
``except ValueError`` keeps working. A message says what was seen, where, and how to
fix it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SymTorchError(Exception):
    """Base of every error raised on purpose by this package."""


class InputError(SymTorchError, ValueError):
    """A value handed in cannot be used: wrong shape, unknown name, NaN in a column."""


class ForwardError(InputError, RuntimeError, TypeError):
    """A model's own forward failed on the data; what it raised is the cause."""


class StateError(SymTorchError, RuntimeError):
    """The call comes at the wrong moment: switching before distilling, for example."""


class UnsupportedTypeError(SymTorchError, TypeError):
    """An object of a type that cannot be handled."""


class EngineUnavailableError(SymTorchError, ImportError):
    """A search engine whose own software is not installed."""


class MissingDependencyError(SymTorchError, ImportError):
    """A package that only some uses need is not installed; the message says what to run."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, or an empty string.

    >>> did_you_mean("niteration", ["niterations", "maxsize"])
    "; did you mean 'niterations'?"
    >>> did_you_mean("zzz", ["niterations"])
    ''
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


class DependenceWarning(UserWarning):
    """A block's output at a row depends on other rows, or on what is no column."""


class PoorFitWarning(UserWarning):
    """The chosen equations explain less than half of what an output does."""


class InterruptedWarning(UserWarning):
    """A call was stopped by Ctrl-C or SIGTERM and returned what it had."""
