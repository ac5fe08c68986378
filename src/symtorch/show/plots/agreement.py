"""An equation against the block: value by value, what is left, and along each input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison import Comparison
from ..slices import Slice, common_limits, slices
from .style import BLOCK, BLOCK_LINE, EQUATION, MUTED, SMALL, new_figure, plain, quiet, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
"""Most panels in a row."""


def plot_agreement(comparison: Comparison, inputs: int = 6) -> Figure:
    """Parity, residuals, and slices along the inputs with the largest effect.

    In the slices the other inputs stay at the middle of the data; the recorded range is
    shaded, and what lies outside is hatched: nothing was recorded there.

    Args:
        comparison: of the equation.
        inputs: most inputs to draw slices of.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: no row on which block and equation are finite.
    """
    comparison = comparison.finite()
    along = slices(comparison, inputs)
    panels = 2 + len(along)
    lines = -(-panels // COLUMNS)
    width = -(-panels // lines)
    figure = new_figure(2.9 * width, 2.7 * lines + 0.5)
    axes = figure.subplots(lines, width, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.set_visible(False)
    note = _parity_and_residuals(axes[0], axes[1], comparison)
    limits = common_limits(along)
    for panel, one in zip(axes[2:], along, strict=False):
        _along(panel, one, comparison.target)
        panel.set_ylim(*limits)
    if along:
        axes[2].legend(fontsize=SMALL, frameon=False)
    if len(along) < len(comparison.names):
        note.append(f"{len(along)} of {len(comparison.names)} inputs, those that matter most")
    equation = plain(comparison.row.expression.pretty(3), 34 * width)
    figure.suptitle(
        "\n".join([f"{comparison.title}: {equation}", *([";  ".join(note)] if note else [])]),
        fontsize=10,
        parse_math=False,
    )
    return figure


def _parity_and_residuals(parity: Axes, left: Axes, comparison: Comparison) -> list[str]:
    """Both panels, and what has to be noted about them."""
    rows, note = thinned(len(comparison))
    drawn = comparison.only(rows)
    fitted = drawn.fitted
    style: dict[str, Any] = {
        "marker": ".",
        "linestyle": "",
        "color": BLOCK,
        "markersize": 3,
        "rasterized": True,
    }
    style["alpha"] = 0.35 if len(drawn) > 300 else 0.8
    parity.plot(drawn.y, fitted, **style)
    parity.axline((float(drawn.y.mean()),) * 2, slope=1, color=MUTED, linewidth=1, linestyle="--")
    parity.set(xlabel=comparison.target, ylabel="equation")
    parity.set_title(f"R² {comparison.r2:.4f}", fontsize=9)
    left.plot(fitted, drawn.y - fitted, **style)
    left.axhline(0, color=MUTED, linewidth=1, linestyle="--")
    left.set(xlabel="equation", ylabel=f"{comparison.target} - equation")
    rms = float(np.sqrt(np.mean((comparison.y - comparison.fitted) ** 2)))
    left.set_title(f"root mean square {rms:.3g}", fontsize=9)
    for panel in (parity, left):
        quiet(panel)
    notes = [note] if note else []
    if comparison.left_out:
        notes.append(f"{comparison.left_out:,} rows left out, not finite")
    return notes


def _along(panel: Axes, one: Slice, target: str) -> None:
    panel.axvspan(one.low, one.high, color=MUTED, alpha=0.12, linewidth=0)
    for start, end in ((one.at[0], one.low), (one.high, one.at[-1])):
        panel.axvspan(
            start, end, facecolor="none", edgecolor=MUTED, alpha=0.4, hatch="///", linewidth=0
        )
    if one.block is not None:
        panel.plot(one.at, one.block, color=BLOCK_LINE, linewidth=3.5, label=target)
    panel.plot(one.at, one.equation, color=EQUATION, linestyle="--", label="equation")
    panel.set_xlim(one.at[0], one.at[-1])
    panel.set_xlabel(one.name, parse_math=False)
    quiet(panel)
