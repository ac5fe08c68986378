"""Execution: which executor carries the equations out, by device, size and caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.autograd import forward_ad
from torch.compiler import allow_in_graph

from ...symbolic.expression import Expression
from ..planning.graph import LINEAR, Graph
from ..planning.plan import plan
from ..planning.rewriting import build_graph, with_long_sums
from .direct import Direct
from .executor import Executor
from .gradient import Differentiated
from .grouped import Grouped, TensorPlan
from .node_by_node import InPieces, NodeByNode
from .workspaces import Workspaces

SMALL = 10
"""Steps up to which nothing pays but to run them one after the other, unless on many rows."""

MANY_ROWS = 2048
"""Rows from which the arithmetic outweighs a workspace's calls, however few the steps are."""

GROUPING_PAYS = 2
"""Steps per tensor operation from which a grouped program is faster under autograd."""


class Followed:
    """Operations that autograd follows: grouped, or one after the other where that pays.

    Args:
        graph: of the equations.
        tensor_plan: of their program; None to run the graph step by step.
    """

    def __init__(self, graph: Graph, tensor_plan: TensorPlan | None) -> None:
        self.graph = graph
        self.tensor_plan = tensor_plan
        self.ready: dict[tuple[torch.dtype, torch.device], Executor] = {}

    def run(self, x: torch.Tensor, trained: torch.Tensor) -> torch.Tensor:
        """Evaluate: [rows, columns] -> [rows, outputs]."""
        key = (x.dtype, x.device)
        executor = self.ready.get(key)
        if executor is None:
            # Made inside inference mode, it could not take part in a graph later.
            with torch.inference_mode(False):
                plan = self.tensor_plan
                executor = Grouped(plan, *key) if plan else Direct(self.graph, *key)
            self.ready[key] = executor
        return executor.run(x, trained)


class Execution:
    """All that is derived from a layer's equations: plans, code and memory.

    >>> execution = Execution([Expression.parse("2*x")], ["x"], trainable=False)
    >>> execution.run(torch.ones(3, 1), torch.empty(0)).shape     # [rows, 1] -> [rows, 1]
    torch.Size([3, 1])

    It holds functions and memory, so it is neither copied nor saved: who has the equations
    makes it again.

    Args:
        expressions: one per output.
        variables: a name per input column.
        trainable: whether constants can be trained.
    """

    def __init__(
        self, expressions: Sequence[Expression], variables: Sequence[str], *, trainable: bool
    ) -> None:
        graph = build_graph(expressions, variables, trainable=trainable)
        program = plan(with_long_sums(graph))
        steps = dict(graph.steps)
        self.outputs = len(expressions)
        self.trainable = trainable
        self.has_matrices = program.has_matrices
        shares_sums = any(step.kernel is LINEAR for step in steps.values())
        self.is_small = len(steps) <= SMALL and not shares_sums
        groups = program.has_matrices or len(steps) > GROUPING_PAYS * len(program.instructions)
        self.for_autograd = Followed(graph, TensorPlan(program) if groups else None)
        workspaces = Workspaces(program)
        self.in_memory = workspaces
        self.with_gradient = Differentiated(workspaces, self.for_autograd.run)
        self.plain = plain = NodeByNode(graph)
        # A compiler that reads the graph itself checks each node of it again at every call.
        # Of a function like these it checks only the code, which all layers share, and the
        # arguments: the text of the equations is one, so that no layer runs another's code.
        self.form = "\n".join(map(str, expressions)) + f"\n{trainable}"
        in_pieces = InPieces(graph)
        self.traced = _untouched(lambda form, x, *trained: plain.run(x, *trained))
        self.in_pieces = _untouched(lambda form, x, *trained: in_pieces.run(x, *trained))

    def run(self, x: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:
        """Evaluate: [..., columns] -> [..., outputs].

        Args:
            x: float32 or float64.
            constants: of the equations, which only those that can be trained are read from.
        """
        if torch.compiler.is_compiling():
            return self.run_compiled(x, constants)
        if not _is_plain(x):
            return self.plain.run(x, constants)
        table = x if x.ndim == 2 else x.flatten(0, -2) if x.ndim > 2 else x.unsqueeze(0)
        result = self.chosen(table, constants).run(table, constants)
        return result if x.ndim == 2 else result.view(*x.shape[:-1], self.outputs)

    def chosen(self, x: torch.Tensor, constants: torch.Tensor) -> Executor:
        """The executor for a table [rows, columns]."""
        follows = torch.is_grad_enabled() and (x.requires_grad or constants.requires_grad)
        direct = self.is_small and (follows or len(x) < MANY_ROWS)
        if not x.is_cpu or direct or _is_transformed():
            return self.for_autograd
        return self.with_gradient if follows else self.in_memory

    def run_compiled(self, x: torch.Tensor, constants: torch.Tensor) -> torch.Tensor:
        """Evaluate while a compiler or an exporter traces."""
        if torch.compiler.is_exporting():
            # A program for export keeps to the plain form, which reads well.
            return self.plain.run(x, constants)
        # What is not read is not checked again at every call.
        trained = (constants,) if self.trainable else ()
        follows = torch.is_grad_enabled() and any(t.requires_grad for t in (x, *trained))
        in_pieces = x.ndim == 2 and x.is_cpu and not follows
        run = self.in_pieces if in_pieces else self.traced
        return run(self.form, x, *trained)


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
