"""Symbolic layers against evaluating equations one by one, and against the network replaced.

The loop is how symbolic layers are evaluated elsewhere: one ``sympy.lambdify(..., "torch")``
function an output, which gets its columns as slices, and a stack. All are timed in turn in
one process; figures are medians, ratios are of the times.
"""

from __future__ import annotations

import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sympy
import torch
from support.figures import Figures, print_table, script_arguments
from torch import nn

from symtorch import Expression, SymbolicLayer
from symtorch.symbolic.nodes import Call, Constant, Node, Variable
from symtorch.symbolic.operators import OPERATORS

SIZES = [(2, 1, 5000), (32, 8, 1), (32, 8, 512), (32, 8, 8192), (64, 64, 512), (64, 64, 8192)]
"""Inputs, outputs, rows."""

NODES = range(8, 16)

MIXES = {
    "default": (["+", "-", "*", "/"], ["inv", "square", "sqrt", "exp", "log", "sin", "cos"]),
    "wide": (
        ["+", "-", "*", "/", "^", "max", "min", "atan2"],
        [
            "neg",
            "abs",
            "inv",
            "square",
            "cube",
            "sqrt",
            "exp",
            "log",
            "sin",
            "cos",
            "tan",
            "tanh",
            "sinh",
            "cosh",
            "atan",
            "asinh",
            "erf",
            "sigmoid",
            "log1p",
            "expm1",
        ],
    ),
}
"""Operators of the equations: those a search uses by default, and most of the table."""

BARS = {
    ("forward", "layer", (32, 8, 512)): 3.0,
    ("forward", "layer", (64, 64, 512)): 4.0,
    ("forward", "compiled", (32, 8, 512)): 6.0,
    ("forward", "compiled", (64, 64, 512)): 8.0,
}
"""Times faster than the loop; half as much with the way back."""


# ---------------------------------------------------------------- equations


def random_tree(rng: random.Random, nodes: int, names: Sequence[str], mix: str) -> Node:
    binary, unary = MIXES[mix]
    if nodes == 1:
        if rng.random() < 0.3:
            return Constant(round(rng.uniform(0.5, 3), 3))
        return Variable(rng.choice(names))
    if nodes == 2 or rng.random() < 0.4:
        operator = OPERATORS[rng.choice(unary)]
        return Call(operator, (random_tree(rng, nodes - 1, names, mix),))
    left = rng.randint(1, nodes - 2)
    return Call(
        OPERATORS[rng.choice(binary)],
        (random_tree(rng, left, names, mix), random_tree(rng, nodes - 1 - left, names, mix)),
    )


def random_equations(inputs: int, outputs: int, mix: str) -> list[Expression]:
    """Equations in the form a search leaves them: simplified, finite on the data, not constant."""
    rng = random.Random(0)
    names = names_of(inputs)
    table = data(256, inputs).double()
    found: list[Expression] = []
    while len(found) < outputs:
        expression = Expression(random_tree(rng, rng.randint(8, 18), names, mix)).simplify()
        if expression.complexity() not in NODES or not expression.variables:
            continue
        values = expression(dict(zip(names, table.unbind(-1), strict=True)))
        if not values.isfinite().all() or values.abs().max() > 1e3 or values.std() < 1e-3:
            continue
        try:
            other = Loop([expression], names)(table)[:, 0]
        except (TypeError, NameError):  # sympy's printer writes max(x, 1), which torch refuses
            continue
        if torch.allclose(values, other):
            found.append(expression)
    return found


def names_of(inputs: int) -> list[str]:
    return [f"x{i}" for i in range(inputs)]


def data(rows: int, inputs: int) -> torch.Tensor:
    return torch.rand(rows, inputs, generator=torch.Generator().manual_seed(0)) * 1.5 + 0.5


class Loop(nn.Module):
    """One function an output."""

    def __init__(self, expressions: Sequence[Expression], names: Sequence[str]) -> None:
        super().__init__()
        self.functions = [
            sympy.lambdify([sympy.Symbol(v) for v in e.variables], e.sympy(), "torch")
            for e in expressions
        ]
        self.columns = [[names.index(v) for v in e.variables] for e in expressions]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = [
            function(*[x[:, i] for i in columns])
            for function, columns in zip(self.functions, self.columns, strict=True)
        ]
        return torch.stack(outputs, dim=-1)


class SwiGLU(nn.Module):
    """The network that the equations replace."""

    def __init__(self, inputs: int = 32, hidden: int = 1536, outputs: int = 8) -> None:
        super().__init__()
        self.gate = nn.Linear(inputs, hidden)
        self.up = nn.Linear(inputs, hidden)
        self.down = nn.Linear(hidden, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


# ---------------------------------------------------------------- timing


@dataclass
class Timing:
    """Runs some functions in turn."""

    device: torch.device
    rounds: int
    seconds: float

    def once(self, run: Callable[[], Any], times: int) -> float:
        self.wait()
        started = time.perf_counter()
        for _ in range(times):
            run()
        self.wait()
        return (time.perf_counter() - started) / times

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def medians(self, runs: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], Any]:
        """Median seconds, and the medians of the first's time over each, round by round."""
        times = {}
        for name, run in runs.items():
            self.once(run, 3)
            times[name] = max(1, int(self.seconds / min(self.once(run, 2) for _ in range(3))))
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(self.rounds):
            for name, run in runs.items():
                taken[name].append(self.once(run, times[name]))
        first = taken[next(iter(runs))]
        ratios = {
            name: statistics.median(a / b for a, b in zip(first, column, strict=True))
            for name, column in taken.items()
        }
        return {name: statistics.median(column) for name, column in taken.items()}, ratios


