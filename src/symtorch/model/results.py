"""Results: everything that was found for a block, by output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

import numpy as np

from ..errors import InputError, StateError
from ..recording.adapters.layout import Layout
from ..recording.dims import as_list
from ..recording.features import Features, Transform
from ..search.front import Front
from ..symbolic.expression import Expression

Complexity: TypeAlias = int | Sequence[int] | Mapping[int, int] | None
"""Of the equations to use: one for all outputs, a list in their order, or by output; None
chooses by `Front.get_best`."""

Kind: TypeAlias = Literal["distilled", "explained"]
"""What equations hold for: the block as it was recorded, or its surroundings of one row."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Distilled:
    """What was found for one output: its front, and the variables it is written in."""

    front: Front
    features: Features


@dataclass(frozen=True)
class Results:
    """The fronts of a block. It never changes: an update is a new one.

    Args:
        block_name: what messages call the block.
        kind: what the equations hold for.
        layout: how its calls map to columns; None while nothing was found.
        outputs: what was found, by output.
    """

    block_name: str
    kind: Kind = "distilled"
    layout: Layout | None = None
    outputs: Mapping[int, Distilled] = field(default_factory=dict)

    def check_layout(self, layout: Layout, dims: Sequence[int]) -> None:
        """Make sure that new fronts for ``dims`` can stand beside the other ones.

        Raises:
            InputError: the block is called in another way than when those were found.
        """
        others = set(self.outputs) - set(dims)
        if others and self.layout is not None and layout != self.layout:
            raise InputError(
                f"block '{self.block_name}' is called in another way than when its outputs "
                f"{sorted(others)} were distilled ({layout.inputs.names} now, "
                f"{self.layout.inputs.names} then); clear_fronts() drops the old ones"
            )

    def updated(self, layout: Layout, found: Mapping[int, Distilled]) -> Results:
        """With new fronts, in the place of older ones of the same outputs."""
        return replace(self, layout=layout, outputs={**self.outputs, **found})

    def with_expressions(
        self, chosen: Mapping[int, int], expressions: Mapping[int, Expression]
    ) -> Results:
        """With trained equations in the place of those of the chosen complexities."""
        outputs = dict(self.outputs)
        for dim, expression in expressions.items():
            # Constants that training drove to nan stay in the parameter: an equation
            # with such numbers could be neither read nor saved.
            if all(map(math.isfinite, expression.constants)):
                found = outputs[dim]
                front = found.front.with_expression(chosen[dim], expression)
                outputs[dim] = Distilled(front, found.features)
        return replace(self, outputs=outputs)

    def with_functions(self, transforms: Mapping[str, Transform]) -> Results:
        """With variable transforms that are Python functions given again.

        Raises:
            InputError: no output has a variable of that name.
        """
        for name in transforms:
            if name not in self.variables:
                raise InputError(
                    f"block '{self.block_name}' has no variable '{name}'; it has "
                    f"{sorted(self.variables)}"
                )
        return replace(
            self,
            outputs={
                dim: Distilled(found.front, found.features.with_functions(transforms))
                for dim, found in self.outputs.items()
            },
        )

    @property
    def verb(self) -> str:
        """The method that finds such equations."""
        return "distill" if self.kind == "distilled" else "explain"

    @property
    def variables(self) -> set[str]:
        """Names of the variables of all outputs."""
        return {name for found in self.outputs.values() for name in found.features.names}

    def has(self, chosen: Mapping[int, int]) -> bool:
        """Whether there is an equation of each complexity, by output."""
        return all(
            dim in self.outputs and complexity in self.outputs[dim].front.complexities
            for dim, complexity in chosen.items()
        )

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each output."""
        return {dim: found.front for dim, found in sorted(self.outputs.items())}

    def output(self, dim: int) -> Distilled:
        """What was found for one output.

        Raises:
            StateError: it has not been distilled.
        """
        if dim not in self.outputs:
            outputs = f" has outputs 0-{self.layout.output.width - 1};" if self.layout else ":"
            raise StateError(
                f"block '{self.block_name}'{outputs} asked for output {dim}; distilled so "
                f"far: {sorted(self.outputs)}; call {self.verb}(...) first"
            )
        return self.outputs[dim]

    def choose(
        self, complexity: Complexity = None, dims: int | Sequence[int] | None = None
    ) -> dict[int, int]:
        """The complexity to use for each output, from what a user asked for.

        Args:
            complexity: as asked.
            dims: outputs; all that were distilled by default.

        Raises:
            StateError: an output was not distilled. InputError: no equation of that
                complexity.
        """
        if dims is None and isinstance(complexity, Mapping):
            dims = list(complexity)
        if dims is None:
            dims = sorted(self.outputs) or [0]
        dims = as_list(dims)
        if not dims:
            raise InputError(f"block '{self.block_name}': dims is empty; None switches all")
        wanted: Mapping[int, int | None]
        if isinstance(complexity, Mapping):
            unknown = sorted(set(complexity) - set(dims))
            if unknown:
                raise InputError(f"complexity given for outputs {unknown}, not among dims {dims}")
            wanted = {dim: complexity.get(dim) for dim in dims}
        elif complexity is None or isinstance(complexity, int | np.integer):
            wanted = dict.fromkeys(dims, complexity)
        elif len(complexity) == len(dims):
            wanted = dict(zip(dims, complexity, strict=True))
        else:
            raise InputError(
                f"{len(complexity)} complexities {[*complexity]} for {len(dims)} outputs {dims}"
            )
        chosen = {}
        for dim, value in wanted.items():
            try:
                chosen[dim] = self.output(dim).front.select(value).complexity
            except InputError as error:
                raise InputError(f"block '{self.block_name}', output {dim}: {error}") from None
        return chosen
