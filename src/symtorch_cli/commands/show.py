"""``symtorch show``: saved equations on the terminal."""

from __future__ import annotations

import argparse

from ..output import print_fronts
from ..saved import read_saved


def run(arguments: argparse.Namespace) -> int:
    """Print what a file holds."""
    print_fronts(read_saved(arguments.file, arguments.block), arguments)
    return 0
