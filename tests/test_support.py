"""What examples and benchmarks share: its doctests, and that scripts of both find it."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples"))


@pytest.mark.parametrize("name", ["figures", "packaged"])
def test_docstrings_say_what_happens(name: str) -> None:
    results = doctest.testmod(importlib.import_module(f"support.{name}"))
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("folder", ["examples", "benchmarks"])
def test_scripts_find_it_wherever_they_are_started(folder: str, tmp_path: Path) -> None:
    # As for a script: its own folder, and nothing else of the project, is on the path.
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / folder)!r}); "
        "import support.figures, support.packaged; print(support.figures.__file__)"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == ROOT / "examples" / "support" / "figures.py"
