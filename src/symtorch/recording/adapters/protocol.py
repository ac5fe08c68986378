"""What an adapter is: one way in which calls of a block hold columns."""

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
    """How the arguments of a call hold columns. Adapters are frozen dataclasses.

    Args:
        kind: what saved layouts call it.
        partial: whether a call may hold rows that do not count, see `Rows.kept`.
    """

    kind: ClassVar[str]
    partial: ClassVar[bool]

    @property
    def count(self) -> int:
        """Number of columns, found without naming them: a file may claim any."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the table."""

    @property
    def feature_dim(self) -> int | None:
        """Axis of the features; None where each element is a row."""

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
    ) -> Self | None:
        """The adapter for calls like this first one; None where they are of another kind.

        Args:
            arguments: of the call, by parameter name.
            request: what the user said.
            block: which is called.
            name: of the block, for messages.

        Raises:
            InputError: calls of this kind, but with something missing.
        """

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The columns of a call.

        Raises:
            InputError: arguments other than those planned for.
        """

    def write(self, table: torch.Tensor) -> dict[str, Any]:
        """Arguments of which `read` gives this table [rows, columns], to query the block."""

    def to_json(self) -> dict[str, Any]:
        """Its fields, for JSON."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote, and check it: it may come from any file.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
