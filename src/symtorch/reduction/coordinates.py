"""Coordinates: a wide block's inputs to few numbers, and what equations make of them back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import nn

from ..documents import text_of, to_bytes
from ..errors import InputError
from ..recording.adapters.calls import named_arguments
from ..recording.adapters.layout import Layout
from ..recording.adapters.output import OutputLayout
from ..recording.adapters.tensors import TensorInputs

_FORMAT = "symtorch.reduction.1"


@dataclass(frozen=True)
class Shape:
    """How many of what a reduced block has.

    Args:
        width: columns of the block's input.
        inputs: coordinates that equations are written in: the first of all.
        outputs: what equations compute.
        rank: coordinates that go on to the output as they are, beside the equations.
        shared: whether those are the first coordinates too, or such as follow the equations'.
        full: whether inputs go on to the output through a full matrix.
        target: columns of the block's output.
    """

    width: int
    inputs: int
    outputs: int
    rank: int
    shared: bool
    full: bool
    target: int

    @property
    def coordinates(self) -> int:
        """How many there are in all."""
        return max(self.inputs, self.rank) if self.shared else self.inputs + self.rank

    @property
    def passed(self) -> slice:
        """The coordinates that go on to the output as they are."""
        start = 0 if self.shared else self.inputs
        return slice(start, start + self.rank)


class Equations(Protocol):
    """Equations in the coordinates, for some of the reduced outputs."""

    @property
    def chosen(self) -> Mapping[int, int]:
        """Complexity of the equation in force, by output."""

    def evaluate(self, table: torch.Tensor) -> torch.Tensor:
        """The chosen outputs: [rows, coordinates] -> [rows, chosen]."""


class Coordinates(nn.Module):
    """The linear parts of a block that equations replace in few coordinates.

    With ``z = x @ encoder + encoder_bias`` the output is
    ``[equations(z), z] @ decoder + output_bias``, plus ``x @ linear`` where there is such a
    path: two or three matrix products in the type of the block's parameters, whatever the
    equations are. The equations themselves compute in float32 at least.

    Args:
        shape: of its matrices.
        layout: of the block's calls.
        block_name: for messages.
        method: how the coordinates were found, for the record.
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
        sizes = {
            "encoder": (shape.width, shape.coordinates),
            "encoder_bias": (shape.coordinates,),
            "decoder": (shape.outputs + shape.rank, shape.target),
            "output_bias": (shape.target,),
        }
        for name, size in sizes.items():
            self.register_parameter(name, _frozen(*size))
        self.register_parameter(
            "linear", _frozen(shape.width, shape.target) if shape.full else None
        )
        # For reading only: standard deviation of each input; variance of each reduced output,
        # and its part in that of all outputs; the part that the linear path explains.
        self.register_buffer("input_scale", torch.zeros(shape.width))
        self.register_buffer("spread", torch.zeros(shape.outputs))
        self.register_buffer("shares", torch.zeros(shape.outputs))
        self.register_buffer("linear_share", torch.zeros(()))

    def fill(self, **values: torch.Tensor) -> None:
        """Set matrices and what is known of them, by name."""
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
        kind = table.dtype
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
        return output.to(kind) if kind.is_floating_point else output

    def forward(
        self,
        core: Equations,
        run_block: Callable[..., Any],
        signature: Any,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Answer a call of the block; arguments as for `Switch`, and the equations."""
        arguments = named_arguments(signature, args, kwargs)
        rows = self.layout.read(arguments, self.block_name)
        values = self.apply_to(rows.values, core)
        whole = run_block(*args, **kwargs) if self.layout.needs_block(rows) else None
        return self.layout.write(values, rows, whole)

    @property
    def numbers(self) -> int:
        """How many numbers its matrices hold."""
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

    def get_extra_state(self) -> torch.Tensor:
        """Sizes and layout, as JSON in a uint8 tensor."""
        state = {
            "format": _FORMAT,
            "shape": asdict(self.shape),
            "layout": self.layout.to_json(),
            "method": self.method,
        }
        return to_bytes(state)

    def set_extra_state(self, state: Any) -> None:
        """Nothing to do: `read` has made a module of the saved sizes."""

    @classmethod
    def read(
        cls, state: Mapping[str, Any], prefix: str, block_name: str, like: torch.Tensor | None
    ) -> Coordinates | None:
        """A module of the sizes saved in a state dict, for torch to load into.

        Args:
            state: the state dict of a whole model.
            prefix: of this module's entries in it.
            block_name: for messages.
            like: a parameter of the block: type and device of the new ones.

        Returns:
            None where there are no such entries.

        Raises:
            InputError: they are not what a `Coordinates` saves.
        """
        saved = state.get(f"{prefix}_extra_state")
        if saved is None:
            return None
        try:
            data = json.loads(text_of(saved))
            shape, method = Shape(**data["shape"]), data["method"]
            layout = Layout.from_json(data["layout"])
        except InputError:
            raise
        except Exception as error:  # whatever a file that is none may hold
            raise InputError(f"block '{block_name}': not a saved reduction: {error!r}") from None
        _check(data, shape, layout, state, prefix, block_name)
        module = cls(shape, layout, block_name, str(method))
        return module if like is None else module.to(like)


def _check(
    data: Mapping[str, Any],
    shape: Shape,
    layout: Layout,
    state: Mapping[str, Any],
    prefix: str,
    name: str,
) -> None:
    kinds = {"shared": bool, "full": bool}
    sound = all(type(value) is kinds.get(key, int) for key, value in asdict(shape).items())
    sound = sound and data.get("format") == _FORMAT and isinstance(data["method"], str)
    sound = sound and shape.inputs > 0 and shape.outputs > 0 and shape.rank >= 0
    if not sound or (layout.inputs.count, layout.output.width) != (shape.width, shape.target):
        raise InputError(f"block '{name}': its saved reduction is malformed: {data}")
    # Before anything of that size is made: a file may claim any.
    encoder, decoder = (state.get(f"{prefix}{key}") for key in ("encoder", "decoder"))
    expected = (shape.width, shape.coordinates), (shape.outputs + shape.rank, shape.target)
    found = tuple(tuple(getattr(table, "shape", ())) for table in (encoder, decoder))
    if found != expected:
        raise InputError(
            f"block '{name}': its saved matrices are {[*found]}, their sizes say {[*expected]}"
        )


def _frozen(*size: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(*size), requires_grad=False)
