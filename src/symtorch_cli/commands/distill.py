"""``symtorch distill``: equations for columns of a table."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..main import INTERRUPTED
from ..output import print_fronts
from ..progress import Progress
from ..tables import holds_numbers, names_now, numbers_of, read_table

if TYPE_CHECKING:
    import pandas as pd

    from symtorch import Front, Problem, SearchOptions


def run(arguments: argparse.Namespace) -> int:
    """Search, print the fronts, write what was asked for."""
    from symtorch.files import file_name, write_file

    table = read_table(arguments.data, header=not arguments.no_header)
    problems = _problems(table, arguments)
    options = _options(arguments, len(problems))
    files: dict[str, Path] = {}
    if arguments.save is not None:
        files = {target: arguments.save / file_name(target, ".json") for target in problems}
        arguments.save.mkdir(parents=True, exist_ok=True)
    interrupts = _Interrupts()
    with Progress(len(problems), shown=not arguments.quiet) as progress:
        fronts = _search(problems, options, arguments, progress, interrupts)
    if interrupts.seen:
        print("symtorch: interrupted; this is what was found so far", file=sys.stderr)
    print_fronts(fronts, arguments)
    for target in files.keys() & fronts.keys():
        write_file(files[target], fronts[target].to_json())
    if arguments.report is not None:
        _write_report(fronts, problems, arguments)
    return INTERRUPTED if interrupts.seen else 0


def _write_report(
    fronts: dict[str, Front], problems: dict[str, Problem], arguments: argparse.Namespace
) -> None:
    from symtorch import report

    asked = {
        name.replace("_", " "): value
        for name, value in vars(arguments).items()
        if value not in (None, False) and name not in ("command", "report", "save", "quiet")
    }
    report(
        fronts,
        arguments.report,
        data=problems,
        title=f"Equations for {', '.join(fronts)}",
        settings=asked,
    )


def _problems(table: pd.DataFrame, arguments: argparse.Namespace) -> dict[str, Problem]:
    import torch

    from symtorch import Problem
    from symtorch.errors import InputError

    file = arguments.data
    targets = [*dict.fromkeys(names_now(table, arguments.target))]
    weights = names_now(table, [arguments.weights] if arguments.weights else [])
    taken = [*targets, *weights]
    inputs = names_now(table, arguments.inputs or [])
    if not inputs:
        others = [name for name in table.columns if name not in taken]
        inputs = [name for name in others if holds_numbers(table[name])]
        if left_out := [name for name in others if name not in inputs]:
            print(f"left out, for they hold no numbers: {', '.join(left_out)}", file=sys.stderr)
    numbers = numbers_of(table, [*dict.fromkeys([*taken, *inputs])], file)
    if not inputs:
        raise InputError(f"{file}: no column of numbers beside {', '.join(taken)} to explain it by")
    if both := [name for name in targets if name in inputs]:
        raise InputError(f"'{both[0]}' is both a target and an input")
    if arguments.drop_missing:
        numbers = numbers.dropna()
    elif numbers.isna().any(axis=None):
        counts = numbers.isna().sum()
        name = counts.idxmax()
        raise InputError(
            f"{file}: column '{name}' lacks a number in {counts[name]} of {len(numbers)} rows; "
            f"--drop-missing leaves such rows out"
        )

    def tensor(columns: Any) -> torch.Tensor:
        return torch.tensor(numbers[columns].to_numpy())

    problems = {}
    for target in targets:
        try:
            problems[target] = Problem.split(
                tensor(inputs),
                tensor(target),
                inputs,
                weights=tensor(weights[0]) if weights else None,
                validation_fraction=arguments.held_out,
                random_state=arguments.seed,
            )
        except InputError as error:
            raise InputError(f"{file}, target '{target}': {error}") from None
    return problems


def _options(arguments: argparse.Namespace, targets: int) -> SearchOptions:
    from symtorch import SearchOptions

    given = {
        "unary_operators": arguments.unary,
        "binary_operators": arguments.binary,
        "maxsize": arguments.maxsize,
        "niterations": arguments.niterations,
        "timeout_in_seconds": arguments.timeout and arguments.timeout / targets,
    }
    return SearchOptions.from_params({k: v for k, v in given.items() if v is not None})


class _Interrupts:
    """Notes Ctrl-C, which engines answer by returning what they have."""

    def __init__(self) -> None:
        self.seen = False
        signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.seen = True
        signal.default_int_handler(number, frame)


def _search(
    problems: dict[str, Problem],
    options: SearchOptions,
    arguments: argparse.Namespace,
    progress: Progress,
    interrupts: _Interrupts,
) -> dict[str, Front]:
    from symtorch.search import search

    fronts: dict[str, Front] = {}
    for number, (target, problem) in enumerate(problems.items()):

        def report(step: Any, number: int = number, target: str = target) -> None:
            if interrupts.seen:
                # An engine made of several ends only the one that was running.
                raise KeyboardInterrupt
            progress.show(number, step.fraction, f"{target}: {step.message}", step.best_loss)

        fronts[target] = search(
            problem,
            options,
            engine=arguments.engine,
            random_state=arguments.seed,
            progress=report,
        )
        if interrupts.seen:
            break
    return fronts
