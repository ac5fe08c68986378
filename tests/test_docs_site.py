"""The documentation site: every public name has its place in the reference."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import symtorch

DOCS = Path(__file__).parents[1] / "docs"

PUBLIC = sorted(
    name
    for name, thing in vars(symtorch).items()
    if not name.startswith("_") and not inspect.ismodule(thing)
)


def documented() -> set[str]:
    """Last parts of the names that the reference pages describe."""
    pages = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    return {path.rpartition(".")[2] for path in re.findall(r"auto\w+:: (\S+)", pages)}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert name in documented()


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_and_method_has_a_docstring(name: str) -> None:
    thing = getattr(symtorch, name)
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        methods = (m for n, m in vars(thing).items() if inspect.isfunction(m) and n[0] != "_")
        assert all(inspect.getdoc(method) for method in methods)


def test_every_page_is_on_the_site() -> None:
    listed = re.findall(r"^([\w/]+)$", (DOCS / "index.md").read_text(), re.MULTILINE)
    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= set(listed)
