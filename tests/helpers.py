"""What several test files need: random equations over the operator table, toy models."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from hypothesis import strategies as st
from torch import nn

from symtorch import SymbolicModel
from symtorch.symbolic.definitions import define_operator
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.nodes import Call, Constant, Node, Variable
from symtorch.symbolic.operators import OPERATORS, Operator

GAUSS = define_operator("gauss(x) = exp(-x^2)")
HYPOTENUSE = define_operator("hypot(a, b) = sqrt(a^2 + b^2)")

# Numbers whose text or arithmetic has a special case somewhere.
SPECIAL_CONSTANTS = (
    *(0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, 0.1),
    *(1e-300, -1e-12, 1e15, 1e16, 123456789.0, -1.5e300, 5e-324),
)


def constants(*, moderate: bool = False) -> st.SearchStrategy[float]:
    """Numbers of an equation; ``moderate`` ones stay within 0.1 to 9 in size."""
    if moderate:
        size = st.integers(1, 90).map(lambda tenths: tenths / 10)
        return st.builds(lambda value, sign: value * sign, size, st.sampled_from([1, -1]))
    return st.sampled_from(SPECIAL_CONSTANTS) | st.floats(allow_nan=False, allow_infinity=False)


def trees(
    variables: Sequence[str] = ("x", "y"),
    operators: Sequence[Operator] = (*OPERATORS.values(), GAUSS, HYPOTENUSE),
    *,
    max_leaves: int = 10,
    moderate: bool = False,
) -> st.SearchStrategy[Node]:
    """Trees over some operators; by default the whole table and two custom ones."""

    def calls(arguments: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        def call(operator: Operator) -> st.SearchStrategy[Node]:
            return st.builds(Call, st.just(operator), st.tuples(*[arguments] * operator.arity))

        return st.sampled_from(list(operators)).flatmap(call)

    leaves: st.SearchStrategy[Node] = constants(moderate=moderate).map(Constant)
    if variables:
        leaves = st.sampled_from(list(variables)).map(Variable) | leaves
    return st.recursive(leaves, calls, max_leaves=max_leaves)


def expressions(
    variables: Sequence[str] = ("x", "y"),
    operators: Sequence[Operator] = (*OPERATORS.values(), GAUSS, HYPOTENUSE),
    *,
    max_leaves: int = 10,
    moderate: bool = False,
) -> st.SearchStrategy[Expression]:
    """Random equations.

    Args:
        variables: names that may occur.
        operators: rows that may occur.
        max_leaves: about how many variables and constants there are at most.
        moderate: only constants of everyday size, so that values stay finite.
    """
    return trees(variables, operators, max_leaves=max_leaves, moderate=moderate).map(Expression)


def random_tree(
    rng: random.Random, nodes: int, names: Sequence[str], operators: Sequence[Operator]
) -> Node:
    """A tree of so many nodes, constants of everyday size, for long runs under a seed."""
    unary = [operator for operator in operators if operator.arity == 1]
    binary = [operator for operator in operators if operator.arity == 2]
    if nodes == 1:
        if rng.random() < 0.4:
            return Constant(float(rng.choice([1, 2, 3, -1, -2, round(rng.uniform(-4, 4), 2)])))
        return Variable(rng.choice(names))
    if nodes == 2 or rng.random() < 0.4:
        return Call(rng.choice(unary), (random_tree(rng, nodes - 1, names, operators),))
    left = rng.randint(1, nodes - 2)
    return Call(
        rng.choice(binary),
        (
            random_tree(rng, left, names, operators),
            random_tree(rng, nodes - 1 - left, names, operators),
        ),
    )


def points(operator: Operator, count: int = 40, *, bound: float = 3.0) -> list[np.ndarray]:
    """Random arguments inside an operator's domain and within ``bound``: one array each."""
    generator = np.random.default_rng(0)
    ranges = [(max(low, -bound), min(high, bound)) for low, high in operator.domain]
    return [generator.uniform(low, high, count) for low, high in ranges]


