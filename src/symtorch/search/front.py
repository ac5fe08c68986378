"""Front: the Pareto front of complexity against error for one output."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError
from ..lazy import LazyModule
from ..symbolic import latex
from ..symbolic.definitions import define_operator
from ..symbolic.expression import Expression
from ..symbolic.names import check_names
from .candidate import Candidate as Candidate
from .choosing import nearly_best, pysr_best, shortest_description
from .quality import footer
from .saved_front import FORMAT, SavedCandidate, SavedFront

if TYPE_CHECKING:
    import pandas as pd
    import sympy
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
else:
    pd = LazyModule("pandas")

Strategy: TypeAlias = Literal["best", "pysr", "score", "accuracy"]


@dataclass(frozen=True)
class Front:
    """Equations of one output, from simplest to most accurate.

    >>> rows = [
    ...     Candidate(Expression.parse("3"), 1, 4.0, 4.1),
    ...     Candidate(Expression.parse("2*x"), 3, 0.01, 0.012),
    ...     Candidate(Expression.parse("2*x + 0.001*sin(x)"), 8, 0.0099, 0.013),
    ... ]
    >>> front = Front.pareto(rows, variables=["x"])
    >>> front.get_best().equation
    '2*x'
    >>> front.predict(np.array([[1.0], [2.0]]))   # [rows, inputs] -> [rows]
    array([2., 4.])

    Args:
        candidates: sorted by complexity, losses falling.
        variables: the input columns, in order.
        loss_floor: losses below it differ by rounding only.
        variance: of the output on the held-out rows; None where nobody measured it.
        held_out: how many rows they are.
        line_r2: R2 on held-out rows of a line in all inputs, however long, to compare with.
        interrupted: whether the search was stopped before its end.

    Raises:
        InputError: no candidates, or not sorted; names that cannot be variables, or
            equations over other names.
    """

    candidates: tuple[Candidate, ...]
    variables: tuple[str, ...]
    loss_floor: float = 1e-300
    variance: float | None = None
    held_out: int | None = None
    line_r2: float | None = None
    interrupted: bool = False

    @classmethod
    def pareto(
        cls,
        candidates: Iterable[Candidate],
        *,
        variables: Sequence[str],
        loss_floor: float = 1e-300,
        variance: float | None = None,
        held_out: int | None = None,
        line_r2: float | None = None,
    ) -> Front:
        """Keep the candidates that no simpler or equally simple one matches.

        A longer equation has to earn its place on the rows it was fitted to *and* on
        held-out rows, so that overfits drop out. Candidates without a finite loss on
        both are left out.
        """
        kept: list[Candidate] = []
        # Among equal losses and sizes the text decides, so that the order in which an
        # engine found them does not show.
        finite = [c for c in candidates if math.isfinite(c.loss + c.validation_loss)]
        for row in sorted(
            finite, key=lambda c: (c.complexity, max(c.loss, loss_floor), c.equation)
        ):
            if not kept:
                kept.append(row)
                continue
            last = kept[-1]
            better = max(row.loss, loss_floor) < max(last.loss, loss_floor) * (1 - 1e-6)
            holds = max(row.validation_loss, loss_floor) < max(last.validation_loss, loss_floor)
            if row.complexity > last.complexity and better and holds:
                kept.append(row)
        return cls(tuple(kept), check_names(variables), loss_floor, variance, held_out, line_r2)

    def __post_init__(self) -> None:
        if not self.candidates:
            raise InputError("a front needs at least one equation with a finite loss")
        if not self.loss_floor > 0:
            raise InputError(f"loss_floor must be positive; got {self.loss_floor}")
        if any(a >= b for a, b in itertools.pairwise(self.complexities)):
            raise InputError(f"a front is sorted by complexity; got {self.complexities}")
        custom = [op.name for row in self for op in row.expression.operators if op.definition]
        check_names(self.variables, custom)
        for row in self:
            for name in row.expression.variables:
                if name not in self.variables:
                    raise InputError(
                        f"equation '{row.expression.pretty()}' uses '{name}', which is not "
                        f"among the inputs {[*self.variables]}"
                    )

    def __len__(self) -> int:
        return len(self.candidates)

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)

    def __getitem__(self, index: int) -> Candidate:
        return self.candidates[index]

    @property
    def complexities(self) -> list[int]:
        """The complexities there are, ascending."""
        return [row.complexity for row in self.candidates]

    @property
    def scores(self) -> list[float]:
        """``-log(loss_i / loss_{i-1}) / (complexity_i - complexity_{i-1})``; 0 for the first.

        PySR's score: how much of the loss each unit of complexity removes.
        """
        scores = [0.0]
        for previous, row in zip(self.candidates, self.candidates[1:], strict=False):
            # A difference of logarithms: the ratio may be beyond a float's range.
            before, after = (math.log(max(r.loss, self.loss_floor)) for r in (previous, row))
            scores.append((before - after) / (row.complexity - previous.complexity))
        return scores

    def r2_of(self, row: Candidate) -> float | None:
        """Share of the output's variance on held-out rows that an equation explains.

        1 is all of it, 0 what the mean would explain. None where the variance is not known or
        lost in rounding.
        """
        if self.variance is None or self.variance <= self.loss_floor:
            return None
        return 1.0 - row.validation_loss / self.variance

    @property
    def equations_(self) -> pd.DataFrame:
        """PySR's table, and ``validation_loss`` and ``r2``, both on held-out rows.

        PySR's columns are complexity, loss, score, equation and sympy_format.
        """
        return pd.DataFrame(
            {
                "complexity": self.complexities,
                "loss": [row.loss for row in self.candidates],
                "score": self.scores,
                "equation": [row.equation for row in self.candidates],
                "sympy_format": pd.Series(
                    [row.sympy_format for row in self.candidates], dtype=object
                ),
                "validation_loss": [row.validation_loss for row in self.candidates],
                "r2": pd.Series(map(self.r2_of, self.candidates), dtype=float),
            }
        )

    def get_best(self, strategy: Strategy = "best") -> Candidate:
        """Choose an equation. Losses are those on held-out rows.

        Args:
            strategy: ``"best"`` takes the equation with which the rows are described in the
                fewest nats, see `shortest_description`, among those whose R2 is at most 0.02
                below the best one's, see `nearly_best`; ``"pysr"`` follows PySR, the highest
                score among those with at most 1.5 times the lowest loss; ``"score"`` takes the
                highest score, ``"accuracy"`` the lowest loss.

        Raises:
            InputError: another strategy.
        """
        match strategy:
            case "accuracy":
                losses = [max(row.validation_loss, self.loss_floor) for row in self.candidates]
                return self.candidates[int(np.argmin(losses))]
            case "score":
                return self.candidates[int(np.argmax(self.scores))]
            case "best":
                among = self._nearly_best()
                return among[shortest_description(among, self.loss_floor)]
            case "pysr":
                return self.candidates[pysr_best(self.candidates, self.scores, self.loss_floor)]
        raise InputError(
            f"unknown strategy '{strategy}'; use 'best', 'pysr', 'score' or 'accuracy'"
        )

    def _nearly_best(self) -> list[Candidate]:
        if self.variance is None or self.held_out is None:
            return [*self.candidates]
        losses = [max(row.validation_loss, self.loss_floor) for row in self.candidates]
        close = nearly_best(losses, self.variance, self.held_out)
        return [self.candidates[i] for i in close]

    def select(self, complexity: int | None = None, *, max_loss: float | None = None) -> Candidate:
        """The equation of a complexity, or the simplest with at most a loss.

        Args:
            complexity: exactly this; None for `get_best`.
            max_loss: mean squared error on held-out rows.

        Raises:
            InputError: there is none; the message lists what there is.
        """
        if complexity is not None and max_loss is not None:
            raise InputError("give complexity or max_loss, not both")
        if complexity is not None:
            for row in self.candidates:
                if row.complexity == complexity:
                    return row
            nearest = min(self.complexities, key=lambda size: abs(size - complexity))
            raise InputError(
                f"no equation of complexity {complexity}; there are {self.complexities}; "
                f"the nearest is {nearest}"
            )
        if max_loss is not None:
            for row in self.candidates:
                if row.validation_loss <= max_loss:
                    return row
            lowest = min(row.validation_loss for row in self.candidates)
            raise InputError(
                f"no equation with a loss up to {max_loss}; the lowest is {lowest:.4g}"
            )
        return self.get_best()

    def predict(
        self, X: torch.Tensor | npt.NDArray[Any] | pd.DataFrame, complexity: int | None = None
    ) -> Any:
        """Evaluate an equation: [rows, inputs] -> [rows], tensor to tensor, array to array.

        Args:
            X: columns in the order of ``variables``; a DataFrame that has columns of these
                names is read by name, whatever their order.
            complexity: which equation; None for `get_best`.

        Raises:
            InputError: another number of columns.
        """
        if isinstance(X, pd.DataFrame) and set(self.variables) <= set(X.columns):
            X = X[list(self.variables)]
        table = X if isinstance(X, torch.Tensor) else np.asarray(X)
        if table.ndim != 2 or table.shape[1] != len(self.variables):
            raise InputError(
                f"need [rows, {len(self.variables)}] with columns {[*self.variables]}; "
                f"got {[*table.shape]}"
            )
        columns = {name: table[:, i] for i, name in enumerate(self.variables)}
        expression = self.select(complexity).expression
        return expression(columns)  # type: ignore[type-var]

    def sympy(self, complexity: int | None = None) -> sympy.Expr:
        """SymPy form of an equation; None for `get_best`."""
        return self.select(complexity).expression.sympy()

    def latex(self, complexity: int | None = None, digits: int = 4) -> str:
        """LaTeX of an equation; None for `get_best`."""
        return self.select(complexity).expression.latex(digits)

    def latex_table(
        self,
        complexities: Sequence[int] | None = None,
        *,
        digits: int = 3,
        columns: Sequence[str] = ("equation", "complexity", "loss", "score"),
    ) -> str:
        """A LaTeX ``tabular`` of the front, for the package booktabs.

        Args:
            complexities: rows to show; None for all.
            digits: significant digits of the numbers.
            columns: among equation, complexity, loss, validation_loss, score, r2.

        Raises:
            InputError: a row or column that there is not.
        """
        wanted = self.complexities if complexities is None else complexities
        scores = dict(zip(self.complexities, self.scores, strict=True))
        rows = [self.select(complexity) for complexity in wanted]
        return latex.table(
            [
                {
                    "equation": row.expression.latex(digits),
                    "complexity": row.complexity,
                    "loss": row.loss,
                    "validation_loss": row.validation_loss,
                    "score": scores[row.complexity],
                    "r2": math.nan if (r2 := self.r2_of(row)) is None else r2,
                }
                for row in rows
            ],
            columns,
            digits,
        )

    def table(self, digits: int = 4, complexity: int | None = None) -> str:
        """The front as text for reading; ``>`` marks what `get_best` chooses.

        R2 is the share of the variance on held-out rows. Where a line does as well as the
        longest equation, the last line says so.

        Args:
            digits: significant digits of the numbers.
            complexity: only the equation of this complexity.
        """
        best = self.get_best()
        rows = [self.select(complexity)] if complexity is not None else self.candidates
        scores = dict(zip(self.complexities, self.scores, strict=True))
        heads = f"{'complexity':>10}  {'loss':>10}  {'held out':>10}  {'R2':>6}  {'score':>7}"
        lines = [f"  {heads}  equation"]
        for row in rows:
            note = "  (trained since)" if row.trained else ""
            r2 = self.r2_of(row)
            lines.append(
                f"{'>' if row is best else ' '} {row.complexity:>10}  {row.loss:>10.4g}  "
                f"{row.validation_loss:>10.4g}  {'-' if r2 is None else f'{r2:.3f}':>6}  "
                f"{scores[row.complexity]:>7.3f}  {row.expression.pretty(digits)}{note}"
            )
        if complexity is None and (note := footer(self)):
            lines.append(f"  {note}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        best = self.get_best()
        return (
            f"<Front of {len(self)} equations in {', '.join(self.variables[:4])}"
            f"{', ...' if len(self.variables) > 4 else ''}; best: {best.expression.pretty()} "
            f"(complexity {best.complexity}, loss {best.loss:.3g})>"
        )

    def plot(self, ax: Axes | None = None, *, digits: int = 3) -> Figure:
        """Draw loss against complexity, the equations beside it, the chosen one marked.

        Args:
            ax: axes to draw in; new ones in a new figure by default.
            digits: significant digits in the equations.

        Returns:
            The matplotlib figure: ``front.plot().savefig("front.pdf")``.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from ..show.plots import plot_front

        return plot_front(self, ax, digits=digits)

    def _repr_html_(self) -> str:
        from ..show.notebook import front_html

        return front_html(self)

    def with_expression(self, complexity: int, expression: Expression) -> Front:
        """The front with the equation of one complexity replaced by a trained version.

        Raises:
            InputError: there is no equation of that complexity.
        """
        self.select(complexity)
        candidates = tuple(
            replace(row, expression=expression, trained=True)
            if row.complexity == complexity and row.expression != expression
            else row
            for row in self.candidates
        )
        return replace(self, candidates=candidates)

    def to_saved(self) -> SavedFront:
        """Everything, as a document can hold it."""
        custom = {
            operator.definition: None
            for row in self.candidates
            for operator in row.expression.operators
            if operator.definition is not None
        }
        return SavedFront(
            variables=self.variables,
            operators=tuple(custom),
            loss_floor=self.loss_floor,
            variance=self.variance,
            held_out=self.held_out,
            line_r2=self.line_r2,
            interrupted=self.interrupted,
            rows=tuple(
                SavedCandidate(
                    row.equation,
                    row.complexity,
                    row.loss,
                    row.validation_loss,
                    row.trained,
                    row.evidence,
                )
                for row in self.candidates
            ),
        )

    @classmethod
    def from_saved(cls, saved: SavedFront) -> Front:
        """The inverse of `to_saved`.

        Raises:
            InputError: equations that cannot be read, or do not make a front.
        """
        try:
            defined = [define_operator(definition) for definition in saved.operators]
            custom = {operator.name: operator for operator in defined}
            if len(custom) < len(defined):
                raise InputError("saved front defines an operator twice")
            variables = check_names(saved.variables, custom)
            rows = tuple(
                Candidate(
                    Expression.parse(row.equation, variables, custom),
                    row.complexity,
                    row.loss,
                    row.validation_loss,
                    row.trained,
                    row.evidence,
                )
                for row in saved.rows
            )
            return cls(
                rows,
                variables,
                saved.loss_floor,
                saved.variance,
                saved.held_out,
                saved.line_r2,
                saved.interrupted,
            )
        except (RecursionError, OverflowError) as error:
            raise InputError(f"not a saved front: {error!r}") from None

    def to_json(self) -> str:
        """Everything as JSON text; `from_json` gives an equal front back."""
        return FORMAT.write(self.to_saved())

    @classmethod
    def from_json(cls, text: str) -> Front:
        """Read what `to_json` wrote. Nothing in the text is executed.

        Raises:
            InputError: not such a text, or one that was tampered with.
        """
        return cls.from_saved(FORMAT.read(text))
