"""Which laws the engines find, how fast, and at what cost: all engines in one run.

    python benchmarks/recovery.py --quick                     # FastSRB's every fifth problem
    python benchmarks/recovery.py --parts laws,noise --engines sparse
    python benchmarks/recovery.py --json recovery.json        # everything: hours

An equation recovers a law when its relative error is below 1e-8 at every one of 200 points
no search has seen, and its complexity at most 1.5 times the law's. "recovered" is some
equation of the front, "chosen" is what get_best() picks. "equal the law" asks more: the same
function also far outside the ranges, with nothing idle in it. FastSRB's published runs
counted accepted forms only, so that is the column to compare with them. Every search is
printed as it ends, so a run that is cut off has shown what it got.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import fastsrb
from laws import EIGHT, TEXTBOOK, Law
from networks import Training
from support.figures import Figures, print_table, script_arguments
from trials import (
    Cost,
    NetworkTrial,
    Outcome,
    ScalingTrial,
    Trial,
    WideTrial,
    run_network_trial,
    run_scaling_trial,
    run_trial,
    run_wide_trial,
)
from workers import Done, run_in_processes

from symtorch.search import available_engines

OURS = ("sparse", "auto")
"""The engines held against the bars; the others are there for comparison."""

ENGINES = ("sparse", "operon", "auto")
QUICK_STEP = 5
README_LAW = EIGHT[6]

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Row = Mapping[str, Any]


@dataclass
class Session:
    """What was asked for, and what came out so far."""

    engines: Sequence[str]
    arguments: argparse.Namespace
    folder: Path
    figures: Figures = field(default_factory=Figures)

    @property
    def quick(self) -> bool:
        """Whether only a part is run."""
        return bool(self.arguments.quick)

    def seconds(self, usual: float) -> float:
        """The budget of a search: as asked for, 20 s at most in a quick run."""
        asked = self.arguments.seconds or usual
        return min(asked, 20.0) if self.quick else asked

    def run(
        self,
        part: str,
        work: Callable[[Task], Answer],
        tasks: Sequence[Task],
        line: Callable[[Task, Answer], str],
        *,
        fresh: bool = False,
    ) -> list[Done[Task, Answer]]:
        """Run tasks, printing a line for each, and keep them for the JSON file."""
        jobs = 1 if fresh else self.arguments.jobs
        done = []
        # Kept while it grows, so that an interrupted run leaves it behind.
        records = self.figures.values.setdefault(part, [])
        for number, end in enumerate(run_in_processes(work, tasks, jobs, fresh=fresh), 1):
            text = f"FAILED: {end.error}" if end.answer is None else line(end.task, end.answer)
            print(f"{part} {number}/{len(tasks)} {end.task.engine:7} {text}", flush=True)
            done.append(end)
            records.append(_record(end))
        return done

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """Print a table and keep it for the JSON file."""
        print(f"\n{title}")
        if rows:
            print_table(rows)
        print(flush=True)
        self.figures.values.setdefault("tables", {})[title] = list(rows)

    def check(self, engine: str, name: str, value: Any, comparison: str, bar: Any) -> None:
        """Hold a figure of one of our engines against its bar."""
        if engine in OURS:
            self.figures.check(f"{engine}: {name}", value, comparison, bar)


def _record(done: Done[Any, Any]) -> dict[str, Any]:
    record = {"engine": done.task.engine, "failure": done.error}
    for name in ("group", "noise", "idle", "seed", "what", "size"):
        if hasattr(done.task, name):
            record[name] = getattr(done.task, name)
    if hasattr(done.task, "law"):
        record["law"] = done.task.law.name
    if done.answer is not None:
        record |= asdict(done.answer)
    # JSON has no infinity.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }


# -- searches from samples --------------------------------------------------------------------


def part_fastsrb(session: Session) -> None:
    """FastSRB: shares recovered by difficulty, beside the published ones."""
    if not session.arguments.fastsrb.exists():
        print(f"fastsrb: skipped, there is no file {session.arguments.fastsrb}\n")
        return
    problems = fastsrb.read(session.arguments.fastsrb)
    if session.quick:
        problems = problems[::QUICK_STEP]
    trials = [
        Trial(
            engine,
            problem.law,
            session.seconds(60),
            group=problem.difficulty,
            accepted=problem.accepted,
            rows=200,
            held_out=0.0,
            options={**fastsrb.OPERATORS, "maxsize": 50},
            floor=0.0,
        )
        for problem in problems
        for engine in session.engines
    ]
    done = session.run("fastsrb", run_trial, trials, outcome_line)
    rows = [
        recovery_row(engine, group, of_engine(done, engine, group))
        for engine in session.engines
        for group in (*fastsrb.DIFFICULTIES, None)
    ]
    session.table(f"FastSRB, {len(problems)} problems, {trials[0].seconds:g} s each", rows)
    session.table(
        "FastSRB as published: % of runs of 1800 s on the same problems", published_rows(problems)
    )
    for engine in session.engines:
        outcomes = of_engine(done, engine)
        share = percent(outcomes, lambda o: o.recovered)
        session.check(engine, "FastSRB recovered, %, first milestone", share, ">=", 65.0)
        session.check(engine, "FastSRB recovered, %, aim", share, ">=", 80.0)
        longest = round(max((o.seconds for o in outcomes if o), default=0.0), 1)
        allowed = round(trials[0].seconds * 1.1, 1)
        session.check(engine, "FastSRB longest search, s", longest, "<=", allowed)


def published_rows(problems: Sequence[fastsrb.Benchmark]) -> list[Row]:
    groups = {d: [p for p in problems if p.difficulty == d] for d in fastsrb.DIFFICULTIES}
    shares = {d: fastsrb.published(group) for d, group in groups.items() if group}
    shares["all"] = fastsrb.published(problems)
    return [
        {"engine": engine, **{d: round(by.get(engine, 0.0), 1) for d, by in shares.items()}}
        for engine in shares["all"]
    ]


def part_laws(session: Session) -> None:
    """The eight laws from exact samples."""
    seconds = min(session.seconds(15), 15.0)
    trials = [Trial(engine, law, seconds) for law in EIGHT for engine in session.engines]
    done = session.run("laws", run_trial, trials, outcome_line)
    session.table(f"eight laws, exact, {seconds:g} s each", by_law(session, done, found_cell))
    for engine in session.engines:
        found = sum(o is not None and o.recovered for o in of_engine(done, engine))
        session.check(engine, "eight laws from exact samples", found, ">=", len(EIGHT))
        longest = max((o.seconds for o in of_engine(done, engine) if o), default=0.0)
        session.check(engine, "eight laws, longest search, s", round(longest, 1), "<=", 15.0)


def part_textbook(session: Session) -> None:
    """The project's own table of laws."""
    laws = TEXTBOOK[::QUICK_STEP] if session.quick else TEXTBOOK
    options = {**fastsrb.OPERATORS, "maxsize": 40}
    trials = [
        Trial(engine, law, session.seconds(20), group=law.source, options=options)
        for law in laws
        for engine in session.engines
    ]
    done = session.run("textbook", run_trial, trials, outcome_line)
    groups = [*dict.fromkeys(law.source for law in laws), None]
    rows = [
        recovery_row(engine, group, of_engine(done, engine, group))
        for engine in session.engines
        for group in groups
    ]
    session.table(f"{len(laws)} textbook laws, {trials[0].seconds:g} s each", rows)


