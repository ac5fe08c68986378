"""How good the equations of a front are, in words for its reader."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import PoorFitWarning, warn_user
from ..symbolic.nodes import Call, Constant, Node, Variable

if TYPE_CHECKING:
    from .front import Candidate, Front

log = logging.getLogger(__name__)

POOR = 0.5
"""An equation with an R2 below this leaves most of what the block does unexplained."""

AS_GOOD = 0.01
"""R2 that a line may be behind and still be called as good."""


def is_line(root: Node) -> bool:
    """Whether a tree is a sum of variables with numbers as factors.

    >>> from symtorch import Expression
    >>> is_line(Expression.parse("2*x - y/3 + 1").root), is_line(Expression.parse("x*y").root)
    (True, False)
    """
    if isinstance(root, Variable | Constant):
        return True
    if not isinstance(root, Call):
        return False
    numbers = [isinstance(arg, Constant) for arg in root.args]
    match root.operator.name:
        case "+" | "-" | "neg":
            return all(map(is_line, root.args))
        case "*":
            return any(numbers) and all(map(is_line, root.args))
        case "/":
            return numbers[1] and is_line(root.args[0])
    return False


def footer(front: Front) -> str:
    """What the reader of a table should know beside it; empty where there is nothing.

    A line that does as well as the longest equation is named, be it on the front or, with
    more inputs than ``maxsize`` has room for, beyond it.
    """
    best = front.get_best("accuracy")
    reached = front.r2_of(best)
    if reached is None:
        return ""
    if not is_line(best.expression.root):
        for row in front:
            r2 = front.r2_of(row)
            if r2 is not None and r2 >= reached - AS_GOOD and _is_sloped_line(row):
                return f"a line does as well: complexity {row.complexity}, R2 {r2:.3f}"
    return _line_beyond(front, reached)


def warn_of_poor_fits(fronts: Mapping[int, Front], block: str) -> None:
    """One warning that names the outputs whose chosen equation explains less than half.

    Args:
        fronts: by output.
        block: its name.
    """
    poor = {}
    for output, front in fronts.items():
        r2 = front.r2_of(front.get_best())
        if r2 is not None and r2 < POOR:
            poor[output] = r2
        if note := footer(front):
            log.info("block '%s', output %d: %s", block, output, note)
    if not poor:
        return
    listed = ", ".join(f"{output} (R2 {r2:.2f})" for output, r2 in [*poor.items()][:8])
    more = f" and {len(poor) - 8} more" if len(poor) > 8 else ""
    warn_user(
        f"block '{block}': the chosen equations explain less than half of the variance on "
        f"held-out rows for output {listed}{more}; longer equations (maxsize), more rows, more "
        f"time or variable_transforms may help, or the output has no short law",
        PoorFitWarning,
    )


def _is_sloped_line(row: Candidate) -> bool:
    return bool(row.expression.variables) and is_line(row.expression.root)


def _line_beyond(front: Front, reached: float) -> str:
    """The line in all inputs, where no equation of the front gets as far."""
    inputs = len(front.variables)
    if front.line_r2 is None or front.line_r2 < max(reached + AS_GOOD, POOR):
        return ""
    return (
        f"a line in all {inputs} inputs does better: R2 {front.line_r2:.3f}; "
        f"maxsize={4 * inputs + 1} has room for it"
    )
