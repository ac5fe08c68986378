"""Hooks: the one way in which this package observes a block's calls or replaces their output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch import nn

from ..errors import UnsupportedTypeError
from .adapters.calls import named_arguments
from .contexts import eagerly
from .lookup import signature_of_block

Visit = TypeVar("Visit")


class BlockHook(Generic[Visit]):
    """Calls two functions around every call of a block, while attached.

    >>> block, seen = nn.Linear(2, 1), []
    >>> hook = BlockHook(block, "head", lambda arguments: [*arguments], lambda names, output:
    ...     seen.append((names, output.shape)))
    >>> with hook.attached():
    ...     _ = block(torch.ones(5, 2))
    >>> seen
    [(['input'], torch.Size([5, 1]))]

    Args:
        block: whose calls are observed.
        name: for messages.
        enter: called with the call's arguments by name, before the block runs, which may
            overwrite them in place; its result is passed to ``leave``.
        leave: called with that and the block's output. Its result replaces the output,
            unless it is None.
    """

    def __init__(
        self,
        block: nn.Module,
        name: str,
        enter: Callable[[dict[str, Any]], Visit],
        leave: Callable[[Visit, Any], Any],
    ) -> None:
        self.block = block
        self.name = name
        self._enter, self._leave = enter, leave
        self._signature = signature_of_block(block)
        # A stack of open calls, because a block may call itself.
        self._open: list[Visit] = []

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Attaches the hooks inside, and removes them afterwards.

        Raises:
            UnsupportedTypeError: the block is a ScriptModule.
        """
        if isinstance(self.block, torch.jit.ScriptModule):
            raise UnsupportedTypeError(
                f"block '{self.name}' is a ScriptModule, which takes no hooks; record the "
                f"module it was made from, or a function that calls it"
            )
        before = self.block.register_forward_pre_hook(self._before, with_kwargs=True)
        after = self.block.register_forward_hook(self._after)
        try:
            # A compiled model does not look for new hooks.
            with eagerly():
                yield
        finally:
            before.remove()
            after.remove()
            self._open.clear()

    def _before(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._open.append(self._enter(named_arguments(self._signature, args, kwargs)))

    def _after(self, module: nn.Module, args: Any, output: Any) -> Any:
        return self._leave(self._open.pop(), output)


def no_op_hook(module: nn.Module, args: Any) -> None:
    """Does nothing; but fused paths that skip modules call those that have a hook."""
