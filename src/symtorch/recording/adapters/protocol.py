"""The protocol of adapters: from the arguments of a call to a table, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch

from .request import LayoutRequest


class Rows(NamedTuple):
    """The rows of one call.

    Args:
        values: [rows, columns].
        lead: the shape that rows have in the call, ``[B, T]`` of a tensor ``[B, T, D]``.
        kept: which of the call's rows these are, [lead.numel()] of bool; None for all.
    """

    values: torch.Tensor
    lead: torch.Size
    kept: torch.Tensor | None = None


class InputAdapter(Protocol):
    """Maps arguments of a call to columns, and back. Adapters are frozen dataclasses.

    Args:
        kind: its name in saved layouts.
        partial: whether a call may hold rows that do not count, see `Rows.kept`.
    """

    kind: ClassVar[str]
    partial: ClassVar[bool]

    @property
    def count(self) -> int:
        """Number of columns, without building their names: a file may claim any number."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the table."""

    @property
    def feature_dim(self) -> int | None:
        """Axis of the features; None if each element is a row."""

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
    ) -> Self | None:
        """The adapter for calls like this first one; None if they are of another kind.

        Args:
            arguments: of the call, by parameter name.
            request: how the user describes the block's calls.
            block: which is called.
            name: of the block, for messages.

        Raises:
            InputError: the call is of this kind, but incomplete.
        """

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The columns of a call.

        Raises:
            InputError: arguments that differ from those planned for.
        """

    def write(self, table: torch.Tensor) -> dict[str, Any]:
        """The inverse of `read`: arguments from a table [rows, columns], to query the block."""

    def to_json(self) -> dict[str, Any]:
        """Its fields, for JSON."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`, with checks, because the data may come from any file.

        Raises:
            ValueError, KeyError, TypeError: `to_json` did not write this.
        """
