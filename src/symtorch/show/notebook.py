"""HTML of fronts and blocks for notebooks: plain tables, formulas as MathML, no script."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from ..search.front import Candidate, Front
from ..symbolic.mathml import mathml

if TYPE_CHECKING:
    from ..model import SymbolicModel

LONG = 400
"""Nodes of the longest equation that is typeset; longer ones are cut, as text."""

HEADINGS = ("", "complexity", "loss", "held out", "score", "equation")


def formula(row: Candidate, digits: int = 4) -> str:
    """An equation typeset, or the beginning of one that is too long to read anyway."""
    if row.expression.complexity() <= LONG:
        return mathml(row.expression.root, digits, display=True)
    text = row.expression.pretty(digits)
    return f"<code>{escape(text[:LONG])} …</code>"


def front_html(front: Front) -> str:
    """A front as a table, the equation that `Front.get_best` chooses in bold."""
    best = front.get_best()
    head = "".join(f"<th>{heading}</th>" for heading in HEADINGS)
    lines = []
    for row, score in zip(front, front.scores, strict=True):
        notes = [
            *(["chosen"] if row is best else []),
            *(["trained since"] if row.trained else []),
        ]
        cells = [f"{row.complexity}", f"{row.loss:.4g}", f"{row.validation_loss:.4g}"]
        cells.append(f"{score:.3f}")
        style = ' style="font-weight: bold"' if row is best else ""
        left = ' style="text-align: left"'
        lines.append(
            f"<tr{style}><td>{escape(', '.join(notes))}</td>"
            + "".join(f"<td>{cell}</td>" for cell in cells)
            + f"<td{left}>{formula(row)}</td></tr>"
        )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def block_html(block: SymbolicModel) -> str:
    """A wrapped block: what it is, what is in force, and its fronts, all but the first folded."""
    mode = "equations in force" if block.is_symbolic else "the block itself in force"
    title = f"<b>{escape(block.block_name)}</b> ({escape(type(block.block).__name__)}), {mode}"
    if not block.fronts:
        return f"<p>{title}; nothing distilled yet</p>"
    parts = [
        f"<details{'' if place else ' open'}><summary>output {dim}: "
        f"{formula(front.get_best())}</summary>{front_html(front)}</details>"
        for place, (dim, front) in enumerate(block.fronts.items())
    ]
    return f"<p>{title}</p>{''.join(parts)}"