def columns(rows: int = 25, names: Sequence[str] = ("x", "y"), seed: int = 0) -> dict:
    """Random values for variables: tensors [rows] between -3 and 3, float64."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: 6 * torch.rand(rows, generator=generator, dtype=torch.float64) - 3 for name in names
    }


def assert_same_values(a: Expression, b: Expression) -> None:
    """Check that two equations agree wherever both are finite and rounding cannot decide.

    Points where a relative change of 1e-9 in the inputs or constants of ``a`` changes its
    value by much (poles, steps, cancellation) say nothing about equality and are left out.
    """
    at = columns()
    expected, value = a(at), b(at)
    judged = torch.isfinite(expected) & torch.isfinite(value)
    for change in (1 - 1e-9, 1 + 1e-9):
        # By another amount each, so that no ratio of two of them stays.
        nudged = a.with_constants([c * change ** (i + 1) for i, c in enumerate(a.constants)])
        for moved in (
            nudged(at),
            nudged({name: column * change for name, column in at.items()}),
            nudged({name: column / change for name, column in at.items()}),
        ):
            judged &= (moved - expected).abs() <= 1e-5 * (expected.abs() + 1)
    torch.testing.assert_close(value[judged], expected[judged], rtol=1e-4, atol=1e-4)


# ------------------------------------------------------------------ models and searches

QUICK = {
    "niterations": 15,
    "populations": 1,
    "population_size": 200,
    "maxsize": 12,
    "binary_operators": ["+", "*"],
    "unary_operators": ["square"],
}
"""Search options that find a short polynomial within a second."""


class Law(nn.Module):
    """A block that computes known laws: ``gain*x0 + x1**2`` and ``x0*x1``.

    [..., 2] -> [..., 2], in the type of its parameter.
    """

    def __init__(self, gain: float = 2.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x0, x1 = x.unbind(-1)
        return torch.stack([self.gain * x0 + x1**2, x0 * x1], dim=-1)


def law(x: torch.Tensor, gain: float = 2.0) -> torch.Tensor:
    """What `Law` computes, written down a second time."""
    return torch.cat([gain * x[..., :1] + x[..., 1:] * x[..., 1:], x.prod(-1, keepdim=True)], -1)


class Net(nn.Module):
    """A `Law` between two linear layers, with dropout and a frozen batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.law = Law()
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.dropout(self.law(self.norm(self.encoder(x)))))


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normal numbers that do not touch the global generator."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def fitted(model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int = 400) -> nn.Module:
    """The model after training on a table, full batch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()
    return model


def distilled_law(**parameters: float) -> SymbolicModel:
    """A `Law` wrapped and distilled for real."""
    model = SymbolicModel(Law(**parameters), "law")
    model.distill(randn(300, 2), sr_params=QUICK)
    return model


def state_of_the_world(*modules: nn.Module) -> tuple[object, ...]:
    """All that recording must put back, in a form that compares."""
    parts = [part for module in modules for part in module.modules()]
    return (
        [part.training for part in parts],
        [len(part._forward_hooks) + len(part._forward_pre_hooks) for part in parts],
        torch.get_rng_state().tolist(),
        [str(item) for item in np.random.get_state()],  # noqa: NPY002
        random.getstate(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
    )


def keeps_to(seconds: float, work: Callable[[], object], slack: float = 0.1) -> bool:
    """Whether work ends within a budget and some slack, a tenth of it by default.

    The budget is told the processor time of this process, which stands still while other
    processes have the processor.
    """
    with mock.patch("time.monotonic", time.process_time):
        begun = time.monotonic()
        work()
        return time.monotonic() - begun < (1 + slack) * seconds


# ------------------------------------------------------------------ scripts

ROOT = Path(__file__).parents[1]


def run_script(script: str, folder: Path, *options: str | Path) -> dict[str, Any]:
    """What an example or benchmark writes with ``--json``, run in a process of its own.

    Args:
        script: path from the root of the project.
        folder: working directory and folder for temporary files.
        options: of the command line.
    """
    figures = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, ROOT / script, *options, "--json", figures],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(figures.read_text()), "printed": done.stdout}


def assert_checks_passed(figures: dict[str, Any]) -> None:
    """That a script's figures hold checks, and all of them passed."""
    checks = figures["checks"]
    assert checks
    assert all(check["passed"] for check in checks.values()), figures["printed"]


def assert_png(path: Path) -> None:
    """That a file is a picture."""
    assert path.read_bytes().startswith(b"\x89PNG")
