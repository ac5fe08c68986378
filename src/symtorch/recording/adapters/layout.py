"""Layout: how the calls of a block map to rows and columns, and back.

Recording and the switched forward use the same layout, so that equations replace exactly the
outputs that were recorded.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import InputError
from .calls import call_named
from .output import OutputLayout
from .protocol import InputAdapter, Rows
from .registry import load_inputs, save_inputs
from .values import cast, map_nested


@dataclass(frozen=True)
class Layout:
    """Both sides of a block's calls.

    Args:
        inputs: from arguments to columns.
        output: from the output to a table.
    """

    inputs: InputAdapter
    output: OutputLayout

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The rows of a call.

        Args:
            arguments: of the call, by parameter name.
            name: of the block, for messages.

        Raises:
            InputError: arguments that differ from those first seen.
        """
        return self.inputs.read(arguments, name)

    def read_output(self, output: Any, rows: Rows, name: str) -> torch.Tensor:
        """The block's outputs for the rows that count: [rows, outputs].

        Args:
            output: of the block.
            rows: of the call.
            name: of the block, for messages.

        Raises:
            InputError: rows were lost, or the columns differ from those first seen.
        """
        table = self.output.read(output, name)
        if len(table) != rows.lead.numel():
            raise InputError(
                f"block '{name}' was called with {rows.lead.numel()} rows and returned {len(table)}"
            )
        return table if rows.kept is None else table[rows.kept.to(table.device)]

    def write(self, values: torch.Tensor, rows: Rows, whole: Any) -> Any:
        """The inverse of `read_output`: the block's output with a table in it.

        Args:
            values: [rows, outputs].
            rows: of the call.
            whole: the block's own output; None if `needs_block` is false.
        """
        if rows.kept is not None:
            original = self.output.read(whole, "")
            kept = rows.kept.to(original.device)
            # Rows that do not count keep the block's values.
            replaced = original.clone()
            replaced[kept] = cast(values.to(original.device), original.dtype)
            values = replaced
        return self.output.write(values, rows.lead, whole)

    def needs_block(self, rows: Rows) -> bool:
        """Whether the block's own output is needed to `write` one."""
        return self.output.path is not None or rows.kept is not None

    @property
    def never_needs_block(self) -> bool:
        """Whether no call needs the block's own output, see `needs_block`."""
        return self.output.path is None and not self.inputs.partial

    def call(
        self,
        block: Callable[..., Any],
        signature: inspect.Signature | None,
        table: torch.Tensor,
        name: str,
    ) -> torch.Tensor:
        """The block as a function of its columns: [rows, columns] -> [rows, outputs].

        Args:
            block: called with the arguments that the table stands for.
            signature: of its forward.
            table: [rows, columns].
            name: of the block, for messages.
        """
        named = self.inputs.write(table)
        if self.output.kind == "numpy":
            named = map_nested(named, lambda value: value.detach().cpu().numpy())
        output = call_named(block, signature, named)
        return self.read_output(output, Rows(table, torch.Size([len(table)])), name)

    def to_saved(self) -> dict[str, Any]:
        """In the form of a document; the adapter defines the fields of the inputs."""
        return {"inputs": save_inputs(self.inputs), "output": self.output.to_json()}

    @classmethod
    def from_saved(cls, saved: Any) -> Layout:
        """The inverse of `to_saved`.

        Raises:
            InputError: `to_saved` did not write this.
        """
        try:
            return cls(load_inputs(saved["inputs"]), OutputLayout.from_json(saved["output"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"not a saved layout: {str(error)[:200]!r} in {str(saved)[:200]}"
            ) from None
