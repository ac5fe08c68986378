"""The adapters by kind, in the order in which they are tried on a call."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from ...errors import InputError
from .protocol import InputAdapter
from .request import LayoutRequest
from .values import describe

_ADAPTERS: dict[str, str | type[InputAdapter]] = {
    "masked": "symtorch.recording.adapters.masked:MaskedInputs",
    "nested": "symtorch.recording.adapters.nested:NestedInputs",
    "tensors": "symtorch.recording.adapters.tensors:TensorInputs",
}


def register_adapter(adapter: type[InputAdapter]) -> None:
    """Make an adapter of your own available; it is tried before the built-in ones.

    Args:
        adapter: its class, which replaces an existing one of the same kind.
    """
    others = {kind: other for kind, other in _ADAPTERS.items() if kind != adapter.kind}
    _ADAPTERS.clear()
    _ADAPTERS.update({adapter.kind: adapter} | others)


def plan_inputs(
    arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
) -> InputAdapter:
    """The adapter for calls like a first one.

    Args:
        arguments: of that call, by parameter name.
        request: how the user describes the block's calls.
        block: which is called.
        name: of the block, for messages.

    Raises:
        InputError: a requested argument is missing or is not a tensor; a convolutional
            block for which the user did not choose the axis of features.
    """
    for kind in _ADAPTERS:
        planned = _load(kind).plan(arguments, request, block, name)
        if planned is not None:
            return planned
    kinds = {key: describe(value) for key, value in arguments.items()}
    raise InputError(f"block '{name}' was called without tensor inputs: {kinds}")


def save_inputs(adapter: InputAdapter) -> dict[str, Any]:
    """An adapter for JSON: its kind and its fields."""
    return {"adapter": adapter.kind, **adapter.to_json()}


def load_inputs(data: Mapping[str, Any]) -> InputAdapter:
    """The inverse of `save_inputs`; the kind must be a registered one.

    Raises:
        ValueError, KeyError, TypeError: `save_inputs` did not write this.
    """
    return _load(data["adapter"]).from_json({k: v for k, v in data.items() if k != "adapter"})


def _load(kind: str) -> type[InputAdapter]:
    entry = _ADAPTERS[kind]
    if isinstance(entry, str):
        module, _, name = entry.partition(":")
        found: type[InputAdapter] = getattr(importlib.import_module(module), name)
        return found
    return entry
