"""Local explanations side by side: SLIME, LIME, and regressions on the same rows.

Each method explains the same predictions of models trained on data sets that come inside
scikit-learn. All are judged on the same 1,000 fresh rows around each point, drawn from
SLIME's neighbourhood by another seed, in units of the model (probabilities for classes).
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from local_models import SOURCES, answers_of, load, models
from local_rivals import METHODS, Case, Surrogate
from support.figures import Figures, print_table, script_arguments

from symtorch.slime.fidelity import r_squared

FRESH_ROWS = 1000
FRESH_SEED = 10_000
TOP = 5
QUICK_SETS = ("diabetes", "breast cancer")

VARIES = 1e-3
"""A model whose spread around a point is below this share of its spread over the data does
not vary there: there is nothing to explain, and no method gets an R^2."""


def explained(case: Case, point: int) -> dict[str, dict[str, float]]:
    """The measures of every method at one point."""
    near = case.neighbourhood()
    fresh = near.draw(FRESH_ROWS, np.random.default_rng(FRESH_SEED + point))
    answers = case.answer(fresh.rows)
    at_x = float(case.answer(case.x[None])[0])
    mean = np.average(answers, weights=fresh.weights)
    spread = np.sqrt(np.average((answers - mean) ** 2, weights=fresh.weights))
    varies = spread > VARIES * float(case.answer(case.data).std())
    found = {}
    for name, method in METHODS.items():
        first, second = method(case, 2 * point), method(case, 2 * point + 1)
        said = first.predict(fresh.rows)
        error = abs(float(first.predict(case.x[None])[0]) - at_x)
        found[name] = {
            "weighted R2": r_squared(answers, said, fresh.weights) if varies else float("nan"),
            "R2": r_squared(answers, said, np.ones(FRESH_ROWS)) if varies else float("nan"),
            "error at x": error,
            "terms": int(first.terms),
            "agreement": agreement(first, second),
            "seconds": first.seconds,
        }
    return found


def agreement(first: Surrogate, second: Surrogate) -> float:
    """Jaccard index of the five inputs that matter most in two runs."""
    sets = [
        {int(i) for i in np.argsort(-run.importance, kind="stable")[:TOP] if run.importance[i] > 0}
        for run in (first, second)
    ]
    union = sets[0] | sets[1]
    return len(sets[0] & sets[1]) / len(union) if union else 1.0


def pairs(names: Iterable[str], points: int, partial: Path | None) -> list[dict[str, Any]]:
    """All points of all data sets and models; what is in ``partial`` is not done again."""
    done = []
    if partial is not None and partial.exists():
        done = [json.loads(line) for line in partial.read_text().splitlines()]
    known = {(pair["data"], pair["model"]) for pair in done}
    for name in names:
        data = load(name)
        for kind, model in models(data.is_classes).items():
            if (name, kind) in known:
                continue
            started = time.perf_counter()
            model.fit(data.train, data.train_targets)
            ask = answers_of(model, data.is_classes)
            results = [
                explained(case_at(ask, row, data.train, data.is_classes), number)
                for number, row in enumerate(data.test[:points])
            ]
            pair = {
                "data": name,
                "model": kind,
                "inputs": data.train.shape[1],
                "score": float(model.score(data.test, data.test_targets)),
                "points": results,
            }
            done.append(pair)
            if partial is not None:
                with partial.open("a") as file:
                    file.write(json.dumps(pair) + "\n")
            seconds = time.perf_counter() - started
            print(f"{name}, {kind}: {len(results)} points in {seconds:.0f} s", flush=True)
    return done


def case_at(
    ask: Callable[[np.ndarray], np.ndarray], x: np.ndarray, data: np.ndarray, is_classes: bool
) -> Case:
    """The prediction for one row; of classes, the one that is predicted."""
    if not is_classes:
        return Case(ask, ask, x, data, None)
    output = int(ask(x[None])[0].argmax())
    return Case(lambda rows: ask(rows)[:, output], ask, x, data, output)


def summary(pair: dict[str, Any], method: str) -> dict[str, float]:
    """The measures of one method over the points of a pair: medians, but for two means.

    A mean of R^2 over saturated probabilities would be ruled by the worst point.
    """
    points = [point[method] for point in pair["points"]]
    found = {name: middle([point[name] for point in points]) for name in points[0]}
    means = {
        name: statistics.fmean(point[name] for point in points)
        for name in ("error at x", "agreement")
    }
    return found | means


def middle(values: Sequence[float]) -> float:
    finite = [value for value in values if not np.isnan(value)]
    return statistics.median(finite) if finite else float("nan")


def tables(done: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Weighted R^2 of each pair and method; and each measure over all pairs."""
    by_pair = []
    for pair in done:
        scores = {name: summary(pair, name)["weighted R2"] for name in METHODS}
        varying = sum(not np.isnan(point["SLIME"]["weighted R2"]) for point in pair["points"])
        row = {"data": pair["data"], "model": pair["model"], "inputs": pair["inputs"]}
        by_pair.append(row | {"points": varying} | scores)
    overall = []
    for name in METHODS:
        sums = [summary(pair, name) for pair in done]
        measures = {key: middle([entry[key] for entry in sums]) for key in sums[0]}
        overall.append({"method": name, **measures})
    return by_pair, overall


