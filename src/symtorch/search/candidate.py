"""Candidate: an equation and how it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import did_you_mean
from ..symbolic.expression import Expression
from .evidence import ASSUMED, Evidence

if TYPE_CHECKING:
    import sympy

_COLUMNS = ("complexity", "loss", "equation", "sympy_format", "validation_loss")
"""What a row of `Front.equations_` says of its own equation."""


@dataclass(frozen=True)
class Candidate:
    """An equation and how it did.

    >>> row = Candidate(Expression.parse("2*x"), complexity=3, loss=0.01, validation_loss=0.012)
    >>> row.equation, row["equation"], row["loss"]      # as the rows of PySR's table
    ('2*x', '2*x', 0.01)

    Args:
        expression: the equation.
        complexity: its size under the rule of the search.
        loss: mean squared error on the rows it was fitted to.
        validation_loss: the same on rows held out.
        trained: whether its constants were trained after the losses were measured.
        evidence: what the rows say about it beside the losses.
    """

    expression: Expression
    complexity: int
    loss: float
    validation_loss: float
    trained: bool = False
    evidence: Evidence = ASSUMED

    def __getitem__(self, column: str) -> Any:
        """The value in a column of PySR's table.

        Raises:
            KeyError: there is no such column.
        """
        if column == "score":
            raise KeyError("a score compares an equation with the one before it: front.scores")
        if column not in _COLUMNS:
            hint = did_you_mean(str(column), _COLUMNS)
            raise KeyError(f"no column {column!r}{hint}; there are {', '.join(_COLUMNS)}")
        return getattr(self, column)

    def keys(self) -> tuple[str, ...]:
        """The columns, so that ``dict(row)`` is the row of PySR's table."""
        return _COLUMNS

    @property
    def equation(self) -> str:
        """Exact text."""
        return str(self.expression)

    @property
    def sympy_format(self) -> sympy.Expr:
        """SymPy form."""
        return self.expression.sympy()
