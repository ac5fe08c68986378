"""Distillation: everything that was found for a block, by output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from ..errors import InputError, StateError
from ..recording.adapters.layout import Layout
from ..recording.dims import as_list, is_number
from ..recording.features import Features, Transform
from ..search.front import Front
from ..symbolic.expression import Expression

Complexity: TypeAlias = int | Sequence[int] | Mapping[int, int] | None
"""Of the equations to use: one for all outputs, a list in their order, or by output; None
chooses by `Front.get_best`."""


@dataclass(frozen=True)
class Distilled:
    """What was found for one output: its front, and the variables it is written in."""

    front: Front
    features: Features


@dataclass(frozen=True)
class Distillation:
    """The fronts of a block. It never changes: an update is a new one.

    Args:
        block_name: what messages call the block.
        layout: how its calls map to columns; None while nothing was found.
        outputs: what was found, by output.
    """

    block_name: str
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

    def updated(self, layout: Layout, found: Mapping[int, Distilled]) -> Distillation:
        """With new fronts, in the place of older ones of the same outputs."""
        return replace(self, layout=layout, outputs={**self.outputs, **found})

    def with_expressions(
        self, chosen: Mapping[int, int], expressions: Mapping[int, Expression]
    ) -> Distillation:
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

    def with_functions(self, transforms: Mapping[str, Transform]) -> Distillation:
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
                f"far: {sorted(self.outputs)}; call distill(...) first"
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

    def table(
        self, dim: int | None, complexity: int | None, switched: Mapping[int, int]
    ) -> EquationTable:
        """The equations as a table.

        Args:
            dim: one output; None for all.
            complexity: only the equation of this complexity.
            switched: complexity of the equations in force, by output.
        """
        dims = (sorted(self.outputs) or [0]) if dim is None else [dim]
        parts = []
        for number in dims:
            front = self.output(number).front
            state = f" (switched in: complexity {switched[number]})" if number in switched else ""
            heading = f"{self.block_name}, output {number}{state}"
            parts.append(f"{heading}\n{front.table(complexity=complexity)}")
        return EquationTable("\n\n".join(parts))

    def to_json(self) -> dict[str, Any]:
        """As what JSON can hold; transforms that are Python functions are left out."""
        return {
            "layout": self.layout and self.layout.to_json(),
            "outputs": {
                str(dim): {"front": found.front.to_json(), "features": found.features.to_json()}
                for dim, found in self.outputs.items()
            },
        }

    @classmethod
    def from_json(cls, block_name: str, data: Mapping[str, Any]) -> Distillation:
        """Read what `to_json` wrote.

        Raises:
            InputError: it did not write this.
        """
        layout = None if data["layout"] is None else Layout.from_json(data["layout"])
        outputs = data["outputs"]
        if not isinstance(outputs, dict) or not all(map(is_number, outputs)):
            raise InputError(f"block '{block_name}': saved outputs are malformed")
        distilled = {}
        for key, saved in outputs.items():
            if layout is None or int(key) >= layout.output.width:
                raise InputError(f"saved equations for an output {key!r} that the block has not")
            if not isinstance(saved, dict) or set(saved) != {"front", "features"}:
                raise InputError(f"saved output {key} must hold a front and its features")
            features = Features.from_json(saved["features"])
            front = Front.from_json(saved["front"])
            fit = len(features.columns) == layout.inputs.count and front.variables == features.names
            if not fit:
                raise InputError(
                    f"saved output {key}: its equations do not fit the block's columns"
                )
            distilled[int(key)] = Distilled(front, features)
        return cls(block_name, layout, distilled)


class EquationTable:
    """A table of equations; ``str()`` is the text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        # Short: at a prompt the table has just been printed.
        return f"<table of {self.text.count(chr(10))} lines>"
