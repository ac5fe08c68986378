"""Wrapper: a module that passes for the block inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from ..recording.lookup import FunctionBlock


class Wrapper(nn.Module):
    """Stands in the place of a block, for code that looks at its parts and for code that sets them.

    What the class itself defines, and what torch keeps in every module (hooks, the mode), is the
    wrapper's own. Every other attribute is the block's, whether it is read, set or deleted, and so
    are items, length and iteration. Names with two underscores at both ends are never passed on:
    Python asks for those of the object itself, when it copies or pickles.

    >>> block = Wrapper(nn.Sequential(nn.Linear(2, 3), nn.Tanh()))
    >>> len(block), block[0].out_features
    (2, 3)

    Args:
        block: what calls and attributes go to.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        # By hand, because what is set goes to the block, from now on.
        self._modules["block"] = block
        self.__dict__["training"] = block.training

    @property
    def _module(self) -> Any:
        return self._modules["block"]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            block = self._passes_for
            if block is None or _is_special(name):
                raise
        return getattr(block, name)

    def __setattr__(self, name: str, value: Any) -> None:
        block = self._passes_for
        if block is None or self._owns(name):
            super().__setattr__(name, value)
        if block is not None and (name == "training" or not self._owns(name)):
            setattr(block, name, value)

    def __delattr__(self, name: str) -> None:
        block = self._passes_for
        if block is None or self._owns(name):
            super().__delattr__(name)
        else:
            delattr(block, name)

    @property
    def _passes_for(self) -> nn.Module | None:
        """What attributes go to; a function has none that a module could have."""
        block = self.__dict__.get("_modules", {}).get("block")
        return None if isinstance(block, FunctionBlock) else block

    def _owns(self, name: str) -> bool:
        return (
            _is_special(name)
            or name in self.__dict__
            or name in self._modules
            or hasattr(type(self), name)
        )

    def __dir__(self) -> list[str]:
        block = self._passes_for
        own: list[str] = super().__dir__()  # type: ignore[no-untyped-call]
        return sorted({*own, *(() if block is None else dir(block))})

    # Python looks these up on the class. Where the block has no such thing, it says so itself.

    def __len__(self) -> int:
        return len(self._module)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._module)

    def __contains__(self, item: Any) -> bool:
        return item in self._module

    def __getitem__(self, key: Any) -> Any:
        return self._module[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._module[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._module[key]

    def __bool__(self) -> bool:
        # Without it, every block that has no length would have no truth either.
        return bool(self._module)

    # What is registered becomes an attribute, so it is the block's too.

    def register_buffer(self, *args: Any, **kwargs: Any) -> None:
        """As of the block."""
        block = self._passes_for
        if block is None:
            super().register_buffer(*args, **kwargs)
        else:
            block.register_buffer(*args, **kwargs)

    def register_parameter(self, *args: Any, **kwargs: Any) -> None:
        """As of the block."""
        block = self._passes_for
        if block is None:
            super().register_parameter(*args, **kwargs)
        else:
            block.register_parameter(*args, **kwargs)

    def add_module(self, *args: Any, **kwargs: Any) -> None:
        """As of the block."""
        block = self._passes_for
        if block is None:
            super().add_module(*args, **kwargs)
        else:
            block.add_module(*args, **kwargs)

    register_module = add_module


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
