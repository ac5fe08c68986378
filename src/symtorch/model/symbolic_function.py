"""SymbolicFunction: an equation of a block as a function of the block's columns."""

from __future__ import annotations

from typing import Any

import torch

from ..errors import InputError
from ..recording.adapters.values import as_tensor
from ..recording.features import Features
from ..symbolic.expression import Expression


class SymbolicFunction:
    """An equation as a function of a block's columns: [rows, columns] -> [rows].

    Args:
        expression: over the variables of ``features``.
        features: the variables as functions of the columns.
    """

    def __init__(self, expression: Expression, features: Features) -> None:
        self.expression = expression
        self.features = features

    def __call__(self, table: Any) -> Any:
        """Evaluate on a tensor or an array [rows, columns]; the same kind comes back."""
        columns = as_tensor(table)
        if columns.ndim != 2 or columns.shape[1] != len(self.features.columns):
            raise InputError(
                f"need [rows, {len(self.features.columns)}] with columns "
                f"{[*self.features.columns]}; got {[*columns.shape]}"
            )
        variables = self.features(columns).unbind(-1)
        result = self.expression(dict(zip(self.features.names, variables, strict=True)))
        return result if isinstance(table, torch.Tensor) else result.numpy()

    def __repr__(self) -> str:
        return f"SymbolicFunction({self.expression.pretty()!r})"
