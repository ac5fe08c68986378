"""Which equation of a front is the law, by several rules: networks and noisy samples.

    python benchmarks/selection.py --quick            # four laws, one seed
    python benchmarks/selection.py --json choosing.json

A search is run once and every rule chooses from its front. Only fronts that hold the law count:
a rule cannot find what is not there. "right" is the law up to small changes of its constants.

- shortest description: `get_best()`, with independent rows estimated from the residual;
- all rows: the same, every row counted as independent (a Bayesian information criterion);
- before: the rule of earlier versions, 2 % of the loss a node;
- PySR: the highest score within 1.5 times the lowest loss;
- elbow: the highest score of all;
- accuracy: the lowest loss on rows held out.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from laws import TWELVE, Law
from networks import Training, noisy, trained
from scoring import OverTimeError, same_structure, time_limit
from support.figures import Figures, print_table, script_arguments
from workers import run_in_processes

from symtorch import Expression, SymbolicModel
from symtorch.search import Front, Problem, SearchOptions, search
from symtorch.search.choosing import shortest_description

NOISE = (0.01, 0.05, 0.2)
SEEDS = 3
SAMPLES = 1_000
STEPS = 2_500

Rule = Callable[[Front], int]


@dataclass(frozen=True)
class Case:
    """One front to choose from: a network's, or that of noisy samples."""

    engine: str
    law: Law
    seed: int
    seconds: float
    folder: Path
    noise: float | None = None

    @property
    def group(self) -> str:
        """The row of the table."""
        return "networks" if self.noise is None else f"{self.noise:.0%} noise"


@dataclass(frozen=True)
class Choices:
    """The equations that are the law, by complexity, and what each rule chose."""

    right: tuple[int, ...]
    chosen: Mapping[str, int]
    equation: str


def with_all_rows(front: Front) -> int:
    rows = [
        replace(row, evidence=replace(row.evidence, effective_rows=float(SAMPLES))) for row in front
    ]
    return shortest_description(rows, front.loss_floor)


def by_score(front: Front, within: float, a_node: float = 0.0) -> int:
    """The highest score among equations that no other one rules out."""
    losses = [max(row.validation_loss, front.loss_floor) for row in front]
    close = [
        i
        for i, row in enumerate(front)
        if all(
            losses[i]
            <= within * loss * math.exp(a_node * max(0, other.complexity - row.complexity))
            for loss, other in zip(losses, front, strict=True)
        )
    ]
    return max(close, key=lambda i: front.scores[i])


RULES: Mapping[str, Rule] = {
    "shortest description": lambda front: front.candidates.index(front.get_best()),
    "all rows": with_all_rows,
    "before": lambda front: by_score(front, 1.5, 0.02),
    "PySR": lambda front: by_score(front, 1.5),
    "elbow": lambda front: by_score(front, math.inf),
    "accuracy": lambda front: front.candidates.index(front.get_best("accuracy")),
}


def run_case(case: Case) -> Choices:
    front = network_front(case) if case.noise is None else samples_front(case, case.noise)
    right = tuple(i for i, row in enumerate(front) if is_law(row.expression, case.law))
    chosen = {name: rule(front) for name, rule in RULES.items()}
    return Choices(right, chosen, front.get_best().expression.pretty())


def network_front(case: Case) -> Front:
    source = trained(Training(case.law, steps=STEPS, seed=case.seed), case.folder)
    model = SymbolicModel(source.network, block_name="network")
    return model.distill(
        source.X,
        variable_names=case.law.names,
        engine=case.engine,
        sr_params={"timeout_in_seconds": case.seconds},
        random_state=case.seed,
    )[0]


def samples_front(case: Case, noise: float) -> Front:
    X, y = case.law.sample(SAMPLES, case.seed)
    y = noisy(y, noise, case.seed)
    problem = Problem.split(torch.from_numpy(X), torch.from_numpy(y), case.law.names)
    options = SearchOptions(timeout_in_seconds=case.seconds)
    return search(problem, options, engine=case.engine, random_state=case.seed)


def is_law(expression: Expression, law: Law) -> bool:
    try:
        with time_limit(20):
            return same_structure(expression, law)
    except OverTimeError:
        return False


def rows_of(done: Mapping[Case, Choices]) -> list[dict[str, object]]:
    """A row a group: how many fronts hold the law, and the share that each rule picks."""
    table = []
    for group in dict.fromkeys(case.group for case in done):
        choices = [choice for case, choice in done.items() if case.group == group]
        there = [choice for choice in choices if choice.right]
        shares = {name: share_right(there, name) for name in RULES}
        table.append({"from": group, "fronts": len(choices), "with the law": len(there), **shares})
    return table


def share_right(choices: Sequence[Choices], rule: str) -> float | str:
    if not choices:
        return "-"
    right = sum(choice.chosen[rule] in choice.right for choice in choices)
    return round(100 * right / len(choices), 1)


def main() -> None:
    arguments = parse_arguments()
    os.environ["OMP_NUM_THREADS"] = "1"
    laws = TWELVE[::3] if arguments.quick else TWELVE
    seeds = range(1 if arguments.quick else SEEDS)
    seconds = arguments.seconds or (8.0 if arguments.quick else 20.0)
    figures = Figures()
    done: dict[Case, Choices] = {}
    with tempfile.TemporaryDirectory() as folder:
        noises = (None, 0.05) if arguments.quick else (None, *NOISE)
        cases = [
            Case(arguments.engine, law, seed, seconds, Path(folder), noise)
            for noise in noises
            for seed in seeds
            for law in laws
        ]
        for number, end in enumerate(run_in_processes(run_case, cases, arguments.jobs), 1):
            where = f"{number}/{len(cases)} {end.task.group:10} {end.task.law.name:20}"
            if end.answer is None:
                print(f"{where} FAILED: {end.error}", flush=True)
                continue
            done[end.task] = end.answer
            missed = [n for n, i in end.answer.chosen.items() if i not in end.answer.right]
            verdict = f"missed by {', '.join(missed) or 'none'}" if end.answer.right else "no law"
            print(f"{where} {verdict}: {end.answer.equation[:80]}", flush=True)
    table = rows_of(done)
    print_table(table)
    figures.values["table"] = table
    for row in table:
        best = row["shortest description"]
        if row["from"] == "networks" and best != "-":
            figures.check("networks: law chosen where it is on the front, %", best, ">=", 90.0)
        elif best != "-":
            figures.check(f"{row['from']}: not below the rule before, %", best, ">=", row["before"])
    figures.finish(arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = script_arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="four laws, one seed, 8 s a search")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--seconds", type=float, help="of every search")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    return parser.parse_args()


if __name__ == "__main__":
    main()