def forward(model: Callable[..., Any], x: torch.Tensor) -> Callable[[], Any]:
    return lambda: model(x)


def backward(model: Callable[..., Any], x: torch.Tensor) -> Callable[[], Any]:
    def run() -> None:
        leaf = x.detach().requires_grad_()
        model(leaf).sum().backward()

    return run


def measure(
    mix: str, size: tuple[int, int, int], timing: Timing, threads: int, compiled: bool
) -> list[dict[str, Any]]:
    inputs, outputs, rows = size
    equations = random_equations(inputs, outputs, mix)
    x = data(rows, inputs).to(timing.device)
    loop = Loop(equations, names_of(inputs))
    layer = SymbolicLayer(equations, names_of(inputs), device=timing.device)
    models: dict[str, Callable[..., Any]] = {"loop": loop, "layer": layer}
    if compiled:
        torch._dynamo.reset()
        # As `switch_to_symbolic(compile=True)` does it.
        models["compiled"] = SymbolicLayer(equations, names_of(inputs), device=timing.device)
        models["compiled"].compile(fullgraph=True)
    apart = (layer(x) - loop(x)).abs() / (1 + loop(x).abs())
    assert (apart < 1e-2).float().mean() > 0.999, apart.max()  # poles aside
    found = []
    for way, make in (("forward", forward), ("forward+backward", backward)):
        times, ratios = timing.medians({name: make(model, x) for name, model in models.items()})
        row = {
            "in->out": f"{inputs}->{outputs}",
            "rows": rows,
            "equations": mix,
            "threads": threads,
            "way": way,
        }
        row |= {f"{name} us": round(1e6 * seconds, 1) for name, seconds in times.items()}
        row |= {f"{name} x": round(ratios[name], 2) for name in models if name != "loop"}
        found.append(row | {"size": size})
    return found


def against_network(timing: Timing, threads: int) -> dict[str, Any]:
    equations = random_equations(32, 8, "default")
    x = data(512, 32).to(timing.device)
    layer = SymbolicLayer(equations, names_of(32), device=timing.device)
    network = SwiGLU().to(timing.device)
    with torch.no_grad():
        times, ratios = timing.medians({"network": forward(network, x), "layer": forward(layer, x)})
    return {
        "threads": threads,
        "SwiGLU 32->1536->8 us": round(1e6 * times["network"], 1),
        "layer us": round(1e6 * times["layer"], 1),
        "layer x": round(ratios["layer"], 1),
    }


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    names = [platform.processor()]
    if platform.system() == "Linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}, torch {torch.__version__}"


# ---------------------------------------------------------------- the whole


def check(figures: Figures, rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        if row["equations"] != "default":
            continue
        label = f"{row['in->out']} at {row['rows']}, {row['way']}, {row['threads']} thread(s)"
        for name in ("layer", "compiled"):
            bar = BARS.get(("forward", name, row["size"]))
            if bar is not None and f"{name} x" in row:
                bar = bar if row["way"] == "forward" else bar / 2
                figures.check(f"{name} over loop, {label}", row[f"{name} x"], ">=", bar)
        if ("forward", "layer", row["size"]) not in BARS:
            figures.check(f"layer not slower, {label}", row["layer x"], ">=", 1.0)


def main() -> None:
    parser = script_arguments(__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--mixes", nargs="+", choices=list(MIXES), default=list(MIXES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.02, help="for one round of one")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    arguments = parser.parse_args()
    figures = Figures()
    devices = [torch.device("cpu")]
    if torch.cuda.is_available():
        devices.append(torch.device("cuda"))
    for device in devices:
        timing = Timing(device, arguments.rounds, arguments.seconds)
        print(f"\n{machine(device)}")
        for threads in arguments.threads if device.type == "cpu" else [torch.get_num_threads()]:
            torch.set_num_threads(threads)
            rows = []
            for mix in arguments.mixes:
                for size in SIZES:
                    compiled = not arguments.no_compile
                    rows += measure(mix, size, timing, threads, compiled)
            for mix in arguments.mixes:
                shown = [row for row in rows if row["equations"] == mix]
                print()
                print_table([{k: v for k, v in row.items() if k != "size"} for row in shown])
            network = against_network(timing, threads)
            print()
            print_table([network])
            figures.values.setdefault(machine(device), []).extend([*rows, network])
            if device.type == "cpu":
                check(figures, rows)
                label = f"layer over SwiGLU at 512, {threads} thread(s)"
                figures.check(label, network["layer x"], ">=", 20.0)
            else:
                for row in rows:
                    if row["size"] == (64, 64, 512):
                        label = f"layer over loop on CUDA, 64->64 at 512, {row['way']}"
                        figures.check(label, row["layer x"], ">=", 5.0)
    print()
    figures.finish(arguments.json)


if __name__ == "__main__":
    main()
