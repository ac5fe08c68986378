"""View: encoded rows as the variables of equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..recording.features import Features
from ..recording.naming import fit_names
from .columns import Array, Columns


@dataclass(frozen=True, eq=False)
class View:
    """How equations see the inputs.

    Numbers are seen unchanged. A nominal input has no size, so it is seen as 1 where it
    equals that of the explained row and as 0 elsewhere, under the name ``colour_is_red``.

    Args:
        columns: the inputs.
        reference: [inputs], the encoded row whose nominal values count as 1.
        features: variables as functions of the inputs as they are seen.
    """

    columns: Columns
    reference: Array
    features: Features

    @staticmethod
    def names_of(columns: Columns, reference: Array) -> tuple[str, ...]:
        """Names of the inputs as equations see them, before there are features."""
        return fit_names(
            [
                column.name
                if column.labels is None
                else f"{column.name}_is_{_text(column.labels[int(code)])}"
                for column, code in zip(columns.columns, reference.tolist(), strict=True)
            ]
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the inputs as equations see them."""
        return self.features.columns

    def seen(self, rows: Array) -> Array:
        """Encoded rows [n, inputs] with nominal inputs as 0 and 1."""
        nominal = np.array([column.nominal for column in self.columns.columns])
        return np.where(nominal, rows == self.reference, rows).astype(np.float64)

    def variables(self, rows: Array) -> Array:
        """The variables of the equations [n, variables] for encoded rows [n, inputs]."""
        with torch.no_grad():
            found: Array = self.features(torch.from_numpy(self.seen(rows))).numpy()
        return found


def _text(label: Any) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)
