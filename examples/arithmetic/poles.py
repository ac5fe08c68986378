"""Whether an equation is finite everywhere in a range, not only where it was fitted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import sympy
import torch

from symtorch import Expression
from symtorch.symbolic.nodes import Call, Constant, walk

TOO_LARGE = 10.0
"""A prediction beyond this times the largest right answer counts as a pole's flank."""


@dataclass(frozen=True)
class PoleCheck:
    """What was found in the range of the questions.

    Args:
        poles: denominators that vanish or change sign there, and arguments of logarithms
            that are not positive.
        proved: whether the absence of poles is proved symbolically; otherwise it holds on
            the grid.
        not_finite: points of the grid where the equation is not finite.
        points: of the grid.
        largest: prediction on the grid, over the largest right answer.
    """

    poles: tuple[str, ...]
    proved: bool
    not_finite: int
    points: int
    largest: float

    @property
    def passed(self) -> bool:
        return not self.poles and self.not_finite == 0 and self.largest <= TOO_LARGE

    def to_json(self) -> dict[str, Any]:
        return {"passed": self.passed, **asdict(self)}

    def __str__(self) -> str:
        if self.poles:
            return f"poles in range: {', '.join(self.poles)}"
        if self.not_finite:
            return f"not finite at {self.not_finite} of {self.points} questions"
        if not self.passed:
            return f"reaches {self.largest:.3g} times the largest right answer"
        return "no poles (proved)" if self.proved else f"no poles (on {self.points} questions)"


def check_poles(
    expression: Expression, names: tuple[str, ...], grid: torch.Tensor, largest: float
) -> PoleCheck:
    """Look for singularities of an equation.

    Args:
        expression: over ``names``.
        names: of the variables.
        grid: the range, [*axes, variables]; neighbours along an axis are neighbours in it.
        largest: size of the largest right answer.
    """
    columns = dict(zip(names, grid.unbind(-1), strict=True))
    box = {name: (float(c.min()), float(c.max())) for name, c in columns.items()}
    guards = dict.fromkeys(guarded(expression))
    open_ = [guard for guard in guards if not never_zero(guard.sympy(), box)]
    values = expression(columns)
    finite = torch.isfinite(values)
    return PoleCheck(
        poles=tuple(guard.pretty() for guard in open_ if vanishes(guard(columns))),
        proved=not open_,
        not_finite=int((~finite).sum()),
        points=values.numel(),
        largest=float(values[finite].abs().max()) / largest if bool(finite.any()) else math.inf,
    )


def guarded(expression: Expression) -> Iterator[Expression]:
    """The parts of an equation that must not become zero: where it would have a pole."""
    for node in walk(expression.root):
        if not isinstance(node, Call):
            continue
        match node.operator.name, node.args:
            case "/", (_, below):
                yield Expression(below)
            case (("inv" | "log" | "log2" | "log10"), (inner,)):
                yield Expression(inner)
            case "^", (base, Constant(power)) if power < 0:
                yield Expression(base)


def never_zero(form: sympy.Expr, box: dict[str, tuple[float, float]]) -> bool:
    """Whether a polynomial is proved to have no zero in a box."""
    symbols = sorted(form.free_symbols, key=str)
    if not symbols:
        return bool(form.is_nonzero)
    if not form.is_polynomial(*symbols):
        return False
    form = sympy.nsimplify(form, rational=True)
    bounds = [tuple(map(sympy.Rational, box[str(symbol)])) for symbol in symbols]
    if len(symbols) == 1:
        (lowest, highest), (symbol,) = bounds[0], symbols
        return sympy.Poly(form, symbol).count_roots(lowest, highest) == 0
    # Interval arithmetic holds for independent variables, and so for dependent ones.
    ranges = {
        symbol: sympy.AccumBounds(*bound) if bound[0] < bound[1] else bound[0]
        for symbol, bound in zip(symbols, bounds, strict=True)
    }
    reached = form.subs(ranges)
    if not isinstance(reached, sympy.AccumBounds):
        return bool(reached.is_nonzero)
    return bool(reached.min > 0 or reached.max < 0)


def vanishes(values: torch.Tensor) -> bool:
    """Whether values on a grid are zero, or change sign between neighbours."""
    signs = torch.sign(values)
    if not bool(signs.all()):
        return True
    return any(bool((signs.diff(dim=axis) != 0).any()) for axis in range(signs.ndim))
