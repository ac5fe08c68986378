"""Coordinates: a wide block's inputs to a few numbers, and from these and equations its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from ..documents import check_tensor
from ..errors import InputError
from ..recording.adapters.calls import named_arguments
from ..recording.adapters.layout import Layout
from ..recording.adapters.output import OutputLayout
from ..recording.adapters.tensors import TensorInputs


@dataclass(frozen=True)
class Shape:
    """Sizes of a reduced block.

    Args:
        width: columns of the block's input.
        inputs: coordinates that equations are written in; they come first.
        outputs: reduced outputs, one for each equation.
        rank: coordinates of the linear path, which pass to the output unchanged.
        shared: whether the linear path reuses the first coordinates, or has its own after
            those of the equations.
        full: whether a full matrix leads from inputs to outputs.
        target: columns of the block's output.
    """

    width: int
    inputs: int
    outputs: int
    rank: int
    shared: bool
    full: bool
    target: int

    def __post_init__(self) -> None:
        if min(self.width, self.inputs, self.outputs, self.target) < 1 or self.rank < 0:
            raise InputError(f"sizes of a reduction must be positive; got {self}")

    @property
    def coordinates(self) -> int:
        """Number of coordinates in all."""
        return max(self.inputs, self.rank) if self.shared else self.inputs + self.rank

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the matrices used in a forward pass, by name."""
        full = {"linear": (self.width, self.target)} if self.full else {}
        return {
            "encoder": (self.width, self.coordinates),
            "encoder_bias": (self.coordinates,),
            "decoder": (self.outputs + self.rank, self.target),
            "output_bias": (self.target,),
            **full,
        }

    @property
    def statistics(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the statistics that `describe` reports, by name.

        Standard deviation of each input; variance of each reduced output, and its share of
        the variance of all outputs; the share that the linear path explains.
        """
        return {
            "input_scale": (self.width,),
            "spread": (self.outputs,),
            "shares": (self.outputs,),
            "linear_share": (),
        }

    @property
    def sizes(self) -> dict[str, tuple[int, ...]]:
        """Sizes of all tensors, by name."""
        return {**self.parameters, **self.statistics}

    @property
    def passed(self) -> slice:
        """The coordinates of the linear path."""
        start = 0 if self.shared else self.inputs
        return slice(start, start + self.rank)


class Equations(Protocol):
    """Equations in the coordinates, one for each chosen reduced output."""

    @property
    def chosen(self) -> Mapping[int, int]:
        """Complexity of the equation in force, by output."""

    def evaluate(self, table: torch.Tensor) -> torch.Tensor:
        """The chosen outputs: [rows, coordinates] -> [rows, chosen]."""


class Coordinates(nn.Module):
    """The linear part of what replaces a wide block: encoder, decoder and linear path.

    With ``z = x @ encoder + encoder_bias`` the output is
    ``[equations(z), z] @ decoder + output_bias``, plus ``x @ linear`` if the linear path is a
    full matrix: two or three matrix products in the type of the block's parameters, for any
    equations. The equations themselves compute in at least float32.

    Args:
        shape: sizes of the matrices.
        layout: of the block's calls.
        block_name: for messages.
        method: how the coordinates were found; it is only reported.
    """

    encoder: nn.Parameter
    encoder_bias: nn.Parameter
    decoder: nn.Parameter
    output_bias: nn.Parameter
    linear: nn.Parameter | None
    input_scale: torch.Tensor
    shares: torch.Tensor
    spread: torch.Tensor
    linear_share: torch.Tensor

    def __init__(self, shape: Shape, layout: Layout, block_name: str, method: str) -> None:
        super().__init__()
        self.shape, self.layout = shape, layout
        self.block_name, self.method = block_name, method
        for name, size in shape.parameters.items():
            self.register_parameter(name, _frozen(*size))
        if not shape.full:
            self.register_parameter("linear", None)
        for name, size in shape.statistics.items():
            self.register_buffer(name, torch.zeros(size))

    def fill(self, **values: torch.Tensor) -> None:
        """Set matrices and statistics, by name."""
        with torch.no_grad():
            for name, value in values.items():
                getattr(self, name).copy_(value)

    @property
    def core(self) -> Layout:
        """The layout that equations see: coordinates in, reduced outputs out."""
        return Layout(
            TensorInputs(("z",), (self.shape.inputs,), -1),
            OutputLayout(None, self.shape.outputs, -1, "torch", None),
        )

    def encode(self, table: torch.Tensor) -> torch.Tensor:
        """All coordinates: [rows, inputs] -> [rows, coordinates]."""
        return torch.addmm(self.encoder_bias, table, self.encoder)

    def apply_to(self, table: torch.Tensor, core: Equations) -> torch.Tensor:
        """The block's outputs: [rows, inputs] -> [rows, outputs].

        Args:
            table: the block's columns.
            core: equations for some of the reduced outputs; the others stay at their mean.
        """
        given_type = table.dtype
        table = table.to(self.encoder.dtype)
        coordinates = self.encode(table)
        hidden = core.evaluate(coordinates[:, : self.shape.inputs])
        decoder: torch.Tensor = self.decoder
        if len(core.chosen) < self.shape.outputs:
            rows = [*sorted(core.chosen), *range(self.shape.outputs, len(decoder))]
            decoder = decoder[rows]
        if self.shape.rank:
            hidden = torch.cat([hidden, coordinates[:, self.shape.passed]], dim=-1)
        output: torch.Tensor = self.output_bias
        if self.linear is not None:
            output = torch.addmm(output, table, self.linear)
        output = torch.addmm(output, hidden, decoder)
        return output.to(given_type) if given_type.is_floating_point else output

    def forward(
        self,
        core: Equations,
        run_block: Callable[..., Any],
        signature: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Answer a call of the block; arguments as for `Switch`, after the equations."""
        arguments = named_arguments(signature, args, kwargs)
        rows = self.layout.read(arguments, self.block_name)
        values = self.apply_to(rows.values, core)
        original = run_block(*args, **kwargs) if self.layout.needs_block(rows) else None
        return self.layout.write(values, rows, original)

    @property
    def numbers(self) -> int:
        """Number of entries of its matrices."""
        return sum(parameter.numel() for parameter in self.parameters())

    def extra_repr(self) -> str:
        """Its sizes."""
        shape = self.shape
        path = "full" if shape.full else f"rank {shape.rank}" if shape.rank else "no"
        return (
            f"{shape.width} -> {shape.inputs} coordinates -> {shape.outputs} of "
            f"{shape.target} outputs, {self.method}, {path} linear path"
        )

    # ---------------------------------------------------------------- saving

    def to_saved(self) -> SavedReduction:
        """Sizes and layout; the matrices are tensors of a state dict."""
        return SavedReduction(self.shape, self.layout.to_saved(), self.method)

    @classmethod
    def from_saved(
        cls,
        saved: SavedReduction,
        matrices: Mapping[str, Any],
        block_name: str,
        like: torch.Tensor | None,
    ) -> Coordinates:
        """A module of the saved sizes, for torch to load its matrices into.

        Args:
            saved: from a document.
            matrices: the tensors that will be loaded, by name.
            block_name: for messages.
            like: a parameter of the block: type and device of the new ones.

        Raises:
            InputError: sizes that do not fit the layout; matrices that are missing, or whose
                sizes differ from those in the document.
        """
        shape, layout = saved.shape, Layout.from_saved(saved.layout)
        if (layout.inputs.count, layout.output.width) != (shape.width, shape.target):
            raise InputError(f"the saved reduction does not fit its layout: {shape}")
        sizes = shape.sizes
        if matrices.keys() != sizes.keys():
            raise InputError(
                f"the saved reduction has the matrices {sorted(matrices)[:10]}; it should have "
                f"{sorted(sizes)}"
            )
        # Checked before anything is allocated: a file may claim any size.
        for name, size in sizes.items():
            check_tensor(matrices[name], f"the saved reduction's {name}", size, floating=True)
        module = cls(shape, layout, block_name, saved.method)
        return module if like is None else module.to(like)


@dataclass(frozen=True)
class SavedReduction:
    """`Coordinates` in a document, without their matrices."""

    shape: Shape
    layout: Any
    method: str


def _frozen(*size: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*size), requires_grad=False)
