"""SymbolicLayer: several equations as one torch module."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.compiler import allow_in_graph

from ..errors import InputError
from ..symbolic.expression import Expression
from ..symbolic.parsing import check_names
from .executors.execution import Direct, Grouped, Tables, run_compiled, run_graph
from .executors.gradient import evaluate
from .executors.workspace import Workspaces
from .planning.graph import LINEAR
from .planning.program import plan
from .planning.rewriting import build_graph, with_long_sums

_PLANNED = frozenset(
    {
        "_is_small",
        "_graph",
        "_grouped",
        "_workspaces",
        "_tables_made",
        "_pays_to_group",
        "_has_matrices",
        "_form",
        "_traced",
        "_in_pieces",
    }
)

SMALL = 10
"""Steps up to which nothing pays but to run them one after the other, unless on many rows."""

MANY_ROWS = 2048
"""Rows from which the arithmetic outweighs a workspace's calls, however few the steps are."""

GROUPING_PAYS = 2
"""Steps per tensor operation from which a grouped program is faster under autograd."""


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
        if self._has_matrices and torch.is_autocast_enabled(x.device.type):
            with torch.autocast(x.device.type, enabled=False):
                return self._evaluate_exactly(x)
        return self._evaluate_exactly(x)

    def _evaluate_exactly(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():
            return self._compilable(x)
        constants = self.constants
        if not _is_plain(x):
            return run_graph(self._graph, x, constants)
        table = x if x.ndim == 2 else x.flatten(0, -2) if x.ndim > 2 else x.unsqueeze(0)
        follows = torch.is_grad_enabled() and (x.requires_grad or constants.requires_grad)
        direct = self._is_small and (follows or len(table) < MANY_ROWS)
        if not x.is_cpu or direct or _is_transformed():
            result = self._differentiable(table, constants)
        elif follows:
            result = evaluate(table, constants, self._workspaces, self._differentiable)
        else:
            result = self._workspaces.run(table, constants)
        return result if x.ndim == 2 else result.view(*x.shape[:-1], len(self._expressions))

    def _compilable(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            # A program for export keeps to the plain form, which reads well.
            return run_graph(self._graph, x, self.constants)
        # What is not read is not checked again at every call.
        trained = (self.constants,) if self.trainable_constants else ()
        follows = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *trained))
        in_pieces = x.ndim == 2 and x.is_cpu and not follows
        run = self._in_pieces if in_pieces else self._traced
        return run(self._form, x, *trained)

    def _differentiable(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        key = (x.dtype, x.device)
        ready = self._ready.get(key)
        if ready is None:
            # Made inside inference mode, it could not take part in a graph later.
            with torch.inference_mode(False):
                ready = Tables(self._grouped, *key) if self._grouped else Direct(self._graph, *key)
            self._ready[key] = ready
        if isinstance(ready, Direct):
            return ready.run(x, trained)
        assert self._grouped is not None
        return self._grouped.run(x, trained, ready)

    def _plan(self) -> None:
        self._graph = build_graph(
            self._expressions, self.variables, trainable=self.trainable_constants
        )
        program = plan(with_long_sums(self._graph))
        self._workspaces = Workspaces(program)
        steps = dict(self._graph.steps)
        self._has_matrices = program.has_matrices
        shares_sums = any(step.kernel is LINEAR for step in steps.values())
        self._is_small = len(steps) <= SMALL and not shares_sums
        groups = self._has_matrices or len(steps) > GROUPING_PAYS * len(program.instructions)
        self._grouped = Grouped(program) if groups else None
        graph = self._graph
        # A compiler that reads the graph itself checks each node of it again at every call.
        # Of a function like these it checks only the code, which all layers share, and the
        # arguments: the text of the equations is one, so that no layer runs another's code.
        self._form = "\n".join(map(str, self._expressions)) + f"\n{self.trainable_constants}"
        self._traced = _untouched(lambda form, x, *trained: run_graph(graph, x, *trained))
        self._in_pieces = _untouched(lambda form, x, *trained: run_compiled(graph, x, *trained))
        self._ready: dict[tuple[torch.dtype, torch.device], Tables | Direct] = {}

    def __getstate__(self) -> dict[str, Any]:
        # What is planned is planned again: it holds functions and memory.
        dropped = _PLANNED | {"_compiled_call_impl"}
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


def _untouched(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """A function that `torch.compile` takes as one operation, and traces later."""
    return allow_in_graph(function)  # type: ignore[no-any-return, no-untyped-call]


def _is_transformed() -> bool:
    # Transforms such as torch.func.grad follow what is computed, whatever requires_grad says.
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _is_plain(x: torch.Tensor) -> bool:
    """Whether what is computed on a tensor is just computed, and not traced."""
    return (
        type(x) in (torch.Tensor, nn.Parameter)
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._len_torch_function_stack()
        and not torch._C._is_tracing()
        and not x.is_neg()
    )
