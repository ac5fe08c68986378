"""SymbolicLayer: several equations as one torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from ..errors import InputError
from ..symbolic.expression import Expression
from ..symbolic.names import check_names
from .executors.execution import Execution


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
        self._width = len(variables)
        self.trainable_constants = trainable_constants
        self._expressions = tuple(parsed)
        self._exact = [value for expression in parsed for value in expression.constants]
        if trainable_constants:
            kind = dtype or torch.get_default_dtype()
            self.constants = nn.Parameter(torch.tensor(self._exact, dtype=kind, device=device))
        else:
            # Not in the state dict: the equations hold them, at full precision.
            self.register_buffer("constants", self._frozen(device), persistent=False)
        self._plan()

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
        if not x.ndim or x.shape[-1] != self._width:
            raise InputError(
                f"need [..., {len(self.variables)}] with columns {[*self.variables]}; "
                f"got {[*x.shape]}"
            )
        kind = x.dtype
        if kind is torch.float32 or kind is torch.float64:
            return self._evaluate(x)
        result = self._evaluate(x.to(torch.float32))
        return result.to(kind) if kind.is_floating_point else result

    def _evaluate(self, x: torch.Tensor) -> torch.Tensor:
        if self._execution.has_matrices and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._execution.run(x, self.constants)
        return self._execution.run(x, self.constants)

    def _plan(self) -> None:
        self._execution = Execution(
            self._expressions, self.variables, trainable=self.trainable_constants
        )

    def __getstate__(self) -> dict[str, Any]:
        dropped = {"_execution", "_compiled_call_impl"}  # made again: they hold code and memory
        return {name: value for name, value in self.__dict__.items() if name not in dropped}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._plan()

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
