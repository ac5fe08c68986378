"""The package's folders: what may import what, and that each says what lives in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import symtorch

PACKAGE = Path(symtorch.__file__).parent

GROUND = {"errors", "lazy", "documents", "files"}
"""Files that all rooms may use; they use each other only."""

ROOMS = [
    "symbolic",
    "recording/adapters",
    "recording",
    "search/selection",
    "search/constants",
    "search",
    "search/refinement",
    "search/engines/sparse/trees",
    "search/engines/sparse/library",
    "search/engines/sparse/models",
    "search/engines/sparse/structure",
    "search/engines/sparse",
    "search/engines/local",
    "search/engines/operon",
    "search/engines",
    "search/floor",
    "jobs",
    "layer/planning",
    "layer/executors",
    "layer",
    "layer/export",
    "trust/intervals",
    "trust/taylor",
    "trust/networks",
    "trust",
    "trust/fidelity",
    "reduction",
    "slime",
    "pruning",
    "model",
    "training",
    "analysis",
    "show",
    "show/plots",
    "show/report",
]
"""From the ground up: a file imports from its own room and from those before it."""

DOORS = {
    ("search/front", "show/notebook"),
    ("search/front", "show/plots"),
    ("model/model", "show/comparison"),
    ("model/model", "show/notebook"),
    ("model/model", "show/plots"),
}
"""Methods that only hand over to a room above, which they import when called."""

TABLES_OF_CONTENTS = {"__init__", "export", "regularisers"}
"""Files at the top of the package, which only pass names on."""


def name_of(path: Path) -> str:
    """A file as others import it: ``layer/planning/graph``, ``layer`` for its ``__init__``."""
    inner = path.relative_to(PACKAGE).with_suffix("")
    return str(inner.parent if inner.name == "__init__" and inner.parent.name else inner)


FILES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def floor_of(name: str) -> int:
    """How far up a file is: 0 on the ground, then the rooms, then the top of the package."""
    if name in GROUND:
        return 0
    if name in TABLES_OF_CONTENTS:
        return len(ROOMS) + 1
    is_folder = FILES[name].name == "__init__.py"
    return ROOMS.index(name if is_folder else name.rpartition("/")[0]) + 1


def imports_of(name: str, *, when_loaded: bool = False) -> Iterator[str]:
    """Files of the package that a file imports, those inside functions included.

    Args:
        name: of the file.
        when_loaded: only what is imported together with the file.
    """
    path = FILES[name]
    nodes: list[ast.AST] = [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        later = isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        )
        if not (later and when_loaded):
            nodes.extend(ast.iter_child_nodes(node))
        if not isinstance(node, ast.ImportFrom) or node.level == 0:
            continue
        folder = path.parents[node.level - 1].relative_to(PACKAGE)
        target = str(folder / (node.module or "").replace(".", "/"))
        for alias in node.names:
            inside = str(Path(target, alias.name))
            yield inside if inside in FILES else target


@pytest.mark.parametrize("name", FILES)
def test_imports_inside_the_package_are_relative(name: str) -> None:
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            assert all(alias.name.partition(".")[0] != "symtorch" for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").partition(".")[0] != "symtorch"


@pytest.mark.parametrize("name", FILES)
def test_imports_point_down(name: str) -> None:
    floor = floor_of(name)
    targets = {target for target in imports_of(name) if (name, target) not in DOORS}
    up = [target for target in targets if floor_of(target) > floor]
    assert not up, f"{name} is below {up}"


@pytest.mark.parametrize(("name", "target"), sorted(DOORS))
def test_doors_open_when_used(name: str, target: str) -> None:
    assert target in set(imports_of(name))
    assert target not in set(imports_of(name, when_loaded=True))


def test_files_do_not_import_each_other_in_a_circle() -> None:
    graph = {name: set(imports_of(name, when_loaded=True)) - {name} for name in FILES}
    assert [*TopologicalSorter(graph).static_order()]


def test_each_folder_is_in_the_list_of_rooms() -> None:
    folders = {name for name, path in FILES.items() if path.name == "__init__.py"}
    assert folders - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_lives_there_and_what_does_not(room: str) -> None:
    text = ast.get_docstring(ast.parse(FILES[room].read_text())) or ""
    first, _, rest = text.partition("\n\n")
    assert first
    assert rest


@pytest.mark.parametrize("name", [*ROOMS, *sorted(TABLES_OF_CONTENTS)])
def test_what_passes_names_on_does_nothing_else(name: str) -> None:
    docstring, *statements = ast.parse(FILES[name].read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(statement, ast.ImportFrom) for statement in statements)
