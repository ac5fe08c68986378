"""The benchmark of certificates, in its smallest size."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import certify as benchmark
from support.figures import Figures


def test_a_small_run_holds_sampled_against_certified(capsys):
    task = benchmark.Task("1-8-1", (1, 8, 1), {0: "x0**2"}, 1.0)
    network = benchmark.trained(task, "tanh", 50)
    case = benchmark.Case(task, "tanh", network, "law", task.law)
    arguments = argparse.Namespace(points=50_000, budget=100.0)
    figures = Figures()
    (row,) = benchmark.bounds([case], arguments, figures)
    assert row["sampled"] <= row["upper"] <= 1.2 * row["sampled"]
    assert all(check["passed"] for check in figures.checks.values())
    assert [r["boxes"] > 0 for r in benchmark.orders(case, 100.0)] == [True] * 3
    assert len(benchmark.tolerances(case, arguments)) == 2 * len(benchmark.TOLERANCES)
    assert "upper/sampled" in capsys.readouterr().out
