"""The report: what the file holds, and what it does in a browser."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from browser import Page, opened
from torch import nn

from symtorch import Candidate, Expression, Front, Problem, SymbolicModel, report
from symtorch.errors import InputError, UnsupportedTypeError
from symtorch.show.report.programs import program
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.operators import OPERATORS

ATTACK = "</script><img src=x onerror=alert(1)>\"'&"


def candidate(text: str, complexity: int, loss: float, **operators) -> Candidate:
    return Candidate(Expression.parse(text, operators=operators), complexity, loss, loss * 1.1)


@pytest.fixture
def front() -> Front:
    gauss = define_operator("gauss(x) = exp(-2*x^2)")
    rows = [
        candidate("3", 1, 4.0),
        candidate("2*u - 3*v", 7, 0.01),
        candidate("2*u - 3*v + 1e-3*gauss(u)", 11, 0.0099, gauss=gauss),
    ]
    return Front.pareto(rows, variables=["u", "v"])


@pytest.fixture
def problem() -> Problem:
    X = torch.rand(400, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Problem.split(X, 2 * X[:, 0] - 3 * X[:, 1], ["u", "v"])


@pytest.fixture(scope="module")
def block() -> SymbolicModel:
    torch.manual_seed(0)
    block = SymbolicModel(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 10)), ATTACK)
    x = torch.randn(300, 3)
    block.distill(x, engine="quadratic", sr_params={"maxsize": 20, "timeout_in_seconds": 120})
    return block


# ------------------------------------------------------------------ the file


def test_ten_outputs_of_a_model_fit_into_300_kb(block: SymbolicModel, tmp_path: Path) -> None:
    model = nn.Sequential(block, nn.Identity())
    path = tmp_path / "report.html"
    report(model, path, data=block.record(torch.randn(300, 3)), title=ATTACK)
    text = path.read_text()
    assert len(text.encode()) < 300_000
    assert text.count('<section id="s') == 10
    assert "wrapped; 10 outputs distilled, over x0, x1, x2; block in force" in text
    assert "SHA-256" in text


def test_no_text_from_outside_is_markup(block: SymbolicModel, front: Front, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report(block, path, title=ATTACK, settings={ATTACK: ATTACK})
    text = path.read_text()
    assert "<img" not in text
    assert text.count("<script") == text.count("</script>") == 2
    report({ATTACK: front}, path, title=ATTACK)
    assert "<img" not in path.read_text()


def test_the_policy_lets_only_the_page_itself_run(front: Front, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report(front, path)
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', path.read_text())
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r"\sstyle=|\son\w+=", path.read_text())


def test_what_cannot_be_reported(front: Front, problem: Problem, block, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(InputError, match="nothing was distilled"):
        report(nn.Linear(2, 2), path)
    with pytest.raises(InputError, match="nothing was distilled"):
        report({}, path)
    with pytest.raises(UnsupportedTypeError, match="got int"):
        report(3, path)
    with pytest.raises(InputError, match="hand in the SymbolicModel"):
        report(front, path, data=block.record(torch.randn(20, 3)))
    with pytest.raises(InputError, match=re.escape("block.record(x)")):
        report(block, path, data=problem)
    assert not path.exists()


# ------------------------------------------------------------------ in a browser


CURVE = "return document.querySelector('.card .curve .equation').getAttribute('d')"
SHOWN = "return document.querySelector('.card .formula').textContent"


@pytest.fixture
def page(front: Front, problem: Problem, tmp_path: Path):
    path = tmp_path / "report.html"
    report({ATTACK: front}, path, data=problem, title=ATTACK)
    with opened(path) as page:
        yield page
        assert page.messages() == []
        assert page.requests() == []


def point(page: Page, place: int, event: str) -> None:
    page.run(
        "document.querySelectorAll('[role=option]')[arguments[0]]"
        ".dispatchEvent(new PointerEvent(arguments[1], {bubbles: true}))",
        place,
        event,
    )


def key(page: Page, name: str) -> None:
    page.run(
        "document.querySelector('svg.front')"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))",
        name,
    )


def test_points_keys_and_pins(page: Page) -> None:
    assert page.run("return document.title") == ATTACK
    assert page.run("return document.querySelector('h2').textContent") == ATTACK
    assert page.run(SHOWN).replace("\u2062", "") == "2u\u22123v"
    point(page, 0, "pointerenter")
    assert page.run(SHOWN) == "3"
    key(page, "End")
    assert "gauss" in page.run(SHOWN)
    key(page, "ArrowLeft")
    key(page, "ArrowLeft")
    key(page, "ArrowLeft")
    assert page.run(SHOWN) == "3"
    active = "return document.querySelector('svg.front').getAttribute('aria-activedescendant')"
    assert page.run(active) == "o0p0"
    point(page, 2, "click")
    point(page, 1, "pointerenter")
    cards = page.run("return [...document.querySelectorAll('.card h3')].map((x) => x.textContent)")
    assert cards == ["Chosen equation", "Pinned equation"]
    key(page, "End")
    key(page, "Enter")
    assert page.run("return document.querySelectorAll('.card').length") == 1


def test_a_slider_moves_the_curve_and_the_formula(page: Page) -> None:
    before = page.run(CURVE)
    page.run(
        "const slider = document.querySelectorAll('.card input')[1]; slider.value = -2;"
        "slider.dispatchEvent(new Event('input'))"
    )
    # Along u, with v at its median: another level.
    assert page.run(CURVE) != before
    assert page.run(SHOWN).replace("\u2062", "") == "2u\u2212(\u22122)v"
    page.run("[...document.querySelectorAll('.card button')].at(-1).click()")
    assert page.run(CURVE) == before
    assert page.run(SHOWN).replace("\u2062", "") == "2u\u22123v"
    page.run(
        "const choice = document.querySelector('.card select'); choice.value = 1;"
        "choice.dispatchEvent(new Event('change'))"
    )
    assert page.run(CURVE) != before


def test_equations_can_be_copied(page: Page) -> None:
    page.run(
        "window.copied = []; navigator.clipboard.writeText = async (text) => {copied.push(text)};"
        "document.querySelectorAll('.card .row button').forEach((each) => each.click())"
    )
    copied = page.run("return copied")
    assert "    return 2*u - 3*v\n" in copied[0]
    assert "void equations(const double *x, double *y)" in copied[1]
    assert copied[2:4] == ["2 u - 3 v", "2*u - 3*v"]


def test_narrow_windows_themes_and_names(page: Page) -> None:
    for width in (400, 1400):
        page.width(width)
        assert page.run("return document.documentElement.scrollWidth") <= width
    color = "return getComputedStyle(document.body).backgroundColor"
    before = page.run(color)
    page.run("document.getElementById('theme').click()")
    assert page.run(color) != before
    # Everything that can be used has a name that is read out.
    nameless = page.run(
        "return [...document.querySelectorAll('button, input, select, svg[role], a')].filter("
        "(x) => !(x.getAttribute('aria-label') || x.textContent.trim())).length"
    )
    assert nameless == 0
    assert page.run(
        "const ids = [...document.querySelectorAll('[id]')].map((x) => x.id);"
        "return ids.length === new Set(ids).size"
    )


def test_screen_readers_have_no_trouble(block: SymbolicModel, tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_core_python", reason="pip install axe-core-python")
    path = tmp_path / "report.html"
    report(nn.Sequential(block), path, data=block.record(torch.randn(100, 3)))
    with opened(path) as page:
        for _ in ("the one theme", "the other"):
            page.run("document.getElementById('theme').click()")
            page.run(Path(axe.__file__).with_name("axe.min.js").read_text())
            found = page.driver.execute_async_script(
                "axe.run(document, {}, (error, result) => arguments[0](result.violations))"
            )
            assert [(each["impact"], each["help"]) for each in found] == []


def test_the_page_computes_what_numpy_computes(front: Front, tmp_path: Path) -> None:
    """Every operator, in one page."""
    path = tmp_path / "report.html"
    report(front, path)
    points = [-40.0, -2.5, -1.0, -0.3, 0.0, 0.3, 1.0, 2.0, 7.5]
    grid = np.stack(np.meshgrid(points, points), axis=-1).reshape(-1, 2)
    gauss = define_operator("gauss(x, y) = exp(-2*x^2)/y")
    laws = {
        name: Expression.parse(
            f"x {'**' if name == '^' else name} y"
            if not name.isalnum()
            else f"{name}({', '.join('xy'[: row.arity])})"
        )
        for name, row in OPERATORS.items()
    }
    laws["own"] = Expression.parse("gauss(x + 1, gauss(y, x))*2", operators={"gauss": gauss})
    with opened(path) as page:
        for name, law in laws.items():
            found = page.run(
                "const [words, constants, rows] = arguments;"
                "return rows.map((row) => String(run(words.split(' '), constants, row)))",
                program(law, ["x", "y"]),
                law.constants,
                grid.tolist(),
            )
            values = np.array([float(text.replace("Infinity", "inf")) for text in found])
            expected = law({"x": grid[:, 0], "y": grid[:, 1]})
            np.testing.assert_allclose(values, expected, rtol=2e-6, atol=1e-7, err_msg=name)


def test_programs() -> None:
    law = Expression.parse("2*u**3 - v/2.5")
    assert program(law, ["u", "v"]) == "c0 v0 3.0 ^ * v1 c1 / -"


def test_a_front_with_awkward_numbers(tmp_path: Path) -> None:
    law = " + ".join(f"{i}.5*sin(u*{i})" for i in range(1, 30))
    rows = (
        Candidate(Expression.parse("1e-300*u"), 1, 0.0, 0.0),
        replace(candidate(law, 300, 1e-300), validation_loss=1e300),
        candidate("less(log(-1), u)", 301, 1e-301),
    )
    path = tmp_path / "report.html"
    report(Front(rows, ("u",)), path)
    with opened(path) as page:
        for place in range(3):
            point(page, place, "pointerenter")
            assert page.run("return document.querySelectorAll('.card').length") == 1
        point(page, 1, "pointerenter")
        assert page.run("return document.querySelectorAll('.slider').length") == 12
        assert page.messages() == []
