"""Figures kept in a folder, one file each, so that processes side by side can add to them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any


class Results:
    """Figures by kind and key.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def has(self, kind: str, key: str) -> bool:
        return self._file(kind, key).exists()

    def put(self, kind: str, key: str, figures: Any) -> None:
        path = self._file(kind, key)
        # Whole or not at all, also where two processes write the same figure.
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps({"kind": kind, "key": key, "figures": figures}, indent=1))
        draft.replace(path)

    def of(self, kind: str) -> dict[str, Any]:
        """All figures of a kind by key, sorted by it."""
        files = (json.loads(path.read_text()) for path in self.folder.glob(f"{kind}--*.json"))
        return {f["key"]: f["figures"] for f in sorted(files, key=lambda f: f["key"])}

    def _file(self, kind: str, key: str) -> Path:
        return self.folder / f"{kind}--{re.sub(r'[^a-zA-Z0-9]+', '-', key)}.json"
