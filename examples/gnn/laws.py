"""Whether an equation is a force law: read off its structure, not judged by eye."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy

from .simulation import SOFTENING, Law

VARIABLES = ("dx", "dy", "r", "m1", "m2", "q1", "q2")
DX, DY, R, M1, M2, Q1, Q2 = sympy.symbols(VARIABLES)

NEAR = 0.05
"""How far a zero or pole of the radial part may lie from the law's, in units of length. The
softening of 0.01 is within it, so that 1/r^2 and 1/(r (r + 0.01)) both count."""

GAUGES = {"F": sympy.S.One, "F/m_i": 1 / M1}
"""What a message may be, and its factor to the force."""


@dataclass(frozen=True)
class Verdict:
    """Whether an equation is the law, and if so in which gauge; if not, why not.

    Args:
        gauge: key of `GAUGES`, or None.
        reason: in words.
        direction: (a, b) of the law, where it is one.
    """

    gauge: str | None
    reason: str
    direction: tuple[float, float] = (0.0, 0.0)

    @property
    def right(self) -> bool:
        return self.gauge is not None


def judge(law: Law, equation: sympy.Expr) -> Verdict:
    """Hold an equation in `VARIABLES` against ``(a dx + b dy)/r * F(r, m, q) + c``.

    a, b and c are free, because the node network undoes any linear map of the messages.
    Right are: dx and dy each once and linearly, nothing beside them but a constant, masses
    and charges as in the law and in no other way, and the zeros and poles in r of the law.
    """
    # SymPy's names carry assumptions in some equations; ours carry none. Fractions in place of
    # floats, so that what cancels is gone.
    names = {symbol: sympy.Symbol(symbol.name) for symbol in equation.free_symbols}
    equation = sympy.nsimplify(equation.xreplace(names), rational=True)
    parts = {axis: _in_signs(sympy.diff(equation, axis)) for axis in (DX, DY)}
    for axis, part in parts.items():
        if part == 0:
            return Verdict(None, f"{axis} does not occur")
        if part.free_symbols & {DX, DY}:
            return Verdict(None, f"not linear in {axis}")
    rest = _in_signs(equation.subs({DX: 0, DY: 0}))
    if not rest.is_number:
        return Verdict(None, f"a term without direction, {rest.evalf(3)}")
    for gauge, factor in GAUGES.items():
        slope = law.slope(R + sympy.nsimplify(SOFTENING), M1, M2, Q1, Q2)
        wanted = sympy.cancel(slope * factor / R)
        if all(_same_shape(part, wanted) for part in parts.values()):
            a, b = (float((part / wanted).subs(R, 2)) for part in parts.values())
            return Verdict(gauge, f"the law, {gauge}", (a, b))
    shown = ", ".join(f"{axis} ({part.evalf(3)})" for axis, part in parts.items())
    return Verdict(None, f"another dependence on r, masses or charges: {shown}")


def span_the_plane(verdicts: Sequence[Verdict]) -> bool:
    """Whether two messages that are the law tell both components of the force."""
    (a, b), (c, d) = (verdict.direction for verdict in verdicts)
    return abs(a * d - b * c) > 0.05 * math.hypot(a, b) * math.hypot(c, d)


def _in_signs(part: sympy.Expr) -> sympy.Expr:
    """A function of charges as a sum over 1, q1, q2 and q1 q2: all there is, as q^2 = 1."""
    signs = list(itertools.product((1, -1), repeat=2))
    values = {(a, b): part.subs({Q1: a, Q2: b}) for a, b in signs}
    return sympy.Add(
        *(
            sympy.cancel(sum(a**i * b**j * values[a, b] for a, b in signs) / 4) * Q1**i * Q2**j
            for i, j in itertools.product((0, 1), repeat=2)
        )
    )


def _same_shape(found: sympy.Expr, wanted: sympy.Expr) -> bool:
    """Whether two expressions agree up to a factor, and in r up to `NEAR`."""
    others = sympy.cancel(found.subs(R, 2) / wanted.subs(R, 2))
    if not others.is_number or not found.is_rational_function(R):
        return False
    found = sympy.cancel(found)
    zeros, poles = map(_roots, sympy.fraction(found))
    return all(
        _close(a, _roots(b))
        for a, b in zip(_unpaired(zeros, poles), sympy.fraction(wanted), strict=True)
    )


def _unpaired(zeros: list[complex], poles: list[complex]) -> tuple[list[complex], list[complex]]:
    """Without zeros and poles that undo each other: (r - 0.02)/r is 1 but for r near 0."""
    left = []
    poles = list(poles)
    for zero in zeros:
        near = [pole for pole in poles if abs(pole - zero) <= NEAR]
        if near:
            poles.remove(min(near, key=lambda pole: abs(pole - zero)))
        else:
            left.append(zero)
    return left, poles


def _roots(polynomial: sympy.Expr) -> list[complex]:
    """Roots in r, in order; masses and charges, which are only factors, are set to 1."""
    plain = polynomial.subs(dict.fromkeys((M1, M2, Q1, Q2), 1))
    coefficients = sympy.Poly(plain, R).all_coeffs()
    return sorted(np.roots([float(c) for c in coefficients]), key=lambda z: (z.real, z.imag))


def _close(found: list[complex], wanted: list[complex]) -> bool:
    return len(found) == len(wanted) and all(
        abs(a - b) <= NEAR for a, b in zip(found, wanted, strict=True)
    )
