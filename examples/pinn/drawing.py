"""Figures of studies: maps of the error over two coordinates, curves over one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sympy
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import nn

from .physics import Physics
from .study import Study

Values = Callable[[torch.Tensor], np.ndarray]
"""[rows, coordinates] -> [rows]."""


def draw(studies: Sequence[Study], path: Path) -> None:
    """One row of panels a study, as a PNG."""
    # Not by pyplot, which would look for a display.
    figure = Figure(figsize=(9, 2.7 * len(studies)), layout="constrained")
    for row, study in zip(
        figure.subfigures(len(studies), squeeze=False)[:, 0], studies, strict=True
    ):
        (draw_maps if len(study.physics.coordinates) == 2 else draw_curves)(row, study)
    figure.savefig(path, dpi=80)


def sources(study: Study) -> dict[str, Values]:
    """Networks and equation as functions of points."""
    return {
        "network, ten points": of_network(study.plain.network),
        "network, ten points and physics": of_network(study.informed.network),
        "equation": of_equation(study.physics, study.equation),
    }


def of_network(network: nn.Module) -> Values:
    def values(points: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return network(points)[:, 0].numpy()

    return values


def of_equation(physics: Physics, equation: sympy.Expr) -> Values:
    function = sympy.lambdify(sympy.symbols(physics.coordinates), equation, "numpy")
    return lambda points: function(*points.numpy().T)


def draw_maps(figure: Any, study: Study) -> None:
    """The size of the error of each, on one logarithmic scale."""
    (low_x, high_x), (low_y, high_y) = study.physics.domain.values()
    x, y = torch.meshgrid(
        torch.linspace(low_x, high_x, 120), torch.linspace(low_y, high_y, 120), indexing="xy"
    )
    points = torch.stack([x.flatten(), y.flatten()], dim=1)
    truth = study.physics.solution(points).numpy()
    panels = figure.subplots(1, 3, sharey=True)
    for panel, (name, values) in zip(panels, sources(study).items(), strict=True):
        size = np.abs(values(points) - truth).reshape(x.shape).clip(1e-6)
        image = panel.imshow(
            size,
            norm=LogNorm(1e-5, 1),
            origin="lower",
            extent=(low_x, high_x, low_y, high_y),
            aspect="auto",
        )
        panel.plot(*study.labelled.T.numpy(), "w.", markersize=4)
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(study.physics.coordinates[0])
    panels[0].set_ylabel(study.physics.coordinates[1])
    figure.colorbar(image, ax=panels, label=f"{study.physics.name}: error")


def draw_curves(figure: Any, study: Study) -> None:
    """The solution and what each makes of it; their errors beside it."""
    [(low, high)] = study.physics.domain.values()
    t = torch.linspace(low, high, 300)[:, None]
    truth = study.physics.solution(t).numpy()
    left, right = figure.subplots(1, 2)
    left.plot(t[:, 0], truth, "k", linewidth=3, alpha=0.3, label="truth")
    for name, values in sources(study).items():
        [line] = left.plot(t[:, 0], values(t), linewidth=1, label=name)
        right.semilogy(t[:, 0], np.abs(values(t) - truth), color=line.get_color(), linewidth=1)
    left.plot(study.labelled[:, 0], study.physics.solution(study.labelled), "k.", markersize=5)
    left.legend(fontsize=7)
    right.set_ylabel(f"{study.physics.name}: error")
    for panel in (left, right):
        panel.set_xlabel(study.physics.coordinates[0])