def part_noise(session: Session) -> None:
    """The eight laws from noisy samples."""
    seeds = range(1 if session.quick else 3)
    trials = [
        Trial(engine, law, session.seconds(20), f"{noise:.0%}", noise=noise, seed=seed)
        for noise in (0.01, 0.05, 0.1)
        for law in EIGHT
        for seed in seeds
        for engine in session.engines
    ]
    done = session.run("noise", run_trial, trials, structure_line)
    rows = []
    for noise in dict.fromkeys(trial.group for trial in trials):
        for engine in session.engines:
            outcomes = of_engine(done, engine, noise)
            rows.append(noise_row(engine, noise, outcomes))
    session.table(f"eight laws, noise, {trials[0].seconds:g} s each, get_best()", rows)


def noise_row(engine: str, noise: str, outcomes: Sequence[Outcome | None]) -> Row:
    known = [o for o in outcomes if o is not None]
    return {
        "noise": noise,
        "engine": engine,
        "searches": len(outcomes),
        "right structure": sum(o.structure for o in known),
        "on the front": sum(o.on_front for o in known),
        "median complexity": median(o.complexity for o in known),
        "of the law's": median(o.complexity / o.reference for o in known),
        "longest of the law's": max((o.complexity / o.reference for o in known), default=0.0),
        "median s": median(o.seconds for o in known),
    }


