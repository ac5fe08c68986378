"""The errors SymTorch raises.

Each one is also the built-in error a Python user would reach for, so
``except ValueError`` keeps working. A message says what was seen, where, and how to
fix it.
"""

from __future__ import annotations

import difflib
import sys
import warnings
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


def warn_user(message: str, category: type[Warning]) -> None:
    """Warn, and point at the user's own line, however deep inside the package this is called."""
    # Decorators put frames of contextlib and torch between ours.
    inside = {__name__.partition(".")[0], "contextlib", "torch"}
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in inside:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


class PoorFitWarning(UserWarning):
    """The chosen equations explain less than half of what an output does."""


class InterruptedWarning(UserWarning):
    """A call was stopped by Ctrl-C or SIGTERM and returned what it had."""
