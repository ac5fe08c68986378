"""Switch: the equations in the place of a block, for all or some of its outputs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..layer.layer import SymbolicLayer
from ..recording.adapters.calls import named_arguments
from ..recording.adapters.values import cast
from ..recording.features import Features
from ..recording.hooks import no_op_hook
from ..symbolic.expression import Expression
from .results import Kind, Results

_ISOLATED = (
    {"isolate_recompiles": True}
    if "isolate_recompiles" in inspect.signature(torch.compile).parameters
    else {}
)
"""All layers run the same Python code, for which torch compiles eight versions and no more;
newer versions of torch can be told to count by layer."""


class Switch(nn.Module):
    """Computes the chosen outputs of a block from equations, in the block's own shapes.

    Args:
        results: what was found for the block.
        chosen: complexity of the equation in force, by output.
        trainable_constants: as for `SymbolicLayer`.
        device: of the constants.
        dtype: of trainable constants.
        compile: whether the equations run through `torch.compile`.
    """

    def __init__(
        self,
        results: Results,
        chosen: Mapping[int, int],
        *,
        trainable_constants: bool = False,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        assert results.layout is not None
        self.chosen = dict(chosen)
        self.kind: Kind = results.kind
        self.layout = results.layout
        self.block_name = results.block_name
        found = results.outputs
        self.trainable_constants = trainable_constants
        # Outputs written in the same variables share one layer, so that what their
        # equations have in common is computed once.
        self._features: list[Features] = []
        self._dims: list[list[int]] = []
        for dim in sorted(chosen):
            features = found[dim].features
            if features not in self._features:
                self._features.append(features)
                self._dims.append([])
            self._dims[self._features.index(features)].append(dim)
        self.layers = nn.ModuleList(
            SymbolicLayer(
                [found[dim].front.select(chosen[dim]).expression for dim in dims],
                features.names,
                trainable_constants=trainable_constants,
                device=device,
                dtype=dtype,
            )
            for features, dims in zip(self._features, self._dims, strict=True)
        )
        if compile:
            for layer in self.layers:
                layer.compile(fullgraph=True, **_ISOLATED)
        order = torch.tensor([dim for dims in self._dims for dim in dims], device=device)
        self.register_buffer("order", order, persistent=False)
        self._sorted = order.tolist() == list(range(len(order)))
        # Fused paths, such as that of nn.TransformerEncoderLayer, read the weights of their
        # submodules without calling them, unless one has a hook.
        self.register_forward_pre_hook(no_op_hook)

    order: torch.Tensor

    @classmethod
    def for_block(
        cls,
        block: nn.Module,
        results: Results,
        chosen: Mapping[int, int],
        *,
        trainable_constants: bool = False,
        compile: bool = False,
    ) -> Switch:
        """Equations in the place of a block: of its device, type and mode."""
        like = parameter_of(block)
        # Half precision is for activations; a constant trained in it would not move.
        dtype = like.dtype if like is not None and like.dtype.itemsize >= 4 else None
        switch = cls(
            results,
            chosen,
            trainable_constants=trainable_constants,
            device=device_of(block),
            dtype=dtype,
            compile=compile,
        )
        return switch.train(block.training)

    @property
    def compiled(self) -> bool:
        """Whether the equations run through `torch.compile`. Copies and files of them do not."""
        return any(layer._compiled_call_impl is not None for layer in self.layers)

    def is_complete(self, pruned: Sequence[int] = ()) -> bool:
        """Whether no output has to come from the block."""
        return len(self.chosen.keys() | set(pruned)) == self.layout.output.width

    @property
    def expressions(self) -> dict[int, Expression]:
        """The equations in force by output, trained constants included."""
        return {
            dim: expression
            for dims, layer in zip(self._dims, self.layers, strict=True)
            for dim, expression in zip(dims, _layer(layer).expressions, strict=True)
        }

    def evaluate(self, table: torch.Tensor) -> torch.Tensor:
        """The chosen outputs from the block's columns: [rows, columns] -> [rows, chosen].

        Outputs come in the order of ``self.order``.
        """
        kind = table.dtype
        if kind not in (torch.float32, torch.float64):
            table = table.to(torch.float32)
        parts = [
            layer(features(table))
            for features, layer in zip(self._features, self.layers, strict=True)
        ]
        values = parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
        return values.to(kind) if kind.is_floating_point else values

    def forward(
        self,
        run_block: Callable[..., Any],
        signature: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        pruned: Sequence[int] = (),
    ) -> Any:
        """Answer a call of the block.

        Args:
            run_block: the block, called only for what no equation covers.
            signature: of its forward, from `signature_of`.
            args: of the call.
            kwargs: of the call.
            pruned: outputs that need neither equation nor block: they are zero.
        """
        arguments = named_arguments(signature, args, kwargs)
        rows = self.layout.read(arguments, self.block_name)
        width = self.layout.output.width
        # Computed before the block runs: it may overwrite its input in place.
        values = self.evaluate(rows.values)
        if self.is_complete(pruned) and not self.layout.needs_block(rows):
            if not self._sorted or len(self.chosen) < width:
                zeros = values.new_zeros(len(values), width)
                values = zeros.index_copy(-1, self.order.to(values.device), values)
            return self.layout.write(values, rows, None)
        whole = run_block(*args, **kwargs)
        original = self.layout.read_output(whole, rows, self.block_name)
        mixed = original.index_copy(
            -1, self.order.to(original.device), cast(values.to(original.device), original.dtype)
        )
        return self.layout.write(mixed, rows, whole)


def parameter_of(block: nn.Module) -> torch.Tensor | None:
    """A parameter of a block, whose device and type new tensors take over."""
    return next((p for p in block.parameters() if p.is_floating_point()), None)


def device_of(block: nn.Module) -> torch.device | None:
    """The device of a block; None where it has no parameter, or those have no memory yet."""
    like = parameter_of(block)
    return None if like is None or like.is_meta else like.device


def _layer(module: nn.Module) -> SymbolicLayer:
    assert isinstance(module, SymbolicLayer)
    return module
