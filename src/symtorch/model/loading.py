"""Loading: a wrapped block takes over a whole state dict, or is left exactly as it was.

torch loads a model module by module, writing into each before it has seen the next, and reports
at the end what did not fit. A wrapper needs more care: its document, its constants and its
matrices only mean something together. So everything of its own is built and checked first, from
the document and the tensors that belong to it; only then is it swapped in, and torch fills it.
Where something is wrong, the entries below the wrapper are taken out of the (copied) state dict,
so that torch has nothing to write into the block either, and the reason is reported once. What
can only fail later, inside the block, is undone by `Loading.finish`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import nn

from ..documents import check_tensor
from ..errors import InputError
from ..pruning.mask import PruningMask
from ..reduction import Coordinates
from .results import Kind, Results
from .saving import SavedBlock, chosen_of, mask_of, read_block, results_of
from .state import SymbolicState
from .switch import Switch, device_of, parameter_of


@dataclass(frozen=True)
class Parts:
    """What a state is made of."""

    results: dict[Kind, Results]
    switch: Switch | None
    pruning: PruningMask | None
    reduction: Coordinates | None

    @classmethod
    def of(cls, state: SymbolicState) -> Parts:
        """Those of a state now."""
        return cls(state.results, state.switch, state.pruning, state.reduction)

    @classmethod
    def built(cls, document: Any, tensors: Mapping[str, Any], block: nn.Module, name: str) -> Parts:
        """Those in a document, ready for torch to load its tensors into.

        Args:
            document: a tensor of bytes.
            tensors: what is saved beside it, by name in the state.
            block: its device and type are those of the new tensors.
            name: of the block.

        Raises:
            InputError: document and tensors do not fit together.
        """
        try:
            return cls._built(read_block(document), tensors, block, name)
        except InputError as error:
            about = f"block '{name}'"
            told = str(error)
            raise InputError(told if told.startswith(about) else f"{about}: {told}") from None

    @classmethod
    def _built(
        cls, saved: SavedBlock, tensors: Mapping[str, Any], block: nn.Module, name: str
    ) -> Parts:
        results = results_of(saved, name)
        pruning = mask_of(saved, results, name, device_of(block))
        reduction = None
        if saved.reduction is not None:
            matrices = _below("reduction.", tensors)
            reduction = Coordinates.from_saved(saved.reduction, matrices, name, parameter_of(block))
            if results["distilled"].layout not in (None, reduction.core):
                raise InputError("the saved equations are in other coordinates")
        switch = None
        if saved.switch is not None:
            switch = Switch.for_block(
                block,
                results[saved.switch.kind],
                chosen_of(saved.switch, results),
                trainable_constants=saved.switch.trainable_constants,
            )
            _check_constants(switch, _below("switch.", tensors))
        parts = cls(results, switch, pruning, reduction)
        parts._check_names(tensors)
        return parts

    def put_into(self, state: SymbolicState) -> None:
        """Make a state of these."""
        state.results, state.switch = self.results, self.switch
        state.pruning, state.reduction = self.pruning, self.reduction

    def _check_names(self, tensors: Mapping[str, Any]) -> None:
        known = set()
        for part, module in (("switch", self.switch), ("reduction", self.reduction)):
            if module is not None:
                known |= {f"{part}.{key}" for key in module.state_dict()}
        unknown = sorted(set(tensors) - known)
        if unknown:
            raise InputError(f"nothing saved has use for the tensors {unknown[:5]}")


class Loading:
    """One wrapped block while torch loads a state dict into the model around it.

    Args:
        state: of the block.
        block: the block.
        prefix: of the wrapper's entries in the state dict.
        strict: whether keys that are missing or of no use are errors.
        errors: torch's list of what went wrong.
        missing: torch's list of keys that are not there.
        unexpected: and of those that nothing has use for.
    """

    def __init__(
        self,
        state: SymbolicState,
        block: nn.Module,
        prefix: str,
        strict: bool,
        errors: list[str],
        missing: list[str],
        unexpected: list[str],
    ) -> None:
        self._state, self._block, self._prefix = state, block, prefix
        self._strict = _asked_for(strict)
        self._errors, self._missing, self._unexpected = errors, missing, unexpected
        self._withheld: set[str] = set()
        self._before: Parts | None = None
        self._numbers: list[tuple[dict[str, Any], str, torch.Tensor, torch.Tensor]] = []
        self._trouble = 0

    def begin(self, entries: dict[str, Any]) -> bool:
        """Build everything and swap it in; torch fills it next.

        Args:
            entries: the state dict, torch's own copy of it; the block's entries are taken out
                where it is refused.

        Returns:
            Whether torch should go on with this block.
        """
        name, own = self._state.block_name, f"{self._prefix}symbolic_state."
        document, tensors = f"{self._prefix}_extra_state", _below(own, entries)
        parts = None
        if document in entries:
            try:
                parts = Parts.built(entries[document], tensors, self._block, name)
            except InputError as error:
                self._errors.append(str(error))
                self._withhold(entries)
                return False
        elif self._strict:
            self._missing.append(document)
            self._withhold(entries)
            return False
        else:
            # Numbers without the document that explains them belong to nothing.
            for key in [f"{own}{name}" for name in tensors]:
                self._unexpected.append(key)
                del entries[key]
        if self._strict and self._foreign(entries):
            self._withhold(entries)
            return False
        self._before = Parts.of(self._state)
        self._trouble = self._count()
        if not _fits(self._block, _below(f"{self._prefix}block.", entries)):
            self._numbers = _copied(self._block)
        if parts is not None:
            parts.put_into(self._state)
        return True

    def finish(self) -> None:
        """Undo it all where torch could not fill something after all."""
        # torch misses what it was not shown; that is no error of the file.
        self._missing[:] = [key for key in self._missing if key not in self._withheld]
        if self._before is None:
            return
        if self._count() > self._trouble:
            self._before.put_into(self._state)
            with torch.no_grad():
                for owner, name, tensor, numbers in self._numbers:
                    owner[name] = tensor
                    tensor.copy_(numbers)
        self._state.follow(self._block)

    def _count(self) -> int:
        """How much is wrong so far: more of it later was found below this wrapper."""
        keys = len(self._missing) + len(self._unexpected)
        return len(self._errors) + (keys if self._strict else 0)

    def _foreign(self, entries: Mapping[str, Any]) -> list[str]:
        """The keys below this wrapper that no part of it has use for."""
        parts = ("_extra_state", "block.", "symbolic_state.")
        ours = tuple(f"{self._prefix}{part}" for part in parts)
        return [k for k in entries if k.startswith(self._prefix) and not k.startswith(ours)]

    def _withhold(self, entries: dict[str, Any]) -> None:
        self._unexpected += self._foreign(entries)
        self._withheld = {key for key in entries if key.startswith(self._prefix)}
        for key in self._withheld:
            del entries[key]


def finish_loading(model: nn.Module, _: object) -> None:
    """A hook for torch to call when a wrapper and all below it were loaded."""
    state = model._modules["symbolic_state"]
    assert isinstance(state, SymbolicState)
    loading, state.loading = state.loading, None
    if isinstance(loading, Loading):
        loading.finish()


def _asked_for(strict: bool) -> bool:
    """Whether the user asked for a strict load.

    torch says "strict" to every module and forgives missing keys at the end, when all is
    loaded. Whether a missing key means to go back is only known by its own call further up.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is nn.Module.load_state_dict.__code__:
            return bool(frame.f_locals.get("strict", strict))
        frame = frame.f_back
    return strict


