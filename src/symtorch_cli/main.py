"""Entry of the command: arguments in, exit code out."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from .arguments import parser

FAILED, INTERRUPTED = 1, 130
"""Exit codes; argparse's own for a wrong command line is 2, and 130 is 128 + SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: words after ``symtorch``; those of the process by default.

    Returns:
        0 when it worked, 1 when it did not (one line on stderr says why), 130 on Ctrl-C.
        A wrong command line exits with 2.
    """
    arguments = parser().parse_args(argv)
    command = importlib.import_module(f".commands.{arguments.command}", __package__)
    try:
        code: int = command.run(arguments)
        # Here, for at exit a reader that has left would cost a traceback.
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("symtorch: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has enough. What is still buffered has nowhere to be
        # written, so that the interpreter must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (OSError, ValueError, ImportError, RuntimeError, TypeError) as error:
        if not _is_expected(error):
            raise
        print(f"symtorch: {_one_line(error)}", file=sys.stderr)
        return FAILED
    return code


def _is_expected(error: Exception) -> bool:
    """Whether an error is about the user's files and wishes; all others are bugs to be seen."""
    from symtorch.errors import SymTorchError

    return isinstance(error, SymTorchError | OSError)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
