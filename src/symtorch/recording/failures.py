"""Questions to a user whose model fails on the data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import ForwardError
from .adapters.calls import signature_of
from .adapters.values import describe

FORGOTTEN_PARENT = (
    "it was called with the data itself: if that is the input of the model around it, say "
    "parent_model=model"
)
"""The question to someone who called `distill` without a parent."""

_ABOUT_THE_DATA = (TypeError, RuntimeError, ValueError, IndexError)
"""Errors raised for wrong inputs. Subclasses (no memory, a model's own) need no explanation."""


def explained(
    error: Exception,
    model: nn.Module | Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    input_chosen: bool,
    question: str = "",
) -> ForwardError | None:
    """The error to raise for a model that failed; None if its own error is clearer.

    Args:
        error: raised by the model.
        model: which failed.
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
        input_chosen: whether the user gave ``input_of``.
        question: to ask in every case.
    """
    if type(error) not in _ABOUT_THE_DATA:
        return None
    questions = [question] if question else []
    signature = signature_of(model)
    required = [] if signature is None else _required(signature)
    if len(args) > 1 and not input_chosen:
        questions.append(
            f"each batch holds {len(args)} items, which are passed as {len(args)} inputs: for "
            f"pairs of (inputs, targets) say input_of=lambda batch: batch[0]"
        )
    missing = [name for name in required[len(args) :] if name not in kwargs]
    if missing:
        questions.append(
            f"{', '.join(missing)} is missing: give the inputs of one call as a tuple "
            f"({', '.join(required)}) or a dict, because a list is a list of batches"
        )
    name = type(getattr(model, "function", model)).__name__
    called = ", ".join(
        [*map(_described, args), *(f"{key}={_described(value)}" for key, value in kwargs.items())]
    )
    first_line = str(error).partition("\n")[0]
    return ForwardError(
        f"{name} cannot be called with ({called}): {first_line}"
        + "".join(f"; {question}" for question in questions)
    )


def _required(signature: inspect.Signature) -> list[str]:
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]


def _described(value: Any) -> str:
    kind = f" {value.dtype}" if isinstance(value, torch.Tensor) else ""
    return f"{describe(value)}{kind}"
