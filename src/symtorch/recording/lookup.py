"""The blocks of a model: finding them by name, and wrapping functions as blocks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from ..errors import InputError, UnsupportedTypeError, did_you_mean
from .adapters.calls import signature_of


class FunctionBlock(nn.Module):
    """A function wrapped as a module, so that hooks can observe it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


def signature_of_block(block: nn.Module) -> inspect.Signature | None:
    """The signature of a block's forward, or of the function that a `FunctionBlock` wraps."""
    return signature_of(block.function if isinstance(block, FunctionBlock) else block)


def find_blocks(
    model: nn.Module | Callable[..., Any], patterns: str | Sequence[str]
) -> dict[str, nn.Module]:
    """Modules of a model by dotted name or glob, in the model's order.

    >>> net = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])})
    >>> list(find_blocks(net, "layers.*"))
    ['layers.0', 'layers.1']

    Raises:
        InputError: a pattern that matches nothing; the message suggests names.
        UnsupportedTypeError: not a module.
    """
    if not isinstance(model, nn.Module):
        raise UnsupportedTypeError(
            f"blocks are found by name in an nn.Module; this is a {type(model).__name__}"
        )
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    # All names of a shared module, so that any of them finds it.
    modules = {name: m for name, m in model.named_modules(remove_duplicate=False) if name}
    found: set[str] = set()
    for pattern in patterns:
        matches = {name for name in modules if _matches(name.split("."), pattern.split("."))}
        if not matches:
            raise InputError(
                f"no block '{pattern}' in {type(model).__name__}{did_you_mean(pattern, modules)}; "
                f"its blocks: {', '.join([*modules][:20])}{', ...' if len(modules) > 20 else ''}"
            )
        found |= matches
    return {name: module for name, module in modules.items() if name in found}


def _matches(name: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return any(_matches(name[i:], pattern[1:]) for i in range(len(name) + 1))
    return bool(name) and fnmatchcase(name[0], pattern[0]) and _matches(name[1:], pattern[1:])
