"""The figures of docs/seeing.md: a network, its front, its equation, its terms."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from symtorch import SymbolicModel

STEPS = 1_000


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures are written")
    folder = parser.parse_args().folder
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


if __name__ == "__main__":
    main()
