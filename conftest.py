"""The README's and the docs' Python blocks are tests, like the docstrings' examples."""

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
).pytest()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the blocks of one page in one process: later blocks use the names of earlier ones."""
    if item.path.suffix == ".md":
        item.add_marker(pytest.mark.xdist_group(item.path.name))
