"""Hooks that the package puts on modules."""

from __future__ import annotations

from typing import Any

from torch import nn


def look_here(module: nn.Module, args: Any) -> None:
    """A hook that does nothing but be there."""
