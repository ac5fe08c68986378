"""The one pass over data: calls a model on every batch, and restores its state afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from ..errors import InputError, SymTorchError
from ..lazy import LazyModule
from .adapters.values import as_tensor, map_nested
from .batches import Data, batches_of, call_of
from .contexts import evaluating, gradients, seeded
from .failures import explained
from .lookup import FunctionBlock

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

Model = nn.Module | Callable[..., Any]


class Runner:
    """Calls a model with batches of a user's data.

    >>> runner = Runner(nn.Linear(2, 1), input_of=lambda batch: batch[0])
    >>> runner((np.ones((5, 2)), "targets")).shape
    torch.Size([5, 1])

    Args:
        model: a module gets arrays as tensors of its parameters' type and device; a function
            gets the batch itself, but arrays instead of DataFrames that it cannot take.
        input_of: takes a batch to the model's input.
        question: one more question to the user if the model's forward fails.
    """

    def __init__(
        self, model: Model, input_of: Callable[[Any], Any] | None = None, question: str = ""
    ) -> None:
        self.model = model
        self._input_of = input_of
        self._question = question

    def arguments(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The model's positional and keyword arguments for a batch."""
        args, kwargs = call_of(batch if self._input_of is None else self._input_of(batch))
        if isinstance(self.model, FunctionBlock):
            args, kwargs = _for_a_function(self.model.function, args, kwargs)
        elif isinstance(self.model, nn.Module):
            like = next((p for p in self.model.parameters() if p.is_floating_point()), None)
            args, kwargs = map_nested((args, kwargs), lambda value: _converted(value, like))
        return args, kwargs

    def __call__(self, batch: Any) -> Any:
        """The model's output for a batch.

        Raises:
            ForwardError: the model's forward fails on it.
        """
        args, kwargs = self.arguments(batch)
        return self.call(*args, **kwargs)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The model's output for arguments, as from `arguments`."""
        try:
            return self.model(*args, **kwargs)
        except SymTorchError:
            raise
        except Exception as error:
            chosen = self._input_of is not None
            explanation = explained(
                error, self.model, args, kwargs, input_chosen=chosen, question=self._question
            )
            if explanation is None:
                raise
            raise explanation from error


def run_batches(
    model: Model,
    data: Data,
    visit: Callable[[Any, Any], object] = lambda output, batch: None,
    *,
    input_of: Callable[[Any], Any] | None = None,
    random_state: int = 0,
    grad: bool = False,
    parts: Iterable[nn.Module] = (),
    hooks: Iterable[AbstractContextManager[object]] = (),
    question: str = "",
) -> int:
    """Call a model on every batch, in eval mode and with its random generators seeded.

    >>> net, shapes = nn.Linear(2, 1), []
    >>> run_batches(net, [torch.ones(5, 2), torch.ones(4, 2)], lambda output, batch:
    ...     shapes.append(output.shape[0]))
    2
    >>> shapes
    [5, 4]

    Modes, generators and hooks are restored afterwards, also if something raises.

    Args:
        model: called on every batch.
        data: see `Data`.
        visit: called with each output and the batch it belongs to.
        input_of: takes a batch to the model's input.
        random_state: seed of the model's random draws.
        grad: whether autograd is on.
        parts: more modules to put in eval mode, for a model that is a function calling them.
        hooks: contexts to enter while the model runs, such as `BlockHook.attached`.
        question: one more question to the user if the model's forward fails.

    Returns:
        The number of batches.

    Raises:
        InputError: there is no batch.
        ForwardError: the model's forward fails.
    """
    runner = Runner(model, input_of, question)
    modules = [module for module in (model, *parts) if isinstance(module, nn.Module)]
    count = 0
    with ExitStack() as stack:
        stack.enter_context(evaluating(*modules))
        stack.enter_context(seeded(random_state))
        stack.enter_context(gradients(grad))
        for hook in hooks:
            stack.enter_context(hook)
        for batch in batches_of(data):
            visit(runner(batch), batch)
            count += 1
    if not count:
        raise InputError("the data is empty: its iterator gave no batch")
    return count


def _for_a_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """DataFrames if the function takes them, which two of their rows show; otherwise arrays."""
    frames = [v for v in (*args, *kwargs.values()) if isinstance(v, pd.DataFrame)]
    if not frames:
        return args, kwargs

    def few(value: Any) -> Any:
        return value.iloc[:2] if isinstance(value, pd.DataFrame) else value

    def array(value: Any) -> Any:
        return value.to_numpy() if isinstance(value, pd.DataFrame) else value

    try:
        function(*map(few, args), **{key: few(value) for key, value in kwargs.items()})
    except Exception:  # a function of arrays may fail on a frame in any way
        return tuple(map(array, args)), {key: array(value) for key, value in kwargs.items()}
    return args, kwargs


def _converted(value: Any, like: torch.Tensor | None) -> Any:
    """An array as a tensor that the model can take; other values unchanged."""
    if not isinstance(value, np.ndarray | pd.DataFrame):
        return value
    tensor = as_tensor(value)
    if not tensor.is_floating_point():
        return tensor if like is None else tensor.to(like.device)
    return tensor.to(torch.get_default_dtype()) if like is None else tensor.to(like)
