"""Certified bounds of small networks against their equations, and what interval arithmetic gives.

For each network: the law it was trained on and the equation distilled from it, the largest error
at a million random points, the certified upper bound and its time; then time and undecided
volume as the tolerance shrinks, and the orders of the forms side by side.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from support.figures import Figures, print_table, script_arguments
from torch import nn

from symtorch import Expression, SymbolicModel
from symtorch.trust import Box, Certificate, certify

ACTIVATIONS = {"SiLU": nn.SiLU, "tanh": nn.Tanh}
TOLERANCES = (0.2, 0.1, 0.05, 0.02, 0.01)
BAR = 1.2
"""Certified upper bound over sampled maximum, the largest ratio that passes."""


@dataclass(frozen=True)
class Task:
    """What a network learns.

    Args:
        name: of the network's shape.
        widths: of its layers.
        law: by output.
        half: the box is from -half to half in each column.
    """

    name: str
    widths: tuple[int, ...]
    law: Mapping[int, str]
    half: float

    @property
    def box(self) -> Box:
        """The box it is trained and certified on."""
        return Box.of({f"x{i}": (-self.half, self.half) for i in range(self.widths[0])})

    def values(self, points: torch.Tensor, equations: Mapping[int, str]) -> torch.Tensor:
        """Equations at points: [points, columns] -> [points, outputs]."""
        columns = dict(zip(self.box.names, points.unbind(1), strict=True))
        return torch.stack([Expression.parse(e)(columns) for e in equations.values()], 1)


TASKS = (
    Task("2-64-64-1", (2, 64, 64, 1), {0: "x0**2 + sin(2*x1)"}, 2.0),
    Task("3-32-32-2", (3, 32, 32, 2), {0: "x0*x1 + x2", 1: "exp(-x0**2)*x2"}, 1.5),
)


@dataclass(frozen=True)
class Case:
    """A trained network and an equation to hold against it.

    Args:
        task: what it learned.
        activation: its name.
        network: float32.
        source: "law" or "distilled".
        equations: by output.
    """

    task: Task
    activation: str
    network: nn.Module = field(repr=False)
    source: str
    equations: Mapping[int, str]

    def certificate(self, **options: Any) -> Certificate:
        """Its certificate."""
        return certify(self.network, self.equations, self.task.box, **options)

    @torch.no_grad()
    def sampled(self, points: int) -> float:
        """The largest error at random points, in float64."""
        exact = {name: value.double() for name, value in self.network.state_dict().items()}
        largest = 0.0
        for seed in range(points // 50_000):
            x = self.task.box.sample(50_000, seed + 1)
            y = torch.func.functional_call(self.network, exact, (x,))
            errors = y - self.task.values(x, self.equations)
            largest = max(largest, float(errors.abs().max()))
        return largest


def trained(task: Task, activation: str, steps: int) -> nn.Module:
    """A network that learned the law from random points, briefly."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for width, following in zip(task.widths[:-1], task.widths[1:], strict=True):
        layers += [nn.Linear(width, following), ACTIVATIONS[activation]()]
    network = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        x = task.box.sample(512, step).float()
        optimizer.zero_grad()
        nn.functional.mse_loss(network(x), task.values(x, task.law)).backward()
        optimizer.step()
        schedule.step()
    return network


def distilled(task: Task, network: nn.Module) -> dict[int, str]:
    """The equations that a short search finds for a network."""
    model = SymbolicModel(network, block_name=task.name)
    x = task.box.sample(2000, 0).float()
    # Without divisions: sin(x)**2/x fits x*(1 - x**2/3) and is nan at 0, where a certificate ends.
    options = {
        "binary_operators": ["+", "-", "*"],
        "unary_operators": ["square", "sin", "exp"],
        "niterations": 10,
    }
    fronts = model.distill(x, engine="sparse", sr_params=options)
    return {dim: str(front.get_best().expression) for dim, front in fronts.items()}


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Networks with their law, and with the equation distilled from them."""
    for task in TASKS:
        for activation in ["SiLU"] if arguments.quick else ACTIVATIONS:
            network = trained(task, activation, arguments.steps)
            yield Case(task, activation, network, "law", task.law)
            yield Case(task, activation, network, "distilled", distilled(task, network))


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="one activation, few points")
    parser.add_argument("--steps", type=int, default=3000, help="of training")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds a certificate")
    parser.add_argument("--points", type=int, default=1_000_000, help="sampled")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.steps, arguments.points = 1000, 100_000
    torch.set_num_threads(1)  # "on one core"
    made = [*cases(arguments)]
    figures = Figures({"budget_s": arguments.budget, "points": arguments.points})
    figures.values["bounds"] = bounds(made, arguments, figures)
    figures.values["orders"] = orders(made[0], min(arguments.budget, 20.0))
    figures.values["tolerances"] = tolerances(made[0], arguments)
    figures.finish(arguments.json)


def bounds(
    made: list[Case], arguments: argparse.Namespace, figures: Figures
) -> list[dict[str, Any]]:
    """Certified against sampled; the worst ratio is held against the bar."""
    rows = []
    for case in made:
        sampled = case.sampled(arguments.points)
        found = case.certificate(budget=arguments.budget, tolerance=0.05)
        rows.append(
            {
                "network": case.task.name,
                "activation": case.activation,
                "equation": case.source,
                "sampled": sampled,
                "lower": found.lower,
                "upper": found.upper,
                "upper/sampled": found.upper / sampled,
                "boxes": found.boxes,
                "undecided %": 100 * found.undecided,
                "s": found.seconds,
            }
        )
    print_table(rows)
    print()
    worst = max(row["upper/sampled"] for row in rows)
    figures.check("certified upper bound / sampled maximum, largest", round(worst, 3), "<=", BAR)
    lowest = min(row["upper/sampled"] for row in rows)
    figures.check("no sample above a certified bound: smallest ratio", round(lowest, 3), ">=", 1.0)
    return rows


def orders(case: Case, budget: float) -> list[dict[str, Any]]:
    """Interval arithmetic alone, first-order forms and Taylor models of second order."""
    names = {0: "intervals", 1: "first-order forms", 2: "second-order models"}
    rows = []
    for order, name in names.items():
        found = case.certificate(budget=budget, order=order)
        rows.append(
            {
                "method": name,
                "lower": found.lower,
                "upper": found.upper,
                "boxes": found.boxes,
                "undecided %": 100 * found.undecided,
                "s": found.seconds,
            }
        )
    print_table(rows)
    print()
    return rows


def tolerances(case: Case, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Time and undecided volume as the tolerance shrinks."""
    rows = []
    for tolerance in TOLERANCES:
        for budget in (1.0, arguments.budget):
            found = case.certificate(budget=budget, tolerance=tolerance)
            rows.append(
                {
                    "tolerance": tolerance,
                    "budget s": budget,
                    "upper/lower": found.upper / found.lower,
                    "boxes": found.boxes,
                    "undecided %": 100 * found.undecided,
                    "s": found.seconds,
                }
            )
    print_table(rows)
    print()
    return rows


if __name__ == "__main__":
    main()
