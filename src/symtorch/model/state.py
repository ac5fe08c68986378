"""SymbolicState: what was found for a block, and what of it stands in for the block now."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from ..pruning.mask import PruningMask
from ..recording.adapters.layout import Layout
from ..recording.adapters.request import LayoutRequest
from ..recording.features import Transform
from ..reduction import Coordinates
from ..search.front import Front
from .freezing import freeze, thaw
from .results import KINDS, Distilled, Kind, Results
from .switch import Switch


@dataclass(frozen=True)
class Findings:
    """What a search found for some outputs of a block.

    Args:
        kind: what the equations hold for.
        layout: how the block's calls map to the columns that equations are written in.
        outputs: what was found, by output.
        reduction: the few coordinates that it is written in; None for the block's own columns.
        paths: the files that the user wants the fronts in, by output.
    """

    kind: Kind
    layout: Layout
    outputs: Mapping[int, Distilled]
    reduction: Coordinates | None = None
    paths: Mapping[int, Path] = field(default_factory=dict)

    @property
    def fronts(self) -> dict[int, Front]:
        """The fronts by output."""
        return {dim: found.front for dim, found in self.outputs.items()}


class SymbolicState(nn.Module):
    """All that a `SymbolicModel` holds beside its block, in one place.

    The wrapper has a single name for it, so that none of these shadow what the block calls its
    own: ``reduction`` of a loss, ``switch`` of a router.

    Args:
        block_name: for messages.
        request: what the user said about the block's calls.
    """

    switch: Switch | None
    pruning: PruningMask | None
    reduction: Coordinates | None

    def __init__(self, block_name: str, request: LayoutRequest) -> None:
        super().__init__()
        self.block_name = block_name
        self.request = request
        self.results: dict[Kind, Results] = self.nothing()
        self.switch = None
        self.pruning = None
        self.reduction = None
        # Outputs of the block as far as a call has shown; None before.
        self.width: int | None = None
        self.signature: inspect.Signature | None = None
        # What a state dict is being loaded into, between two calls by torch.
        self.loading: object | None = None
        # Names of the block's parameters that are to be trainable when it is called again;
        # None while they are.
        self.frozen: tuple[str, ...] | None = None

    def nothing(self) -> dict[Kind, Results]:
        """Results before anything was found."""
        return {kind: Results(self.block_name, kind) for kind in KINDS}

    def answer(self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Answer a call of the block, by the block or its equations; pruned outputs are zero."""
        pruning, switch = self.pruning, self.switch
        if switch is None:
            output = block(*args, **kwargs)
        elif self.reduction is not None:
            output = self.reduction(switch, block, self.signature, args, kwargs)
        else:
            pruned = () if pruning is None else pruning.pruned
            output = switch(block, self.signature, args, kwargs, pruned)
        return output if pruning is None else pruning(output, self.request, self.block_name)

    # ---------------------------------------------------------------- what was found

    def trained(self, kind: Kind) -> Results:
        """What was found, the constants as training has made them."""
        found, switch = self.results[kind], self.switch
        if switch is None or switch.kind != kind:
            return found
        return found.with_expressions(switch.chosen, switch.expressions)

    def commit(self) -> None:
        """Make trained constants part of the stored fronts."""
        self.results = {kind: self.trained(kind) for kind in KINDS}

    @property
    def chosen(self) -> Mapping[int, int]:
        """Complexity of the equations in force, by output."""
        return {} if self.switch is None else self.switch.chosen

    def adopt(self, found: Findings, block: nn.Module) -> None:
        """Take over what was found; a switched block goes on with the best of it."""
        switch, reduced = self.switch, found.reduction is not None
        self.commit()
        if switch is not None and switch.kind == found.kind and not reduced:
            found = replace(
                found, outputs=_no_worse(found, self.results[found.kind], switch.chosen)
            )
        before = self.nothing() if reduced else self.results
        after = {**before, found.kind: before[found.kind].updated(found.layout, found.outputs)}
        if switch is not None and (switch.kind == found.kind or reduced):
            # Of the outputs that were switched; with new coordinates there are no such.
            old = {} if reduced else switch.chosen
            renewed = found.outputs if reduced else [d for d in old if d in found.outputs]
            best = {dim: found.outputs[dim].front.get_best().complexity for dim in renewed}
            switch = Switch.for_block(
                block,
                after[found.kind],
                {**old, **best},
                trainable_constants=switch.trainable_constants,
                compile=switch.compiled,
            )
        self.results, self.reduction, self.switch = after, found.reduction, switch
        self.follow(block)

    def forget(self, block: nn.Module) -> None:
        """Nothing was found, and the block is called."""
        self.results, self.reduction, self.switch = self.nothing(), None, None
        self.follow(block)

    # ---------------------------------------------------------------- what is in force

    def put_in_force(self, switch: Switch | None, block: nn.Module) -> None:
        """Answer by other equations, or by the block, from now on."""
        self.commit()
        self.switch = switch
        self.follow(block)

    def follow(self, block: nn.Module) -> None:
        """Let those parameters train that what is in force has use for, and no others."""
        if self.reduction is not None:
            self.reduction.requires_grad_(
                self.switch is not None and self.switch.trainable_constants
            )
        if self.block_rests:
            self.frozen = freeze(block, self.frozen or ())
        elif self.frozen is not None:
            thaw(block, self.frozen)
            self.frozen = None

    def set_pruning(self, pruning: PruningMask, block: nn.Module) -> None:
        """Let outputs be taken away by another mask from now on."""
        self.pruning = pruning
        self.follow(block)

    def set_functions(self, transforms: Mapping[str, Transform], block: nn.Module) -> None:
        """Hand variable transforms that are Python functions over again.

        Raises:
            InputError: no equation has a variable of that name; nothing changes.
        """
        self.commit()
        known = {kind: self.results[kind].variables for kind in KINDS}
        results = {}
        for kind, found in self.results.items():
            # What no kind has is refused by the first of them.
            others = set().union(*(names for other, names in known.items() if other != kind))
            theirs = others - known[kind]
            mine = {name: t for name, t in transforms.items() if name not in theirs}
            if kind != KINDS[0]:
                mine = {name: t for name, t in mine.items() if name in known[kind]}
            results[kind] = found.with_functions(mine)
        switch = self.switch
        if switch is not None:
            switch = Switch.for_block(
                block,
                results[switch.kind],
                switch.chosen,
                trainable_constants=switch.trainable_constants,
                compile=switch.compiled,
            )
        self.results, self.switch = results, switch

    @property
    def block_rests(self) -> bool:
        """Whether equations answer all calls without the block."""
        if self.switch is None:
            return False
        if self.reduction is not None:
            return self.reduction.layout.never_needs_block
        pruned = () if self.pruning is None else self.pruning.pruned
        return self.switch.layout.never_needs_block and self.switch.is_complete(pruned)

    @contextmanager
    def out_of_force(self) -> Iterator[None]:
        """The block is called inside; for a look at it, parameters stay frozen."""
        before, self.switch = self.switch, None
        try:
            yield
        finally:
            self.switch = before

    def __getstate__(self) -> dict[str, Any]:
        # A signature can hold annotations that do not pickle, and is soon made again.
        return {**self.__dict__, "signature": None, "loading": None}

    def summary(self) -> str:
        """Mode, and what was found."""
        mode = "block" if self.switch is None else f"symbolic {self.switch.chosen}"
        return f"{mode}, " + ", ".join(
            f"{kind} outputs {sorted(self.results[kind].outputs)}" for kind in KINDS
        )


def _no_worse(found: Findings, before: Results, chosen: Mapping[int, int]) -> dict[int, Distilled]:
    """What was found, less fronts cut short that have nothing better than what is in force."""
    kept = {}
    for dim, distilled in found.outputs.items():
        front = distilled.front
        if front.interrupted and dim in chosen:
            in_force = before.output(dim).front.select(chosen[dim])
            if front.get_best().validation_loss >= in_force.validation_loss:
                continue
        kept[dim] = distilled
    return kept