def part_irrelevant(session: Session) -> None:
    """The eight laws among 20 inputs that do not matter, and a wide block."""
    trials = [
        Trial(engine, law, session.seconds(60), idle=20)
        for law in EIGHT
        for engine in session.engines
    ]
    done = session.run("irrelevant", run_trial, trials, outcome_line)
    title = f"eight laws with 20 irrelevant inputs, {trials[0].seconds:g} s each"
    session.table(title, by_law(session, done, found_cell))
    for engine in session.engines:
        found = sum(o is not None and o.recovered for o in of_engine(done, engine))
        session.check(engine, "eight laws with 20 irrelevant inputs", found, ">=", len(EIGHT))
    wide(session)


def wide(session: Session) -> None:
    budget = 80.0 if session.quick else 160.0
    trials = [WideTrial(engine, budget) for engine in session.engines]
    done = session.run("wide", run_wide_trial, trials, cost_line, fresh=True)
    rows = [
        {"engine": end.task.engine, "seconds": end.answer.seconds, "peak MiB": end.answer.mib}
        | {"laws found": end.answer.found}
        for end in done
        if end.answer is not None
    ]
    session.table(f"a block of 32 inputs and 8 outputs, {budget:g} s", rows)
    for end in done:
        seconds, mib = (end.answer.seconds, end.answer.mib) if end.answer else (1e9, 1e9)
        engine = end.task.engine
        session.check(engine, "wide block, s", round(seconds, 1), "<=", budget * 1.1)
        session.check(engine, "wide block, peak MiB", round(mib), "<=", 2048)


# -- networks ---------------------------------------------------------------------------------


def part_networks(session: Session) -> None:
    """The eight laws, and the README's, from trained networks."""
    trainings = {"eight laws": [Training(law) for law in EIGHT]}
    trainings["README demo"] = [
        Training(README_LAW, noise=0.05, rows=5_000, widths=(64, 64), steps=2_000, batch=256)
    ]
    trials = [
        NetworkTrial(engine, training, session.seconds(60), session.folder, group)
        for group, some in trainings.items()
        for training in some
        for engine in session.engines
    ]
    done = session.run("networks", run_network_trial, trials, network_line)
    title = f"laws from trained networks, {trials[0].seconds:g} s each: right structure?"
    for group in trainings:
        own = [end for end in done if end.task.group == group]
        session.table(f"{title} ({group})", by_law(session, own, structure_cell))
    for engine in session.engines:
        right = sum(o is not None and o.structure for o in of_engine(done, engine, "eight laws"))
        session.check(engine, "right structures from networks, of 8", right, ">=", 6)
        demo = of_engine(done, engine, "README demo")
        right = all(o is not None and o.structure for o in demo)
        session.check(engine, "right structure from the README's network", right, "==", True)
        slowest = max((o.training_seconds for o in of_engine(done, engine) if o), default=0.0)
        session.check(engine, "longest training, s", round(slowest, 1), "<=", 60.0)


