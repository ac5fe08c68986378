"""SymbolicLayer: several equations as one torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .errors import InputError
from .expression import Expression
from .operators import Operator
from .parsing import check_names
from .tree import Constant, Node, Variable, is_structural


@dataclass(frozen=True)
class _Step:
    """One instruction: an operator on earlier results, counted from the first input."""

    operator: Operator
    args: tuple[int, ...]
    exponent: int | None = None
    """The power's integer exponent where it is part of the form."""


class _Compiler:
    """Turns trees into steps, equal subtrees into one."""

    def __init__(self, variables: Sequence[str], constants: Sequence[float], shared: bool) -> None:
        self.shared = shared
        self.constants = list(constants)
        self._next_constant = 0
        self.steps: list[_Step] = []
        self._first_step = len(variables) + len(constants)
        self._slots: dict[Any, int] = {("variable", n): i for i, n in enumerate(variables)}
        self._first_constant = len(variables)

    def slot(self, node: Node) -> int:
        """Where the value of a node will lie."""
        if isinstance(node, Variable):
            return self._slots["variable", node.name]
        if isinstance(node, Constant):
            return self._constant(node)
        last = node.args[-1]
        if isinstance(last, Constant) and is_structural(node, len(node.args) - 1):
            base = self.slot(node.args[0])
            return self._step(_Step(node.operator, (base,), int(last.value)))
        return self._step(_Step(node.operator, tuple(self.slot(child) for child in node.args)))

    def _constant(self, node: Constant) -> int:
        position = self._first_constant + self._next_constant
        self._next_constant += 1
        # Equal constants are one value as long as none of them can be trained apart.
        return (
            self._slots.setdefault(("constant", node.value), position)
            if self.shared
            else (position)
        )

    def _step(self, step: _Step) -> int:
        if step not in self._slots:
            self._slots[step] = self._first_step + len(self.steps)
            self.steps.append(step)
        return self._slots[step]


class SymbolicLayer(nn.Module):
    """Equations as a layer: [..., variables] -> [..., equations].

    >>> layer = SymbolicLayer(["2*x + y", "sin(2*x)"], variables=["x", "y"])
    >>> layer(torch.tensor([[1.0, 3.0], [0.0, 5.0]]))
    tensor([[5.0000, 0.9093],
            [5.0000, 0.0000]])

    Subexpressions that several equations share are computed once. Inputs in half
    precision are computed in float32 and rounded at the end.

    Args:
        expressions: one per output; text is parsed.
        variables: a name per input column.
        trainable_constants: whether the constants are one `nn.Parameter`
            ``constants`` [number of constants] or a buffer. Integer exponents are
            part of the form and stay.
        dtype: of trainable constants; torch's default if None.
        device: of the constants.

    Raises:
        InputError: no equation, or one with a variable that is not among ``variables``;
            names that cannot be variables.
    """

    constants: torch.Tensor

    def __init__(
        self,
        expressions: Sequence[Expression | str],
        variables: Sequence[str],
        *,
        trainable_constants: bool = False,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        variables = check_names(variables)
        parsed = [Expression.parse(e, variables) if isinstance(e, str) else e for e in expressions]
        if not parsed:
            raise InputError("a symbolic layer needs at least one equation")
        for expression in parsed:
            unknown = [name for name in expression.variables if name not in variables]
            if unknown:
                raise InputError(
                    f"'{expression.pretty()}' has variables {unknown} that are not among "
                    f"the inputs {[*variables]}"
                )
        self.variables = variables
        self.trainable_constants = trainable_constants
        self._expressions = tuple(parsed)
        self._exact = [value for expression in parsed for value in expression.constants]
        if trainable_constants:
            kind = dtype or torch.get_default_dtype()
            self.constants = nn.Parameter(torch.tensor(self._exact, dtype=kind, device=device))
        else:
            # Not in the state dict: the equations hold them, at full precision.
            self.register_buffer("constants", self._frozen(device), persistent=False)
        compiler = _Compiler(self.variables, self._exact, shared=not trainable_constants)
        self._outputs = tuple(compiler.slot(expression.root) for expression in parsed)
        self._steps = tuple(compiler.steps)

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The equations as they are now, trained constants included."""
        if not self.trainable_constants:
            return self._expressions
        now = self.constants.detach().cpu()
        untouched = torch.tensor(self._exact, dtype=now.dtype)
        # A constant that was not trained keeps the digits that its dtype rounds off.
        values = [
            exact if same else float(value)
            for exact, same, value in zip(
                self._exact, (now == untouched).tolist(), now.tolist(), strict=True
            )
        ]
        result, start = [], 0
        for expression in self._expressions:
            stop = start + len(expression.constants)
            result.append(expression.with_constants(values[start:stop]))
            start = stop
        return tuple(result)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Evaluate all equations: [..., variables] -> [..., equations]."""
        if x.shape[-1:] != (len(self.variables),):
            raise InputError(
                f"need [..., {len(self.variables)}] with columns {[*self.variables]}; "
                f"got {[*x.shape]}"
            )
        kind = x.dtype
        if kind not in (torch.float32, torch.float64):
            x = x.to(torch.float32)
        values = [*x.unbind(-1), *self.constants.to(x).unbind(0)]
        for step in self._steps:
            operands = [values[i] for i in step.args]
            if step.exponent is not None:
                values.append(torch.pow(operands[0], step.exponent))
            else:
                values.append(step.operator.torch(*operands))
        columns = [self._column(values[i], x) for i in self._outputs]
        result = torch.stack(columns, dim=-1)
        return result.to(kind) if kind.is_floating_point else result

    def _column(self, value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        if value.ndim == 0 and x.requires_grad and x.shape[-1]:
            # An equation without variables stays part of the graph, with a gradient of
            # zero, so that backward() works as it did through the block. Not by adding
            # 0 * x: that would turn an infinite input into nan.
            never = torch.zeros((), dtype=torch.bool, device=x.device)
            return torch.where(never, x[..., 0], value.to(x.dtype))
        return value.to(x.dtype).expand(x.shape[:-1])

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> SymbolicLayer:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if not self.trainable_constants:
            # A change of dtype is meant for the data: the equations' numbers stay exact.
            self.constants = self._frozen(self.constants.device)
        return self

    def _frozen(self, device: torch.device | str | None) -> torch.Tensor:
        # Apple's GPUs have no float64.
        single = device is not None and torch.device(device).type == "mps"
        kind = torch.float32 if single else torch.float64
        return torch.tensor(self._exact, dtype=kind, device=device)

    def extra_repr(self) -> str:
        """One line an equation."""
        return "\n".join(
            f"({i}): {expression.pretty()}" for i, expression in enumerate(self.expressions)
        )
