"""Dependence: whether a block's output at a row depends on anything but the row's columns.

A recording cuts calls into rows, and an equation computes each row from its own columns. If
the block looks at neighbouring rows (a 3x3 convolution, attention, a recurrence), at the other
samples (batch statistics), or at an argument that is not a column, the search still finds
equations, but they are nonsense, without any error. So the block is tested: its first call is
repeated with other values in some rows, or in the arguments that were dropped, and the outputs
of the unchanged rows must stay the same.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from ..errors import DependenceWarning
from .adapters.calls import call_named
from .adapters.layout import Layout
from .adapters.protocol import Rows
from .adapters.values import as_tensor, describe, in_kind_of, is_table, map_nested
from .contexts import evaluating, gradients, seeded
from .hooks import BlockHook
from .lookup import signature_of_block

ROUNDING_SHARE = 1e-3
"""Share of the outputs' range below which a change is rounding: sums in another order."""

ROUNDING_UNITS = 64
"""The same in units of the outputs' precision, for half precision."""

MOST_ARGUMENTS = 4
"""Most dropped arguments that are tested, with one call each."""

MOST_AXES = 4
"""Most axes of rows that are tested, with one call each."""

Arguments: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
"""Where a tensor is in a call: the argument, then positions in lists and tuples."""


class DependenceProbe:
    """Keeps a block's first call, to test afterwards what the block's rows depend on.

    >>> from symtorch import SymbolicModel
    >>> block = nn.Conv1d(1, 1, 3, padding=1)
    >>> probe = DependenceProbe(block, "conv")
    >>> with probe.attached():
    ...     recording = SymbolicModel(block, feature_dim=1).record(torch.randn(4, 1, 9))
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     probe.warn(recording.layout, recording.precision)
    >>> "its output at one position depends on other positions" in str(caught[0].message)
    True

    Args:
        block: whose first call is kept.
        name: for messages.
    """

    def __init__(self, block: nn.Module, name: str) -> None:
        self._block, self._name = block, name
        self._call: Arguments | None = None

    def attached(self) -> AbstractContextManager[None]:
        """Keeps the first call inside."""
        return BlockHook(self._block, self._name, self._keep, lambda kept, output: None).attached()

    def _keep(self, arguments: Arguments) -> None:
        if self._call is None:
            self._call = _copied(arguments)

    def warn(self, layout: Layout, precision: float) -> None:
        """Warn of each dependence of a row on anything but its columns.

        Args:
            layout: of the block's calls.
            precision: of its outputs, relative.
        """
        if self._call is None:
            return
        replay = _Replay(
            self._block, self._name, layout, max(ROUNDING_SHARE, ROUNDING_UNITS * precision)
        )
        with evaluating(self._block), gradients(False):
            try:
                found = [*_dependences(replay, self._call)]
            except Exception:  # a block may refuse to be called again, for any reason
                return
        for message in found:
            warnings.warn(f"block '{self._name}': {message}", DependenceWarning, stacklevel=3)


@dataclass(frozen=True)
class _Replay:
    """Calls a block again, and compares its outputs."""

    block: nn.Module
    name: str
    layout: Layout
    tolerance: float

    def read(self, arguments: Arguments) -> Rows:
        return self.layout.read(arguments, self.name)

    def answer(self, arguments: Arguments) -> torch.Tensor:
        """The block's outputs, [rows, outputs], with the same random draws each time."""
        rows = self.read(arguments)
        with seeded(0):
            output = call_named(self.block, signature_of_block(self.block), _copied(arguments))
        return self.layout.read_output(output, rows, self.name).detach().float().clone()

    def differ(self, before: torch.Tensor, after: torch.Tensor, rows: torch.Tensor) -> bool:
        """Whether some rows, [rows] of bool, changed by more than rounding."""
        spread = float((before.amax(0) - before.amin(0)).max())
        change = (after - before).abs()[rows.to(before.device)]
        return bool((change > self.tolerance * spread).any())


