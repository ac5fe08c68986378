"""Force laws out of graph networks, after arXiv 2006.11287 (Cranmer et al. 2020).

Particles are simulated, a graph network learns their accelerations, its messages turn out
to be the forces, and the equations found for the messages are the force laws. The network
with its edge network switched to these equations is then rolled out where it was trained
and where it was not.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import joblib
from gnn.distillation import Effort
from gnn.extrapolation import STEPS, Errors
from gnn.figure import draw
from gnn.simulation import LAWS
from gnn.study import Plan, Result, study
from gnn.training import VARIANTS
from support.figures import Figures, example_arguments, print_table

FAST = Plan(
    simulations=1_000,
    steps=16_000,
    effort=Effort(generations=25, individuals=400, seconds=60.0),
    extrapolates=False,
)
FAST_BARS = {"spring": 0.98, "r2": 0.97}
BARS = {"bottleneck": 0.99, "pruning": 0.98}
COUNTED = [
    *((law, "bottleneck") for law in LAWS),
    *((law, "pruning") for law in ("spring", "r1", "r2")),
]
"""Pairs of law and variant of which at most one may fail."""


def main() -> None:
    arguments = parse()
    plan = Plan(
        simulations=arguments.simulations,
        steps=arguments.steps,
        effort=FAST.effort if arguments.fast else Effort(),
        sees_receiver_mass=arguments.gauge == "seen",
        seed=arguments.seed,
        folder=arguments.networks,
        extrapolates=not arguments.fast,
    )
    started = time.perf_counter()
    batches = joblib.Parallel(n_jobs=arguments.jobs)(
        joblib.delayed(study)(law, arguments.variants, plan) for law in arguments.laws
    )
    seconds = time.perf_counter() - started
    results = [result for batch in batches for result in batch]
    show(results)
    if arguments.figure is not None:
        draw(results, arguments.figure)
    figures = Figures(
        {
            "seconds": seconds,
            "plan": {"simulations": plan.simulations, "steps": plan.steps, "seed": plan.seed},
            "receiver mass": arguments.gauge,
            "results": [result.to_json() for result in results],
        }
    )
    check(figures, results, fast=arguments.fast)
    figures.finish(arguments.json)


def parse() -> argparse.Namespace:
    parser = example_arguments(__doc__, figure="draw messages and roll-outs there")
    parser.add_argument("--laws", nargs="+", choices=LAWS, help="default: all")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, help="default: all")
    parser.add_argument(
        "--gauge",
        choices=("hidden", "seen"),
        default="hidden",
        help="the receiver's mass, to the edge network: where it is seen, messages may be F, "
        "F/m_i or anything between",
    )
    parser.add_argument("--simulations", type=int, help="of each law")
    parser.add_argument("--steps", type=int, help="of training")
    parser.add_argument("--jobs", type=int, default=2, help="laws side by side")
    parser.add_argument("--networks", type=Path, help="folder to keep trained networks in")
    arguments = parser.parse_args()
    defaults = FAST if arguments.fast else Plan()
    for name in ("simulations", "steps"):
        if getattr(arguments, name) is None:
            setattr(arguments, name, getattr(defaults, name))
    arguments.laws = arguments.laws or list(FAST_BARS if arguments.fast else LAWS)
    arguments.variants = arguments.variants or (
        ["bottleneck"] if arguments.fast else list(VARIANTS)
    )
    if arguments.networks is not None:
        arguments.networks.mkdir(parents=True, exist_ok=True)
    return arguments


def show(results: list[Result]) -> None:
    print("R^2 of messages as linear maps of the force: the lower one of the two that vary most")
    print("(messages), and of two principal components. Data: accelerations below 100; trimmed:")
    cuts = ", ".join(f"{law.name} r > {law.nearest}" for law in LAWS.values() if law.nearest)
    print(f"only pairs with {cuts}.\n")
    print_table([row_of(result) for result in results])
    distilled = [result for result in results if result.found]
    for result in distilled:
        found = result.found
        print(f"\n{result.law}, {result.variant} ({found.seconds:.0f} s):")
        for equation, verdict in zip(found.equations, found.verdicts, strict=True):
            print(f"  {equation}\n    {verdict.reason}")
    rolled = [result for result in distilled if result.errors]
    if rolled:
        print("\nMean error of an acceleration, and median distance to the truth after 200 steps:")
        print_table([row for result in rolled for row in error_rows(result)])


def row_of(result: Result) -> dict[str, object]:
    row: dict[str, object] = {
        "law": result.law,
        "variant": result.variant,
        "error": result.test_error,
        "live": result.live,
        "rank": result.rank,
        "in two": f"{result.share_of_two:.4f}",
    }
    for fit in result.fits:
        row |= {fit.target: f"{fit.all_rows:.4f}", f"{fit.target} trimmed": f"{fit.trimmed:.4f}"}
    best = result.best_fit(principal=True)
    row |= {"components": f"{best.trimmed:.4f} ({best.target})"}
    return row | {"training s": round(result.training_seconds)}


def error_rows(result: Result) -> list[dict[str, object]]:
    return [
        {"law": result.law, "variant": result.variant, "setting": setting}
        | {who: one_step(errors) for who, errors in by.items()}
        | {f"{who}, rolled": rolled(errors) for who, errors in by.items()}
        for setting, by in result.errors.items()
    ]


def check(figures: Figures, results: list[Result], *, fast: bool) -> None:
    for result in results:
        bar = FAST_BARS.get(result.law) if fast else BARS.get(result.variant)
        if bar is not None and (result.law, result.variant) in COUNTED:
            fit = result.best_fit()
            name = f"R^2, {result.law}, {result.variant}, against {fit.target}, trimmed"
            figures.check(name, round(fit.trimmed, 5), ">=", bar)
    if fast:
        springs = [r for r in results if r.law == "spring" and r.found]
        figures.check("spring's law found", all(r.found.right for r in springs), "==", True)
        return
    counted = [r for r in results if r.found and (r.law, r.variant) in COUNTED]
    right = sum(result.found.right for result in counted)
    figures.check(f"right laws of {len(counted)}", right, ">=", len(counted) - 1)
    for result in counted:
        taken = result.training_seconds + result.found.seconds
        figures.check(f"seconds, {result.law}, {result.variant}", round(taken), "<=", 600)
    for result in results:
        for setting, by in list(result.errors.items())[1:]:
            for what, error in (("one step", one_step), ("roll-out", rolled)):
                name = f"tuned over network, {result.law}, {setting}, {what}"
                ratio = error(by["tuned"]) / error(by["network"])
                figures.check(name, round(ratio, 3), "<=", 1.0)


def one_step(errors: Errors) -> float:
    return errors.one_step


def rolled(errors: Errors) -> float:
    """Distance to the truth after `STEPS` steps."""
    return float(errors.roll_out[STEPS])


if __name__ == "__main__":
    main()
