"""What does a language model compute when it is asked to add?

Sums, products, temperatures and counts of ones are asked of a small language model; equations
are searched for half of its answers and judged on the other half, beside the right answer,
a guess from the leading digits and a constant. Where the equation is no better, the report
says that there is no law. That the audit finds a law where there is one is shown on
models whose way to add is known: plain functions, and a small transformer trained on them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from arithmetic.audit import Effort, Finding
from arithmetic.figure import draw
from arithmetic.language_model import MISSING, LanguageModel, packaged_model
from arithmetic.planted import HEURISTICS, Heuristic, share_equal, train
from arithmetic.published import ROWS, published
from arithmetic.study import Answers, Study, language_model, study
from arithmetic.tasks import ADDITION, TASKS, Task
from support.figures import Figures, example_arguments, print_table

FULL: dict[str, Any] = {
    "heuristics": [*HEURISTICS],
    "tasks": [*TASKS],
    "prompts": 360,
    "seconds": 8.0,
}
FAST: dict[str, Any] = {
    "heuristics": ["carry dropped"],
    "tasks": ["ones"],
    "prompts": 24,
    "seconds": 1.0,
}

FOUND = {"function": 0.999, "transformer": 0.95}
"""Least share of all sums on which an equation must be the planted one."""


def main() -> None:
    arguments = parse()
    begun = time.perf_counter()
    figures = Figures({"seed": arguments.seed, "prompts": arguments.prompts})
    effort = Effort(arguments.seconds, rounds=1 if arguments.fast else 2)

    for name in arguments.heuristics:
        plant(HEURISTICS[name], arguments, effort, figures)

    path = arguments.model or packaged_model()
    if arguments.tasks and path is None:
        print(f"\n{MISSING}")
        figures.values["skipped"] = MISSING
    elif arguments.tasks:
        model = language_model(LanguageModel.load(path), arguments.answers)
        studies = [ask(TASKS[name], model, arguments, effort, figures) for name in arguments.tasks]
        if arguments.figure is not None:
            draw(studies, arguments.figure)
    figures.values["seconds"] = time.perf_counter() - begun
    print()
    figures.finish(arguments.json)


def parse() -> argparse.Namespace:
    parser = example_arguments(
        __doc__, figure="draw the answers there", fast="at most a minute: few prompts"
    )
    parser.add_argument("--model", type=Path, help="folder of a causal model, or a GGUF file")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, help="default: all")
    parser.add_argument("--heuristics", nargs="*", choices=HEURISTICS, help="default: all")
    parser.add_argument("--prompts", type=int, help="of each task")
    parser.add_argument("--seconds", type=float, help="of each search, at most")
    parser.add_argument("--answers", type=Path, help="file to keep the model's answers in")
    arguments = parser.parse_args()
    defaults = FAST if arguments.fast else FULL
    for name, value in defaults.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


def ask(
    task: Task, model: Answers, arguments: argparse.Namespace, effort: Effort, figures: Figures
) -> Study:
    """One task put to the language model: print, and note values and checks."""
    begun = time.perf_counter()
    done = study(task, model, arguments.prompts, effort, arguments.seed)
    print(
        f"\n== {task.name}: {done.prompts} prompts, {done.failures} without a number, "
        f"{100 * done.exact:.1f} % right"
    )
    show([done.whole, *done.parts])
    noted = done.to_json() | {"seconds": time.perf_counter() - begun}
    if len(done.answers) > ROWS:
        recipe = published(task, done.table, done.answers, effort.seconds, arguments.seed)
        print(
            f"\npublished recipe: {recipe.equation.pretty()}\n  relative error, at most 1: "
            f"{recipe.fitted:.3g} on its {ROWS} rows, {recipe.others:.3g} on the others; "
            f"{recipe.poles}"
        )
        noted["published recipe"] = recipe.to_json()
    figures.values[task.name] = noted
    figures.check(f"{task.name}: equation without poles", done.whole.poles.passed, "==", True)
    if not arguments.fast:
        figures.check(f"{task.name}: prompts", done.prompts, ">=", 300)
    return done


def plant(
    heuristic: Heuristic, arguments: argparse.Namespace, effort: Effort, figures: Figures
) -> None:
    """A known heuristic, in a function and in a transformer trained on it, and the audit."""
    begun = time.perf_counter()
    network = train(heuristic, arguments.seed, steps=400 if arguments.fast else 1_000)
    print(f"\ntrained a transformer on '{heuristic.name}': {time.perf_counter() - begun:.0f} s")
    models: dict[str, Answers] = {
        "function": of_function(heuristic, arguments.seed),
        "transformer": lambda _, table: network.answer(table).tolist(),
    }
    for kind, model in models.items():
        done = study(ADDITION, model, 300, effort, arguments.seed)
        print(f"\n== {heuristic.name}, in a {kind}: {100 * done.exact:.1f} % right")
        show([done.whole, *done.parts])
        name = f"{heuristic.name} ({kind})"
        figures.values[name] = done.to_json()
        for place, finding in zip(ADDITION.places, done.parts, strict=True):
            lawful = place in heuristic.lawful
            figures.check(f"{name}, {place.name}: a law", finding.lawful, "==", lawful)
            if lawful:
                equal = share_equal(finding.equation, heuristic, place)
                figures.check(f"{name}, {place.name}: sums as planted", equal, ">=", FOUND[kind])


def of_function(heuristic: Heuristic, seed: int) -> Answers:
    """A heuristic as something that answers."""
    generator = torch.Generator().manual_seed(seed)
    return lambda _, table: heuristic.answer(table, generator).tolist()


def show(findings: Sequence[Finding]) -> None:
    """Equations, verdicts and the table of errors on the held-out rows."""
    for finding in findings:
        print(f"\n{finding.question}: {finding.equation.pretty()}  [{finding.poles}]")
        print(f"  {finding.verdict}")
        for passed_over in finding.rejected:
            print(f"  passed over: {passed_over}")
    print()
    print_table(
        [
            {
                "held out": finding.question,
                "by": name,
                "error": finding.errors[name],
                "median relative error": score.relative,
                "absolute": score.absolute,
                "% given": f"{100 * score.reproduced:.1f}",
            }
            for finding in findings
            for name, score in finding.scores.items()
        ]
    )


if __name__ == "__main__":
    main()
