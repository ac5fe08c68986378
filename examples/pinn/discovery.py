"""From a trained network to its law, and the law back into the physics it came from."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
import torch
from torch import nn

from symtorch import Front, SymbolicModel

from .physics import Physics
from .training import known_misfit

ROWS = 2_000


@dataclass(frozen=True)
class Discovery:
    """The equation that was chosen for a network.

    Args:
        front: all that were found, with the accuracy of the network as the floor of its
            losses: `get_best` takes losses below it as equal.
        seconds: the search took.
    """

    front: Front
    seconds: float

    @property
    def equation(self) -> sympy.Expr:
        """What `get_best` chooses."""
        return self.front.get_best().sympy_format


def discover(
    physics: Physics,
    network: nn.Module,
    labelled: torch.Tensor,
    sr_params: dict[str, Any],
    seed: int,
) -> Discovery:
    """Distill a network on points spread over the domain."""
    block = SymbolicModel(network, block_name=physics.name)
    begun = time.perf_counter()
    front = block.distill(
        physics.spread(ROWS),
        variable_names=physics.coordinates,
        sr_params=sr_params,
        random_state=seed,
    )[0]
    seconds = time.perf_counter() - begun
    return Discovery(replace(front, loss_floor=known_misfit(physics, network, labelled)), seconds)


def implied_constants(physics: Physics, solution: sympy.Expr) -> dict[str, float]:
    """The constants with which an equation solves the differential equation best.

    The residual is linear in the constants, so that they are a least-squares solution.
    """
    symbols = {name: sympy.Symbol(name) for name in physics.constants}
    residual = sympy.expand(physics.residual(physics.symbolic_field(solution), symbols))
    columns = [on_points(physics, residual.coeff(symbol)) for symbol in symbols.values()]
    rest = on_points(physics, residual.subs(dict.fromkeys(symbols.values(), 0)))
    values = np.linalg.lstsq(np.stack(columns, -1), -rest, rcond=None)[0]
    return dict(zip(symbols, values.tolist(), strict=True))


def verify(physics: Physics, solution: sympy.Expr, constants: dict[str, float]) -> list[dict]:
    """What is left of the differential equation and of each condition: one row each."""
    field = physics.symbolic_field(solution)
    left = {"equation": physics.residual(field, constants)}
    for condition in physics.conditions:
        [(axis, values)] = condition.at.items()
        for value in values:
            wanted = sympy.sympify(physics.parsed(condition.equals).sympy())
            at = {sympy.Symbol(axis): value}
            name = f"{condition.name} at {axis} = {value:g}"
            left[name] = (field(condition.derivative) - wanted).subs(at)
    return [
        {
            "substituted in": name,
            "largest on the domain": float(np.abs(on_points(physics, residual)).max()),
            "residual": str(rounded(sympy.factor_terms(residual))),
        }
        for name, residual in left.items()
    ]


def rounded(expression: sympy.Expr, digits: int = 4) -> sympy.Expr:
    """For reading: numbers to some significant digits."""
    return expression.xreplace({n: sympy.Float(n, digits) for n in expression.atoms(sympy.Float)})


def on_points(physics: Physics, expression: sympy.Expr, count: int = 2_000) -> np.ndarray:
    """An equation in the coordinates on points of a fixed sample: [rows]."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        points = physics.spread(count).double().numpy()
    function = sympy.lambdify(sympy.symbols(physics.coordinates), expression, "numpy")
    return np.broadcast_to(function(*points.T), (count,))
