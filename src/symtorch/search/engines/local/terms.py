"""Terms of a local equation: what one input may do near a point, as short trees."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ....symbolic.nodes import Call, Constant, Node, Variable
from ....symbolic.operators import OPERATORS, Operator

Array = npt.NDArray[np.float64]

KNOTS = 9
"""Places along an input where a step or a ramp is tried."""

WIDTHS = (0.2, 0.5)
"""Half-widths of the ramps, in standard deviations of the input."""

TUNED_KNOTS = 48
"""Thresholds tried around the knot of a step that was chosen."""


TUNED_HINGES = 11
"""Knots tried around that of a hinge that was chosen."""


@dataclass(frozen=True)
class Term:
    """A piece of a sum.

    Args:
        node: the tree.
        inputs: positions of the input columns that it reads.
        factor: how it stands in a product: as itself, but a line as its deviation from the
            centre, so that the product says how one input changes what another does. None
            for squares, which make products that nobody can read.
        nearby: makes terms of the same form with other constants.
    """

    node: Node
    inputs: tuple[int, ...]
    factor: Node | None = None
    nearby: Callable[[], list[Term]] = list


def product(first: Term, second: Term) -> Term | None:
    """The product of two terms of different inputs, where both may enter one."""
    if first.factor is None or second.factor is None or first.inputs == second.inputs:
        return None
    node = Call(OPERATORS["*"], (first.factor, second.factor))
    return Term(node, (*first.inputs, *second.inputs))


@dataclass(frozen=True)
class InputColumn:
    """One input column near the centre.

    Args:
        position: of the column.
        name: of the variable.
        values: [rows], what it takes.
        center: where deviations are counted from.
        scale: standard deviation around the centre, positive.
        allowed: operators that may be used.
    """

    position: int
    name: str
    values: Array
    center: float
    scale: float
    allowed: Collection[str]

    def terms(self) -> Iterator[Term]:
        """A line, a square, and steps, hinges and ramps at several places."""
        variable = Variable(self.name)
        deviation = self._minus(self.center)
        yield Term(variable, (self.position,), deviation)
        distinct = np.unique(self.values)
        if len(distinct) < 3:
            return
        for name, arguments in (("square", ()), ("^", (Constant(2.0),))):
            if deviation is not None and name in self.allowed:
                node = Call(OPERATORS[name], (deviation, *arguments))
                yield Term(node, (self.position,))
                break
        between = (distinct[1:] + distinct[:-1]) / 2
        if len(between) <= KNOTS:
            yield from self._steps(between)
            return
        knots = np.unique(np.quantile(self.values, np.linspace(0, 1, KNOTS + 2)[1:-1]))
        yield from self._steps(knots)
        yield from self._hinges(knots)
        for knot in knots:
            for width in WIDTHS:
                yield from self._ramp(float(knot), width * self.scale)

    def _minus(self, value: float) -> Node | None:
        variable = Variable(self.name)
        value = rounded(value, self.scale)
        if value == 0:
            return variable
        if "-" in self.allowed:
            sign, size = ("-", value) if value > 0 else ("+", -value)
            if sign in self.allowed:
                return Call(OPERATORS[sign], (variable, Constant(size)))
        if "+" in self.allowed:
            return Call(OPERATORS["+"], (variable, Constant(-value)))
        return None

    def _steps(self, knots: Array) -> Iterator[Term]:
        if "greater" not in self.allowed:
            return
        edges = [-math.inf, *knots.tolist(), math.inf]
        for low, knot, high in zip(edges, edges[1:], edges[2:], strict=False):
            yield self._step(knot, partial(self._steps_between, low, high))

    def _step(self, knot: float, nearby: Callable[[], list[Term]] = list) -> Term:
        arguments = (Variable(self.name), Constant(rounded(knot, self.scale)))
        node = Call(OPERATORS["greater"], arguments)
        return Term(node, (self.position,), node, nearby)

    def _steps_between(self, low: float, high: float) -> list[Term]:
        inside = np.unique(self.values[(self.values >= low) & (self.values <= high)])
        between = (inside[1:] + inside[:-1]) / 2
        picked = np.unique(np.linspace(0, max(len(between) - 1, 0), TUNED_KNOTS).astype(int))
        return [self._step(float(between[i])) for i in picked if i < len(between)]

    def _hinges(self, knots: Array) -> Iterator[Term]:
        """Lines that begin or end at a knot, ``max(x, t)``, as in MARS."""
        edges = [float(self.values.min()), *knots.tolist(), float(self.values.max())]
        for low, knot, high in zip(edges, edges[1:], edges[2:], strict=False):
            yield from self._hinge(knot, partial(self._hinges_between, low, high))

    def _hinge(self, knot: float, nearby: Callable[[], list[Term]] = list) -> Iterator[Term]:
        difference = self._minus(knot)
        for name in ("max", "min"):
            if name in self.allowed and difference is not None:
                limit = Constant(rounded(knot, self.scale))
                node = Call(OPERATORS[name], (Variable(self.name), limit))
                # In a product the flat side has to be 0, so that the product ends there too.
                factor = Call(OPERATORS[name], (difference, Constant(0.0)))
                yield Term(node, (self.position,), factor, nearby)

    def _hinges_between(self, low: float, high: float) -> list[Term]:
        knots = np.linspace(low, high, TUNED_HINGES + 2)[1:-1]
        return [term for knot in knots for term in self._hinge(float(knot))]

    def _ramp(self, knot: float, width: float, tune: bool = True) -> Iterator[Term]:
        difference = self._minus(knot)
        if difference is None or not {"tanh", "/"} <= set(self.allowed):
            return

        def nearby() -> list[Term]:
            return [
                term
                for shift in (-0.5, -0.25, 0.0, 0.25, 0.5)
                for factor in (0.5, 0.75, 1.0, 1.5, 2.0)
                for term in self._ramp(knot + shift * width, factor * width, tune=False)
            ]

        size = Constant(rounded(width, width))
        node = Call(OPERATORS["tanh"], (Call(OPERATORS["/"], (difference, size)),))
        yield Term(node, (self.position,), node, nearby if tune else list)


def atoms(inputs: Collection[InputColumn], functions: Collection[Operator]) -> list[Term]:
    """Functions of one input as textbooks write them: ``x``, ``sin(x)``, ``1/x``."""
    found = []
    for column in inputs:
        variable = Variable(column.name)
        found.append(Term(variable, (column.position,), variable))
        for operator in functions:
            node = Call(operator, (variable,))
            found.append(Term(node, (column.position,), node))
    return found


def rounded(value: float, scale: float) -> float:
    """A number to the digits that matter next to a scale.

    >>> rounded(3.14159, 0.5), rounded(1234.56, 100.0)
    (3.142, 1235.0)
    """
    return round(value, 2 - math.floor(math.log10(scale)))