def _below(prefix: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries under a prefix, without it."""
    return {k[len(prefix) :]: value for k, value in entries.items() if k.startswith(prefix)}


def _check_constants(switch: Switch, tensors: Mapping[str, Any]) -> None:
    for key, constants in switch.state_dict().items():
        if key not in tensors:
            raise InputError(f"the trained constants '{key}' are missing")
        shape = tuple(constants.shape)
        check_tensor(tensors[key], f"the trained constants '{key}'", shape, floating=True)


def _fits(block: nn.Module, entries: Mapping[str, Any]) -> bool:
    """Whether torch will surely load all of a block, so that nothing need be kept to go back."""
    own = block.state_dict(keep_vars=True)
    try:
        return own.keys() == entries.keys() and all(
            check_tensor(entries[key], key).shape == value.shape for key, value in own.items()
        )
    except (InputError, AttributeError):
        return False


def _copied(block: nn.Module) -> list[tuple[dict[str, Any], str, torch.Tensor, torch.Tensor]]:
    """The tensors of a block: where they are, and copies of their numbers."""
    return [
        (owner, name, tensor, tensor.detach().clone())
        for module in block.modules()
        for owner in (module._parameters, module._buffers)
        for name, tensor in owner.items()
        if tensor is not None and not nn.parameter.is_lazy(tensor)
    ]