# -- cost -------------------------------------------------------------------------------------


def part_scaling(session: Session) -> None:
    """Time and memory against rows, inputs, equation size and budget."""
    seconds = min(session.seconds(20), 20.0)
    plans: list[dict[str, Any]] = [
        *({"what": "rows", "size": n, "rows": n} for n in (1_000, 10_000, 100_000, 1_000_000)),
        *({"what": "inputs", "size": n, "inputs": n} for n in (2, 4, 8, 16, 32, 64)),
        *(
            {"what": "maxsize, no law", "size": n, "maxsize": n, "hopeless": True}
            for n in (10, 20, 40)
        ),
        *(
            {"what": "budget, no law", "size": n, "seconds": n, "hopeless": True}
            for n in (seconds / 8, seconds / 4, seconds / 2, seconds)
        ),
    ]
    trials = [
        ScalingTrial(engine, **{"seconds": seconds, **plan})
        for plan in (plans[::2] if session.quick else plans)
        for engine in session.engines
    ]
    done = session.run("scaling", run_scaling_trial, trials, cost_line, fresh=True)
    rows = [
        {"what": end.task.what, "size": f"{end.task.size:g}", "engine": end.task.engine}
        | {"seconds": end.answer.seconds, "peak MiB": end.answer.mib, "found": end.answer.found}
        for end in done
        if end.answer is not None
    ]
    session.table(f"cost, {seconds:g} s at most", rows)


# -- lines, rows and cells --------------------------------------------------------------------


def outcome_line(trial: Trial, outcome: Outcome) -> str:
    noted = {"chosen": outcome.chosen, "equal": outcome.equal, "shown": outcome.shown}
    marks = ",".join(name for name, so in noted.items() if so)
    return (
        f"{trial.law.name[:34]:34} {'FOUND' if outcome.recovered else '-----'} "
        f"{outcome.seconds:6.1f} s  {outcome.complexity:>3}/{outcome.reference:<3} "
        f"error {outcome.error:7.1e} {marks:18} {_short(outcome.equation)}"
    )


def structure_line(trial: Trial, outcome: Outcome) -> str:
    return (
        f"{trial.group:>4} {trial.law.name:17} {_state(outcome)} "
        f"{outcome.seconds:6.1f} s  {outcome.complexity:>3}/{outcome.reference:<3} "
        f"{_short(outcome.equation)}"
    )


def network_line(trial: NetworkTrial, outcome: Outcome) -> str:
    return (
        f"{trial.law.name:17} {_state(outcome)} "
        f"{outcome.seconds:6.1f} s  {outcome.complexity:>3}/{outcome.reference:<3} network's "
        f"error {outcome.network_error:.1e} ({outcome.training_seconds:.0f} s)  "
        f"{_short(outcome.equation)}"
    )


def cost_line(trial: WideTrial | ScalingTrial, cost: Cost) -> str:
    what = f"{trial.what} {trial.size:g}" if isinstance(trial, ScalingTrial) else "32 -> 8"
    return f"{what:24} {cost.seconds:6.1f} s {cost.mib:6.0f} MiB  {cost.found}"


def _short(equation: str, length: int = 90) -> str:
    return equation if len(equation) <= length else f"{equation[: length - 3]}..."


def _state(outcome: Outcome) -> str:
    return "RIGHT" if outcome.structure else "front" if outcome.on_front else "-----"


def found_cell(outcome: Outcome) -> str:
    state = "found" if outcome.recovered else "-"
    return f"{state}{'' if outcome.chosen or not outcome.recovered else ' (not chosen)'}"


def structure_cell(outcome: Outcome) -> str:
    state = "right" if outcome.structure else "not chosen" if outcome.on_front else "-"
    return f"{state} ({outcome.complexity}/{outcome.reference})"


