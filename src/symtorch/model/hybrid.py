"""load_hybrid(): a saved model with wrapped blocks, into a model without, in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..documents import check_tensor
from ..errors import InputError, SymTorchError
from .loading import Parts
from .model import SymbolicModel
from .saving import SavedBlock, is_saved_block, read_block
from .surgery import replace_modules


def load_hybrid(model: nn.Module, state_dict: Mapping[str, Any], *, prefix: str = "") -> nn.Module:
    """Wrap what a file says was wrapped, and load the file.

    >>> def make():
    ...     return nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> net = make()
    >>> net[0] = SymbolicModel(net[0], "first")
    >>> again = load_hybrid(make(), net.state_dict())
    >>> type(again[0]).__name__, again[0].block_name
    ('SymbolicModel', 'first')
    >>> x = torch.randn(5, 2)
    >>> torch.equal(again(x), net(x))
    True

    Args:
        model: as it was before anything was wrapped; changed in place. Blocks that are wrapped
            already stay so.
        state_dict: of the hybrid: from ``torch.load(path, weights_only=True)`` or
            ``safetensors.torch.load_file(path)``; or a checkpoint that has one under
            ``"state_dict"``, as Lightning writes.
        prefix: what the keys have before this model's: ``"module."`` from DataParallel,
            ``"model."`` where it is a part of a LightningModule. Keys without are left out.

    Returns:
        The model; a `SymbolicModel` around it where the model as a whole was wrapped.

    Raises:
        InputError: the file does not fit the model; then the model is as it was.
    """
    entries = _entries(state_dict, prefix)
    documents = {
        key.removesuffix("_extra_state").removesuffix("."): value
        for key, value in entries.items()
        if key.rpartition(".")[2] == "_extra_state" and is_saved_block(value)
    }
    hybrid = model
    wrappers: list[SymbolicModel] = []
    try:
        # The outer ones first: an inner one is found inside of what was wrapped.
        for name in sorted(documents, key=len):
            wrapper = _wrap_at(hybrid, name, read_block(documents[name]))
            if wrapper is not None:
                wrappers.append(wrapper)
                hybrid = hybrid if name else wrapper
        # All of it is checked before the first number is written anywhere.
        _check_keys(hybrid, entries, documents)
        for name, document in documents.items():
            _check_block(hybrid.get_submodule(name), document, entries, name)
        hybrid.load_state_dict(entries, strict=False)
    except (SymTorchError, RuntimeError) as error:
        for wrapper in reversed(wrappers):
            replace_modules(hybrid, {id(wrapper): wrapper.block})
        raise InputError(f"the file does not fit the model: {error}") from None
    return hybrid


def _entries(state_dict: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    inner = state_dict.get("state_dict")
    entries = inner if isinstance(inner, Mapping) else state_dict
    found = {k[len(prefix) :]: value for k, value in entries.items() if k.startswith(prefix)}
    if not found:
        raise InputError(f"no key begins with '{prefix}'; there are {[*entries][:5]}")
    return found


def _wrap_at(model: nn.Module, name: str, saved: SavedBlock) -> SymbolicModel | None:
    """Wrap one block of a model as it was when it was saved; None where it is wrapped already."""
    try:
        block = model.get_submodule(name)
    except AttributeError:
        raise InputError(
            f"block '{name}' was wrapped, and {type(model).__name__} has no block of that name"
        ) from None
    if isinstance(block, SymbolicModel):
        return None
    request = saved.request
    wrapper = SymbolicModel(
        block,
        block_name=saved.block_name,
        inputs=request.inputs,
        output=request.output,
        feature_dim=request.feature_dim,
        mask=request.mask,
    )
    replace_modules(model, {id(block): wrapper})
    return wrapper


def _check_block(wrapper: nn.Module, document: Any, entries: Mapping[str, Any], name: str) -> None:
    """What a wrapper will read itself.

    Raises:
        InputError: it would refuse it.
    """
    assert isinstance(wrapper, SymbolicModel)
    own = f"{name}.symbolic_state." if name else "symbolic_state."
    tensors = {key[len(own) :]: value for key, value in entries.items() if key.startswith(own)}
    Parts.built(document, tensors, wrapper._module, name or wrapper.block_name)


def _check_keys(model: nn.Module, entries: Mapping[str, Any], documents: Iterable[str]) -> None:
    """Everything but what wrappers read themselves: all there, nothing else, of the right shape.

    Raises:
        InputError: the file does not fit.
    """
    own = {f"{name}." if name else "" for name in documents}
    read_by_wrappers = tuple(
        f"{n}{part}" for n in own for part in ("_extra_state", "symbolic_state.")
    )
    wanted = {
        key: value
        for key, value in model.state_dict(keep_vars=True).items()
        if not key.startswith(read_by_wrappers)
    }
    # Tensors that the model shares are saved once by some.
    there = {id(value) for key, value in wanted.items() if key in entries}
    missing = [k for k, value in wanted.items() if k not in entries and id(value) not in there]
    unknown = [k for k in entries if k not in wanted and not k.startswith(read_by_wrappers)]
    if missing or unknown:
        raise InputError(f"missing are {missing[:5]}, and of no use {unknown[:5]}")
    for key, value in wanted.items():
        if key in entries and isinstance(value, torch.Tensor):
            check_tensor(entries[key], f"'{key}'", tuple(value.shape))
