"""EquationSet: the equations of one kind that were found for a block, to look at and to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..reduction import describe
from ..search.front import Front
from .results import Complexity, Kind, Results
from .state import SymbolicState
from .switch import Switch
from .symbolic_function import SymbolicFunction
from .tables import EquationTable, equations_table
from .wrapper import Wrapper


class EquationSet:
    """What `SymbolicModel.distill` or `SymbolicModel.explain` found, beside that of the other.

    Args:
        owner: the wrapped block.
        state: of it.
        kind: ``"distilled"`` or ``"explained"``.
    """

    def __init__(self, owner: Wrapper, state: SymbolicState, kind: Kind) -> None:
        self._owner = owner
        self._state = state
        self.kind: Kind = kind

    @property
    def results(self) -> Results:
        """All that was found, the constants as training has made them."""
        return self._state.trained(self.kind)

    @property
    def fronts(self) -> dict[int, Front]:
        """The front of each output, trained constants included."""
        return self.results.fronts

    def front(self, dim: int) -> Front:
        """The front of one output.

        Raises:
            StateError: it has none.
        """
        return self.results.output(dim).front

    @property
    def in_force(self) -> Mapping[int, int]:
        """Complexity of those equations that are switched in, by output."""
        switch = self._state.switch
        return switch.chosen if switch is not None and switch.kind == self.kind else {}

    def equations_table(
        self, dims: int | Sequence[int] | None = None, complexity: Complexity = None
    ) -> EquationTable:
        """The equations as a table, see `SymbolicModel.equations_table`."""
        table = equations_table(self.results, dims, complexity, self.in_force)
        reduction = self._state.reduction
        if reduction is None:
            return table
        return EquationTable(f"{describe(reduction, self.fronts, self.in_force)}\n\n{table}")

    def get_symbolic_function(
        self, dim: int = 0, complexity: int | None = None
    ) -> SymbolicFunction:
        """An equation as a function, see `SymbolicModel.get_symbolic_function`."""
        found = self.results.output(dim)
        return SymbolicFunction(found.front.select(complexity).expression, found.features)

    def switch_to_symbolic(
        self,
        complexity: Complexity = None,
        dims: int | Sequence[int] | None = None,
        *,
        trainable_constants: bool = False,
        compile: bool = False,
    ) -> None:
        """Compute outputs from these equations, see `SymbolicModel.switch_to_symbolic`."""
        block, results = self._owner._module, self.results
        switch = Switch.for_block(
            block,
            results,
            results.choose(complexity, self._active(complexity, dims, results)),
            trainable_constants=trainable_constants,
            compile=compile,
        )
        self._state.put_in_force(switch, block)

    def _active(
        self, complexity: Complexity, dims: int | Sequence[int] | None, results: Results
    ) -> int | Sequence[int] | None:
        """The outputs to switch where some of those that have equations may be pruned."""
        pruning = self._state.pruning
        if pruning is None:
            return dims
        if dims is None and isinstance(complexity, Mapping):
            dims = list(complexity)
        if dims is None:
            dims = [dim for dim in pruning.dims if dim in results.outputs] or pruning.dims[:1]
        return pruning.choose(dims, results.block_name)

    @contextmanager
    def symbolic(
        self, complexity: Complexity = None, dims: int | Sequence[int] | None = None
    ) -> Iterator[Any]:
        """Switched inside, as before after, see `SymbolicModel.symbolic`."""
        state = self._state
        before = state.switch
        self.switch_to_symbolic(complexity, dims)
        try:
            yield self._owner
        finally:
            state.commit()
            # What was found inside may have replaced the equations of before.
            kept = before is None or state.results[before.kind].has(before.chosen)
            state.put_in_force(before if kept else None, self._owner._module)

    def __repr__(self) -> str:
        return f"<{self.kind} equations of block '{self.results.block_name}': {self.fronts}>"
