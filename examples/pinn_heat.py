"""The heat equation from ten points: a physics-informed network, its law, and the proof.

    u_t = alpha u_xx,  u(x, 0) = sin(pi x),  u(0, t) = u(1, t) = 0

The network is told this much, and ten values of u; alpha it has to find. What it has
learned is distilled to an equation, which is put back into the equation above.
"""

from __future__ import annotations

import math
import time

from pinn.drawing import draw
from pinn.physics import Condition, Physics
from pinn.study import FAST, FULL, study
from support.figures import Figures, example_arguments

ALPHA = 0.2
PUBLISHED = {"informed": 7.4e-6, "plain": 7.8e-3}

HEAT = Physics(
    name="heat",
    domain={"x": (0.0, 1.0), "t": (0.0, 1.0)},
    residual=lambda u, constants: u("t") - constants["alpha"] * u("xx"),
    constants={"alpha": ALPHA},
    conditions=(
        Condition("u = sin(pi x)", {"t": (0.0,)}, equals="sin(pi*x)"),
        Condition("u = 0", {"x": (0.0, 1.0)}),
    ),
    law="A*sin(p*x)*exp(-k*t)",
    numbers={"A": 1.0, "p": math.pi, "k": ALPHA * math.pi**2},
)


def main() -> None:
    arguments = example_arguments(__doc__, figure="draw the errors there").parse_args()
    begun = time.perf_counter()

    figures = Figures()
    outcome = study(HEAT, FAST if arguments.fast else FULL, arguments.seed, figures)
    errors = figures.values["heat"]["errors"]
    informed, plain = errors["informed network"], errors["plain network"]
    figures.check("informed network's error", informed, "<=", PUBLISHED["informed"])
    figures.check("plain network's error over the informed one's", plain / informed, ">=", 100)
    alpha = figures.values["heat"]["constants"][0]["learned by the network"]
    figures.check("alpha off by", abs(alpha / ALPHA - 1), "<=", 0.02)
    figures.values["seconds"] = time.perf_counter() - begun
    if arguments.figure is not None:
        draw([outcome], arguments.figure)
    print()
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
