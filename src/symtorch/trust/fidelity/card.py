"""The fidelity card itself: figures in a fixed order, and the warnings drawn from them."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..domain import Poles
from .agreement import Agreement, Surrogates
from .constants import ConstantInterval
from .terms import Term

UNKNOWN_POLES = "poles and domain violations: not known, a variable is a Python function"


@dataclass(frozen=True)
class Loss:
    """The whole model's loss with the block, and with the equation in its place."""

    block: float
    equation: float


@dataclass(frozen=True)
class FidelityCard:
    """How far an equation may be trusted in the place of its block.

    Args:
        block_name: of the block.
        dim: which of its outputs.
        equation: as it is read.
        complexity: nodes.
        names: of the input columns.
        recorded: recorded lower and upper end of each column.
        places: agreement by kind of row, ``"recorded"``, ``"held out"``, ``"inside the box"``,
            ``"widened box"``; the last two are asked of the block and may be missing.
        surrogates: what a constant and a line leave.
        gradients: share of the block's gradients that the equation's explain; nan if unknown.
        terms: what each contributes.
        constants: with intervals. The block is deterministic: they say how the constants would
            move with other rows, not how noise moves them.
        poles: by kind of box, whether the equation is proved to be finite in it; None where a
            variable is a Python function, of which nothing can be proved.
        stability: how often the search came back with this form; None if it was not asked.
        loss: of the whole model; None where none was given.
        warnings: in plain words; empty where there are none.
    """

    block_name: str
    dim: int
    equation: str
    complexity: int
    names: tuple[str, ...]
    recorded: tuple[tuple[float, float], ...]
    places: Mapping[str, Agreement]
    surrogates: Surrogates
    gradients: float
    terms: tuple[Term, ...]
    constants: tuple[ConstantInterval, ...]
    poles: Mapping[str, Poles | None]
    stability: float | None = None
    loss: Loss | None = None
    warnings: tuple[str, ...] = ()

    def row(self) -> dict[str, float]:
        """The figures that fit into a row of a table."""
        figures = {"gradient_r2": self.gradients}
        for place, agreement in self.places.items():
            key = place.replace(" ", "_")
            figures |= {f"{key}_r2": agreement.r2, f"{key}_largest": agreement.largest}
        return figures

    def to_json(self) -> str:
        """All of it as JSON text; what is not finite is null."""
        return json.dumps(_plain(asdict(self)))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def __str__(self) -> str:
        sections = (
            self._agreement(),
            self._comparison(),
            [f"  {box}: {verdict or UNKNOWN_POLES}" for box, verdict in self.poles.items()],
            self._terms(),
            self._constants(),
            [f"  ! {warning}" for warning in self.warnings],
        )
        return "\n\n".join("\n".join(lines) for lines in sections if lines)

    def _agreement(self) -> list[str]:
        lines = [
            f"{self.block_name}, output {self.dim}: {self.equation}   ({self.complexity} nodes)",
            "",
            f"  {'against the block on':24} {'rows':>7} {'R2':>9} {'RMS':>10} {'largest':>10}",
        ]
        for place, found in self.places.items():
            undefined = f"   undefined on {found.undefined}" if found.undefined else ""
            lines.append(
                f"  {place:24} {found.rows:>7} {found.r2:>9.5f} {found.rms:>10.4g} "
                f"{found.largest:>10.4g}{undefined}"
            )
        return lines

    def _comparison(self) -> list[str]:
        spread = self.places["held out"].spread
        lines = [
            f"  held out, RMS of a constant {self.surrogates.constant:.4g}, of a line "
            f"{self.surrogates.linear:.4g}; spread of the block {spread:.4g}"
        ]
        if not math.isnan(self.gradients):
            lines.append(f"  share of the gradients explained: {self.gradients:.4f}")
        if self.loss is not None:
            lines.append(
                f"  loss of the model: {self.loss.block:.5g} with the block, "
                f"{self.loss.equation:.5g} with the equation"
            )
        if self.stability is not None:
            lines.append(f"  the form came back in {self.stability:.0%} of the searches")
        return lines

    def _terms(self) -> list[str]:
        if len(self.terms) < 2:
            return []
        head = "  terms, spread over that of the whole:"
        return [head, *(f"    {term.share:>8.3g}  {term.text}" for term in self.terms)]

    def _constants(self) -> list[str]:
        if not self.constants:
            return []
        return [
            "  constants, 95 % intervals over rows:",
            *(
                f"    {c.value:>12.6g}  [{c.low:.6g}, {c.high:.6g}]"
                + ("" if c.determined else "  not determined")
                for c in self.constants
            ),
        ]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
