"""One problem from training to verified law: the table, the figures and the checks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from support.figures import Figures, print_table

from .discovery import discover, implied_constants, rounded, verify
from .physics import Physics
from .training import LABELLED, Trained, error, train

TOLERANCE = 0.02


@dataclass(frozen=True)
class Budget:
    """How much work a study may be.

    Args:
        steps: of training.
        search: options of the search.
        polish: iterations of L-BFGS after the training.
    """

    steps: int
    search: dict[str, Any]
    polish: int = 0


FULL = Budget(3_000, {"niterations": 8, "timeout_in_seconds": 150})
FAST = Budget(1_000, {"niterations": 6, "timeout_in_seconds": 90})
"""Searches end by themselves, here after some 20 s; the clock is for slow machines."""


@dataclass(frozen=True)
class Study:
    """What came out, for drawing.

    Args:
        physics: of the problem.
        labelled: [points, coordinates], all that the networks were given of the solution.
        plain: trained on these alone.
        informed: trained on these and the physics.
        equation: chosen for the informed network.
    """

    physics: Physics
    labelled: torch.Tensor
    plain: Trained
    informed: Trained
    equation: sympy.Expr


def study(physics: Physics, budget: Budget, seed: int, figures: Figures) -> Study:
    """Train with and without physics, distill, verify; print, and note values and checks."""
    torch.manual_seed(seed)
    print(f"\n== {physics.name}: {physics.law}")
    labelled, test = physics.spread(LABELLED), physics.spread(10_000)
    begun = time.perf_counter()
    plain = train(physics, labelled, budget.steps, informed=False)
    informed = train(physics, labelled, budget.steps, budget.polish, informed=True)
    seconds = time.perf_counter() - begun
    found = discover(physics, informed.network, labelled, budget.search, seed)
    print(f"trained in {seconds:.0f} s, distilled in {found.seconds:.0f} s\n\n{found.front}\n")

    errors = {
        "plain network": error(physics, plain.network, test),
        "informed network": error(physics, informed.network, test),
        "equation": float(
            (found.front.predict(test.double()) - physics.solution(test)).square().mean()
        ),
    }
    print_table([{"mean squared error of": name, "is": value} for name, value in errors.items()])
    implied = implied_constants(physics, found.equation)
    constants = [
        {
            "constant": name,
            "true": true,
            "learned by the network": informed.constants[name],
            "implied by the equation": implied[name],
        }
        for name, true in physics.constants.items()
    ]
    print()
    print_table(constants)
    residuals = verify(physics, found.equation, informed.constants)
    print()
    print_table(residuals)

    numbers = physics.law_numbers(found.equation)
    off = {
        name: abs(numbers[name] / true - 1) if numbers else None
        for name, true in physics.numbers.items()
    }
    figures.values[physics.name] = {
        "equation": str(rounded(found.equation)),
        "numbers": numbers,
        "off by": off,
        "errors": errors,
        "misfit where values are known": found.front.loss_floor,
        "constants": constants,
        "residuals": residuals,
        "training seconds": seconds,
        "search seconds": found.seconds,
        "front": found.front.table().splitlines(),
    }
    figures.check(f"{physics.name}: the law's form, nothing else", numbers is not None, "==", True)
    if numbers:
        figures.check(f"{physics.name}: constants off by", max(off.values()), "<=", TOLERANCE)
    return Study(physics, labelled, plain, informed, found.equation)
