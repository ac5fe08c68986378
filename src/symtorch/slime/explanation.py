"""Explanation: an equation that holds around one prediction, its gradient, effects and fit."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import InputError, StateError
from ..recording.features import Features
from ..search.front import Front
from ..symbolic.expression import Expression
from .columns import Array
from .fidelity import LocalFit, r_squared
from .fitting import Answered
from .link import LINKS, Link
from .neighbourhood import Points
from .saving import FORMAT, SavedExplanation, columns_from_saved, columns_to_saved, numbers
from .target import Query, answers, choose_output
from .view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Explanation:
    """The result of `explain`.

    Args:
        front: the equations, from the simplest to the most accurate, on the scale of
            ``link``; losses are weighted mean squared errors.
        complexity: of the chosen equation, which all properties describe.
        link: ``identity``, or ``logit`` where the equation gives log-odds.
        prediction: the model's at x; nan for a global explanation.
        center: x, encoded: [inputs]; None for a global explanation.
        view: from encoded rows to the variables of the equation.
        spread: [inputs], standard deviation around x; 0 where an input was held.
        fresh: held-out rows, for the fidelity and the effects.
        output: column of the model's predictions.
        query: the model; None after loading.
    """

    front: Front
    complexity: int
    link: Link
    prediction: float
    center: Array | None
    view: View
    spread: Array
    fresh: Answered
    output: int = 0
    query: Query | None = None

    # ---------------------------------------------------------------- the equation

    @property
    def equation(self) -> Expression:
        """The equation; it gives predictions, or their log-odds, see ``link``."""
        return self.front.select(self.complexity).expression

    def with_complexity(self, complexity: int) -> Explanation:
        """The same explanation with another equation of the front.

        Raises:
            InputError: there is no equation of that complexity.
        """
        return replace(self, complexity=self.front.select(complexity).complexity)

    def predict(self, rows: Any) -> Array:
        """The equation's predictions for rows like those of the data: [n, inputs] -> [n].

        In the units of the model: probabilities if it predicts probabilities.
        """
        return self.approximate(self.view.columns.encode(rows))

    def approximate(self, encoded: Array) -> Array:
        """`predict` for encoded rows [n, inputs]."""
        return self.link.inverse(self._value(self.view.variables(encoded)))

    def _value(self, variables: Array) -> Array:
        names = self.view.features.names
        columns = dict(zip(names, variables.T, strict=True))
        found: Array = np.asarray(self.equation(columns), dtype=np.float64)
        return np.broadcast_to(found, len(variables))

    def ask(self, encoded: Array) -> Array:
        """The model's predictions for encoded rows [n, inputs]: [n].

        Raises:
            StateError: the explanation was loaded without its model.
        """
        if self.query is None:
            raise StateError(
                "a loaded explanation does not know its model; hand it over: "
                "Explanation.from_json(text, f)"
            )
        predictions = answers(self.query, self.view.columns, encoded)
        return choose_output(predictions, self.output).astype(np.float64)

    # ---------------------------------------------------------------- reading it

    @property
    def value(self) -> float:
        """The equation's prediction at x, in the units of the model; nan without an x."""
        if self.center is None:
            return math.nan
        return float(self.approximate(self.center[None])[0])

    @cached_property
    def gradient(self) -> dict[str, float]:
        """Derivatives of the equation's prediction at x with respect to the inputs, by name.

        In units of the model per unit of the input. Steps have derivative 0, and nominal
        inputs are left out: see `effects` for both. Without an x it is taken at the mean of
        the fresh rows.
        """
        seen = torch.from_numpy(self.view.seen(self.middle[None])).requires_grad_()
        with torch.inference_mode(False), torch.enable_grad():
            variables = self.view.features(seen).unbind(-1)
            named = dict(zip(self.view.features.names, variables, strict=True))
            value = self.equation(named)
            (slopes,) = (
                torch.autograd.grad(value.sum(), seen, allow_unused=True)
                if value.requires_grad
                else (None,)
            )
        found = np.zeros(len(self.view.names)) if slopes is None else slopes[0].numpy()
        found = found * self.link.slope(value.detach().reshape(1).numpy())
        return {
            name: float(slope)
            for name, slope, column in zip(
                self.view.names, found, self.view.columns.columns, strict=True
            )
            if not column.nominal
        }

    @cached_property
    def effects(self) -> dict[str, float]:
        """The effect of each input around x, by name, the strongest first.

        The size is the standard deviation of the equation's prediction when only that input
        varies, as it does around x; the sign says whether a larger value raises the
        prediction (+) or lowers it (-).
        """
        points = self.fresh.points
        found = {}
        for i, name in enumerate(self.view.names):
            rows = np.repeat(self.middle[None], len(points), axis=0)
            rows[:, i] = points.rows[:, i]
            moved = self.approximate(rows)
            # The mean of equal numbers can differ from them in the last digit.
            if np.ptp(moved) == 0:
                continue
            moved = moved - np.average(moved, weights=points.weights)
            size = math.sqrt(np.average(np.square(moved), weights=points.weights))
            direction = np.average(moved * self.view.seen(rows)[:, i], weights=points.weights)
            found[name] = math.copysign(size, direction)
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))

    @property
    def middle(self) -> Array:
        """x, encoded [inputs]; without an x the mean of the fresh rows."""
        if self.center is not None:
            return self.center
        means: Array = self.fresh.points.rows.mean(axis=0)
        reference = self.view.reference
        nominal = [column.nominal for column in self.view.columns.columns]
        return np.where(nominal, reference, means)

    @cached_property
    def fidelity(self) -> LocalFit:
        """How well the equation fits the model, on rows that were not used to find it."""
        points, predictions = self.fresh.points, self.fresh.predictions
        approximations = self.approximate(points.rows)
        return LocalFit(
            weighted_r2=r_squared(predictions, approximations, points.weights),
            r2=r_squared(predictions, approximations, np.ones(len(points))),
            error_at_x=abs(self.value - self.prediction),
            rows=len(points),
        )

    # ---------------------------------------------------------------- showing it

    def plot(self, inputs: int = 4) -> Figure:
        """Model and equation along the strongest inputs, and the effect of each input.

        Needs matplotlib. No window is opened: a notebook shows the returned figure, and
        ``figure.savefig("x.png")`` writes it.

        Args:
            inputs: number of inputs that get a panel.

        Raises:
            StateError: the explanation was loaded without its model.
            MissingDependencyError: matplotlib is not installed.
        """
        from .figure import draw

        return draw(self, inputs)

    def to_latex(self, digits: int = 3) -> str:
        """The equation in LaTeX, with its left-hand side."""
        name = r"\hat{y}" if self.link.name == "identity" else r"\operatorname{logit}\hat{p}"
        return f"{name} = {self.equation.latex(digits)}"

    def __str__(self) -> str:
        side = "prediction" if self.link.name == "identity" else "log-odds"
        fidelity = self.fidelity
        lines = [f"{side} = {self.equation.pretty()}"]
        if self.center is not None:
            lines.append(f"at x: model {self.prediction:.4g}, equation {self.value:.4g}")
        lines.append(
            f"R^2 on {fidelity.rows} fresh rows: {fidelity.weighted_r2:.3f} weighted by "
            f"nearness, {fidelity.r2:.3f} plain"
        )
        gradient = self.gradient
        for name, effect in list(self.effects.items())[:10]:
            slope = f", slope {gradient[name]:+.4g}" if name in gradient else ""
            lines.append(f"  {name}: {effect:+.4g}{slope}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"Explanation({self.equation.pretty()!r}, R^2 {self.fidelity.weighted_r2:.3f})"

    def _repr_html_(self) -> str:
        effects = self.effects
        largest = max(map(abs, effects.values()), default=1.0)
        bars = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{effect:+.4g}</td><td>"
            f'<div style="height:0.8em;width:{100 * abs(effect) / largest:.0f}px;'
            f'background:{"#c44e52" if effect < 0 else "#4c72b0"}"></div></td></tr>'
            for name, effect in list(effects.items())[:10]
        )
        head, *rest = str(self).split("\n")[: 3 if self.center is not None else 2]
        return (
            f"<p>$\\displaystyle {html.escape(self.to_latex())}$</p>"
            f'<p title="{html.escape(head)}">{"<br>".join(map(html.escape, rest))}</p>'
            f"<table><tr><th>input</th><th>effect</th><th></th></tr>{bars}</table>"
        )

    # ---------------------------------------------------------------- saving

    def to_json(self) -> str:
        """Everything but the model as JSON text, for `from_json`."""
        points = self.fresh.points
        return FORMAT.write(
            SavedExplanation(
                front=self.front.to_saved(),
                complexity=self.complexity,
                link=self.link.name,
                prediction=None if self.center is None else self.prediction,
                center=None if self.center is None else tuple(self.center.tolist()),
                columns=columns_to_saved(self.view.columns),
                reference=tuple(self.view.reference.tolist()),
                features=self.view.features.to_saved(),
                spread=tuple(self.spread.tolist()),
                rows=tuple(map(tuple, points.rows.tolist())),
                weights=tuple(points.weights.tolist()),
                predictions=tuple(self.fresh.predictions.tolist()),
                output=int(self.output),
            )
        )

    @classmethod
    def from_json(cls, text: str, f: Any = None) -> Explanation:
        """An explanation from the text that `to_json` wrote; nothing in it is executed.

        Args:
            text: the JSON.
            f: the model, needed only by `plot` and `ask`.

        Raises:
            InputError: the text is not a saved explanation.
        """
        from .target import query_of

        saved = FORMAT.read(text)
        columns = columns_from_saved(saved.columns)
        inputs, count = len(columns), len(saved.rows)
        features, front = Features.from_saved(saved.features), Front.from_saved(saved.front)
        if len(features.columns) != inputs or front.variables != features.names:
            raise InputError("not a saved explanation: its equations do not fit its columns")
        if (saved.center is None) != (saved.prediction is None):
            raise InputError("not a saved explanation: of center and prediction it has only one")
        points = Points(numbers(saved.rows, count, inputs), numbers(saved.weights, count))
        return cls(
            front=front,
            complexity=front.select(saved.complexity).complexity,
            link=LINKS[saved.link],
            prediction=math.nan if saved.prediction is None else saved.prediction,
            center=None if saved.center is None else numbers(saved.center, inputs),
            view=View(columns, numbers(saved.reference, inputs), features),
            spread=numbers(saved.spread, inputs),
            fresh=Answered(points, numbers(saved.predictions, count)),
            output=saved.output,
            query=None if f is None else query_of(f)[0],
        )
