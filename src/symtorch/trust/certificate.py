"""Certificate: what is known about the largest error of an equation over a box."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .box import Box

_HEADER = {"format": "symtorch.certificate", "version": 1}

Arithmetic = Literal["real", "float32"]


@dataclass(frozen=True)
class ErrorBound:
    """The largest ``abs(block - equation)`` of one output.

    Args:
        equation: its text.
        lower: an error of this size was found: proved for a certificate, measured in
            floating point for a sample.
        upper: no error is larger; inf where that is not known.
        point: [columns], where the lower bound was found.
        undecided: share of the box's volume where the tolerance was not reached.
    """

    equation: str
    lower: float
    upper: float
    point: tuple[float, ...]
    undecided: float


@dataclass(frozen=True)
class Certificate:
    """What `certify` found, `proved` or only sampled.

    Args:
        bounds: by output of the block.
        box: over which.
        proved: whether the bounds are. A sampled certificate has no upper bounds.
        arithmetic: ``"real"``: the block in exact arithmetic with its stored weights;
            ``"float32"``: also its execution in float32.
        margin: by output, what float32 execution adds to the upper bound; 0 for "real".
        tolerance: that was asked for.
        boxes: subboxes that were bounded, or points that were sampled.
        seconds: that it took.
        remark: why something is not known, in words; empty where all is.
    """

    bounds: Mapping[int, ErrorBound]
    box: Box
    proved: bool
    arithmetic: Arithmetic
    margin: Mapping[int, float]
    tolerance: float
    boxes: int
    seconds: float
    remark: str = ""

    @property
    def lower(self) -> float:
        """The largest error found, over all outputs."""
        return max(bound.lower for bound in self.bounds.values())

    @property
    def upper(self) -> float:
        """No error is larger, for any output; inf where that is not known."""
        return max(bound.upper for bound in self.bounds.values())

    @property
    def worst_point(self) -> dict[str, float]:
        """The row where the largest error was found, by column."""
        worst = max(self.bounds.values(), key=lambda bound: bound.lower)
        return dict(zip(self.box.names, worst.point, strict=True))

    @property
    def undecided(self) -> float:
        """Share of the box's volume where some output's tolerance was not reached, at most."""
        return min(1.0, sum(bound.undecided for bound in self.bounds.values()))

    def holds(self, limit: float) -> bool | None:
        """Whether all errors are at most ``limit``; None where that is not decided."""
        if self.upper <= limit:
            return True
        return False if self.lower > limit else None

    def to_json(self) -> str:
        """As text; an upper bound that is not known is null."""
        bounds = {dim: asdict(bound) for dim, bound in self.bounds.items()}
        for bound in bounds.values():
            bound["lower"], bound["upper"] = _known(bound["lower"]), _known(bound["upper"])
        document: dict[str, Any] = {
            **_HEADER,
            **{k: v for k, v in self.__dict__.items() if k not in ("bounds", "box", "margin")},
            "kind": "proved" if self.proved else "sampled",
            "box": asdict(self.box),
            "bounds": bounds,
            "margin": {dim: _known(margin) for dim, margin in self.margin.items()},
        }
        return json.dumps(document)

    def __str__(self) -> str:
        what = "PROVED" if self.proved else "SAMPLED, not proved"
        counted = "subboxes" if self.proved else "points"
        lines = [f"{what}: max |block - equation| over {self.box}"]
        for dim, bound in self.bounds.items():
            lines += [f"  output {dim}: {bound.equation}", f"    {self._line(dim, bound)}"]
        if self.proved:
            lines.append(f"  of {_ARITHMETIC[self.arithmetic]}")
        lines.append(f"  {self.boxes} {counted} in {self.seconds:.1f} s")
        return "\n".join([*lines, f"  {self.remark}"] if self.remark else lines)

    def _line(self, dim: int, bound: ErrorBound) -> str:
        row = dict(zip(self.box.names, (float(f"{x:.6g}") for x in bound.point), strict=True))
        if not self.proved:
            return f"largest error seen {bound.lower:.4g}, at {row}; no upper bound"
        text = f"between {bound.lower:.4g}, at {row}, and {bound.upper:.4g}"
        if self.margin[dim]:
            text += f" ({self.margin[dim]:.2g} of it for float32)"
        if bound.undecided:
            text += (
                f"; {100 * bound.undecided:.3g} % of the volume not within "
                f"{100 * self.tolerance:g} % of the error found"
            )
        return text


_ARITHMETIC = {
    "real": "the block in exact arithmetic with its stored weights",
    "float32": "the block in exact arithmetic with its stored weights, and executed in float32",
}


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None
