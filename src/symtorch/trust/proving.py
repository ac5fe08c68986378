"""From a task to a certificate: by branch and bound, or by sampling."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from ..symbolic.expression import Expression
from .asking import Asked, ask
from .bounding import Effort, Found, Search
from .box import Box
from .certificate import Arithmetic, Certificate, ErrorBound
from .difference import Difference
from .domain import find_poles
from .intervals import expanded
from .networks import Network, rounding_margin
from .splitting import Subboxes

MANY_SAMPLES = 200_000
"""Points of a sampled certificate, if the budget lasts."""

CHUNK = 20_000
"""Points that a block is called with at a time."""

RESOLUTION = 1e-9
"""Errors below this share of the block's largest value count as none."""

POLE_BOXES = 2000
"""Subboxes in which a pole is looked for before anything is bounded."""

MARGIN_BOXES = 256
"""Subboxes over which the float32 margin is worked out."""


@dataclass(frozen=True)
class Task:
    """What is to be certified, all of it checked; see `certify`."""

    equations: Mapping[int, Expression]
    box: Box
    tolerance: float
    arithmetic: Arithmetic
    order: int
    started: float
    budget: float
    max_boxes: float

    def certificate(
        self,
        bounds: Mapping[int, ErrorBound],
        *,
        proved: bool,
        boxes: int,
        margin: Mapping[int, float] | None = None,
        remark: str = "",
    ) -> Certificate:
        """The answer to this task."""
        return Certificate(
            bounds,
            self.box,
            proved,
            self.arithmetic,
            margin or dict.fromkeys(self.equations, 0.0),
            self.tolerance,
            boxes,
            time.monotonic() - self.started,
            remark,
        )


def proved(task: Task, network: Network, asked: Asked) -> Certificate:
    """A certificate by branch and bound."""
    trees = {dim: expanded(e.root) for dim, e in task.equations.items()}
    points = asked.points
    nowhere = _undefined(task, asked)
    if nowhere is not None:
        return nowhere
    difference = Difference(network, trees, task.box.names)
    scale = asked.outputs[:, [*trees]].abs().amax(0)
    effort = Effort(
        task.tolerance,
        (RESOLUTION * scale).clamp(min=1e-300),
        task.started + task.budget,
        task.max_boxes,
    )
    found = Found(torch.zeros_like(scale), points[:1].repeat(len(trees), 1))
    found.look_at(difference, points)
    result = Search(difference, effort, task.order, found).run(Subboxes.whole(*task.box.corners()))
    margin = dict.fromkeys(trees, 0.0)
    if task.arithmetic == "float32":
        margins = rounding_margin(network, *_parts(task.box))
        margin = {dim: float(margins[dim]) for dim in trees}
    bounds = {}
    for k, (dim, equation) in enumerate(task.equations.items()):
        bounds[dim] = ErrorBound(
            str(equation),
            float(result.lower[k]),
            math.nextafter(float(result.upper[k]) + margin[dim], math.inf),
            tuple(result.points[k].tolist()),
            float(result.undecided[k]),
        )
    return task.certificate(
        bounds, proved=True, boxes=result.boxes, margin=margin, remark=_remark(bounds)
    )


def sampled(task: Task, block: nn.Module, asked: Asked, why: str, seed: int) -> Certificate:
    """A certificate that proves nothing: the largest error at random points."""
    lower = dict.fromkeys(task.equations, -math.inf)
    points = dict.fromkeys(task.equations, ())
    rows, count = asked, 0
    while True:
        for dim, equation in task.equations.items():
            error = (rows.outputs[:, dim] - _values(equation, rows.points, task.box)).abs()
            error = error.nan_to_num(nan=math.inf, posinf=math.inf)
            if float(error.max()) > lower[dim]:
                lower[dim] = float(error.max())
                points[dim] = tuple(rows.points[int(error.argmax())].tolist())
        count += len(rows.points)
        late = time.monotonic() > task.started + task.budget
        if late or count >= min(MANY_SAMPLES, task.max_boxes):
            break
        rows = ask(block, task.box.sample(CHUNK, seed + count), task.box)
    bounds = {
        dim: ErrorBound(str(equation), lower[dim], math.inf, points[dim], 1.0)
        for dim, equation in task.equations.items()
    }
    return task.certificate(bounds, proved=False, boxes=count, remark=why)


def _undefined(task: Task, asked: Asked) -> Certificate | None:
    """A certificate of an infinite error, where an equation is proved not to be finite."""
    bounds, remark = {}, ""
    for dim, equation in task.equations.items():
        poles = find_poles(equation, task.box, budget=task.budget, max_boxes=POLE_BOXES)
        found = poles.status == "found"
        row = tuple(poles.row.values()) if found else tuple(asked.points[0].tolist())
        lower = math.inf if found else 0.0
        bounds[dim] = ErrorBound(str(equation), lower, math.inf, row, 1.0)
        if found and not remark:
            remark = f"'{equation.pretty()}' is not finite at {poles.row} ({poles.reason})."
    if not remark:
        return None
    return task.certificate(bounds, proved=True, boxes=0, remark=remark)


def _remark(bounds: Mapping[int, ErrorBound]) -> str:
    open_ = [dim for dim, bound in bounds.items() if math.isinf(bound.upper)]
    if not open_:
        return ""
    return (
        f"No upper bound for outputs {open_}: an equation may have a pole where none was found "
        f"(find_poles looks longer), or the budget was too small."
    )


def _values(equation: Expression, points: torch.Tensor, box: Box) -> torch.Tensor:
    return equation(dict(zip(box.names, points.unbind(1), strict=True)))


def _parts(box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """A box in parts, by halving the widest column."""
    low, high = box.corners()
    parts, widths = Subboxes.whole(low, high), (high - low).clamp(min=1e-300)
    while len(parts) < MARGIN_BOXES and bool(parts.divisible.all()):
        parts = parts.halves((parts.upper - parts.lower) / widths)
    return parts.lower, parts.upper
