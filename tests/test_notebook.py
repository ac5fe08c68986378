"""What a notebook shows of equations, fronts and blocks."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from symtorch import Candidate, Expression, Front, SymbolicModel
from symtorch.show.notebook import LONG


@pytest.fixture
def front() -> Front:
    rows = [
        Candidate(Expression.parse("3"), 1, 4.0, 4.1),
        Candidate(Expression.parse("2*u/v"), 5, 0.01, 0.012),
        Candidate(Expression.parse("2*u/v + 0.001*u"), 9, 0.00999, 0.0119),
    ]
    return Front.pareto(rows, variables=["u", "v"])


def parsed(html: str) -> ElementTree.Element:
    """HTML that happens to be XML, so that a tag left open is an error."""
    return ElementTree.fromstring(f"<div>{html}</div>".replace("<details open>", "<details>"))


def test_an_expression_is_typeset():
    law = Expression.parse("2.5*x0**2")
    assert law._repr_latex_() == r"$\displaystyle 2.5 x_{0}^{2}$"
    assert parsed(law._repr_html_()).find(".//msup") is not None


def test_what_sympy_cannot_hold_is_still_shown():
    law = Expression.parse("less(log(-1), x)")
    assert law._repr_latex_() is None
    assert "log" in law._repr_html_()


def test_a_front_is_a_table_with_the_chosen_equation_marked(front):
    rows = parsed(front._repr_html_()).findall(".//tbody/tr")
    assert ["".join(row[0].itertext()) for row in rows] == ["", "chosen", ""]
    assert [row[1].text for row in rows] == ["1", "5", "9"]
    assert rows[1][-1].find(".//mfrac") is not None
    trained = front.with_expression(9, Expression.parse("3*u/v + 0.002*u"))
    assert "trained since" in trained._repr_html_()


def test_a_huge_equation_is_cut(front):
    terms = " + ".join(f"{i}.5*u" for i in range(1, 150))
    row = replace(front[2], expression=Expression.parse(terms), complexity=595)
    html = Front((*front.candidates[:2], row), front.variables)._repr_html_()
    assert "…" in html
    assert len(html) < 3_000 + LONG


def test_a_block_shows_its_fronts_by_output():
    torch.manual_seed(0)
    block = SymbolicModel(nn.Linear(2, 2), "<b>head</b> & co")
    assert "nothing distilled yet" in block._repr_html_()
    assert parsed(block._repr_html_()).find(".//b/b") is None
    block.distill(torch.randn(60, 2), sr_params={"niterations": 1, "maxsize": 9})
    page = parsed(block._repr_html_())
    assert len(page.findall(".//details")) == 2
    assert len(page.findall(".//table")) == 2
    with block.symbolic():
        assert "equations in force" in block._repr_html_()