def _dependences(replay: _Replay, call: Arguments) -> Iterator[str]:
    """A message for each dependence that was found."""
    before, rows = replay.answer(call), replay.read(call)
    everywhere = torch.ones(len(before), dtype=torch.bool)
    if replay.differ(before, replay.answer(call), everywhere):
        yield _ON_A_STATE
        return
    columns, dropped = set[Path](), dict[Path, Arguments]()
    for path, value in _tables(call):
        changed = _with(call, path, lambda tensor: tensor.roll(1, 0).flip(-1))
        if value.ndim == 0:
            continue  # a setting, such as a temperature
        if _same(rows, replay.read(changed)):
            dropped[path] = changed
        elif value.dtype != torch.bool:
            columns.add(path)
    for path, changed in [*dropped.items()][:MOST_ARGUMENTS]:
        if replay.differ(before, replay.answer(changed), everywhere):
            yield _on_an_argument(path, dict(_tables(call))[path], rows)
    for axis in range(min(len(rows.lead), MOST_AXES)):
        changed = call
        for path in columns:
            changed = _with(changed, path, _Shifted(replay.layout.inputs.feature_dim, axis))
        changed_rows = replay.read(changed)
        same = (changed_rows.values == rows.values).all(-1)
        if bool(same.any()) and replay.differ(before, replay.answer(changed), same):
            yield _on_other_rows(axis, len(rows.lead))
            return


_ON_A_STATE = (
    "it answers differently when it is called twice with the same arguments: it keeps a state "
    "between calls, which no equation sees. Wrap a part without one, or hand the state over as "
    "an argument"
)


def _on_an_argument(path: Path, value: torch.Tensor, rows: Rows) -> str:
    argument = path[0]
    mask = (
        f", say mask={argument!r} if it is 0 where a row is padding,"
        if tuple(value.shape) == tuple(rows.lead)
        else ""
    )
    return (
        f"its output depends on '{argument}' ({describe(value)}), which is no column: name it in "
        f"inputs=(...){mask} or wrap a part that does not need it"
    )


def _on_other_rows(axis: int, axes: int) -> str:
    if axis or axes == 1:
        where = "row depends on other rows" if axes == 1 else "position depends on other positions"
        return (
            f"its output at one {where} (a convolution wider than 1, attention, a recurrence, "
            f"batch statistics); an equation sees one row, and is at best an average over the "
            f"rest. Wrap a part that maps each row on its own, such as the MLP beside it, or hand "
            f"the neighbours over as columns"
        )
    return (
        "its output for one sample depends on the other samples of the batch (batch statistics; "
        "or attention, where positions come first); an equation sees one row. Let norms use their "
        "running statistics, or wrap a part that maps each row on its own"
    )


@dataclass(frozen=True)
class _Shifted:
    """Replaces every second row along an axis by its neighbour.

    So all values are ones that the block has seen, but their mean changes.
    """

    feature_dim: int | None
    axis: int

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        dim = self.feature_dim
        moved = tensor if dim is None else tensor.movedim(dim, -1)
        if moved.ndim - (dim is not None) <= self.axis:
            return tensor
        odd = (slice(None),) * self.axis + (slice(1, None, 2),)
        new = moved.clone()
        new[odd] = moved.roll(1, self.axis)[odd]
        return new if dim is None else new.movedim(-1, dim)


def _same(before: Rows, after: Rows) -> bool:
    """Whether two calls are read as the same rows."""
    masks = (before.kept, after.kept)
    if any(mask is not None for mask in masks) and not _equal(*masks):
        return False
    return _equal(before.values, after.values)


def _equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    return a is not None and b is not None and torch.equal(a, b)


def _tables(call: Any, path: Path = ()) -> Iterator[tuple[Path, torch.Tensor]]:
    """The tensors of a call, and where they are."""
    if is_table(call):
        yield path, as_tensor(call)
    elif isinstance(call, dict):
        for key, value in call.items():
            yield from _tables(value, (*path, key))
    elif isinstance(call, list | tuple):
        for i, value in enumerate(call):
            yield from _tables(value, (*path, i))


def _with(call: Any, path: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A call with one of its tensors changed."""
    if not path:
        return in_kind_of(call, change(as_tensor(call)))
    if isinstance(call, dict):
        return {**call, path[0]: _with(call[path[0]], path[1:], change)}
    items = [_with(v, path[1:], change) if i == path[0] else v for i, v in enumerate(call)]
    return type(call)(*items) if hasattr(call, "_fields") else type(call)(items)


def _copied(call: Arguments) -> dict[str, Any]:
    """A copy of a call in its own memory: blocks overwrite arguments and fill caches."""

    def copied(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.detach().clone()
        return copy.deepcopy(value)

    return {key: map_nested(value, copied) for key, value in call.items()}
