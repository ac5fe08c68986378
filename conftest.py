"""The README's and the docs' Python blocks are tests, like the docstrings' examples."""

from typing import Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser
from xdist.scheduler import LoadScopeScheduling

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
).pytest()


class PagesWhole(LoadScopeScheduling):
    """Deals out tests one by one, the blocks of a page together: later ones use earlier names."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return file if file.endswith(".md") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> PagesWhole:
    """What xdist asks for a scheduler; its own `loadgroup` loses the groups of pytest 9.2."""
    return PagesWhole(config, log)
