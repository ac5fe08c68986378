"""An equation beside what it stands for, on the rows that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import InputError, StateError
from ..recording import Recording
from ..recording.lookup import FunctionBlock
from ..recording.query import BlockQuery
from ..search import Candidate, Front, Problem

if TYPE_CHECKING:
    from ..model import SymbolicModel

Array: TypeAlias = npt.NDArray[np.float64]
Function: TypeAlias = Callable[[Array], Array]
"""[rows, columns] -> [rows]."""


@dataclass(frozen=True)
class Comparison:
    """One equation and the output it explains.

    Args:
        title: what it is of.
        row: the equation.
        names: of the columns.
        X: [rows, columns].
        y: [rows], what the block gave.
        equation: the equation as a function of the columns.
        block: the block as a function of the columns; None where it cannot be queried.
        variables: the equation's variables, [rows] each.
        target: what to call ``y``.
        left_out: rows that were not finite, equation included.
    """

    title: str
    row: Candidate
    names: tuple[str, ...]
    X: Array
    y: Array
    equation: Function
    block: Function | None
    variables: Mapping[str, Array]
    target: str = "block"
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def fitted(self) -> Array:
        """[rows], what the equation gives."""
        return self.equation(self.X)

    @property
    def r2(self) -> float:
        """Share of the output's variance that the equation explains; nan if it is constant."""
        spread = float(np.var(self.y))
        error = float(np.mean((self.y - self.fitted) ** 2))
        return 1 - error / spread if spread > 0 else float("nan")

    def finite(self) -> Comparison:
        """Without the rows on which the output or the equation is not finite.

        Raises:
            InputError: no row is left.
        """
        good = np.isfinite(self.y) & np.isfinite(self.fitted) & np.isfinite(self.X).all(1)
        if not good.any():
            raise InputError(f"{self.title}: no row on which both are finite")
        return self.only(good, left_out=self.left_out + int((~good).sum()))

    def only(self, rows: npt.NDArray[Any], left_out: int | None = None) -> Comparison:
        """With some of the rows: numbers, or true and false."""
        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            variables={name: values[rows] for name, values in self.variables.items()},
            left_out=self.left_out if left_out is None else left_out,
        )


def compare_block(
    block: SymbolicModel, dim: int, recording: Recording, complexity: int | None = None
) -> Comparison:
    """An equation of a wrapped block against the block.

    Args:
        block: distilled.
        dim: output.
        recording: of the block, as `SymbolicModel.record` makes it.
        complexity: which equation; None for `Front.get_best`.

    Raises:
        StateError: nothing was distilled, or in other coordinates than the block's columns.
        InputError: no equation of that complexity, or a recording of another block.
    """
    function = block.get_symbolic_function(dim, complexity)
    columns = function.features.columns
    if block.symbolic_state.reduction is not None:
        raise StateError(
            f"block '{block.block_name}' was distilled in reduced coordinates, which are not "
            f"its columns; str(block.front({dim})) shows the equations"
        )
    if len(columns) != len(recording.names) or dim >= recording.outputs.shape[1]:
        raise InputError(
            f"the recording has columns {[*recording.names]} and "
            f"{recording.outputs.shape[1]} outputs; block '{block.block_name}' was distilled "
            f"with columns {[*columns]}, and output {dim} is asked for"
        )
    table = recording.inputs
    with torch.no_grad():
        values = function.features(table)
    return Comparison(
        f"{block.block_name}, output {dim}",
        block.front(dim).select(complexity),
        columns,
        _array(table),
        _array(recording.outputs[:, dim]),
        lambda X: _array(function(torch.from_numpy(X))),
        _asked(block, dim, recording),
        dict(zip(function.features.names, _array(values).T, strict=True)),
    )


def _asked(block: SymbolicModel, dim: int, recording: Recording) -> Function | None:
    """The block as a function of its columns; None where it cannot be asked about new rows."""
    original = block.block
    module = original if isinstance(original, nn.Module) else FunctionBlock(original)
    try:
        query = BlockQuery.of(module, recording)
    except InputError:
        return None

    def ask(X: Array) -> Array:
        with torch.no_grad():
            return _array(query(torch.from_numpy(X))[:, dim])

    return ask


def compare_problem(
    front: Front, problem: Problem, complexity: int | None = None, *, title: str = ""
) -> Comparison:
    """An equation against the table it was found in."""
    X = np.concatenate([_array(part.X) for part in _parts(problem)])
    y = np.concatenate([_array(part.y) for part in _parts(problem)])
    row = front.select(complexity)
    names = front.variables

    def equation(table: Array) -> Array:
        return row.expression(dict(zip(names, table.T, strict=True)))

    variables = dict(zip(names, X.T, strict=True))
    return Comparison(title, row, names, X, y, equation, None, variables, target="data")


def _parts(problem: Problem) -> list[Any]:
    # Without rows held out, the same ones judge.
    same = problem.validation is problem.train
    return [problem.train] if same else [problem.train, problem.validation]


def _array(table: torch.Tensor) -> Array:
    array: Array = table.detach().cpu().to(torch.float64).numpy()
    return array
