"""The state of a wrapped block as bytes in a tensor, and back; nothing in it is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ..documents import Format, text_of, to_bytes
from ..errors import InputError
from ..pruning.mask import PruningMask
from ..recording.dims import is_number
from .results import Distillation

_FORMAT = Format("symtorch.block", 1, "state of a SymbolicModel")
_LATER = {"pruning": None, "local": None, "switched_local": False}
"""Entries that files from before there were such things do not have."""
_KEYS = {"format", "version", "layout", "outputs", "chosen", "trainable_constants", *_LATER}


@dataclass(frozen=True)
class BlockState:
    """What a file keeps of a block beside its tensors.

    Args:
        distillation: the fronts.
        chosen: complexity of the equations in force, by output; None when the block is.
        trainable_constants: whether their constants are a parameter.
        pruning: schedule and mask; None when nothing is pruned.
        local: the fronts that hold around one row.
        switched_local: whether the equations in force are of these.
    """

    distillation: Distillation
    chosen: Mapping[int, int] | None
    trainable_constants: bool
    pruning: PruningMask | None = None
    local: Distillation = field(default_factory=lambda: Distillation(""))
    switched_local: bool = False

    def to_tensor(self) -> torch.Tensor:
        """As JSON in a uint8 tensor [bytes].

        Tensors of bytes are what every reader of state dicts copes with, and what
        ``torch.load(weights_only=True)`` lets through.
        """
        state = {
            **_FORMAT.header,
            **self.distillation.to_json(),
            "chosen": None if self.chosen is None else _with_text_keys(self.chosen),
            "trainable_constants": self.trainable_constants,
            "pruning": None if self.pruning is None else self.pruning.to_json(),
            "local": self.local.to_json() if self.local.outputs else None,
            "switched_local": self.switched_local,
        }
        return to_bytes(state)

    @classmethod
    def from_tensor(cls, state: Any, block_name: str) -> BlockState:
        """Read what `to_tensor` wrote.

        Raises:
            InputError: it did not write this.
        """
        data = _parse(state, block_name)
        distillation = Distillation.from_json(block_name, data)
        chosen = data["chosen"] and {int(dim): value for dim, value in data["chosen"].items()}
        local = Distillation(block_name)
        if data["local"] is not None:
            local = Distillation.from_json(block_name, data["local"])
        switched = local if data["switched_local"] else distillation
        for dim, complexity in (chosen or {}).items():
            if dim not in switched.outputs:
                raise InputError(f"output {dim} is switched but has no equations")
            switched.outputs[dim].front.select(complexity)
        pruning = None if data["pruning"] is None else PruningMask.from_json(data["pruning"])
        for found in (distillation, local):
            if pruning is not None and found.layout is not None:
                pruning.check_width(found.layout.output.width, block_name)
        return cls(
            distillation,
            chosen,
            data["trainable_constants"],
            pruning,
            local,
            data["switched_local"],
        )


def _with_text_keys(chosen: Mapping[int, int]) -> dict[str, int]:
    return {str(dim): value for dim, value in chosen.items()}


def _parse(state: Any, name: str) -> dict[str, Any]:
    if not isinstance(state, torch.Tensor) or state.dtype != torch.uint8:
        raise InputError(f"block '{name}': its saved state is no tensor of bytes")
    try:
        data = {**_LATER, **_FORMAT.read(text_of(state))}
    except (UnicodeDecodeError, InputError) as error:
        raise InputError(f"block '{name}': {error}") from None
    if set(data) != _KEYS:
        raise InputError(f"block '{name}': not the saved state of a SymbolicModel")
    chosen = data["chosen"]
    is_choice = chosen is None or (
        isinstance(chosen, dict)
        and len(chosen) > 0
        and all(is_number(k) and type(v) is int for k, v in chosen.items())
    )
    flags = (data["trainable_constants"], data["switched_local"])
    local = data["local"]
    is_local = local is None or (isinstance(local, dict) and set(local) == {"layout", "outputs"})
    if not (is_choice and is_local and all(isinstance(flag, bool) for flag in flags)):
        raise InputError(f"block '{name}': saved choices are malformed")
    return data
