"""The figure of an explanation; matplotlib is imported here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingDependencyError
from .columns import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .explanation import Explanation

POINTS = 101
"""Points of a curve along an input."""

REACH = 2.5
"""Half-width of a panel, in standard deviations of the synthetic rows."""

UP, DOWN, MODEL = "#4c72b0", "#c44e52", "#555555"
BARS = 10
"""Most inputs in the panel of effects."""


def draw(explanation: Explanation, inputs: int) -> Figure:
    """See `Explanation.plot`."""
    try:
        # Not pyplot, which would keep the figure and choose a window system.
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "plot() needs matplotlib: pip install matplotlib; str(explanation) needs nothing"
        ) from None
    shown = list(explanation.effects)[:inputs]
    columns = 1 + len(shown)
    figure = Figure(figsize=(3.1 * columns, 3.2), layout="constrained")
    panels = figure.subplots(1, columns, squeeze=False)[0]
    _bars(panels[0], explanation)
    for panel, name in zip(panels[1:], shown, strict=True):
        _along(panel, explanation, name)
    if shown:
        panels[1].legend(fontsize=8)
    return figure


def _bars(panel: Any, explanation: Explanation) -> None:
    effects = list(explanation.effects.items())[:BARS][::-1]
    names = [name for name, _ in effects]
    sizes = [effect for _, effect in effects]
    panel.barh(names, sizes, color=[UP if size > 0 else DOWN for size in sizes])
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_xlabel("effect around x")
    panel.set_title(f"R² {explanation.fidelity.weighted_r2:.2f}", fontsize=10)
    panel.tick_params(labelsize=8)


def _along(panel: Any, explanation: Explanation, name: str) -> None:
    index = explanation.view.names.index(name)
    rows = _slice(explanation, index)
    column = explanation.view.columns[index]
    places = np.arange(len(rows), dtype=np.float64) if column.labels is not None else rows[:, index]
    style = {"marker": "o", "markersize": 4} if column.values is not None else {}
    model, equation = explanation.ask(rows), explanation.approximate(rows)
    panel.plot(places, model, color=MODEL, label="model", **style)
    panel.plot(places, equation, color="#dd8452", linestyle="--", label="equation", **style)
    if explanation.center is not None:
        at = explanation.center[index]
        place = float(np.flatnonzero(rows[:, index] == at)[0]) if column.labels else at
        panel.plot([place], [explanation.prediction], "o", color="black", markersize=6)
    if column.labels is not None:
        panel.set_xticks(places, [str(column.labels[int(code)]) for code in rows[:, index]])
    panel.set_xlabel(column.name)
    panel.tick_params(labelsize=8)


def _slice(explanation: Explanation, index: int) -> Array:
    """Rows that differ from x in one input only."""
    middle = explanation.middle
    column = explanation.view.columns[index]
    reach = REACH * explanation.spread[index]
    low = max(min(column.low, middle[index]), middle[index] - reach)
    high = min(max(column.high, middle[index]), middle[index] + reach)
    if column.nominal and column.values is not None:
        along = column.values
    elif column.values is not None:
        along = column.values[(column.values >= low) & (column.values <= high)]
        along = np.unique(np.append(along, middle[index]))
    else:
        along = np.linspace(low, high, POINTS)
    rows = np.repeat(middle[None], len(along), axis=0)
    rows[:, index] = along
    return rows
