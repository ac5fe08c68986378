"""Frame: least squares in which the constant of an equation is no longer free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ....symbolic.nodes import Call, Constant, Node, evaluate
from ....symbolic.operators import OPERATORS
from ...problem import Problem, Sample
from .terms import Array, Term

MOST_DIGITS = 12
_RCOND = 1e-9


@dataclass(frozen=True)
class Anchor:
    """A point through which every equation goes.

    Args:
        point: one number per input.
        value: of the target there.
    """

    point: tuple[float, ...]
    value: float


class Frame:
    """The rows of a search, as deviations from the anchor or from the weighted mean.

    With deviations there is no constant to fit: the one that lets an equation pass
    through the anchor, or through the mean, follows from the other coefficients.

    Args:
        problem: gives the names.
        sample: the rows to fit.
        anchor: see `Anchor`.
    """

    def __init__(self, problem: Problem, sample: Sample, anchor: Anchor | None) -> None:
        self.table = sample.X.cpu().numpy()
        y = sample.y.cpu().numpy()
        weights = sample.weights.cpu().numpy()
        self.weights: Array = weights / weights.sum()
        self.root: Array = np.sqrt(self.weights)
        self.precision = problem.precision
        # What lies beyond is rounding, and 1.0000001 should be read as 1.
        self.digits = max(min(MOST_DIGITS, int(-math.log10(problem.precision))), 3)
        self.anchored = anchor is not None
        if anchor is None:
            self.center = self.weights @ self.table
            self.level = float(self.weights @ y)
            rows = self.table
        else:
            self.center = np.array(anchor.point)
            self.level = anchor.value
            rows = np.vstack([self.table, self.center])
        self.target: Array = (y - self.level) * self.root
        self._columns = {name: rows[:, i] for i, name in enumerate(problem.names)}

    def varying(self) -> list[tuple[int, str]]:
        """Positions and names of the columns that are not constant but for rounding."""
        spread = np.sqrt(self.weights @ np.square(self.table - self.center))
        moves = (np.ptp(self.table, axis=0) > 0) & (spread > 1e-12 * np.abs(self.center))
        return [(i, name) for i, name in enumerate(self._columns) if moves[i]]

    def values(self, nodes: Sequence[Node]) -> Array:
        """What trees are on the rows, and in the last row at the anchor: [rows (+ 1), nodes]."""
        with np.errstate(all="ignore"):
            return np.column_stack(
                [
                    np.broadcast_to(
                        evaluate(node, self._columns, "numpy", np.float64),
                        len(self.table) + self.anchored,
                    )
                    for node in nodes
                ]
            )

    def offsets(self, values: Array) -> Array:
        """What `values` are where the equation is held: [nodes]."""
        return values[-1] if self.anchored else self.weights @ values

    def deviations(self, values: Array) -> Array:
        """`values` as least squares sees them, root-weighted: [rows, nodes]."""
        rows = values[: len(self.table)]
        with np.errstate(all="ignore"):
            return (rows - self.offsets(values)) * self.root[:, None]

    def equation(self, terms: Sequence[Term]) -> Node:
        """The sum of terms with fitted coefficients and the constant that follows."""
        values = self.values([term.node for term in terms])
        columns = self.deviations(values)
        size = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
        fitted = np.linalg.lstsq(columns / size, self.target, rcond=_RCOND)[0]
        coefficients = [float(f"{c:.{self.digits}g}") for c in fitted / size]
        shares = np.array(coefficients) * self.offsets(values)
        constant = self.level - float(shares.sum())
        pieces: list[Node] = [
            _scaled(coefficient, term.node)
            for coefficient, term in zip(coefficients, terms, strict=True)
            if coefficient != 0
        ]
        # What is left by rounding of a law without a constant is no constant.
        rounding = 64 * max(self.precision, 10.0**-self.digits)
        if abs(constant) > rounding * (abs(self.level) + np.abs(shares).sum()) or not pieces:
            pieces.append(Constant(constant))
        tree = pieces[0]
        for piece in pieces[1:]:
            tree = Call(OPERATORS["+"], (tree, piece))
        return tree


def _scaled(coefficient: float, node: Node) -> Node:
    if coefficient == 1:
        return node
    if coefficient == -1:
        return Call(OPERATORS["neg"], (node,))
    if isinstance(node, Call) and node.operator.name == "*":
        first, second = node.args
        return Call(node.operator, (_scaled(coefficient, first), second))
    return Call(OPERATORS["*"], (Constant(coefficient), node))
