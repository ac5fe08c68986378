"""An equation as a function of a block's columns, and over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...recording.features import Features
from ...symbolic.expression import Expression
from ...symbolic.nodes import substitute


@dataclass(frozen=True)
class Equation:
    """An equation of a block.

    Args:
        expression: over the variables of ``features``.
        features: the variables as functions of the columns.
    """

    expression: Expression
    features: Features

    def variables(self, points: Tensor) -> Mapping[str, Tensor]:
        """Values [rows] by variable, at points [rows, columns]."""
        return dict(zip(self.features.names, self.features(points).unbind(-1), strict=True))

    def __call__(self, points: Tensor) -> Tensor:
        """[rows, columns] -> [rows]."""
        return self.expression(self.variables(points)).expand(len(points))

    def over_columns(self) -> Expression | None:
        """The equation with its transforms written out; None where one is a Python function."""
        if self.features.unsaved:
            return None
        forms = {
            name: form.root
            for name, form in self.features.transforms or ()
            if isinstance(form, Expression)
        }
        return Expression(substitute(self.expression.root, forms))
