"""Tables of equations, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..recording.dims import as_list
from .results import Complexity, Results


@dataclass(frozen=True)
class EquationTable:
    """A table of equations; ``str()`` is the text."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        # Short: at a prompt the table has just been printed.
        return f"<table of {self.text.count(chr(10))} lines>"


def equations_table(
    results: Results,
    dims: int | Sequence[int] | None,
    complexity: Complexity,
    switched: Mapping[int, int],
) -> EquationTable:
    """The equations of some outputs as a table.

    Args:
        results: what was found.
        dims: outputs; None for all.
        complexity: only the equations of these complexities.
        switched: complexity of the equations in force, by output.

    Raises:
        StateError: an output has no equations. InputError: no equation of that complexity.
    """
    numbers = (sorted(results.outputs) or [0]) if dims is None else as_list(dims)
    wanted: Mapping[int, int | None] = dict.fromkeys(numbers)
    if complexity is not None:
        wanted = results.choose(complexity, numbers)
    parts = []
    for dim in numbers:
        front = results.output(dim).front
        state = f" (switched in: complexity {switched[dim]})" if dim in switched else ""
        heading = f"{results.block_name}, output {dim}{state}"
        parts.append(f"{heading}\n{front.table(complexity=wanted[dim])}")
    return EquationTable("\n\n".join(parts))
