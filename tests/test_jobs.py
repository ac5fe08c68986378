"""Long work: progress, interrupts, checkpoints, and going on after a kill."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from symtorch import Expression, Front, Problem, SymbolicModel, register_engine
from symtorch.errors import InputError, InterruptedWarning
from symtorch.jobs import Checkpoint, Manifest, Reporter
from symtorch.jobs.searches import termination_as_interrupt
from symtorch.search import Progress, SearchOptions, SearchRun, search


class Law(nn.Module):
    """Four outputs, each a short law."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, 0], x[:, 1]
        return torch.stack([a * b, a + 2 * b, a / b, torch.sin(a) * b], dim=1)


def rows(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(200, 2, generator=generator, dtype=torch.float64) + 0.5


class Stubborn:
    """An engine that finds a little, then works until it is stopped."""

    name = "stubborn"
    honours = frozenset({"niterations"})
    begun = 0

    def require(self) -> None:
        pass

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        type(self).begun += 1
        found = [Expression.parse("x0*x1")]
        with run.until_interrupted():
            for step in range(10_000):
                run.progress(Progress(step / 10_000, 1.0, "working"))
                run.found(lambda: found)
                time.sleep(0.001)
        return found


@pytest.fixture(autouse=True)
def stubborn() -> None:
    Stubborn.begun = 0
    register_engine("stubborn", Stubborn)


# -- progress ---------------------------------------------------------------------------------


def test_progress_never_falls_and_ends_at_one() -> None:
    seen: list[float] = []
    block = SymbolicModel(Law(), "law")
    options = {"niterations": 3, "timeout_in_seconds": 120}
    block.distill(rows(), [0, 1, 3], sr_params=options, progress=lambda p: seen.append(p.fraction))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_there_is_no_bar_where_nobody_sees_it(capfd: pytest.CaptureFixture[str]) -> None:
    block = SymbolicModel(Law(), "law")
    block.distill(rows(), 1, sr_params={"niterations": 1})
    assert capfd.readouterr().err == ""
    block.distill(rows(), 1, sr_params={"niterations": 1}, progress=True)
    assert "output 1" in capfd.readouterr().err


def test_reports_that_fall_back_are_held(capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[float] = []
    with Reporter(lambda p: seen.append(p.fraction), 2) as reporter:
        report = reporter.of_search(1, "output 1")
        for fraction in (0.5, 0.1, 0.8):
            report(Progress(fraction, 1.0, ""))
    assert seen == [0.75, 0.75, 0.9]


# -- stopping ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_searches_and_keeps_what_is_there(number: signal.Signals) -> None:
    block = SymbolicModel(Law(), "law")
    # From another thread, so that it arrives in the middle of the first search.
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), number))
    timer.start()
    with pytest.warns(InterruptedWarning, match=r"outputs \[1, 2, 3\] were not searched"):
        fronts = block.distill(rows(), engine="stubborn", progress=False)
    assert list(fronts) == [0]
    assert fronts[0].interrupted
    assert fronts[0].get_best().equation == "x0*x1"
    assert block.fronts == fronts
    assert Stubborn.begun == 1


def test_a_program_can_stop_a_search() -> None:
    block = SymbolicModel(Law(), "law")
    asked = iter([False] * 20 + [True] * 10_000)
    with pytest.warns(InterruptedWarning):
        fronts = block.distill(rows(), engine="stubborn", stop=lambda: next(asked), progress=False)
    assert fronts[0].interrupted


def test_handlers_of_signals_are_left_as_found() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with termination_as_interrupt():
        pass
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    own = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        with termination_as_interrupt():
            assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, own)


def test_a_front_cut_short_does_not_replace_a_better_equation_in_force() -> None:
    block = SymbolicModel(Law(), "law")
    block.distill(rows(), 1, sr_params={"niterations": 2, "timeout_in_seconds": 60})
    block.switch_to_symbolic(dims=1)
    before = block.fronts[1]
    asked = iter([False] * 5 + [True] * 10_000)
    with pytest.warns(InterruptedWarning):
        block.distill(rows(), 1, engine="stubborn", stop=lambda: next(asked), progress=False)
    assert block.fronts[1] == before
    assert block.is_symbolic


# -- checkpoints ------------------------------------------------------------------------------


def distilled(folder: Path, dims: object = None, **options: object) -> dict[int, Front]:
    block = SymbolicModel(Law(), "layers.0/law")
    given = {"niterations": 2, "timeout_in_seconds": 120, **options}
    return block.distill(rows(), dims, sr_params=given, checkpoint=folder)  # type: ignore[arg-type]


def test_the_same_call_again_reads_what_is_finished(tmp_path: Path) -> None:
    first = distilled(tmp_path, [0, 1])
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.done")}
    assert len(stamps) == 2
    assert distilled(tmp_path, [0, 1]) == first
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.done")} == stamps


