"""``symtorch report``: saved equations as one HTML file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..saved import read_saved


def run(arguments: argparse.Namespace) -> int:
    """Write the file."""
    from symtorch import report

    fronts = read_saved(arguments.file, arguments.block)
    title = arguments.title or f"Equations in {Path(arguments.file).name}"
    report(fronts, arguments.html, title=title)
    return 0
