"""wrap() and unwrap(): putting wrappers in the place of a model's blocks, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ..errors import InputError, StateError, UnsupportedTypeError
from ..recording.lookup import find_blocks
from .model import SymbolicModel


def wrap(model: nn.Module, blocks: str | Sequence[str], **options: Any) -> dict[str, SymbolicModel]:
    """Wrap blocks of a model, in place.

    >>> net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    >>> list(wrap(net, "[02]"))
    ['0', '2']
    >>> type(unwrap(net)[0])
    <class 'torch.nn.modules.linear.Linear'>

    A module that the model holds in several places is wrapped once.

    Args:
        model: its blocks are replaced by `SymbolicModel`.
        blocks: dotted names or globs; ``*`` stays within a level, ``**`` spans levels.
        options: passed to each `SymbolicModel`: ``inputs``, ``output``, ``feature_dim``,
            ``mask``.

    Returns:
        The wrappers by dotted name.

    Raises:
        InputError: a pattern without a match; a match that lies inside another, or that
            only holds other modules (`nn.ModuleList`).
        StateError: a match is wrapped already, or lies inside a wrapped block.
    """
    found = find_blocks(model, blocks)
    inner = {
        id(part): name
        for name, block in found.items()
        for part in block.modules()
        if part is not block
    }
    for name, block in found.items():
        if isinstance(block, SymbolicModel):
            raise StateError(f"block '{name}' is wrapped already; unwrap(model) undoes it")
        if getattr(block.forward, "__func__", None) is nn.Module.forward:
            raise InputError(
                f"block '{name}' is a {type(block).__name__}, which is never called itself; "
                f"wrap what it holds, '{name}.*'"
            )
        if id(block) in _inside_wrappers(model):
            raise StateError(f"block '{name}' lies inside a wrapped block")
        if id(block) in inner:
            raise InputError(
                f"'{blocks}' matches '{name}' and the block '{inner[id(block)]}' around it; "
                f"wrap one of them"
            )
    wrappers: dict[int, SymbolicModel] = {}
    for name, block in found.items():
        if id(block) not in wrappers:
            wrappers[id(block)] = SymbolicModel(block, block_name=name, **options)
    replace_modules(model, wrappers)
    return {name: wrappers[id(block)] for name, block in found.items()}


def unwrap(model: nn.Module) -> nn.Module:
    """Put every wrapped block back, in place; fronts and equations are dropped.

    Returns:
        The model; the original block when the model itself is a wrapper.

    Raises:
        UnsupportedTypeError: a wrapper around a plain function inside the model: there is
            no module to put back.
    """
    if isinstance(model, SymbolicModel):
        return unwrap(_module_of(model, "the model"))
    wrapped = [
        (module, key, child)
        for module in model.modules()
        for key, child in module._modules.items()
        if isinstance(child, SymbolicModel)
    ]
    blocks = [_module_of(child, key) for _, key, child in wrapped]
    for (module, key, _), block in zip(wrapped, blocks, strict=True):
        module._modules[key] = block
    return model


def replace_modules(model: nn.Module, others: Mapping[int, nn.Module]) -> None:
    """Put other modules in the place of some of a model's, by ``id``, wherever it holds them."""
    # The list is made before the first change: wrappers hold what they replace.
    for module in list(model.modules()):
        for key, child in module._modules.items():
            if id(child) in others:
                module._modules[key] = others[id(child)]


def _module_of(wrapper: SymbolicModel, name: str) -> nn.Module:
    block = wrapper.block
    if not isinstance(block, nn.Module):
        raise UnsupportedTypeError(
            f"'{name}' wraps a function, which cannot stand in a model by itself"
        )
    return _module_of(block, name) if isinstance(block, SymbolicModel) else block


def _inside_wrappers(model: nn.Module) -> set[int]:
    return {
        id(inner)
        for module in model.modules()
        if isinstance(module, SymbolicModel)
        for inner in module.modules()
        if inner is not module
    }