def test_more_time_is_the_same_call(tmp_path: Path) -> None:
    first = distilled(tmp_path, 0)
    assert distilled(tmp_path, 0, timeout_in_seconds=240) == first


def test_another_call_is_refused_with_what_changed(tmp_path: Path) -> None:
    distilled(tmp_path, 0)
    with pytest.raises(InputError, match="maxsize was 30 and is 12"):
        distilled(tmp_path, 0, maxsize=12)
    block = SymbolicModel(Law(), "layers.0/law")
    with pytest.raises(InputError, match="other data"):
        block.distill(
            rows(1), 0, sr_params={"niterations": 2, "timeout_in_seconds": 9}, checkpoint=tmp_path
        )


def test_another_call_can_start_from_what_was_found(tmp_path: Path) -> None:
    block = SymbolicModel(Law(), "law")
    block.distill(rows(), 0, sr_params={"niterations": 2}, checkpoint=tmp_path)
    front = block.distill(
        rows(1), 0, sr_params={"niterations": 1}, checkpoint=tmp_path, resume="seed"
    )[0]
    assert front.get_best().equation == "x0*x1"


def test_an_interrupted_call_goes_on(tmp_path: Path) -> None:
    asked = iter([False] * 30 + [True] * 10_000)
    block = SymbolicModel(Law(), "law")
    with pytest.warns(InterruptedWarning):
        block.distill(
            rows(), [0, 1], engine="stubborn", stop=lambda: next(asked), checkpoint=tmp_path,
            progress=False,
        )  # fmt: skip
    kept = Checkpoint(tmp_path, "law")
    front = kept.front(0)
    assert front is not None
    assert front.interrupted
    assert kept.finished(0) is None
    assert kept.front(1) is None


def test_seeds_are_never_lost() -> None:
    X = rows()
    problem = Problem.split(X, torch.tanh(3 * X[:, 0]) / X[:, 1] ** 3)
    options = SearchOptions(unary_operators=["tanh"], niterations=1, timeout_in_seconds=60)
    law = Expression.parse("tanh(3*x0)/(x1*x1*x1)")
    one = search(problem, options, engine="sparse")
    seeds = Front.pareto([*one, type(one[0])(law, 10, 0.0, 0.0)], variables=problem.names)
    assert search(problem, options, engine="sparse", seeds=seeds).get_best().expression == law


KILLED = """
import sys, torch
from torch import nn
from symtorch import SymbolicModel
sys.path.insert(0, {tests!r})
from test_jobs import Law, rows
block = SymbolicModel(Law(), "law")
options = {{"niterations": 4, "timeout_in_seconds": 100}}
print("begun", flush=True)
block.distill(rows(), sr_params=options, checkpoint={folder!r}, progress=False)
"""


def test_killed_at_any_moment_it_leaves_whole_files_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(folder))
    chance = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.0, 1.5))
        process.kill()
        process.communicate()
        for path in folder.glob("law.*.json"):
            json.loads(path.read_text())  # whole, or not there
        kept = Checkpoint(folder, "law")
        for dim in range(4):
            kept.front(dim)
    block = SymbolicModel(Law(), "law")
    options = {"niterations": 4, "timeout_in_seconds": 100}
    resumed = block.distill(rows(), sr_params=options, checkpoint=folder)
    fresh = SymbolicModel(Law(), "law").distill(rows(), sr_params=options)
    assert {d: f.get_best() for d, f in resumed.items()} == {
        d: f.get_best() for d, f in fresh.items()
    }


def test_a_folder_that_cannot_be_written_is_refused_before_the_search(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        distilled(tmp_path / "file", 0)


def test_processes_side_by_side_keep_their_fronts(tmp_path: Path) -> None:
    block = SymbolicModel(Law(), "law")
    options = {"niterations": 2, "timeout_in_seconds": 200}
    with warnings.catch_warnings():
        warnings.simplefilter("error", InterruptedWarning)
        two = block.distill(rows(), sr_params=options, n_jobs=2, checkpoint=tmp_path)
    assert len([*tmp_path.glob("*.done")]) == 4
    assert two == SymbolicModel(Law(), "law").distill(rows(), sr_params=options)


def test_a_manifest_goes_through_its_document() -> None:
    problem = Problem.split(rows(), rows()[:, 0])
    manifest = Manifest.of("b", {0: problem}, SearchOptions(), "auto", 0)
    assert manifest.differences(manifest) == []
    other = Manifest.of("b", {0: problem}, SearchOptions(maxsize=3), "sparse", 1)
    assert manifest.differences(other) == [
        "engine was 'auto' and is 'sparse'",
        "maxsize was 30 and is 3",
        "random_state was 0 and is 1",
    ]
