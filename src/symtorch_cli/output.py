"""Fronts on stdout: as a table, as JSON or as LaTeX."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symtorch import Front


def print_fronts(fronts: Mapping[str, Front], arguments: argparse.Namespace) -> None:
    """Print fronts by label.

    Args:
        fronts: what each is of, and the front.
        arguments: with ``json`` and ``latex``; a table for reading if neither.
    """
    if arguments.json:
        for front in fronts.values():
            print(front.to_json())
    elif arguments.latex:
        columns = ("equation", "complexity", "loss", "validation_loss")
        print("\n\n".join(front.latex_table(columns=columns) for front in fronts.values()))
    else:
        # A label says which is which; a single front in a file of its own has none.
        print("\n\n".join(f"{label}\n{front}".strip("\n") for label, front in fronts.items()))
