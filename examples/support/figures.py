"""For this project's own examples and benchmarks: ``--json PATH`` and the checks in it."""

from __future__ import annotations

import argparse
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
}


class Figures:
    """What a script measured, and the bars it is held against.

    >>> figures = Figures({"seconds": 3.2})
    >>> figures.check("fast enough", 3.2, "<=", 5.0)
    >>> figures.checks["fast enough"]
    {'value': 3.2, 'bar': '<= 5.0', 'passed': True}
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self.values: dict[str, Any] = dict(values or {})
        self.checks: dict[str, dict[str, Any]] = {}

    def check(self, name: str, value: Any, comparison: str, bar: Any) -> None:
        """Hold a value against a bar: ``<=``, ``>=`` or ``==``."""
        passed = bool(_COMPARISONS[comparison](value, bar))
        self.checks[name] = {"value": value, "bar": f"{comparison} {bar}", "passed": passed}

    def finish(self, path: Path | None) -> None:
        """Print the checks and write everything to a JSON file, if one was asked for."""
        for name, check in self.checks.items():
            verdict = "passed" if check["passed"] else "MISSED"
            print(f"{verdict}: {name}: {check['value']} (bar {check['bar']})")
        if path is not None:
            path.write_text(json.dumps({**self.values, "checks": self.checks}, indent=1))


def script_arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows ``--json PATH``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures there")
    return parser


def example_arguments(
    description: str | None, *, figure: str, fast: str = "at most a minute"
) -> argparse.ArgumentParser:
    """A parser for an example: ``--json``, ``--seed``, ``--fast`` and ``--figure``.

    Args:
        description: of the script.
        figure: what ``--figure`` draws.
        fast: what ``--fast`` does.
    """
    parser = script_arguments(description)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help=fast)
    parser.add_argument("--figure", type=Path, metavar="PNG", help=figure)
    return parser


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of equal keys as a table with aligned columns."""
    columns = list(rows[0])
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
