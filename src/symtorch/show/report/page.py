"""The page: all of its HTML. Text from outside is escaped where it enters, here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ...search import Front
from ...symbolic.mathml import mathml
from ..comparison import Comparison
from ..notebook import formula
from ..slices import Slice, common_limits
from ..terms import terms
from .charts import BOTTOM, HEIGHT, TOP, Scale, front_chart, scatter_chart, slice_chart
from .contents import Contents, Part, Section

SHOWN_PARTS = 300
SHOWN_TERMS = 8


def body(
    title: str,
    contents: Contents,
    slices: Sequence[Sequence[Slice]],
    settings: Mapping[str, str],
) -> str:
    """Everything between the page's head and its script."""
    sections = contents.sections
    outputs = "".join(
        _output(place, section, along)
        for place, (section, along) in enumerate(zip(sections, slices, strict=True))
    )
    listed = "".join(
        f'<li><a href="#s{place}">{escape(section.label or "equation")}</a> '
        f"{formula(section.front.get_best())}</li>"
        for place, section in enumerate(sections)
    )
    return (
        f'<header><h1>{escape(title)}</h1><button type="button" id="theme">dark or light</button>'
        f"</header><main>"
        f'<nav aria-label="outputs"><ul class="outputs">{listed}</ul></nav>'
        f"{_tree(contents.parts)}{outputs}{_settings(settings)}</main>"
    )


def _tree(parts: Sequence[Part]) -> str:
    if not parts:
        return ""
    rows = "".join(
        f"<tr{' class=wrapped' if part.note else ''}>"
        f'<td class="depth{min(part.depth, 8)}">{escape(part.name) or "model"}</td>'
        f"<td>{escape(part.kind)}</td><td class=number>{part.parameters:,}</td>"
        f"<td>{escape(part.note)}</td></tr>"
        for part in parts[:SHOWN_PARTS]
    )
    more = len(parts) - SHOWN_PARTS
    note = f"<p>and {more} more parts</p>" if more > 0 else ""
    return (
        "<section><h2>The model</h2>"
        + _scrolled(
            "<table><thead><tr><th>part</th><th>kind</th><th class=number>parameters</th>"
            f"<th>state</th></tr></thead><tbody>{rows}</tbody></table>",
            "parts of the model",
        )
        + f"{note}</section>"
    )


def _output(place: int, section: Section, along: Sequence[Slice]) -> str:
    label = escape(section.label or "equation")
    return (
        f'<section id="s{place}" class="output" aria-labelledby="h{place}">'
        f'<h2 id="h{place}">{label}</h2>'
        f'<div class="bench"><figure>{front_chart(section.front, place)}'
        "<figcaption>Circles: fitted rows; squares: rows held out. Arrow keys or the pointer "
        "choose an equation, Enter or a click pins it for comparison.</figcaption></figure>"
        f'<div class="cards" data-section="{place}"></div></div>'
        f"{_evidence(section.comparison, along)}"
        f"<details><summary>All {len(section.front)} equations</summary>"
        + _scrolled(_table(section.front), f"equations of {section.label or 'the front'}")
        + "</details></section>"
    )


def _table(front: Front) -> str:
    best = front.get_best()
    rows = "".join(
        f"<tr{' class=chosen' if row is best else ''}><td class=number>{row.complexity}</td>"
        f"<td class=number>{row.loss:.4g}</td><td class=number>{row.validation_loss:.4g}</td>"
        f'<td class="formula">{formula(row)}'
        f"{' (trained since)' if row.trained else ''}</td></tr>"
        for row in front
    )
    return (
        "<table class=front><thead><tr><th class=number>complexity</th><th class=number>loss</th>"
        f"<th class=number>held out</th><th>equation</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _evidence(comparison: Comparison | None, along: Sequence[Slice]) -> str:
    if comparison is None:
        return ""
    error = math.sqrt(float(((comparison.y - comparison.fitted) ** 2).mean()))
    facts = {
        "R²": f"{comparison.r2:.5f}",
        "root mean square difference": f"{error:.4g}",
        "rows": f"{len(comparison):,}",
    }
    if comparison.left_out:
        facts["rows left out, not finite"] = f"{comparison.left_out:,}"
    card = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts.items())
    limits = Scale(*common_limits(along), HEIGHT - BOTTOM, TOP)
    charts = [
        scatter_chart(comparison, residuals=False),
        scatter_chart(comparison, residuals=True),
        *(slice_chart(one, limits) for one in along),
    ]
    figures = "".join(f"<figure>{chart}</figure>" for chart in charts)
    return (
        f"<h3>The chosen equation on the data</h3><dl>{card}</dl>"
        f'<div class="charts">{figures}</div>'
        f"<p class=note>Dashed: the equation; wide: the {comparison.target}, where it can be "
        "asked. Hatched: outside of what was recorded.</p>"
        f"{_terms(comparison)}"
    )


def _terms(comparison: Comparison) -> str:
    moving = [term for term in terms(comparison) if term.spread > 0][:SHOWN_TERMS]
    if len(moving) < 2:
        return ""
    widest = moving[0].spread
    rows = "".join(
        f"<tr><td>{mathml(term.expression.root, 3)}</td><td class=number>{term.spread:.3g}</td>"
        f'<td><meter min="0" max="{widest:.6g}" value="{term.spread:.6g}">'
        f"{term.spread / widest:.0%}</meter></td></tr>"
        for term in moving
    )
    return "<h3>What its terms move</h3>" + _scrolled(
        "<table><thead><tr><th>term</th><th class=number>standard deviation</th>"
        f"<th>share of the largest</th></tr></thead><tbody>{rows}</tbody></table>",
        f"terms of {comparison.title}",
    )


def _settings(settings: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in settings.items()
    )
    return (
        "<section><h2>To do it again</h2>"
        + _scrolled(f"<table><tbody>{rows}</tbody></table>", "settings and versions")
        + "</section>"
    )


def _scrolled(table: str, label: str) -> str:
    """A table that scrolls on its own on a narrow screen, also by keyboard."""
    return (
        f'<div class="scrolled" tabindex="0" role="region" aria-label="{escape(label)}">'
        f"{table}</div>"
    )
