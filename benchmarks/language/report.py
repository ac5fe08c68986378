"""The table of all rows, and the bars they are held against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from support.figures import Figures, print_table

from .recipes import RECIPES
from .study import Study

PUBLISHED_SIZE = 40_000
"""Numbers a layer."""

HEALED = ", healed"

BEST_ROW = f"supervised + symbolic{HEALED}"

BARS = {
    (3, BEST_ROW): 0.09,
    (3, f"supervised 40k + symbolic{HEALED}"): 0.16,
    (7, BEST_ROW): 0.25,
}
"""Highest rise in nats, by number of layers and row."""


def report(study: Study) -> Figures:
    """The table, and the bars."""
    table = rows_of(study)
    if table:
        print_table(table)
    kept = {kind: study.results.of(kind) for kind in ("rows", "speed", "ranking")}
    figures = Figures({"settings": study.settings, "table": table, **kept})
    check_rises(figures, table)
    check_speed(figures, kept["speed"])
    return figures


def rows_of(study: Study) -> list[dict[str, Any]]:
    """The table, each row beside the intact model and, where there is one, the mean."""
    rows, speed = study.results.of("rows"), study.results.of("speed")
    articles = study.windows["test"].article
    table = []
    for measured in sorted(rows.values(), key=_place):
        layers, row, losses = measured["layers"], measured["row"], measured["losses"]
        intact, mean = (rows.get(named(layers, other)) for other in ("intact", "mean"))
        if intact is None:
            continue
        rise, error = compared(losses["test"], intact["losses"]["test"], articles)
        nats, numbers = average(losses["test"]), measured["numbers"]
        entry = {
            "layers": ",".join(map(str, layers)),
            "row": row,
            "rise": round(rise, 4),
            "s.e.": round(error, 4),
            "nats": nats,
            "perplexity": math.exp(nats),
            "second text": "",
            "numbers": numbers or "",
            "MiB": round(numbers * 4 / 2**20, 2) if numbers else "",
            "terms": measured["terms"],
            "seconds": round(measured["seconds"], 1),
            "nonlinear": "",
            "prefill": "",
            "decoding": "",
        }
        if "second" in losses:
            second = average(losses["second"]) - average(intact["losses"]["second"])
            entry["second text"] = round(second, 4)
        if mean is not None and "without_equations" in measured:
            gain = average(mean["losses"]["test"]) - nats
            entry["nonlinear"] = f"{(average(measured['without_equations']) - nats) / gain:.0%}"
        times = speed.get(named(layers, row.removesuffix(HEALED)), {})
        table.append(entry | flat(times))
    return table


def check_rises(figures: Figures, table: Sequence[Mapping[str, Any]]) -> None:
    """Hold the rises against their bars."""
    by_key = {(entry["layers"], entry["row"]): entry for entry in table}
    for (layers, row), entry in by_key.items():
        count = layers.count(",") + 1
        if (bar := BARS.get((count, row))) is not None:
            figures.check(f"{count} layers ({layers}), {row}: rise", entry["rise"], "<=", bar)
        published = by_key.get((layers, "published"))
        if published and (count, row) == (3, BEST_ROW):
            share = round(entry["rise"] / published["rise"], 3)
            figures.check("rise over that of the published recipe", share, "<=", 0.333)
        if "40k" in row:
            figures.check(f"{row} ({layers}), numbers", entry["numbers"], "<=", PUBLISHED_SIZE)


def check_speed(figures: Figures, speed: Mapping[str, Mapping[str, Any]]) -> None:
    """Three layers: slower only if our fast end is below the published recipe's slow end."""
    for key, ours in speed.items():
        layers, _, row = key.partition(" | ")
        theirs = speed.get(f"{layers} | published")
        if theirs and row == BEST_ROW.removesuffix(HEALED) and layers.count(",") == 2:
            for name in ("prefill", "decoding"):
                figures.check(f"{name}, speed-up", ours[name]["high"], ">=", theirs[name]["low"])


def named(layers: Sequence[int], row: str) -> str:
    """The key of a row's figures."""
    return f"{','.join(map(str, layers))} | {row}"


def _place(measured: Mapping[str, Any]) -> tuple[int, Sequence[int], int]:
    """Where a row stands in the table: small sets first, rows in their order."""
    layers = measured["layers"]
    return len(layers), layers, list(RECIPES).index(measured["row"])


def flat(ratios: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Ratios of times, intact over replaced, with their intervals."""
    return {n: f"{r['ratio']:.3f} ({r['low']:.3f}-{r['high']:.3f})" for n, r in ratios.items()}


def average(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def compared(
    ours: Sequence[float], theirs: Sequence[float], articles: torch.Tensor
) -> tuple[float, float]:
    """Mean difference of windows, and its standard error: windows of an article are alike."""
    difference = torch.tensor(ours) - torch.tensor(theirs)
    mean = difference.mean()
    groups = [(difference[articles == a] - mean).sum() for a in articles.unique()]
    count = len(groups)
    spread = torch.stack(groups).square().sum() * (count / max(count - 1, 1))
    return float(mean), float(spread.sqrt() / len(difference))
