"""FastSRB: 120 problems of Feynman's lectures, and how two engines fared on them.

The file is no part of this project. As in the code its authors published, points where the
formula is not finite are drawn again and ``constraints`` are not applied (one contradicts
itself).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from laws import Input, Law, Scale

DEFAULT_PATH = Path(__file__).parents[2] / "shared" / "benchmarks" / "fastsrb.json"
DIFFICULTIES = ("easy", "medium", "hard")
OPERATORS = {
    "binary_operators": ("+", "-", "*", "/", "^"),
    "unary_operators": ("square", "cube", "sqrt", "exp", "log", "sin", "cos", "tanh"),
}
"""What the published runs were given."""

_SCALES: Mapping[str, Scale] = {"log": "log", "uni": "uniform", "int": "integer"}
_RUNS = 5


@dataclass(frozen=True)
class Benchmark:
    """One problem.

    Args:
        law: formula and ranges.
        accepted: formulas that count as the same.
        difficulty: easy, medium or hard.
        solved: share of five published runs that found it, by engine.
    """

    law: Law
    accepted: tuple[str, ...]
    difficulty: str
    solved: Mapping[str, float]


def read(path: Path = DEFAULT_PATH) -> list[Benchmark]:
    """All problems of the file, in its order: easy ones first."""
    return [_benchmark(problem) for problem in json.loads(path.read_text())["problems"]]


def _benchmark(problem: Mapping[str, Any]) -> Benchmark:
    inputs = tuple(
        _input(name, variable) for name, variable in problem["vars"].items() if name != "v0"
    )
    solved = problem["solved_of_5"] or {}
    return Benchmark(
        Law(f"{problem['id']} {problem['moniker']}", problem["formula"], inputs, "FastSRB"),
        tuple(problem["accept"]),
        problem["difficulty"],
        {engine: runs / _RUNS for engine, runs in solved.items()},
    )


def _input(name: str, variable: Mapping[str, Any]) -> Input:
    # Some numbers are text, '1.0e1', and two ranges have a note as their third entry.
    low, high = (float(bound) for bound in variable["sample_range"][:2])
    scale, sign = variable["sample_type"]
    return Input(name, low, high, _SCALES[scale], sign)


def published(problems: Sequence[Benchmark]) -> dict[str, float]:
    """Percent of runs solved by each published engine on these problems.

    Problems without a published outcome are left out.
    """
    known = [problem.solved for problem in problems if problem.solved]
    engines = dict.fromkeys(engine for solved in known for engine in solved)
    return {
        engine: 100 * sum(solved[engine] for solved in known) / len(known) for engine in engines
    }
