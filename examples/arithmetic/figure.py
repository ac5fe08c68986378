"""The figure: answers against right answers, and what explains them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .audit import Finding
from .study import Study

COLOURS = ("#4477aa", "#ccbb44", "#ee6677", "#bbbbbb")
"""Paul Tol's bright scheme."""


def draw(studies: Sequence[Study], path: Path) -> None:
    """A column a task: its answers, and the errors of equation and rivals; as a PNG."""
    # A canvas without a window: scripts run where there is no display.
    figure = Figure(figsize=(3.1 * len(studies), 5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(studies), squeeze=False)
    for (top, bottom), study in zip(panels.T, studies, strict=True):
        draw_answers(top, study)
        draw_shares(bottom, [study.whole, *study.parts], study.task)
    panels[0, 0].set_ylabel("answer")
    handles, names = panels[1, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    figure.savefig(path, dpi=80)


def draw_answers(panel: Axes, study: Study) -> None:
    right, answers = study.right.numpy(), study.answers.numpy()
    wide = float(np.abs(right).max()) > 100
    # Counts lie on top of each other.
    spread = 0 if wide else np.random.default_rng(0).uniform(-0.2, 0.2, (2, len(right)))
    across, up = np.stack([right, answers]) + spread
    panel.scatter(across, up, s=5, alpha=0.5, color=COLOURS[0])
    panel.plot([right.min(), right.max()], [right.min(), right.max()], "k-", lw=0.8)
    if wide:
        panel.set_xscale("symlog")
        panel.set_yscale("symlog")
    panel.set_title(f"{study.task}: {100 * study.exact:.0f} % right", fontsize=10)
    panel.set_xlabel("right answer")


def draw_shares(panel: Axes, findings: Sequence[Finding], task: str) -> None:
    """Bars of the held-out answers that each way to answer gives."""
    for i, finding in enumerate(findings):
        for k, (name, score) in enumerate(finding.scores.items()):
            panel.barh(
                i + 0.2 * (k - 1.5),
                100 * score.reproduced,
                height=0.18,
                color=COLOURS[k if len(finding.scores) == 4 else (0, 1, 3)[k]],
                label=name if i == 0 else None,
            )
    names = [finding.question.removeprefix(f"{task}, ") for finding in findings]
    panel.set_yticks(range(len(names)), ["whole answer", *names[1:]], fontsize=8)
    panel.invert_yaxis()
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of held-out answers given")
