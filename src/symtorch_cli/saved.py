"""Equations out of files: a front, several of them, a folder, the state of a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from symtorch import Front

STATE = "_extra_state"
"""What torch calls a module's entry that is no tensor of its own."""


def read_saved(file: str, block: str | None = None) -> dict[str, Front]:
    """The fronts in a file, by label.

    Args:
        file: path, or ``-`` for JSON on stdin.
        block: of a state dict with several, only this one.

    Raises:
        InputError: nothing in it can be read.
    """
    if file == "-":
        return _fronts_in_text(sys.stdin.read(), "stdin")
    path = Path(file)
    if path.is_dir():
        return _fronts_in_folder(path)
    content = path.read_bytes()
    if content.lstrip()[:1] in (b"{", b"["):
        return _fronts_in_text(content.decode("utf-8", "replace"), file)
    return _fronts_in_state(path, block)


def _fronts_in_text(text: str, source: str) -> dict[str, Front]:
    """One front, however it is laid out, or one a line."""
    from symtorch import Front
    from symtorch.errors import InputError

    try:
        json.loads(text)
        texts = [text]
    except (ValueError, RecursionError):
        texts = [line for line in text.splitlines() if line.strip()]
    try:
        fronts = [Front.from_json(part) for part in texts]
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    if not fronts:
        raise InputError(f"{source}: empty")
    if len(fronts) == 1:
        return {"": fronts[0]}
    return {f"front {number}": front for number, front in enumerate(fronts)}


def _fronts_in_folder(folder: Path) -> dict[str, Front]:
    from symtorch.errors import InputError

    fronts: dict[str, Front] = {}
    for path in sorted(folder.glob("*.json"), key=_natural):
        for label, front in _fronts_in_text(path.read_text("utf-8", "replace"), str(path)).items():
            fronts[f"{path.stem} {label}".strip()] = front
    if not fronts:
        raise InputError(f"{folder}: a folder without .json files of fronts")
    return fronts


def _natural(path: Path) -> tuple[str, int]:
    """``mlp.2.json`` before ``mlp.10.json``."""
    name, _, number = path.stem.rpartition(".")
    return (name, int(number)) if number.isdigit() else (path.stem, 0)


def _fronts_in_state(path: Path, block: str | None) -> dict[str, Front]:
    from symtorch.errors import InputError
    from symtorch.model.saving import read_block, results_of

    states = {
        key.removesuffix(STATE).rstrip("."): value
        for key, value in _load(path).items()
        if isinstance(key, str) and key.endswith(STATE)
    }
    fronts: dict[str, Front] = {}
    for name, state in states.items():
        if block is not None and name != block:
            continue
        try:
            found = results_of(read_block(state), name)["distilled"]
        except InputError:
            if block is not None:
                raise
            continue  # the state of a module of another kind
        for dim, front in found.fronts.items():
            fronts[f"{name or 'model'}, output {dim}"] = front
    if not fronts:
        asked = "" if block is None else f" for block '{block}'"
        raise InputError(
            f"{path}: no distilled equations{asked}; state dicts of blocks in it: {[*states]}"
        )
    return fronts


def _load(path: Path) -> Mapping[Any, torch.Tensor]:
    import torch

    from symtorch.errors import InputError

    try:
        saved = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception:  # unpickling raises anything; all of it means the same
        raise InputError(
            f"{path}: neither a front (JSON) nor a state dict that torch.load reads safely"
        ) from None
    # Checkpoints of training loops keep the state dict among other things.
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(saved, Mapping) and isinstance(saved.get(key), Mapping):
            saved = saved[key]
    if not isinstance(saved, Mapping):
        raise InputError(f"{path}: holds a {type(saved).__name__}, not a state dict")
    return saved
