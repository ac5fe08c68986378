"""The files of fronts: one an output."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..files import file_name, write_file
from ..search.front import Front


def front_paths(
    folder: str | os.PathLike[str] | None, block_name: str, dims: Sequence[int]
) -> dict[int, Path]:
    """The file of each output, in a folder that is made now: before the search, not after.

    Raises:
        InputError: a block's name that is too long for a file. OSError: no such folder.
    """
    if folder is None:
        return {}
    paths = {dim: Path(folder, file_name(block_name, f".{dim}.json")) for dim in dims}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return paths


def write_fronts(paths: Mapping[int, Path], fronts: Mapping[int, Front]) -> None:
    """Write fronts to their files; after an interrupt some may be missing."""
    for dim, front in fronts.items():
        if dim in paths:
            write_file(paths[dim], front.to_json())