def check(figures: Figures, done: Sequence[dict[str, Any]]) -> None:
    """Hold the bars."""
    scored = [pair for pair in done if not np.isnan(summary(pair, "SLIME")["weighted R2"])]

    def ahead(rival: str, measure: str = "weighted R2") -> float:
        wins = [summary(pair, "SLIME")[measure] > summary(pair, rival)[measure] for pair in scored]
        return round(statistics.fmean(wins), 3)

    figures.check("pairs ahead of LIME in weighted R2", ahead("LIME"), ">=", 0.9)
    name = "pairs ahead of LIME on the same rows in weighted R2"
    figures.check(name, ahead("LIME, same rows"), ">=", 0.9)
    shorter = [
        summary(pair, "SLIME")["weighted R2"] > summary(pair, "quadratic")["weighted R2"]
        and summary(pair, "SLIME")["terms"] < summary(pair, "quadratic")["terms"]
        for pair in scored
    ]
    name = "pairs ahead of quadratic ridge in weighted R2 at fewer terms"
    figures.check(name, round(statistics.fmean(shorter), 3), ">=", 0.501)
    for rival in ("LIME", "LIME, same rows"):
        worse = sum(
            summary(pair, "SLIME")["error at x"] > summary(pair, rival)["error at x"]
            for pair in done
        )
        figures.check(f"pairs with a larger error at x than {rival}", worse, "==", 0)
    seconds = [
        point["SLIME"]["seconds"]
        for pair in done
        if pair["inputs"] == 30
        for point in pair["points"]
    ]
    if seconds:
        name = "median seconds of an explanation at 30 inputs"
        figures.check(name, round(statistics.median(seconds), 3), "<=", 1.0)


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    def cell(value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        if np.isnan(value):
            return "-"
        return "< -10" if value < -10 else f"{value:.3g}" if abs(value) < 0.01 else f"{value:.2f}"

    lines = [[*rows[0]], ["---"] * len(rows[0]), *([cell(v) for v in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw(by_pair: Sequence[dict[str, Any]], path: Path) -> None:
    """Weighted R^2 of all methods, a line of points for each pair."""
    from matplotlib.figure import Figure

    styles = {
        "SLIME": ("o", "#c44e52", 60),
        "LIME": ("v", "#937860", 28),
        "LIME, same rows": ("^", "#4c72b0", 28),
        "linear": ("x", "#8172b3", 24),
        "quadratic": ("s", "#55a868", 28),
        "tree": ("D", "#ccb974", 24),
    }
    figure = Figure(figsize=(7.5, 0.27 * len(by_pair) + 1.2), layout="constrained")
    panel = figure.subplots()
    heights = np.arange(len(by_pair))[::-1]
    panel.hlines(heights, -0.55, 1, color="#dddddd", linewidth=0.8, zorder=0)
    for name, (marker, color, size) in styles.items():
        # What lies below the axis is drawn on its edge.
        scores = np.clip([row[name] for row in by_pair], -0.5, 1)
        front = 3 if name == "SLIME" else 2
        panel.scatter(
            scores, heights, size, color, marker=marker, label=name, zorder=front, alpha=0.85
        )
    panel.set_yticks(heights, [f"{row['data']}, {row['model']}" for row in by_pair], fontsize=8)
    panel.set_xlim(-0.55, 1.03)
    panel.set_ylim(-1, len(by_pair))
    panel.set_xlabel("weighted R² on fresh rows, median over the points (-0.5: that or below)")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--quick", action="store_true", help="two data sets, ten points each")
    parser.add_argument("--sets", nargs="+", choices=SOURCES, help="only these data sets")
    parser.add_argument("--points", type=int, default=30, help="explained rows of each set")
    parser.add_argument("--partial", type=Path, help="keep results there, go on from them")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument("--figure", type=Path, help="draw the results there")
    arguments = parser.parse_args()
    names = arguments.sets or (QUICK_SETS if arguments.quick else list(SOURCES))
    points = min(arguments.points, 10) if arguments.quick else arguments.points
    done = pairs(names, points, arguments.partial)
    by_pair, overall = tables(done)
    print_table(by_pair)
    print()
    print_table(overall)
    figures = Figures({"pairs": by_pair, "methods": overall})
    check(figures, done)
    if arguments.markdown is not None:
        arguments.markdown.write_text(f"{markdown(by_pair)}\n\n{markdown(overall)}\n")
    if arguments.figure is not None:
        draw(by_pair, arguments.figure)
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
