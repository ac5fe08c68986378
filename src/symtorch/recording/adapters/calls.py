"""Calls of a block: their arguments by the names of its forward's parameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn


def signature_of(block: Callable[..., Any]) -> inspect.Signature | None:
    """The signature of a block's forward, or None if Python cannot tell."""
    # torch.compile wraps a module in one whose forward takes anything.
    block = getattr(block, "_orig_mod", block)
    try:
        return inspect.signature(block.forward if isinstance(block, nn.Module) else block)
    except (TypeError, ValueError):
        return None


def named_arguments(
    signature: inspect.Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by parameter name, however they were passed.

    >>> def forward(u, v, *rest, scale=1.0): ...
    >>> named_arguments(inspect.signature(forward), (1, 2, 3), {"scale": 4})
    {'u': 1, 'v': 2, 'rest_0': 3, 'scale': 4}
    """
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            # The block's own error describes a wrong call better than ours.
            pass
        else:
            named: dict[str, Any] = {}
            for name, value in bound.arguments.items():
                kind = signature.parameters[name].kind
                if kind is inspect.Parameter.VAR_POSITIONAL:
                    named |= {f"{name}_{i}": item for i, item in enumerate(value)}
                elif kind is inspect.Parameter.VAR_KEYWORD:
                    named |= value
                else:
                    named[name] = value
            return named
    return {f"arg{i}": value for i, value in enumerate(args)} | dict(kwargs)


def call_named(
    block: Callable[..., Any], signature: inspect.Signature | None, named: Mapping[str, Any]
) -> Any:
    """Call a block with arguments by name: the inverse of `named_arguments`.

    >>> def forward(u, /, *rest, scale=1.0): return u + sum(rest) * scale
    >>> call_named(forward, inspect.signature(forward), {"u": 1, "rest_0": 3, "scale": 4})
    13
    """
    kinds = {} if signature is None else {k: p.kind for k, p in signature.parameters.items()}
    rest = next((k for k, kind in kinds.items() if kind is kind.VAR_POSITIONAL), None)
    args, kwargs = [], {}
    for name, value in named.items():
        is_rest = rest is not None and name not in kinds and name.startswith(f"{rest}_")
        unnamed = signature is None and name.startswith("arg")
        # Parameters before *rest can only be passed by position if there is a rest.
        before_rest = rest is not None and name in [*kinds][: [*kinds].index(rest)]
        if (
            is_rest
            or unnamed
            or before_rest
            or kinds.get(name) is inspect.Parameter.POSITIONAL_ONLY
        ):
            args.append(value)
        else:
            kwargs[name] = value
    return block(*args, **kwargs)
