"""Recording the middle block of a 10-layer MLP: time over the plain forward, and memory."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from support.figures import Figures, print_table, script_arguments
from torch import nn

from symtorch import record

WIDTH, DEPTH, BATCH, SAMPLES = 64, 10, 10_000, 10_000


def make_net() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(DEPTH):
        layers += [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.SiLU())]
    return nn.Sequential(*layers)


def batches(rows: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(rows // BATCH):
        yield torch.randn(BATCH, WIDTH, generator=generator)


def forward(net: nn.Module, rows: int) -> float:
    started = time.perf_counter()
    with torch.no_grad():
        for batch in batches(rows):
            net(batch)
    return time.perf_counter() - started


def recorded(net: nn.Module, rows: int) -> float:
    started = time.perf_counter()
    record(net, str(DEPTH // 2), batches(rows), max_samples=SAMPLES)
    return time.perf_counter() - started


def peak_mib(rows: int, what: str) -> float:
    """Peak memory of a process of its own that only does that."""
    code = f"import recording as r; r.{what}(r.make_net(), {rows}); print(r.own_peak_mib())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=__file__.rpartition("/")[0],
    )
    return float(done.stdout)


def own_peak_mib() -> float:
    # Not getrusage: its peak starts from the parent's, across fork and exec.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    net = make_net().eval()
    recorded(net, 10 * BATCH), forward(net, 10 * BATCH)
    pairs = [
        (forward(net, arguments.rows), recorded(net, arguments.rows)) for _ in range(arguments.runs)
    ]
    plain, watched = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    print_table(
        [{"rows": arguments.rows, "forward s": plain, "recording s": watched, "ratio": ratio}]
    )
    print()
    memory = [
        {
            "rows": rows,
            "batches": rows // BATCH,
            "forward MiB": peak_mib(rows, "forward"),
            "recording MiB": peak_mib(rows, "recorded"),
        }
        for rows in (arguments.rows // 10, arguments.rows // 3, arguments.rows)
    ]
    print_table(memory)
    growth = memory[-1]["recording MiB"] - memory[0]["recording MiB"]
    figures = Figures({"forward_s": plain, "recording_s": watched, "memory": memory})
    figures.check("recording / forward", round(ratio, 3), "<=", 1.25)
    figures.check("memory growth from 10 to 100 batches, MiB", round(growth, 1), "<=", 20.0)
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
