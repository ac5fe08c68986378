"""``symtorch engines``: what can run here, and why something cannot."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each engine."""
    from symtorch.errors import EngineUnavailableError
    from symtorch.search.registry import engine_named, known_engines

    for name in known_engines():
        try:
            engine_named(name)
        except EngineUnavailableError as error:
            print(f"{name:12} not available: {' '.join(str(error).split())}")
        else:
            print(f"{name:12} available")
    return 0
