"""From a block to a network of steps, by torch.fx; the block is only read."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from ...errors import UnsupportedTypeError
from ...recording.contexts import evaluating, seeded
from ..taylor import Basis, TaylorModel
from ..taylor.model import EPSILON
from . import modules
from .steps import Affine, Columns, Concatenation, Function, Leaky, Scale, Softplus, Step, double


@dataclass(frozen=True)
class Placed:
    """A step and where its arguments come from: 0 is the input, k the k-th step's value."""

    step: Step
    sources: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A block as a sequence of steps, in eval mode and with the weights it has now.

    >>> network = trace(nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 1)), 2)
    >>> lower, upper = torch.zeros(5, 2).double(), torch.ones(5, 2).double()
    >>> network.over(lower, upper, order=1).range.lower.shape
    torch.Size([5, 1])

    Args:
        inputs: number of columns.
        steps: in order.
        output: where the output comes from, as in `Placed`.
        width: number of outputs.
    """

    inputs: int
    steps: tuple[Placed, ...] = field(repr=False)
    output: int
    width: int

    def __call__(self, x: TaylorModel) -> TaylorModel:
        """The outputs over boxes: [boxes, inputs] -> [boxes, outputs]."""
        values = [x]
        for placed in self.steps:
            values.append(placed.step(*(values[source] for source in placed.sources)))
        return values[self.output]

    @property
    def work(self) -> int:
        """Multiplications of its matrix products, for one row."""
        return sum(p.step.weight.numel() for p in self.steps if isinstance(p.step, Affine))

    def over(self, lower: torch.Tensor, upper: torch.Tensor, order: int = 2) -> TaylorModel:
        """The outputs over boxes from ``lower`` to ``upper``, [boxes, inputs] float64 each.

        Args:
            lower: corners.
            upper: opposite corners.
            order: 0 for interval arithmetic, 1 or 2 for Taylor models.
        """
        return self(self.input_over(lower, upper, order))

    def input_over(self, lower: torch.Tensor, upper: torch.Tensor, order: int = 2) -> TaylorModel:
        """The boxes' coordinates, which the first step takes."""
        return TaylorModel.variables(Basis(self.inputs, order), lower, upper)


def trace(block: nn.Module, inputs: int) -> Network:
    """Read a block as steps.

    Args:
        block: takes one tensor [rows, inputs], gives one [rows, outputs] or [rows].
        inputs: number of columns.

    Raises:
        UnsupportedTypeError: something in it is not understood; the message names it and
            what is.
    """
    if type(block) in modules.MODULES:  # torch.fx looks into the module it is given
        block = nn.Sequential(block)
    try:
        # Eval mode, for a block may look at its mode while it is traced; and another seed than
        # where it is called, so that random numbers show as a difference.
        with evaluating(block), seeded(1):
            graph = _Tracer().trace(block)
    except Exception as error:  # torch.fx raises what the block's own code raises on proxies
        raise UnsupportedTypeError(
            f"torch.fx cannot trace {type(block).__name__}: {error}; supported are "
            f"{modules.supported()}"
        ) from error
    return _Reader(block, inputs).read(graph)


