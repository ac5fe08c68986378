"""A damped oscillator and a standing wave, from ten points each and unknown constants.

    u_tt + c u_t + k u = 0,  u(0) = 0,  u_t(0) = 2
    u_tt = q u_xx,           u(x, 0) = sin(pi x),  u_t(x, 0) = 0,  u(0, t) = u(1, t) = 0

As in pinn_heat.py, physics-informed networks find c, k and q, and are distilled to the laws.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

from pinn.drawing import draw
from pinn.physics import Condition, Physics
from pinn.study import FAST, FULL, study
from support.figures import Figures, example_arguments

DAMPING, FREQUENCY, SPEED = 0.3, 2.0, 1.2

OSCILLATOR = Physics(
    name="damped oscillator",
    domain={"t": (0.0, 5.0)},
    residual=lambda u, constants: u("tt") + constants["c"] * u("t") + constants["k"] * u(""),
    constants={"c": 2 * DAMPING, "k": FREQUENCY**2 + DAMPING**2},
    conditions=(
        Condition("u = 0", {"t": (0.0,)}),
        Condition("u_t = 2", {"t": (0.0,)}, equals="2", derivative="t"),
    ),
    law="A*exp(-d*t)*sin(w*t)",
    numbers={"A": 2 / FREQUENCY, "d": DAMPING, "w": FREQUENCY},
    weight=1 / 16,
)

WAVE = Physics(
    name="standing wave",
    domain={"x": (0.0, 1.0), "t": (0.0, 1.0)},
    residual=lambda u, constants: u("tt") - constants["q"] * u("xx"),
    constants={"q": SPEED**2},
    conditions=(
        Condition("u = sin(pi x)", {"t": (0.0,)}, equals="sin(pi*x)"),
        Condition("u_t = 0", {"t": (0.0,)}, derivative="t"),
        Condition("u = 0", {"x": (0.0, 1.0)}),
    ),
    law="A*sin(p*x)*cos(w*t)",
    numbers={"A": 1.0, "p": math.pi, "w": SPEED * math.pi},
    weight=1 / 100,
)


def main() -> None:
    arguments = example_arguments(__doc__, figure="draw the errors there").parse_args()
    begun = time.perf_counter()

    figures = Figures()
    # Adam alone leaves errors that are small, but smooth, and so look like further terms.
    budget = replace(FAST if arguments.fast else FULL, polish=300 if arguments.fast else 1_000)
    outcomes = [study(p, budget, arguments.seed, figures) for p in (OSCILLATOR, WAVE)]
    figures.values["seconds"] = time.perf_counter() - begun
    if arguments.figure is not None:
        draw(outcomes, arguments.figure)
    print()
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
