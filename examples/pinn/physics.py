"""A physical problem, stated once and read twice: in tensors to train, in symbols to verify."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from torch import nn

from symtorch import Expression

Field = Callable[[str], Any]
"""A solution and its derivatives by name: ``u("")`` is u, ``u("xx")`` its second by x."""


@dataclass(frozen=True)
class Condition:
    """What is known about the solution on an edge of the domain: ``u(x, 0) = sin(pi x)``.

    Args:
        name: for tables.
        at: coordinates that are fixed, each to one of some values: ``{"x": (0.0, 1.0)}``.
        equals: what the solution is there, an equation in the coordinates.
        derivative: which derivative of it is meant: ``"t"``.
        weight: in the loss.
    """

    name: str
    at: Mapping[str, tuple[float, ...]]
    equals: str = "0"
    derivative: str = ""
    weight: float = 5.0


@dataclass(frozen=True)
class Physics:
    """A differential equation with unknown constants, and the law that solves it.

    Args:
        name: of the problem.
        domain: lowest and highest value of each coordinate.
        residual: zero for a solution, from the field and the constants.
        constants: the constants' true values; networks learn them from zero.
        conditions: on the edges.
        law: the solution, in the coordinates and in numbers with names.
        numbers: those of the law.
        weight: of the differential equation in the loss. Where rates are fast its terms are
            large, and at weight 1 drown what the points say.
    """

    name: str
    domain: Mapping[str, tuple[float, float]]
    residual: Callable[[Field, Mapping[str, Any]], Any]
    constants: Mapping[str, float]
    conditions: tuple[Condition, ...]
    law: str
    numbers: Mapping[str, float]
    weight: float = 1.0

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Their names, in the order of a network's inputs."""
        return tuple(self.domain)

    def spread(self, count: int) -> torch.Tensor:
        """Random points all over the domain: [count, coordinates]."""
        low, high = torch.tensor([*self.domain.values()]).T
        return low + torch.rand(count, len(self.domain)) * (high - low)

    def on_edge(self, condition: Condition, count: int) -> torch.Tensor:
        """Random points where a condition holds: [count, coordinates]."""
        points = self.spread(count)
        for axis, values in condition.at.items():
            choice = torch.tensor(values)[torch.randint(len(values), (count,))]
            points[:, self.coordinates.index(axis)] = choice
        return points

    def values(self, equation: str, points: torch.Tensor) -> torch.Tensor:
        """An equation in the coordinates and the law's numbers: [rows, coordinates] -> [rows]."""
        columns = dict(zip(self.coordinates, points.unbind(-1), strict=True))
        numbers = {name: torch.full_like(points[:, 0], n) for name, n in self.numbers.items()}
        return self.parsed(equation)(columns | numbers)

    def solution(self, points: torch.Tensor) -> torch.Tensor:
        """The law with its true numbers: [rows, coordinates] -> [rows]."""
        return self.values(self.law, points)

    def parsed(self, equation: str) -> Expression:
        return Expression.parse(equation, [*self.coordinates, *self.numbers])

    def network_field(self, network: nn.Module, points: torch.Tensor) -> Field:
        """A network's solution at points, differentiated by autograd."""
        points = points.requires_grad_()
        known = {"": network(points)[:, 0]}

        def field(name: str) -> torch.Tensor:
            if name not in known:
                below = name[:-1]
                gradient = torch.autograd.grad(field(below).sum(), points, create_graph=True)[0]
                # Those by the other coordinates come along.
                for i, axis in enumerate(self.coordinates):
                    known[below + axis] = gradient[:, i]
            return known[name]

        return field

    def symbolic_field(self, solution: sympy.Expr) -> Field:
        """An equation as a solution, differentiated by SymPy."""
        return lambda name: sympy.diff(solution, *name) if name else solution

    def law_numbers(self, found: sympy.Expr) -> dict[str, float] | None:
        """The numbers of the law in an equation, or None where it has another form."""
        wild = {
            name: sympy.Wild(name, exclude=sympy.symbols(self.coordinates)) for name in self.numbers
        }
        template = self.parsed(self.law).sympy()
        match = found.match(template.subs({sympy.Symbol(n): w for n, w in wild.items()}))
        if match is None or not all(match[w].is_number for w in wild.values()):
            return None
        return {name: float(match[w]) for name, w in wild.items()}
