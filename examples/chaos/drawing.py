"""The figure: one coordinate over time, and how fast each trajectory leaves the true one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor


def draw(paths: Mapping[str, Tensor], step: float, path: Path) -> None:
    """Draw trajectories [steps, starts, 3] by name, "truth" among them, as a PNG."""
    # Not by pyplot, which would look for a display.
    figure = Figure(figsize=(9, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    times = step * np.arange(len(paths["truth"]))
    above.plot(times, paths["truth"][:, 0, 0], "k", linewidth=3, alpha=0.3, label="truth")
    for name in [name for name in paths if name != "truth"]:
        [line] = above.plot(times, paths[name][:, 0, 0], linewidth=1, label=name)
        away = (paths[name] - paths["truth"]).norm(dim=-1)
        middle = away.median(dim=1).values.clamp_min(1e-6)
        below.semilogy(times, middle, color=line.get_color(), linewidth=1, label=name)
    above.set_ylabel("x, one start")
    below.set_ylabel("distance to truth, median")
    below.set_xlabel("time")
    above.legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=80)