def by_law(
    session: Session, done: Sequence[Done[Any, Outcome]], cell: Callable[[Outcome], str]
) -> list[Row]:
    """A row for every law, two columns for every engine."""
    laws: dict[str, Law] = {end.task.law.name: end.task.law for end in done}
    rows = []
    for name, law in sorted(laws.items(), key=lambda item: EIGHT.index(item[1])):
        row: dict[str, Any] = {"law": name, "formula": law.formula}
        for engine in session.engines:
            ends = [e for e in done if e.task.engine == engine and e.task.law.name == name]
            outcome = ends[0].answer if ends else None
            row[engine] = cell(outcome) if outcome else "failed"
            row[f"{engine} s"] = outcome.seconds if outcome else "-"
        rows.append(row)
    return rows


def recovery_row(engine: str, group: str | None, outcomes: Sequence[Outcome | None]) -> Row:
    hits = [o for o in outcomes if o is not None and o.recovered]
    return {
        "engine": engine,
        "problems": group or "all",
        "count": len(outcomes),
        "recovered": len(hits),
        "recovered %": percent(outcomes, lambda o: o.recovered),
        "chosen %": percent(outcomes, lambda o: o.chosen),
        "equal the law %": percent(outcomes, lambda o: o.recovered and o.equal),
        "shown by SymPy %": percent(outcomes, lambda o: o.recovered and o.shown),
        "median s to it": median(o.seconds for o in hits),
        "median s": median(o.seconds for o in outcomes if o is not None),
    }


def of_engine(
    done: Iterable[Done[Any, Outcome]], engine: str, group: str | None = None
) -> list[Outcome | None]:
    """Outcomes of an engine, None for a search that failed."""
    return [
        end.answer for end in done if end.task.engine == engine and group in (None, end.task.group)
    ]


def percent(outcomes: Sequence[Outcome | None], holds: Callable[[Outcome], bool]) -> float:
    count = sum(o is not None and holds(o) for o in outcomes)
    return round(100 * count / max(len(outcomes), 1), 1)


def median(values: Iterable[float]) -> float | str:
    known = list(values)
    return statistics.median(known) if known else "-"


# -- the command ------------------------------------------------------------------------------

PARTS: Mapping[str, Callable[[Session], None]] = {
    "fastsrb": part_fastsrb,
    "laws": part_laws,
    "networks": part_networks,
    "noise": part_noise,
    "irrelevant": part_irrelevant,
    "scaling": part_scaling,
    "textbook": part_textbook,
}
QUICK_PARTS = ("fastsrb", "laws", "networks")


def main() -> None:
    arguments = parse_arguments()
    # Workers read it when they start; two of them shall not fight over two cores.
    if arguments.jobs > 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(arguments.engines, arguments, Path(folder))
        try:
            for part in arguments.parts:
                PARTS[part](session)
        except KeyboardInterrupt:
            print("\ninterrupted; figures so far:")
        session.figures.finish(arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = script_arguments(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    there = [name for name in ENGINES if name == "auto" or name in available_engines()]
    parts = ",".join(PARTS)
    parser.add_argument("--engines", type=_names, default=there, help=f"default {','.join(there)}")
    parser.add_argument("--parts", type=_names, help=f"of {parts}; all by default")
    parser.add_argument("--quick", action="store_true", help="for daily use: less of everything")
    parser.add_argument("--seconds", type=float, help="of every search (60 for FastSRB)")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--fastsrb", type=Path, default=fastsrb.DEFAULT_PATH, metavar="PATH")
    arguments = parser.parse_args()
    arguments.parts = arguments.parts or list(QUICK_PARTS if arguments.quick else PARTS)
    for name in arguments.parts:
        if name not in PARTS:
            parser.error(f"no part '{name}'; there are {parts}")
    for name in arguments.engines:
        if name != "auto" and name not in available_engines():
            parser.error(f"no engine '{name}' here; there are {', '.join(there)}")
    return arguments


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    main()
