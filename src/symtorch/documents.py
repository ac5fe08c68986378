"""JSON texts that this package saves: each names its format and its version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .errors import InputError


def to_bytes(document: Mapping[str, Any]) -> torch.Tensor:
    """A document as JSON in a uint8 tensor [bytes], which a state_dict can hold.

    >>> text_of(to_bytes({"version": 1}))
    '{"version": 1}'
    """
    return torch.frombuffer(bytearray(json.dumps(document).encode()), dtype=torch.uint8)


def text_of(saved: torch.Tensor) -> str:
    """The text in a tensor that `to_bytes` made.

    Raises:
        ValueError: it holds no text.
    """
    return bytes(saved.cpu().tolist()).decode()


@dataclass(frozen=True)
class Format:
    """A kind of saved text.

    >>> fronts = Format("symtorch.front", 1, "front")
    >>> fronts.read('{"format": "symtorch.front", "version": 1, "rows": []}')["rows"]
    []

    Args:
        name: the text's ``format``.
        version: its ``version``; another one is not read.
        what: the kind, for messages.
    """

    name: str
    version: int
    what: str

    @property
    def header(self) -> dict[str, Any]:
        """What such a text begins with."""
        return {"format": self.name, "version": self.version}

    def read(self, text: str) -> dict[str, Any]:
        """The object in a text. What its entries hold is for the caller to check.

        Raises:
            InputError: it is no text of this format and version.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"not a saved {self.what}, no JSON: {error}") from None
        if not isinstance(data, dict) or data.get("format") != self.name:
            raise InputError(f"not a saved {self.what}: its 'format' is missing or another one")
        if "version" not in data:
            raise InputError(f"not a saved {self.what}: its 'version' is missing")
        if data["version"] != self.version:
            raise InputError(
                f"saved {self.what} of version {data['version']}; this symtorch reads "
                f"{self.version}"
            )
        return data
