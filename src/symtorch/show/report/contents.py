"""What a report is about, collected from what was handed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from torch import nn

from ...errors import InputError, UnsupportedTypeError
from ...recording import Recording
from ...search import Front, Problem
from ..comparison import Comparison, compare_block, compare_problem

if TYPE_CHECKING:
    from ...model import SymbolicModel

Table: TypeAlias = Recording | Problem
Source: TypeAlias = "Front | Mapping[int, Front] | Mapping[str, Front] | nn.Module"
Tables: TypeAlias = Table | Mapping[str, Table] | Mapping[int, Table] | None


@dataclass(frozen=True)
class Section:
    """One output: what it is called, its front, and the chosen equation on the data."""

    label: str
    front: Front
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Part:
    """A module of the model.

    Args:
        depth: 0 for the model itself.
        name: within its parent.
        kind: class name.
        parameters: numbers in it, those of its parts included.
        note: of a wrapped block, what was found and what is in force.
    """

    depth: int
    name: str
    kind: str
    parameters: int
    note: str = ""


@dataclass(frozen=True)
class Contents:
    """All of a report."""

    sections: tuple[Section, ...]
    parts: tuple[Part, ...] = ()


def collect(source: Source, tables: Tables) -> Contents:
    """What a report shows of a front, several, a block or a model.

    Raises:
        InputError: nothing was distilled, or data that belong to nothing.
        UnsupportedTypeError: something else.
    """
    if isinstance(source, Front):
        source = {"": source}
    if isinstance(source, nn.Module):
        sections = [*_sections_of_model(source, tables)]
        parts = tuple(_parts(source))
    elif isinstance(source, Mapping):
        sections, parts = [*_sections_of_fronts(source, tables)], ()
    else:
        raise UnsupportedTypeError(
            f"a report is of a Front, a mapping of fronts, a SymbolicModel or a model with such "
            f"blocks; got {type(source).__name__}"
        )
    if not sections:
        raise InputError("nothing was distilled, so there is nothing to report")
    return Contents(tuple(sections), parts)


def _sections_of_fronts(
    fronts: Mapping[int, Front] | Mapping[str, Front], tables: Tables
) -> Iterator[Section]:
    for key, front in fronts.items():
        label = f"output {key}" if isinstance(key, int) else key
        table = _table_of(key, tables)
        if isinstance(table, Recording):
            raise InputError("a Recording belongs to a block: hand in the SymbolicModel")
        comparison = None if table is None else compare_problem(front, table, title=label)
        yield Section(label, front, comparison)


def _sections_of_model(model: nn.Module, tables: Tables) -> Iterator[Section]:
    for name, block in _blocks(model).items():
        recording = tables if isinstance(tables, Recording) else _table_of(name, tables)
        if isinstance(recording, Problem):
            raise InputError("the data of a block are a Recording: block.record(x)")
        for dim, front in block.fronts.items():
            comparison = None
            if recording is not None and block.symbolic_state.reduction is None:
                comparison = compare_block(block, dim, recording)
            yield Section(f"{_called(name, block)}, output {dim}", front, comparison)


def _called(name: str, block: SymbolicModel) -> str:
    """What a block calls itself, and where it is."""
    own = block.block_name
    return own if name in ("", own) else f"{own} ({name})"


def _table_of(key: int | str, tables: Tables) -> Table | None:
    if isinstance(tables, Mapping):
        return dict(tables).get(key)  # type: ignore[arg-type]
    return tables


def _blocks(model: nn.Module) -> dict[str, SymbolicModel]:
    from ...model import SymbolicModel

    return {name: m for name, m in model.named_modules() if isinstance(m, SymbolicModel)}


def _parts(module: nn.Module, name: str = "", depth: int = 0) -> Iterator[Part]:
    from ...model import SymbolicModel

    parameters = sum(p.numel() for p in module.parameters())
    if isinstance(module, SymbolicModel):
        kind = type(module.block).__name__
        yield Part(depth, name or module.block_name, kind, parameters, _note(module))
        return
    yield Part(depth, name, type(module).__name__, parameters)
    for inner, child in module.named_children():
        yield from _parts(child, inner, depth + 1)


def _note(block: SymbolicModel) -> str:
    if not block.fronts:
        return "wrapped; nothing distilled"
    inputs = ", ".join(next(iter(block.fronts.values())).variables[:4])
    more = ", …" if len(next(iter(block.fronts.values())).variables) > 4 else ""
    mode = "equations in force" if block.is_symbolic else "block in force"
    count = len(block.fronts)
    outputs = f"{count} output{'s' if count > 1 else ''}"
    return f"wrapped; {outputs} distilled, over {inputs}{more}; {mode}"
