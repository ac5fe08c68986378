"""The Lorenz equations out of a network, and out of 128 numbers that hide the state.

First a network learns derivatives from states with 1 % noise, is distilled to three
equations, and both are followed from the same starts until they lose the true trajectory.
Then only a nonlinear embedding of the state in 128 dimensions is seen (as by Champion,
Lusch, Kutz, Brunton 2019, "Data-driven discovery of coordinates and governing equations"):
an autoencoder finds three coordinates, and their equations are compared with Lorenz's up to
an affine change of coordinates.
"""

from __future__ import annotations

import time
from dataclasses import replace

import sympy
import torch
from chaos.drawing import draw
from chaos.hidden import Hidden, Principal, StateFrame, affine_map, learn, observe
from chaos.network import train
from chaos.system import (
    LYAPUNOV_TIME,
    STATE,
    TERMS,
    lorenz,
    on_attractor,
    roll_out,
    time_to_divergence,
)
from support.figures import Figures, example_arguments, print_table

from symtorch import Front, SymbolicModel

ROWS, NOISE, TOLERANCE = 8_000, 0.01, 0.02
STARTS, STEP, UNTIL = 20, 0.01, 20.0


def direct(seed: int, steps: int, seconds: float, figures: Figures) -> dict[str, torch.Tensor]:
    """State to derivative: train, distill, follow. Gives a trajectory each, for drawing."""
    generator = torch.Generator().manual_seed(seed)
    states = on_attractor(ROWS, generator)
    derivatives = lorenz(states)
    noise = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
    noisy = derivatives + NOISE * derivatives.std(0) * noise
    begun = time.perf_counter()
    network = train(states.float(), noisy.float(), steps)
    trained = time.perf_counter() - begun

    block = SymbolicModel(network, block_name="derivatives")
    begun = time.perf_counter()
    fronts = block.distill(
        states.float(),
        variable_names=STATE,
        sr_params={"timeout_in_seconds": seconds},
        random_state=seed,
    )
    searched = time.perf_counter() - begun
    print(f"trained in {trained:.0f} s, distilled in {searched:.0f} s\n")
    equations, rows = compared(fronts)

    starts = on_attractor(STARTS, generator)
    network.double()
    steps = round(UNTIL / STEP)
    paths = {"truth": roll_out(lorenz, starts, STEP, steps)}
    paths["network"] = roll_out(network, starts, STEP, steps)
    with block.symbolic():
        paths["equations"] = roll_out(block, starts, STEP, steps)
    lasting = {
        name: time_to_divergence(paths["truth"], paths[name], STEP)
        for name in ("network", "equations")
    }
    print()
    print_table(
        [
            {
                "followed by": name,
                "median time to divergence": times.median().item(),
                "in Lyapunov times": times.median().item() / LYAPUNOV_TIME,
                "shortest": times.min().item(),
            }
            for name, times in lasting.items()
        ]
    )
    figures.values["direct"] = {
        "equations": equations,
        "comparison": rows,
        "time to divergence": {name: times.tolist() for name, times in lasting.items()},
        "training seconds": trained,
        "search seconds": searched,
    }
    check(figures, "from states", rows)
    figures.check("search seconds", searched, "<=", 60.0)
    medians = {name: times.median().item() for name, times in lasting.items()}
    figures.check(
        "median time to divergence: equations", medians["equations"], ">=", medians["network"]
    )
    return paths


