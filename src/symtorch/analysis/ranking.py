"""rank_blocks(): what each block of a model is worth, before any is replaced."""

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
"""One batch of so many is held out where no other ones are handed over."""


@dataclass(frozen=True)
class Worth:
    """What some blocks are worth, replaced together.

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
    """What single blocks and sets of them are worth.

    Args:
        loss: of the intact model on the batches held out.
        rows: single blocks first, then pairs, and so on; within a size by rising ``linear``,
            so that the first is the one that a linear map replaces best.
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
        """The blocks of the best set of that size.

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

    Each block is replaced by its mean output, and by the linear map that fits it best; what
    a linear map does as well as the block needs no search. Errors of several blocks do not
    add up, so sets are judged together.

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
        data: batches, to fit means and maps on: all are fitted in one pass.
        loss: ``loss(output, batch)``, the model's output and the batch it was called with
            to a number.
        held_out: batches to judge on; by default every fourth of ``data``, which then
            takes no part in the fit.
        sets: sets of blocks to judge beside the single ones.
        grow: size up to which to grow the best set, adding the block that costs least
            beside those it has (a greedy search, ``grow * len(blocks)`` passes).
        input_of: takes a batch to the model's input.
        ridge: added to the inputs' covariance, times their mean variance.
        random_state: seed of what the model draws.

    Raises:
        InputError: no such block, one whose rows do not correspond, a set of unknown blocks.
        StateError: a block is not called.
    """
    found = find_blocks(model, blocks)
    for chosen in sets:
        unknown = [name for name in chosen if name not in found]
        if unknown or not chosen:
            raise InputError(f"sets names {unknown or 'no block'}; judged are {', '.join(found)}")
    fit, judge = _halves(data, held_out)
    surrogates = _fit(model, found, fit, input_of, ridge, random_state)

    def losses(stand_ins: Mapping[str, _StandIn]) -> torch.Tensor:
        values: list[float] = []
        run_batches(
            model,
            judge,
            lambda output, batch: values.append(float(loss(output, batch))),
            input_of=input_of,
            random_state=random_state,
            hooks=[part.replacing(found[name]) for name, part in stand_ins.items()],
        )
        return torch.tensor(values, dtype=torch.float64)

    intact = losses({})

    def worth(chosen: Sequence[str]) -> Worth:
        rises = [
            losses({name: surrogates[name][kind] for name in chosen}) - intact for kind in (0, 1)
        ]
        numbers = [(float(rise.mean()), _standard_error(rise)) for rise in rises]
        return Worth(tuple(chosen), *numbers[0], *numbers[1])

    rows = [worth([name]) for name in found]
    rows += [worth(tuple(chosen)) for chosen in sets]
    best = min(rows[: len(found)], key=lambda row: row.linear).blocks
    while len(best) < min(grow, len(found)):
        wider = [worth((*best, name)) for name in found if name not in best]
        rows += wider
        best = min(wider, key=lambda row: row.linear).blocks
    # A set may have been asked for and grown too.
    unique = {frozenset(row.blocks): row for row in rows}
    ordered = sorted(unique.values(), key=lambda row: (len(row.blocks), row.linear))
    return BlockRanking(float(intact.mean()), tuple(ordered))


def _standard_error(values: torch.Tensor) -> float:
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("nan")


def _halves(data: Data, held_out: Data | None) -> tuple[Data, Data]:
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
) -> dict[str, tuple[_StandIn, _StandIn]]:
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
        linear = _StandIn(name, layout, slopes, moments.y_mean - moments.x_mean @ slopes)
        result[name] = (_StandIn(name, layout, None, moments.y_mean), linear)
    return result


class _StandIn:
    """A constant, or a linear map, in the place of a block while its hooks are on.

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
        """The block gives this one's output inside; it still runs, for what else it does."""

        def enter(arguments: Mapping[str, Any]) -> tuple[torch.Tensor, Rows]:
            rows = self._layout.read(arguments, self._name)
            return self._compute(rows.values), rows

        def leave(answer: tuple[torch.Tensor, Rows], output: Any) -> Any:
            return self._layout.write(*answer, output)

        return BlockHook(block, self._name, enter, leave).attached()

    def _compute(self, table: torch.Tensor) -> torch.Tensor:
        kind = table.dtype if table.dtype.is_floating_point else torch.float32
        offset = self._offset.to(table.device, kind)
        if self._slopes is None:
            return offset.expand(len(table), -1)
        return torch.addmm(offset, table.to(kind), self._slopes.to(table.device, kind))
