"""StatefulWrapper: a wrapper that answers calls by its state, and is saved and loaded with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..errors import UnsupportedTypeError
from ..recording.adapters.calls import signature_of
from ..recording.adapters.request import LayoutRequest
from ..recording.lookup import FunctionBlock
from .loading import Loading, Parts, finish_loading
from .published import published_attribute
from .saving import to_tensor, warn_of_functions
from .state import SymbolicState
from .wrapper import Wrapper


class StatefulWrapper(Wrapper):
    """What `SymbolicModel` is to torch: a module to call, save, load, copy and pickle.

    Args:
        block: a module, a function, or an estimator with ``predict``.
        block_name: what messages call it.
        request: what the user said about its calls.

    Raises:
        UnsupportedTypeError: ``block`` is none of these.
    """

    def __init__(
        self, block: nn.Module | Callable[..., Any], block_name: str, request: LayoutRequest
    ) -> None:
        if not callable(block):
            block = _predict_of(block)
        super().__init__(block if isinstance(block, nn.Module) else FunctionBlock(block))
        state = SymbolicState(block_name, request)
        state.signature = signature_of(block)
        self._modules["symbolic_state"] = state.train(self.training)
        self.register_load_state_dict_post_hook(finish_loading)  # type: ignore[no-untyped-call]

    @property
    def symbolic_state(self) -> SymbolicState:
        """All that the wrapper has beside the block and its own methods."""
        state = self._modules["symbolic_state"]
        assert isinstance(state, SymbolicState)
        return state

    @property
    def block(self) -> Any:
        """The original, as it was handed in; of an estimator its ``predict``."""
        module = self._module
        return module.function if isinstance(module, FunctionBlock) else module

    @property
    def block_name(self) -> str:
        """What messages call the block."""
        return self.symbolic_state.block_name

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the block, or its equations when switched; pruned outputs are zero."""
        return self.symbolic_state.answer(self._module, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_") or "symbolic_state" not in self.__dict__.get("_modules", {}):
                raise
        return published_attribute(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.symbolic_state.signature = signature_of(self.block)

    def get_extra_state(self) -> torch.Tensor:
        """Fronts, chosen equations, mode and pruning, as JSON in a uint8 tensor.

        Numbers in training are not in it: they are parameters beside it.
        """
        warn_of_functions(self.symbolic_state)
        return to_tensor(self.symbolic_state)

    def set_extra_state(self, state: Any) -> None:
        """Read what `get_extra_state` wrote; nothing in it is executed.

        Raises:
            InputError: not such a state, or one with numbers beside it that only a whole state
                dict has; the block is left as it was.
        """
        if self.symbolic_state.loading is None:
            parts = Parts.built(state, {}, self._module, self.block_name)
            parts.put_into(self.symbolic_state)
            self.symbolic_state.follow(self._module)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        loading = Loading(
            self.symbolic_state,
            self._module,
            prefix,
            strict,
            error_msgs,
            missing_keys,
            unexpected_keys,
        )
        self.symbolic_state.loading = loading
        if loading.begin(state_dict):
            super()._load_from_state_dict(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )


def _predict_of(estimator: Any) -> Callable[..., Any]:
    predict: Callable[..., Any] | None = getattr(estimator, "predict", None)
    if predict is None:
        raise UnsupportedTypeError(
            f"a block must be an nn.Module, a function, or an estimator with predict; got "
            f"{type(estimator).__name__}"
        )
    return predict
