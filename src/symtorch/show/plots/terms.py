"""The terms of an equation: how much each moves the output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..comparison import Comparison
from ..terms import terms
from .style import BLOCK, SMALL, new_figure, plain, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN_TERMS = 15


def plot_terms(comparison: Comparison, ax: Axes | None = None) -> Figure:
    """A bar for each term: its standard deviation over the recorded rows.

    Args:
        comparison: of the equation.
        ax: axes to draw in; new ones in a new figure by default.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: no row on which block and equation are finite.
    """
    comparison = comparison.finite()
    moving = [term for term in terms(comparison) if term.spread > 0]
    shown = moving[:SHOWN_TERMS]
    if ax is None:
        ax = new_figure(7.0, 1.2 + 0.28 * max(len(shown), 1)).subplots()
    labels = [plain(term.expression.pretty(3), 44) for term in shown]
    places = range(len(shown))
    ax.barh(places, [term.spread for term in shown], color=BLOCK, height=0.6)
    ax.set_yticks(places, labels, parse_math=False, family="monospace")
    ax.invert_yaxis()
    ax.set_xlabel("standard deviation over the recorded rows")
    title = f"{comparison.title}: terms"
    if len(shown) < len(moving):
        title += f", {len(shown)} of {len(moving)}"
    if not shown:
        title += ": none that moves, the equation is constant"
    ax.set_title(title, fontsize=9, parse_math=False)
    quiet(ax)
    ax.tick_params(axis="y", labelsize=SMALL)
    return ax.get_figure(root=True)  # type: ignore[return-value]
