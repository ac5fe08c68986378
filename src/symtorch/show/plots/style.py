"""How all figures look: colours that the colour-blind tell apart, and that differ in grey."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ...errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito's palette, the line of the block much lighter than the equation's over it, so
# that both are seen in grey; shapes and dashes say it again.
BLOCK, BLOCK_LINE, EQUATION = "#0072B2", "#56B4E9", "#A84A00"
MUTED = "#767676"
SMALL = 8

SHOWN = 2_000
"""Most points of a scatter plot: more only blacken it."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure that lays its axes out itself.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        # Not pyplot: it would keep the figure and choose a window system.
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "plots need matplotlib; run: pip install 'symtorch[plots]'"
        ) from None
    return Figure(figsize=(width, height), layout="constrained")


def quiet(axes: Axes) -> None:
    """Only the two lines that carry numbers, and small ones."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=SMALL)


def plain(text: str, length: int = 60) -> str:
    """An equation as a label: powers with ``^``, cut where it is too long."""
    text = text.replace("**", "^")
    return text if len(text) <= length else f"{text[: length - 1]}…"


def thinned(rows: int) -> tuple[npt.NDArray[Any], str]:
    """Which of so many rows to draw, and a note that says so where it is not all."""
    if rows <= SHOWN:
        return np.arange(rows), ""
    # Seeded, so that a figure drawn again is the same.
    chosen = np.random.default_rng(0).choice(rows, SHOWN, replace=False)
    return np.sort(chosen), f"{SHOWN:,} of {rows:,} rows drawn"
