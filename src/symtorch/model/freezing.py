"""Freezing: the parameters of a block that equations stand in for do not train.

While equations answer every call, the block's parameters get no gradient. Left trainable, they
make DistributedDataParallel fail at the second step ("parameters that were not used in producing
loss"), and weight decay shrinks them behind the user's back. So they are frozen, and trainable
again, exactly those that were, when the block is called again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import nn


def freeze(block: nn.Module, already: Iterable[str] = ()) -> tuple[str, ...]:
    """Let no parameter of a block train.

    Args:
        block: the block.
        already: names of those that were frozen before.

    Returns:
        The names of all that are to be trainable again, for `thaw`.
    """
    names = [name for name, parameter in block.named_parameters() if parameter.requires_grad]
    for name in names:
        block.get_parameter(name).requires_grad_(False)
    return tuple(dict.fromkeys([*already, *names]))


def thaw(block: nn.Module, names: Collection[str]) -> None:
    """Let those parameters train that `freeze` named."""
    for name, parameter in block.named_parameters():
        if name in names:
            parameter.requires_grad_(True)
