"""Which torch modules and functions are understood, and as which steps."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ...errors import UnsupportedTypeError
from ...layer import SymbolicLayer
from ..intervals import expanded
from ..taylor.model import EPSILON
from .steps import Affine, Equations, Function, Leaky, Scale, Softplus, Step, double


def _linear(module: nn.Linear) -> list[Step]:
    weight = double(module.weight)
    bias = torch.zeros(len(weight), dtype=torch.float64)
    return [Affine(weight, bias if module.bias is None else double(module.bias))]


def _batch_norm(module: nn.BatchNorm1d) -> list[Step]:
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedTypeError(
            "a BatchNorm1d without running statistics mixes the rows of a batch, so its "
            "block is no function of one row; build it with track_running_stats=True"
        )
    mean, spread = double(module.running_mean), double(module.running_var) + module.eps
    by = spread.rsqrt()
    shift = torch.zeros_like(by)
    if module.affine:
        by, shift = by * double(module.weight), double(module.bias)
    # A sum, a square root, a reciprocal and a product: not more than 8 units together.
    return [
        Scale.exact(shift=-mean),
        Scale(by, shift, 8 * EPSILON * by.abs(), torch.zeros_like(by)),
    ]


def _gelu(module: nn.GELU) -> list[Step]:
    return gelu(module.approximate)


def gelu(approximate: str) -> list[Step]:
    """GELU by the error function; the tanh form is another function."""
    if approximate != "none":
        raise UnsupportedTypeError(
            f"GELU(approximate='{approximate}') is not supported; GELU() by the error function is"
        )
    return [Function("gelu")]


def _symbolic(module: SymbolicLayer) -> list[Step]:
    trees = tuple(expanded(expression.root) for expression in module.expressions)
    return [Equations(trees, module.variables)]


def _nothing(_: nn.Module) -> list[Step]:
    return []


def _always(*steps: Step) -> Callable[[Any], list[Step]]:
    return lambda _: [*steps]


MODULES: Mapping[type[nn.Module], Callable[[Any], list[Step]]] = MappingProxyType(
    {
        nn.Linear: _linear,
        nn.BatchNorm1d: _batch_norm,
        nn.ReLU: _always(Function("relu")),
        nn.LeakyReLU: lambda module: [Leaky(float(module.negative_slope))],
        nn.SiLU: _always(Function("silu")),
        nn.GELU: _gelu,
        nn.Tanh: _always(Function("tanh")),
        nn.Sigmoid: _always(Function("sigmoid")),
        nn.Softplus: lambda module: [Softplus(float(module.beta), float(module.threshold))],
        nn.Dropout: _nothing,
        nn.Identity: _nothing,
        SymbolicLayer: _symbolic,
    }
)
"""Modules by their exact type: a subclass may compute something else."""

_NAMES = (
    *("abs", "neg", "relu", "tanh", "sigmoid", "sin", "cos", "tan", "exp", "expm1", "log"),
    *("log1p", "sqrt", "square", "erf", "erfc", "sinh", "cosh", "asinh", "atan", "reciprocal"),
)


def operator_name(name: str) -> str:
    """The operator table's name of a torch function."""
    return "inv" if name == "reciprocal" else name


FUNCTIONS: Mapping[Callable[..., Any], str] = MappingProxyType(
    {
        **{getattr(torch, name): operator_name(name) for name in _NAMES},
        F.relu: "relu",
        F.silu: "silu",
        F.sigmoid: "sigmoid",
        F.tanh: "tanh",
        operator.neg: "neg",
        torch.maximum: "max",
        torch.minimum: "min",
    }
)
"""Functions of the values alone, by their row of a table."""

METHODS: Mapping[str, str] = MappingProxyType({name: operator_name(name) for name in _NAMES})
"""The same as methods of a tensor."""

ARITHMETIC: Mapping[Callable[..., Any], str] = MappingProxyType(
    {
        operator.add: "+",
        operator.sub: "-",
        operator.mul: "*",
        operator.truediv: "/",
        torch.add: "+",
        torch.sub: "-",
        torch.mul: "*",
        torch.div: "/",
    }
)
"""Functions of two values, or of one value and stored numbers."""


def supported() -> str:
    """What is understood, for messages."""
    modules = ", ".join(sorted(kind.__name__ for kind in MODULES))
    functions = ", ".join(sorted({*FUNCTIONS.values()}))
    return (
        f"modules {modules}, Sequential and what torch.fx traces to these; sums, differences, "
        f"products, powers of 2 and 3, torch.cat and columns along the last dimension; "
        f"functions {functions}"
    )