def hidden(seed: int, steps: int, seconds: float, figures: Figures) -> None:
    """128 observed numbers to latent coordinates, and the equations of these."""
    generator = torch.Generator().manual_seed(seed)
    states = on_attractor(ROWS, generator)
    observations, rates = observe(states)
    principal = Principal.of(observations)
    begun = time.perf_counter()
    learned: Hidden = learn(
        principal(observations).float(), principal.of_rates(rates).float(), steps
    )
    trained = time.perf_counter() - begun
    with torch.no_grad():
        latent = learned.encoder(principal(observations).float()).double()
    # The states are used from here on only: to say in which coordinates to write the equations.
    frame = affine_map(latent, states)
    explained = frame.explained(latent, states)

    block = SymbolicModel(StateFrame(learned.dynamics, frame), block_name="latent dynamics")
    begun = time.perf_counter()
    fronts = block.distill(
        frame(latent),
        variable_names=STATE,
        sr_params={
            "binary_operators": ["+", "-", "*"],
            "unary_operators": [],
            "maxsize": 60,
            "timeout_in_seconds": seconds,
        },
        random_state=seed,
    )
    searched = time.perf_counter() - begun
    # What is closer to the learned dynamics than these are to the data explains their errors.
    floors = (learned.missed @ frame.matrix).square().mean(0)
    fronts = {i: replace(front, loss_floor=floors[i].item()) for i, front in fronts.items()}
    print(f"\n== from observations: trained in {trained:.0f} s, distilled in {searched:.0f} s\n")
    equations, rows = compared(fronts)
    print()
    print_table(
        [
            {"share not explained": "observations, by the decoder", "is": learned.reconstruction},
            {"share not explained": "latent rates, by the dynamics", "is": learned.consistency},
            *(
                {"share not explained": f"{name}, by the affine map", "is": 1 - share}
                for name, share in zip(STATE, explained, strict=True)
            ),
        ]
    )
    figures.values["hidden"] = {
        "equations": equations,
        "comparison": rows,
        "reconstruction": learned.reconstruction,
        "consistency": learned.consistency,
        "affine map explains": explained,
        "rates missed, mean square": floors.tolist(),
        "fronts": {STATE[i]: front.table().splitlines() for i, front in fronts.items()},
        "training seconds": trained,
        "search seconds": searched,
    }
    check(figures, "from observations", rows)


def compared(fronts: dict[int, Front]) -> tuple[dict[str, str], list[dict]]:
    """The chosen equations as text, and each beside the law."""
    found = {name: sympy.expand(fronts[i].get_best().sympy_format) for i, name in enumerate(STATE)}
    for name, equation in found.items():
        print(f"d{name}/dt = {equation.evalf(4)}")
    rows = [compare(name, equation) for name, equation in found.items()]
    print()
    print_table(rows)
    return {name: str(equation) for name, equation in found.items()}, rows


def compare(name: str, equation: sympy.Expr) -> dict:
    """Whether an equation has the law's terms, and how far its coefficients are off at most."""
    terms = {str(t): float(c) for t, c in equation.as_coefficients_dict().items()}
    law = TERMS[name]
    off = [abs(terms.get(term, 0.0) / value - 1) for term, value in law.items()]
    return {
        "derivative of": name,
        "terms right": set(terms) == set(law),
        "coefficients off by": max(off),
    }


def check(figures: Figures, name: str, rows: list[dict]) -> None:
    right = all(row["terms right"] for row in rows)
    figures.check(f"{name}: the law's terms, no others", right, "==", True)
    worst = max(row["coefficients off by"] for row in rows)
    figures.check(f"{name}: coefficients off by", worst, "<=", TOLERANCE)


def main() -> None:
    arguments = example_arguments(
        __doc__, fast="at most a minute: the first part", figure="draw the trajectories there"
    ).parse_args()
    torch.manual_seed(arguments.seed)
    begun = time.perf_counter()
    figures = Figures()
    if arguments.fast:
        # A search cut off early on a busy machine keeps superfluous offsets: 24 s were too few.
        paths = direct(arguments.seed, 2_000, 36.0, figures)
    else:
        paths = direct(arguments.seed, 6_000, 45.0, figures)
        hidden(arguments.seed, 6_000, 60.0, figures)
    if arguments.figure is not None:
        draw(paths, STEP, arguments.figure)
    figures.values["seconds"] = time.perf_counter() - begun
    print()
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