class _Tracer(fx.Tracer):
    """Stops at modules that are understood, and looks into all others."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in modules.MODULES or super().is_leaf_module(m, module_qualified_name)


@dataclass(frozen=True)
class _Value:
    """A tensor [rows, width] of the graph, or [rows] with ``flat``.

    Args:
        source: as in `Placed`.
        width: number of columns.
        flat: whether the column dimension is gone.
    """

    source: int
    width: int
    flat: bool = False


class _Reader:
    """Reads one graph into steps."""

    def __init__(self, block: nn.Module, inputs: int) -> None:
        self.block = block
        self.inputs = inputs
        self.steps: list[Placed] = []
        self.values: dict[fx.Node, Any] = {}

    def read(self, graph: fx.Graph) -> Network:
        placeholders = [node for node in graph.nodes if node.op == "placeholder"]
        if len(placeholders) != 1:
            raise UnsupportedTypeError(
                f"{type(self.block).__name__} takes {len(placeholders)} arguments; only blocks "
                f"of one tensor [rows, {self.inputs}] are supported"
            )
        for node in graph.nodes:
            if node.op == "output":
                result = self._of(node.args[0])
                if not isinstance(result, _Value):
                    raise self._refuse(node, "an output that is no tensor of the input")
                return Network(self.inputs, tuple(self.steps), result.source, result.width)
            self.values[node] = self._read_node(node)
        raise self._refuse(None, "a graph without an output")

    def _read_node(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            return _Value(0, self.inputs)
        if node.op == "get_attr":
            return double(operator.attrgetter(str(node.target))(self.block))
        if node.op == "call_module":
            return self._module(node)
        args, kwargs = self._arguments(node)
        if node.op == "call_method":
            return self._method(node, args, kwargs)
        return self._function(node, args, kwargs)

    def _module(self, node: fx.Node) -> _Value:
        module = self.block.get_submodule(str(node.target))
        make = modules.MODULES.get(type(module))
        value = self._of(node.args[0])
        if make is None or not isinstance(value, _Value):
            raise self._refuse(node, f"module '{node.target}' of type {type(module).__name__}")
        if isinstance(module, nn.Linear) and (value.flat or value.width != module.in_features):
            raise self._refuse(
                node,
                f"'{node.target}', which takes {module.in_features} columns, not {value.width}",
            )
        for step in make(module):
            value = self._place(step, value)
        return value

    def _function(self, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
        target: Any = node.target
        if target is operator.getitem:
            return self._columns(node, args[0], args[1])
        if target is torch.cat or target is torch.stack:
            return self._side_by_side(node, target, args, kwargs)
        if target in modules.ARITHMETIC and not kwargs:
            return self._arithmetic(node, modules.ARITHMETIC[target], args)
        if target in modules.FUNCTIONS:
            return self._elementwise(node, modules.FUNCTIONS[target], args)
        if target in (operator.pow, torch.pow):
            return self._power(node, args)
        step = _special(target, args, kwargs)
        if step is not None and isinstance(args[0], _Value):
            return self._place(step, args[0])
        if target is F.dropout:
            return args[0]
        raise self._refuse(node, f"function {getattr(target, '__name__', target)}")

    def _method(self, node: fx.Node, args: list[Any], kwargs: dict[str, Any]) -> Any:
        name = str(node.target)
        if name in modules.METHODS and not kwargs:
            return self._elementwise(node, modules.METHODS[name], args)
        if name == "pow":
            return self._power(node, args)
        arithmetic = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
        if name in arithmetic and not kwargs:
            return self._arithmetic(node, arithmetic[name], args)
        if name == "unsqueeze" and args[1:] == [-1] and args[0].flat:
            return _Value(args[0].source, 1)
        if name == "squeeze" and args[1:] == [-1] and args[0].width == 1:
            return _Value(args[0].source, 1, flat=True)
        raise self._refuse(node, f"method {name}")

    def _elementwise(self, node: fx.Node, name: str, args: list[Any]) -> _Value:
        if not args or not all(isinstance(arg, _Value) for arg in args):
            raise self._refuse(node, f"'{name}' with an argument that is no tensor")
        return self._place(Function(name), *args)

    def _power(self, node: fx.Node, args: list[Any]) -> _Value:
        names = {1: None, 2: "square", 3: "cube", -1: "inv", 0.5: "sqrt"}
        value, exponent = args
        if not isinstance(value, _Value) or exponent not in names:
            raise self._refuse(node, f"a power of {exponent}")
        name = names[exponent]
        return value if name is None else self._place(Function(name), value)

    def _arithmetic(self, node: fx.Node, name: str, args: list[Any]) -> Any:
        a, b = args
        if isinstance(a, _Value) and isinstance(b, _Value):
            if a.flat != b.flat or (1 not in (a.width, b.width) and a.width != b.width):
                raise self._refuse(node, f"'{name}' of widths {a.width} and {b.width}")
            return self._place(Function(name), a, b)
        if isinstance(a, _Value):
            return self._with_number(node, name, a, self._number(node, b, a))
        number = self._number(node, a, b)
        if name == "/":
            return self._with_number(node, "*", self._place(Function("inv"), b), number)
        if name == "-":
            return self._place(Scale.exact(-1.0, number), b)
        return self._with_number(node, name, b, number)

    def _with_number(self, node: fx.Node, name: str, a: _Value, number: torch.Tensor) -> _Value:
        if name in "+-":
            step = Scale.exact(shift=number if name == "+" else -number)
        elif name == "*":
            step = Scale.exact(by=number)
        else:
            if bool((number == 0).any()):
                raise self._refuse(node, "a division by 0")
            by = 1.0 / number
            zero = torch.zeros((), dtype=torch.float64)
            step = Scale(by, zero, EPSILON * by.abs(), zero)
        return self._place(step, a, width=max(a.width, number.numel()))

    def _number(self, node: fx.Node, number: Any, beside: _Value) -> torch.Tensor:
        values = double(number) if isinstance(number, torch.Tensor | float | int) else None
        if values is None or not bool(torch.isfinite(values).all()):
            raise self._refuse(node, f"arithmetic with {type(number).__name__}")
        if beside.flat and values.numel() != 1:
            raise self._refuse(node, "arithmetic of one column with several numbers")
        values = values.reshape(()) if values.numel() == 1 else values
        if values.ndim > 1 and math.prod(values.shape[:-1]) != 1:
            raise self._refuse(node, f"arithmetic with numbers of shape {[*values.shape]}")
        return values.reshape(-1) if values.ndim else values

    def _columns(self, node: fx.Node, value: Any, index: Any) -> _Value:
        parts = index if isinstance(index, tuple) else (index,)
        whole = len(parts) == 2 and (parts[0] is ... or parts[0] == slice(None))
        if not isinstance(value, _Value) or value.flat or not whole:
            raise self._refuse(node, f"indexing by {index}")
        which = parts[1]
        if isinstance(which, int):
            number = range(value.width)[which]
            return self._place(Columns((number,)), value, width=1, flat=True)
        if isinstance(which, slice):
            numbers = tuple(range(value.width)[which])
        elif isinstance(which, list) and all(isinstance(i, int) for i in which):
            numbers = tuple(range(value.width)[i] for i in which)
        else:
            raise self._refuse(node, f"indexing by {index}")
        return self._place(Columns(numbers), value, width=len(numbers))

    def _side_by_side(
        self, node: fx.Node, target: Any, args: list[Any], kwargs: dict[str, Any]
    ) -> _Value:
        values, dim = args[0], (args[1:] or [kwargs.get("dim", 0)])[0]
        fits = all(isinstance(v, _Value) and v.flat == (target is torch.stack) for v in values)
        if dim not in (-1, 1) or not fits:
            raise self._refuse(node, f"{target.__name__} along dimension {dim}")
        width = sum(value.width for value in values)
        return self._place(Concatenation(), *values, width=width, flat=False)

    def _place(
        self, step: Step, *args: _Value, width: int | None = None, flat: bool | None = None
    ) -> _Value:
        self.steps.append(Placed(step, tuple(arg.source for arg in args)))
        if width is None:
            width = max(arg.width for arg in args)
            if isinstance(step, Affine):
                width = len(step.weight)
            elif hasattr(step, "trees"):
                width = len(step.trees)
        return _Value(len(self.steps), width, args[0].flat if flat is None else flat)

    def _arguments(self, node: fx.Node) -> tuple[list[Any], dict[str, Any]]:
        args: Sequence[Any] = fx.map_arg(node.args, self._of)
        kwargs: dict[str, Any] = fx.map_arg(node.kwargs, self._of)
        return [*args], kwargs

    def _of(self, argument: Any) -> Any:
        return self.values[argument] if isinstance(argument, fx.Node) else argument

    def _refuse(self, node: fx.Node | None, what: str) -> UnsupportedTypeError:
        where = f" (at '{node.format_node()}')" if node is not None else ""
        return UnsupportedTypeError(
            f"{type(self.block).__name__} has {what}, which is not supported{where}; supported "
            f"are {modules.supported()}"
        )


def _special(target: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Step | None:
    """Functions with parameters of their own."""
    if target is F.leaky_relu:
        return Leaky(float((args[1:] or [kwargs.get("negative_slope", 0.01)])[0]))
    if target is F.gelu:
        return modules.gelu(str(kwargs.get("approximate", "none")))[0]
    if target is F.softplus:
        given = dict(zip(("beta", "threshold"), args[1:], strict=False)) | kwargs
        return Softplus(float(given.get("beta", 1.0)), float(given.get("threshold", 20.0)))
    return None
