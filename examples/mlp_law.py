"""The main job: train a network on noisy data, distill it, switch, compare, switch back.

The law behind the data is y = x0**2 + 3 sin(x4) - 4, with 5 % noise; the search sees only
the trained network.
"""

from __future__ import annotations

import time

import sympy
import torch
from support.figures import Figures, script_arguments
from torch import nn

from symtorch import SymbolicModel

INPUTS, HIDDEN, ROWS, NOISE = 5, 64, 5_000, 0.05


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(INPUTS, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mlp(x)


def law(x: torch.Tensor) -> torch.Tensor:
    """[rows, 5] -> [rows, 1]."""
    return (x[:, 0] ** 2 + 3 * torch.sin(x[:, 4]) - 4).unsqueeze(-1)


def train(net: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int = 2_000) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (256,))
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
        schedule.step()


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    started = time.perf_counter()

    x = torch.rand(ROWS, INPUTS) * 6 - 3
    y = law(x)
    y = y + NOISE * y.std() * torch.randn_like(y)
    net = Net()
    train(net, x, y)
    print(
        f"trained a {INPUTS}-{HIDDEN}-{HIDDEN}-1 network in {time.perf_counter() - started:.1f} s"
    )

    net.mlp = SymbolicModel(net.mlp, block_name="mlp")
    begun = time.perf_counter()
    front = net.mlp.distill(x, parent_model=net, random_state=arguments.seed)[0]
    print(f"distilled it in {time.perf_counter() - begun:.1f} s\n")
    net.mlp.show_symbolic_expression()

    fresh = torch.rand(10_000, INPUTS) * 6 - 3
    with torch.no_grad():
        network = net(fresh)
        net.mlp.switch_to_symbolic()
        hybrid = net(fresh)
        net.mlp.switch_to_block()
        back = net(fresh)
    truth = law(fresh)
    errors = {
        "hybrid against network": rms(hybrid - network),
        "network against law": rms(network - truth),
        "hybrid against law": rms(hybrid - truth),
    }
    print(
        f"\nroot mean square errors on {len(fresh)} fresh points (the law's spread is "
        f"{truth.std():.3f}):"
    )
    for name, error in errors.items():
        print(f"  {name:24} {error:.4f}")
    print(f"switched back: outputs {'identical' if torch.equal(back, network) else 'DIFFER'}")

    best = front.get_best().expression
    seconds = time.perf_counter() - started
    figures = Figures({"seconds": seconds, "equation": str(best), "errors": errors})
    figures.check("the law's terms, and no others", same_form(best.sympy()), "==", True)
    figures.check(
        "hybrid closer to the law than the network",
        errors["hybrid against law"],
        "<=",
        errors["network against law"],
    )
    figures.check("run time in seconds", seconds, "<=", 90.0)
    figures.finish(arguments.json)


def rms(difference: torch.Tensor) -> float:
    return float(difference.square().mean().sqrt())


def same_form(found: sympy.Expr) -> bool:
    """Whether an equation is a*x0**2 + b*sin(x4) + c with a, b, c within 5 % of the law's."""
    x0, x4 = sympy.symbols("x0 x4")
    terms = sympy.expand(found).as_coefficients_dict()
    wanted = {x0**2: 1, sympy.sin(x4): 3, sympy.S.One: -4}
    return set(terms) == set(wanted) and all(
        abs(terms[term] / value - 1) < 0.05 for term, value in wanted.items()
    )


if __name__ == "__main__":
    main()
