"""Charts as SVG by hand; colours come from the page's style, so that themes and print work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ...search import Front
from ..comparison import Array, Comparison
from ..losses import drawable_losses
from ..slices import Slice

WIDTH, HEIGHT = 300, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 12, 36
COARSE = 3
"""Every third point of a slice is drawn, which the eye does not see."""

POINTS = 200
"""Most points of a scatter chart: ten outputs have to fit into 300 kB."""


@dataclass(frozen=True)
class Scale:
    """From values to pixels along one axis, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Array, start: float, end: float, *, log: bool = False) -> Scale:
        """A scale that shows all finite values, with a little room."""
        finite = values[np.isfinite(values)]
        if log:
            finite = np.log10(finite[finite > 0])
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
        room = 0.05 * (high - low) or 0.5 * max(abs(low), 1.0)
        return cls(low - room, high + room, start, end, log)

    def __call__(self, value: float) -> float:
        """The pixel of a value; beyond the axis it stays a chart's height away at most."""
        place = math.log10(value) if self.log else value
        share = (place - self.low) / (self.high - self.low)
        return self.start + min(max(share, -1.0), 2.0) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Some four values and what is written beside them."""
        step = _nice_step((self.high - self.low) / 5)
        if self.log:
            step = max(1.0, round(step))
        first = math.ceil(self.low / step)
        places = [k * step for k in range(first, math.floor(self.high / step) + 1)]
        if self.log:
            return [(10.0**place, f"1e{place:.0f}") for place in places]
        digits = max(0, -math.floor(math.log10(step)))
        if max(abs(self.low), abs(self.high)) >= 1e5 or digits > 4:
            return [(place, f"{place:.2g}") for place in places]
        return [(place, f"{place:.{digits}f}") for place in places]


def _nice_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten, not below a number."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)


def front_chart(front: Front, section: int) -> str:
    """Loss against complexity; each equation is a point that can be chosen."""
    losses = drawable_losses(front)
    x = Scale.over(np.array(front.complexities, dtype=float), LEFT, WIDTH - RIGHT)
    y = Scale.over(losses, HEIGHT - BOTTOM, TOP, log=True)
    best = front.get_best()
    line = _path(
        [(x(size), y(loss)) for size, loss in zip(front.complexities, losses[:, 0], strict=True)]
    )
    points = []
    for place, (row, (loss, held_out)) in enumerate(zip(front, losses, strict=True)):
        at, chosen = x(row.complexity), row is best
        points.append(
            f'<g role="option" id="o{section}p{place}" data-row="{place}" '
            f'aria-selected="{str(chosen).lower()}" aria-label="complexity {row.complexity}, '
            f'loss {row.loss:.3g}, {escape(row.expression.pretty(3)[:200])}">'
            f'<circle class="hit" cx="{at:.1f}" cy="{y(held_out):.1f}" r="11"/>'
            f'<circle class="train" cx="{at:.1f}" cy="{y(loss):.1f}" r="4"/>'
            f'<rect class="held" x="{at - 2.5:.1f}" y="{y(held_out) - 2.5:.1f}" '
            f'width="5" height="5"/></g>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" class="front" role="listbox" tabindex="0" '
        f'aria-label="equations by complexity" data-section="{section}">'
        f"{_axes(x, y, 'complexity', 'mean squared error')}"
        f'<path class="guide" d="{line}"/>{"".join(points)}</svg>'
    )


def scatter_chart(comparison: Comparison, *, residuals: bool) -> str:
    """The equation against the data, or what is left against the equation."""
    rows = len(comparison)
    if rows > POINTS:
        comparison = comparison.only(np.random.default_rng(0).choice(rows, POINTS, replace=False))
    fitted, target = comparison.fitted, comparison.y
    across, up = (fitted, target - fitted) if residuals else (target, fitted)
    x = Scale.over(across, LEFT, WIDTH - RIGHT)
    y = Scale.over(up, HEIGHT - BOTTOM, TOP)
    dots = "".join(f"M{x(a):.0f} {y(b):.0f}h0" for a, b in zip(across, up, strict=True))
    if residuals:
        names = ("equation", f"{comparison.target} - equation")
        ends = [(x.low, 0.0), (x.high, 0.0)]
    else:
        names = (comparison.target, "equation")
        ends = [(edge, edge) for edge in (max(x.low, y.low), min(x.high, y.high))]
    line = _path([(x(a), y(b)) for a, b in ends])
    return _chart(
        f"{names[1]} against {names[0]}, {len(comparison)} of {rows} rows",
        f'{_axes(x, y, *names)}<path class="guide dashed" d="{line}"/>'
        f'<path class="dots" d="{dots}"/>',
    )


def slice_chart(one: Slice, limits: Scale) -> str:
    """Along one input; what lies outside of the recorded range is hatched."""
    x = Scale(float(one.at[0]), float(one.at[-1]), LEFT, WIDTH - RIGHT)
    low, high = x(one.low), x(one.high)
    height = HEIGHT - BOTTOM - TOP
    bands = "".join(
        f'<rect class="outside" x="{start:.1f}" y="{TOP}" width="{end - start:.1f}" '
        f'height="{height}"/>'
        for start, end in ((x.start, low), (high, x.end))
    )
    curves = ""
    if one.block is not None:
        curves += f'<path class="block" d="{_curve(one.at, one.block, x, limits)}"/>'
    curves += f'<path class="equation" d="{_curve(one.at, one.equation, x, limits)}"/>'
    return _chart(
        f"along {one.name}, the other inputs at their median",
        f'{bands}{_axes(x, limits, one.name, "output")}<g clip-path="url(#inside)">{curves}</g>',
    )


def _curve(across: Array, up: Array, x: Scale, y: Scale) -> str:
    """A path that has gaps where values are not finite."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(across[::COARSE], up[::COARSE], strict=True):
        if math.isfinite(b):
            pieces[-1].append((x(float(a)), y(float(b))))
        elif pieces[-1]:
            pieces.append([])
    return "".join(map(_path, pieces))


def definitions() -> str:
    """What charts refer to: the hatching, and the frame that curves are cut at."""
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    return (
        '<svg class="definitions" aria-hidden="true" width="0" height="0"><defs>'
        '<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><path class="hatching" d="M0 0V6"/></pattern>'
        f'<clipPath id="inside"><rect x="{LEFT}" y="{TOP}" width="{width}" height="{height}"/>'
        "</clipPath></defs></svg>"
    )


def _chart(label: str, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{inner}</svg>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _axes(x: Scale, y: Scale, across: str, up: str) -> str:
    bottom = HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>']
    for value, text in x.ticks():
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 13}" class="tick">{text}</text>')
    for value, text in y.ticks():
        parts.append(
            f'<text x="{LEFT - 5}" y="{y(value) + 3.5:.1f}" class="tick side">{text}</text>'
        )
    middle = (TOP + bottom) / 2
    center = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{center}" y="{HEIGHT - 6}" class="name">{escape(across)}</text>')
    parts.append(
        f'<text class="name" transform="translate(11 {middle}) rotate(-90)">{escape(up)}</text>'
    )
    return "".join(parts)
