"""Ordinary tables: how good a short equation of a network, a forest or boosting is.

    python benchmarks/ordinary.py --quick              # one model a table, 4 s: 3 minutes
    python benchmarks/ordinary.py --json ordinary.json # three models, 5 and 30 s: an hour

Every search is the default call of `distill`. R2 is measured on rows that nothing has seen,
against the model's answers and, as squared correlation, against the truth. Beside it: a line in
all inputs and in as many as thirty nodes hold, a ridge as LIME fits one, a tree of depth 3,
Operon alone for as many seconds, the local engine alone, and `interpret`'s explainable boosting
machine, which nobody has to read, as the ceiling.
"""

from __future__ import annotations

import importlib
import itertools
import os
import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ordinary_rivals import RIVALS, engine_alone
from support.figures import Figures, print_table, script_arguments
from tables import MODELS, TABLES
from workers import peak_mib, run_in_processes

from symtorch import SymbolicModel
from symtorch.search import Candidate, Problem, SearchOptions
from symtorch.symbolic.nodes import Call, Constant, Node

SECONDS = (5.0, 30.0)
QUICK = 4.0
"""Budget of a quick run, which is to end within three minutes."""

READABLE = 0.02
"""R2 that the chosen equation may be behind the best one."""

TIE = 0.005
"""Differences of R2 that are none: another seed moves it as much."""

FEWEST_ROWS = 20
"""Test rows of a table that is held against the bars."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Task:
    """A model of a table, and the budget of its search."""

    table: str
    model: str
    seconds: float


def r2(predicted: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance explained."""
    return 1 - float(np.mean((predicted - y) ** 2) / np.var(y))


def run(task: Task) -> dict[str, Any]:
    """Search one model, and fit the rivals to the same answers."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    train, test = TABLES[task.table]().split()
    model = MODELS[task.model](train)
    X, X_test = (torch.tensor(part.X, dtype=torch.float32) for part in (train, test))
    with torch.no_grad():
        answers, wanted = (model(part)[:, 0].double().numpy() for part in (X, X_test))
    names = [f"x{i}" for i in range(X.shape[1])]
    # What a process imports on first use is not the search's time.
    engine_alone("sparse", Problem.split(X[:8], X[:8, 0]), SearchOptions(niterations=1), 0.1)
    importlib.import_module("sklearn.ensemble")
    started = time.perf_counter()
    params = {"timeout_in_seconds": task.seconds}
    front = SymbolicModel(model, "model").distill(X, sr_params=params)[0]
    seconds, peak = time.perf_counter() - started, peak_mib()

    def predicted(row: Candidate) -> np.ndarray:
        columns = {name: X_test[:, i].double().numpy() for i, name in enumerate(names)}
        return np.broadcast_to(row.expression(columns), wanted.shape)

    best, chosen = front.get_best("accuracy"), front.get_best()
    found = {
        "table": task.table,
        "model": task.model,
        "budget": task.seconds,
        "over": seconds - task.seconds,
        "MiB": peak,
        "best": r2(predicted(best), wanted),
        "nodes": best.complexity,
        "terms": terms(best.expression.root),
        "chosen": r2(predicted(chosen), wanted),
        "chosen nodes": chosen.complexity,
        "chosen terms": terms(chosen.expression.root),
        "test rows": len(wanted),
        "truth": correlation(predicted(chosen), test.y) ** 2,
        "equation": chosen.expression.pretty(3),
    }
    problem = Problem.split(X, torch.from_numpy(answers), names)
    options = SearchOptions(timeout_in_seconds=task.seconds)
    for name, wide in (("operon", options), ("local", options.widened())):
        alone = engine_alone(name, problem, wide, task.seconds)
        answer = predicted(alone.get_best("accuracy"))
        found[name] = r2(answer, wanted)
        found[f"{name} truth"] = correlation(answer, test.y) ** 2
    for name, fit in RIVALS.items():
        rival = fit(X.double().numpy(), answers)
        found[name] = None if rival is None else r2(rival(X_test.double().numpy()), wanted)
    return found


def terms(node: Node) -> int:
    """Summands that are not plain numbers."""
    if isinstance(node, Call) and node.operator.name in "+-":
        return sum(map(terms, node.args))
    return 0 if isinstance(node, Constant) else 1


def correlation(predicted: np.ndarray, y: np.ndarray) -> float:
    """Correlation with the truth; 0 for a constant."""
    return float(np.corrcoef(predicted, y)[0, 1]) if np.ptp(predicted) > 0 else 0.0


def share(rows: Sequence[Row], holds: Any) -> float:
    """Share of the rows for which something holds."""
    return statistics.mean(bool(holds(row)) for row in rows)


def check(figures: Figures, rows: Sequence[Row]) -> None:
    """Hold what was measured against the bars."""
    late = max(row["over"] - 0.1 * row["budget"] for row in rows)
    figures.check("seconds over 110 % of the budget, most", round(late, 2), "<=", 1.0)
    figures.check("peak memory, MiB", round(max(row["MiB"] for row in rows)), "<=", 1536)
    # Models that no row can predict, and R2 on a handful of rows, are chance.
    told = [r for r in rows if r["table"] != "noise" and r["test rows"] >= FEWEST_ROWS]
    for rival in ("short line", "local"):
        below = sum(row["best"] < row[rival] - 4 * TIE for row in told)
        figures.check(f"the best equation is below the {rival}, models", below, "==", 0)
    ahead = share(told, lambda row: row["best"] >= row["operon"] - TIE)
    figures.check("not behind Operon alone, share", round(ahead, 2), ">=", 0.8)
    ahead = share(told, lambda row: row["truth"] >= row["operon truth"] - TIE)
    figures.check("not behind Operon alone on the truth, share", round(ahead, 2), ">=", 0.8)
    close = share(told, lambda row: row["chosen"] >= row["best"] - READABLE)
    figures.check("chosen within 0.02 of the best, share", round(close, 2), ">=", 0.9)
    size = statistics.median(row["chosen nodes"] / row["nodes"] for row in told)
    figures.check("size of the chosen one to the best, median", round(size, 2), "<=", 0.5)


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="one model a table, 4 s each")
    parser.add_argument("--tables", help="names, comma-separated")
    parser.add_argument("--models", help="network, forest, boosting")
    parser.add_argument("--seconds", type=float, help="one budget in the place of 5 and 30 s")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    tables = arguments.tables.split(",") if arguments.tables else list(TABLES)
    models = arguments.models.split(",") if arguments.models else list(MODELS)
    budgets = (arguments.seconds,) if arguments.seconds else SECONDS
    if arguments.quick:
        tasks = [Task(t, m, QUICK) for t, m in zip(tables, itertools.cycle(models), strict=False)]
    else:
        tasks = [Task(t, m, s) for s in budgets for t in tables for m in models]
    rows = []
    for done in run_in_processes(run, tasks, arguments.jobs, fresh=True):
        if done.answer is None:
            raise SystemExit(f"{done.task}: {done.error}")
        rows.append(done.answer)
        print(f"{done.task.table}, {done.task.model}: {done.answer['equation']}", flush=True)
    rows.sort(key=lambda row: (row["budget"], tables.index(row["table"]), row["model"]))
    print_table([{k: v for k, v in row.items() if k != "equation"} for row in rows])
    figures = Figures({"rows": rows})
    check(figures, rows)
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
