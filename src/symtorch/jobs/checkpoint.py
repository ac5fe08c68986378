"""Checkpoints: the fronts of a call in a folder, written as they are found."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeAlias

import torch

from ..documents import Format
from ..errors import InputError
from ..files import file_name, write_file
from ..search import Front, Problem, SearchOptions

Resume: TypeAlias = Literal["same", "seed"]
"""``"same"`` goes on only with the same data and options; ``"seed"`` starts others from what was
found."""


@dataclass(frozen=True)
class Manifest:
    """What was asked for: a folder is gone on with only when all of it is the same.

    Args:
        block: name of the block.
        data: hash of the tables.
        engine: its name.
        options: of the search, as text by name.
        random_state: seed.
    """

    block: str
    data: str
    engine: str
    options: dict[str, str]
    random_state: int

    @classmethod
    def of(
        cls,
        block: str,
        problems: Mapping[int, Problem],
        options: SearchOptions,
        engine: str,
        random_state: int,
    ) -> Manifest:
        """Of a call."""
        asked = {f.name: repr(getattr(options, f.name)) for f in fields(options)}
        # Twice the time is no other question.
        del asked["timeout_in_seconds"]
        return cls(block, hash_of(problems.values()), engine, asked, random_state)

    def differences(self, other: Manifest) -> list[str]:
        """What another call asks differently, in words."""
        found = []
        for name, value in asdict(self).items():
            wanted = getattr(other, name)
            if name == "options":
                found += [
                    f"{key} was {value.get(key)} and is {wanted.get(key)}"
                    for key in sorted({*value, *wanted})
                    if value.get(key) != wanted.get(key)
                ]
            elif value != wanted:
                found.append(
                    "other data" if name == "data" else f"{name} was {value!r} and is {wanted!r}"
                )
        return found


MANIFEST = Format("symtorch.checkpoint", 1, "checkpoint", Manifest)


def hash_of(problems: Iterable[Problem]) -> str:
    """SHA-256 of the tables of problems, their names included."""
    digest = hashlib.sha256()
    for problem in problems:
        digest.update(repr(problem.names).encode())
        for sample in (problem.train, problem.validation):
            for table in (sample.X, sample.y, sample.weights):
                digest.update(repr(tuple(table.shape)).encode())
                array = table.detach().to("cpu", torch.float64).contiguous().numpy()
                digest.update(array.tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a manifest and, for each output, its front so far.

    Fronts are written by temporary file, fsync and rename: whenever the process is killed, a file
    is there whole, or as it was before.

    Args:
        folder: of the files.
        block: name of the block.
    """

    folder: Path
    block: str

    @classmethod
    def opened(
        cls, folder: str | os.PathLike[str], manifest: Manifest, resume: Resume
    ) -> Checkpoint:
        """A new folder, or one that belongs to the same call.

        Raises:
            InputError: the folder belongs to a call with other data or options; the message
                says which. OSError: it cannot be written.
        """
        if resume not in ("same", "seed"):
            raise InputError(f"resume must be 'same' or 'seed'; got {resume!r}")
        found = cls(Path(folder), manifest.block)
        found.folder.mkdir(parents=True, exist_ok=True)
        path = found.folder / file_name(manifest.block, ".manifest.json")
        if path.exists():
            differences = MANIFEST.read(path.read_text()).differences(manifest)
            if differences and resume == "same":
                raise InputError(
                    f"{path} belongs to another call: {'; '.join(differences)}. Take another "
                    f"folder, or resume='seed' to start this call from what that one found"
                )
            if differences:
                for old in found.folder.glob(f"{file_name(manifest.block, '')}.*.done"):
                    old.unlink()
        write_file(path, MANIFEST.write(manifest))
        return found

    def front(self, dim: int) -> Front | None:
        """What was found for an output; None where nothing was."""
        path = self._path(dim, ".json")
        return Front.from_json(path.read_text()) if path.exists() else None

    def finished(self, dim: int) -> Front | None:
        """The front of an output whose search ended by itself."""
        return self.front(dim) if self._path(dim, ".done").exists() else None

    def finish(self, dim: int, front: Front) -> None:
        """Write the front of a search that has ended by itself."""
        self._write(dim, front)
        write_file(self._path(dim, ".done"), "")

    def keep(self, dim: int, front: Front) -> None:
        """Write the front of a search that goes on, or was stopped."""
        self._write(dim, front)

    def _write(self, dim: int, front: Front) -> None:
        write_file(self._path(dim, ".json"), front.to_json())

    def _path(self, dim: int, suffix: str) -> Path:
        return self.folder / file_name(self.block, f".{dim}{suffix}")
