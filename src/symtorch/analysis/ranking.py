"""rank_blocks(): how much a model depends on each of its blocks, before any is replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import InputError
from ..lazy import LazyModule
from ..recording.adapters.layout import Layout
from ..recording.adapters.protocol import Rows
from ..recording.adapters.request import LayoutRequest
from ..recording.batches import Data, batches_of, check_repeatable, hold_out
from ..recording.hooks import BlockHook
from ..recording.lookup import find_blocks
from ..recording.moments import MomentReservoir
from ..recording.recorder import Recorder, run_recorders
from ..recording.running import run_batches
from ..reduction.directions import RIDGE, linear_map
from ..reduction.request import Loss

if TYPE_CHECKING:
    import pandas as pd
else:
    pd = LazyModule("pandas")

HELD_OUT = 4
"""Every fourth batch is held out if the user gives no held-out batches."""


@dataclass(frozen=True)
class Worth:
    """How much a model's loss rises when some blocks are replaced together.

    Args:
        blocks: their names.
        mean: rise of the loss with each block's mean output in its place.
        mean_error: standard error of that, over batches.
        linear: rise of the loss with the best linear map in its place.
        linear_error: standard error of that.
    """

    blocks: tuple[str, ...]
    mean: float
    mean_error: float
    linear: float
    linear_error: float


@dataclass(frozen=True)
class BlockRanking:
    """How much a model's loss rises without single blocks, and without sets of them.

    Args:
        loss: of the intact model on the held-out batches.
        rows: single blocks first, then pairs, and so on; within a size in ascending order of
            ``linear``, so that a linear map replaces the first one best.
    """

    loss: float
    rows: tuple[Worth, ...]

    @property
    def table(self) -> pd.DataFrame:
        """As a table: blocks, mean, mean_error, linear, linear_error."""
        columns = ("mean", "mean_error", "linear", "linear_error")
        return pd.DataFrame(
            {"blocks": [" ".join(row.blocks) for row in self.rows]}
            | {name: [getattr(row, name) for row in self.rows] for name in columns}
        )

    def best(self, count: int) -> tuple[str, ...]:
        """The blocks of the best set of ``count`` blocks.

        Raises:
            InputError: no set of that size was judged.
        """
        for row in self.rows:
            if len(row.blocks) == count:
                return row.blocks
        sizes = sorted({len(row.blocks) for row in self.rows})
        raise InputError(
            f"no set of {count} blocks was judged, only of {sizes}; ask for it with "
            f"rank_blocks(sets=...) or rank_blocks(grow={count})"
        )

    def __str__(self) -> str:
        return f"loss {self.loss:.4g} when intact\n{self.table.to_string(index=False)}"


def rank_blocks(
    model: nn.Module,
    blocks: str | Sequence[str],
    data: Data,
    loss: Loss,
    *,
    held_out: Data | None = None,
    sets: Sequence[Sequence[str]] = (),
    grow: int = 1,
    input_of: Callable[[Any], Any] | None = None,
    ridge: float = RIDGE,
    random_state: int = 0,
) -> BlockRanking:
    """Judge how much a model's loss rises without some of its blocks.

    Each block is replaced by its mean output, and by the linear map that fits it best; a
    block that a linear map replaces well needs no search. Errors of several blocks do not
    add up, so sets are judged together. (Most of this function is its description.)

    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> batches = [torch.randn(64, 4) for _ in range(8)]
    >>> loss = lambda output, batch: ((output - batch[:, :1]) ** 2).mean()
    >>> ranking = rank_blocks(net, ["0", "1", "3"], batches, loss, grow=2)
    >>> [row.blocks for row in ranking.rows if abs(row.linear) < 1e-4]      # linear anyway
    [('0',)]
    >>> len(ranking.rows), len(ranking.best(2))                             # 3 and 2 pairs
    (5, 2)

    Args:
        model: in eval mode while it is judged; modes, hooks and generators are as before
            afterwards, and no weight is touched.
        blocks: dotted names or globs, ``"model.layers.*.mlp"``.
        data: batches to fit means and linear maps on, all in one pass.
        loss: ``loss(output, batch)``, a number from the model's output and the batch it was
            called with.
        held_out: batches to judge on; by default every fourth of ``data``, which then
            takes no part in the fit.
        sets: sets of blocks to judge beside the single ones.
        grow: size up to which to grow the best set, adding the block that then
            costs least (a greedy search, ``grow * len(blocks)`` passes).
        input_of: takes a batch to the model's input.
        ridge: added to the inputs' covariance, times their mean variance.
        random_state: seed of the model's random draws.

    Raises:
        InputError: no such block, one whose rows do not correspond, a set of unknown blocks.
        StateError: a block is not called.
    """
    found = find_blocks(model, blocks)
    for chosen in sets:
        unknown = [name for name in chosen if name not in found]
        if unknown or not chosen:
            raise InputError(f"sets names {unknown or 'no block'}; judged are {', '.join(found)}")
    fit, judge = _split(data, held_out)
    surrogates = _fit(model, found, fit, input_of, ridge, random_state)

    def losses(in_place: Mapping[str, _Surrogate]) -> torch.Tensor:
        values: list[float] = []
        run_batches(
            model,
            judge,
            lambda output, batch: values.append(float(loss(output, batch))),
            input_of=input_of,
            random_state=random_state,
            hooks=[surrogate.replacing(found[name]) for name, surrogate in in_place.items()],
        )
        return torch.tensor(values, dtype=torch.float64)

    intact = losses({})

    def worth(chosen: Sequence[str]) -> Worth:
        means = losses({name: surrogates[name][0] for name in chosen})
        maps = losses({name: surrogates[name][1] for name in chosen})
        rises = [(float(r.mean()), _standard_error(r)) for r in (means - intact, maps - intact)]
        return Worth(tuple(chosen), *rises[0], *rises[1])

    rows = [worth([name]) for name in found]
    rows += [worth(tuple(chosen)) for chosen in sets]
    best = min(rows[: len(found)], key=lambda row: row.linear).blocks
    while len(best) < min(grow, len(found)):
        wider = [worth((*best, name)) for name in found if name not in best]
        rows += wider
        best = min(wider, key=lambda row: row.linear).blocks
    # A set may have been both requested and grown.
    unique = {frozenset(row.blocks): row for row in rows}
    ordered = sorted(unique.values(), key=lambda row: (len(row.blocks), row.linear))
    return BlockRanking(float(intact.mean()), tuple(ordered))


def _standard_error(values: torch.Tensor) -> float:
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")


def _split(data: Data, held_out: Data | None) -> tuple[Data, Data]:
    if held_out is not None:
        check_repeatable(held_out, "rank_blocks judges on held_out once for every block")
        return data, held_out
    batches = list(batches_of(data))
    if len(batches) < HELD_OUT:
        raise InputError(
            f"rank_blocks holds out every fourth batch to judge on, and data has "
            f"{len(batches)}; give smaller batches, or held_out"
        )
    return hold_out(batches, HELD_OUT)


def _fit(
    model: nn.Module,
    blocks: Mapping[str, nn.Module],
    data: Data,
    input_of: Callable[[Any], Any] | None,
    ridge: float,
    random_state: int,
) -> dict[str, tuple[_Surrogate, _Surrogate]]:
    reservoirs = {name: MomentReservoir(1, random_state) for name in blocks}
    recorders = {
        name: Recorder(block, name, LayoutRequest(), 1, random_state, reservoir=reservoirs[name])
        for name, block in blocks.items()
    }
    run_recorders(model, list(recorders.values()), data, input_of, random_state)
    result = {}
    for name, recorder in recorders.items():
        layout, moments = recorder.recording().layout, reservoirs[name].sums.moments()
        slopes = linear_map(moments, ridge)
        linear = _Surrogate(name, layout, slopes, moments.y_mean - moments.x_mean @ slopes)
        result[name] = (_Surrogate(name, layout, None, moments.y_mean), linear)
    return result


class _Surrogate:
    """A constant, or a linear map, in place of a block while its hooks are attached.

    Args:
        name: of the block, for messages.
        layout: of its calls.
        slopes: [inputs, outputs]; None for a constant.
        offset: [outputs].
    """

    def __init__(
        self, name: str, layout: Layout, slopes: torch.Tensor | None, offset: torch.Tensor
    ) -> None:
        self._name, self._layout = name, layout
        self._slopes, self._offset = slopes, offset

    def replacing(self, block: nn.Module) -> AbstractContextManager[None]:
        """The block returns this output inside; it still runs, for its side effects."""

        def enter(arguments: Mapping[str, Any]) -> tuple[torch.Tensor, Rows]:
            rows = self._layout.read(arguments, self._name)
            return self._compute(rows.values), rows

        def leave(answer: tuple[torch.Tensor, Rows], output: Any) -> Any:
            return self._layout.write(*answer, output)

        return BlockHook(block, self._name, enter, leave).attached()

    def _compute(self, table: torch.Tensor) -> torch.Tensor:
        dtype = table.dtype if table.dtype.is_floating_point else torch.float32
        offset = self._offset.to(table.device, dtype)
        if self._slopes is None:
            return offset.expand(len(table), -1)
        return torch.addmm(offset, table.to(dtype), self._slopes.to(table.device, dtype))
