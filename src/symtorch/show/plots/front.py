"""The front: loss against complexity."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...search.front import Candidate, Front
from ..losses import drawable_losses
from .style import BLOCK, EQUATION, MUTED, SMALL, new_figure, plain, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LISTED = 14
"""Most equations written beside the axes; on a longer front, those with the highest scores."""


def plot_front(front: Front, ax: Axes | None = None, *, digits: int = 3) -> Figure:
    """Loss against complexity, on rows fitted and held out, with the equations beside it.

    Args:
        front: to draw.
        ax: axes to draw in; new ones in a new figure by default.
        digits: significant digits in the equations.

    Returns:
        The figure, to ``savefig``.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    if ax is None:
        ax = new_figure(9.0, 3.6).subplots()
    best = front.get_best()
    train, held_out = drawable_losses(front).T
    ax.plot(front.complexities, train, "-", color=MUTED, linewidth=1, zorder=1)
    ax.plot(front.complexities, train, "o", color=BLOCK, fillstyle="none", label="fitted rows")
    ax.plot(front.complexities, held_out, "s", color=EQUATION, markersize=4, label="held out")
    at = front.complexities.index(best.complexity)
    ax.plot(
        [best.complexity], [held_out[at]], "o", color="black", fillstyle="none", markersize=14,
        label="chosen",
    )  # fmt: skip
    ax.set_yscale("log")
    ax.set_xlabel("complexity")
    ax.set_ylabel("mean squared error")
    ax.legend(fontsize=SMALL, frameon=False)
    ax.locator_params(axis="x", integer=True)
    if len(front) == 1:  # a single point has no range to show
        ax.set_xlim(best.complexity - 1, best.complexity + 1)
    quiet(ax)
    _list_equations(ax, front, best, digits)
    return ax.get_figure(root=True)  # type: ignore[return-value]


def _list_equations(ax: Axes, front: Front, best: Candidate, digits: int) -> None:
    """The equations beside the axes, each under its complexity."""
    scores = dict(zip(front.complexities, front.scores, strict=True))
    listed = sorted(front, key=lambda row: (row is not best, -scores[row.complexity]))[:LISTED]
    listed.sort(key=lambda row: row.complexity)
    step = 1.0 / max(len(listed), 8)
    for place, row in enumerate(listed):
        ax.text(
            1.03,
            1.0 - step * (place + 0.5),
            f"{row.complexity:>3}  {plain(row.expression.pretty(digits))}",
            transform=ax.transAxes,
            fontsize=SMALL,
            family="monospace",
            fontweight="bold" if row is best else "normal",
            verticalalignment="center",
            parse_math=False,
        )
    if len(listed) < len(front):
        ax.set_title(f"{len(listed)} of {len(front)} equations listed", fontsize=SMALL)
