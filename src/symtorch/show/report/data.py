"""What the page's script works with, as JSON inside the page."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import InputError
from ...layer import SymbolicLayer
from ...layer.export import to_c
from ...symbolic.expression import Expression
from ...symbolic.numpy_source import numpy_function
from ..slices import Slice
from .charts import COARSE
from .contents import Section
from .programs import program

COPIED = 250
"""Nodes of the longest equation that is offered as LaTeX and SymPy, which take their time."""


def script_data(section: Section, along: Sequence[Slice]) -> dict[str, Any]:
    """An output for the script.

    Args:
        section: of the page.
        along: slices of the chosen equation, for the block's curves.
    """
    front, comparison = section.front, section.comparison
    ranges: dict[str, tuple[float, float, float]] = {}
    if comparison is not None:
        for name, values in comparison.variables.items():
            low, middle, high = (_short(v) for v in np.percentile(values, [0, 50, 100]))
            ranges[name] = (low, middle, high)
    best = front.get_best()
    return {
        "variables": [
            {"name": name, "range": ranges.get(name, (-3.0, 0.0, 3.0))} for name in front.variables
        ],
        "known": comparison is not None,
        "best": next(place for place, row in enumerate(front) if row is best),
        "rows": [
            {
                "complexity": row.complexity,
                "loss": row.loss,
                "held": row.validation_loss,
                "text": row.expression.pretty(),
                "program": program(row.expression, front.variables),
                "constants": row.expression.constants,
                "copies": _copies(row.expression, front.variables),
            }
            for row in front
        ],
        # Only where the equation's variables are the block's columns can both be drawn.
        "block": {
            one.name: [
                [_short(v) for v in one.at[::COARSE]],
                [_short(v) if math.isfinite(v) else None for v in one.block[::COARSE]],
            ]
            for one in along
            if one.block is not None and one.name in front.variables
        },
    }


def _short(value: float) -> float:
    """Five digits are more than a screen has pixels."""
    return float(f"{value:.5g}")


def _copies(expression: Expression, variables: Sequence[str]) -> dict[str, str]:

    used = [name for name in variables if name in expression.variables] or [*variables[:1]]
    copies = {"Python": numpy_function(expression, used)}
    try:
        copies["C"] = to_c(SymbolicLayer([expression], used))
        if expression.complexity() <= COPIED:
            copies["LaTeX"] = expression.latex()
            copies["SymPy"] = str(expression.sympy())
    except InputError:  # a form that SymPy cannot hold
        pass
    return copies


def json_text(data: Any) -> str:
    """JSON that can stand in a page: no ``<`` that could end the element it is in."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
