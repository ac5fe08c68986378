"""The figure: messages against forces, and roll-outs of network and equations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .extrapolation import SETTINGS
from .study import Result

STYLES = {"network": "C1-", "equations": "C0:", "tuned": "C0-"}


def draw(results: Sequence[Result], path: Path) -> None:
    """A row for each result that has roll-outs: a scatter and a curve for each setting."""
    rows = [result for result in results if result.errors]
    if not rows:
        return
    columns = 1 + len(SETTINGS)
    figure = Figure(figsize=(2.9 * columns, 2.3 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes, result in zip(grid, rows, strict=True):
        _scatter(axes[0], result)
        axes[1].set_ylabel("distance to the truth", fontsize=8)
        for axis, setting in zip(axes[1:], SETTINGS, strict=True):
            _roll_outs(axis, result, setting.name)
    for axis, setting in zip(grid[0, 1:], SETTINGS, strict=True):
        axis.set_title(setting.name, fontsize=9)
    grid[0, 0].set_title("messages", fontsize=9)
    for axis in grid[-1, 1:]:
        axis.set_xlabel("steps", fontsize=8)
    grid[0, 1].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=72)


def _scatter(axis: Axes, result: Result) -> None:
    target = result.best_fit().target
    axis.scatter(result.sample["force"], result.sample["message"], s=4, alpha=0.6, linewidths=0)
    axis.set_xlabel(f"linear map of {target}", fontsize=8)
    axis.set_ylabel(f"{result.law}: a message", fontsize=8)
    axis.tick_params(labelsize=7)


def _roll_outs(axis: Axes, result: Result, setting: str) -> None:
    for who, style in STYLES.items():
        distance = result.errors[setting][who].roll_out
        axis.plot(range(1, len(distance)), distance[1:], style, label=who, linewidth=1.2)
    axis.set_yscale("log")
    axis.tick_params(labelsize=7)
