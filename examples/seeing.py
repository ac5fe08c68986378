"""The pictures of docs/seeing.md: a network's front, its equation, its terms, and the report."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import nn

from symtorch import Recording, SymbolicModel, report

STEPS = 1_000
WIDTH, HEIGHT = 1400, 1500
"""Pixels of the report that are pictured."""


def trained_block(x: torch.Tensor) -> SymbolicModel:
    """A network that learned x0**2 + 3*sin(x2) - 4, wrapped and distilled."""
    net = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 1))
    law = (x[:, 0] ** 2 + 3 * torch.sin(x[:, 2]) - 4)[:, None]
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x), law).backward()
        optimizer.step()
    block = SymbolicModel(net, "network")
    block.distill(x, engine="sparse", sr_params={"niterations": 6, "maxsize": 22})
    return block


def picture_report(block: SymbolicModel, recording: Recording, path: Path) -> None:
    """The report as a picture, where Chromium is installed."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print(f"no chromium, so {path} stays as it is")
        return
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        report(
            block,
            page,
            data=recording,
            title="What the network learned",
            settings={"engine": "sparse", "niterations": 6, "maxsize": 22, "random_state": 0},
        )
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--hide-scrollbars"]  # fmt: skip
        subprocess.run(
            [chromium, *flags, f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={path}",
             page.as_uri()],
            check=True,
            capture_output=True,
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures are written")
    folder = parser.parse_args().folder.resolve()
    torch.manual_seed(0)
    x = torch.rand(2_000, 3) * 6 - 3
    block = trained_block(x)
    recording = block.record(x)
    figures = {
        "front": block.front(0).plot(),
        "agreement": block.plot(0, recording),
        "terms": block.plot_terms(0, recording),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"seeing_{name}.png", dpi=100)
    picture_report(block, recording, folder / "seeing_report.png")


if __name__ == "__main__":
    main()
