"""``symtorch demo``: a small network, its equations, and the two against each other."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

ROWS, INPUTS, HIDDEN, STEPS = 2_000, 3, 32, 1_500
LAW = "x0**2 + 3*sin(x2) - 4"


def run(arguments: argparse.Namespace) -> int:
    """Train, distill, swap, compare, swap back."""
    import torch

    from symtorch import Expression, SymbolicModel, report

    torch.manual_seed(arguments.seed)
    x = torch.rand(ROWS, INPUTS) * 6 - 3
    law = Expression.parse(LAW)
    y = law({f"x{i}": x[:, i] for i in range(INPUTS)})[:, None]
    print(f"training a {INPUTS}-{HIDDEN}-{HIDDEN}-1 network on {LAW} ...", file=sys.stderr)
    net = _trained_network(x, y + 0.05 * y.std() * torch.randn_like(y))
    print("distilling it ...", file=sys.stderr)
    block = SymbolicModel(net, block_name="network")
    # Bounded by work, with time enough also on a busy machine: the same on every run.
    params = {"niterations": 8, "maxsize": 15, "timeout_in_seconds": 300}
    block.distill(x, engine="sparse", sr_params=params, random_state=arguments.seed)
    print(f"The equations that were found in the network, trained on {LAW} with 5 % noise:\n")
    print(block.front(0))
    if arguments.report is not None:
        settings = {"seed": arguments.seed, "trained on": LAW}
        report(block, arguments.report, data=block.record(x), settings=settings)

    fresh = torch.rand(5_000, INPUTS) * 6 - 3
    with torch.no_grad():
        network = block(fresh)
        with block.symbolic():
            equation = block(fresh)
        back = block(fresh)
    truth = law({f"x{i}": fresh[:, i] for i in range(INPUTS)})[:, None]
    print("\nRoot mean square differences on fresh points:")
    print(f"  equation in the network's place, against the network  {_rms(equation - network):.4f}")
    print(f"  network against the law                               {_rms(network - truth):.4f}")
    print(f"  equation against the law                              {_rms(equation - truth):.4f}")
    print(f"Swapped back: outputs {'identical' if torch.equal(back, network) else 'DIFFER'}.")
    return 0


def _trained_network(x: torch.Tensor, y: torch.Tensor) -> nn.Module:
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(),
        nn.Linear(HIDDEN, 1),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(x), (256,))
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return net


def _rms(difference: torch.Tensor) -> float:
    return float(difference.square().mean().sqrt())
