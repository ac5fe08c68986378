"""Features: the variables of an equation, as functions of a block's recorded columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from ..errors import InputError, StateError, UnsupportedTypeError
from ..symbolic.definitions import define_operator
from ..symbolic.expression import Expression
from ..symbolic.names import check_names

Transform: TypeAlias = str | Expression | Callable[[torch.Tensor], torch.Tensor]
"""An equation over the columns, ``"sqrt(dx**2 + dy**2)"``, or a function
[rows, columns] -> [rows]."""


@dataclass(frozen=True)
class Features:
    """Named variables computed from named columns.

    >>> features = Features.plan(("u_0", "u_1"), transforms={"r": "sqrt(u_0**2 + u_1**2)"})
    >>> features(torch.tensor([[3.0, 4.0]]))        # [rows, columns] -> [rows, variables]
    tensor([[5.]])

    Args:
        columns: names of the columns.
        transforms: names and definitions of the variables; None if the columns are the
            variables. A function that was not saved is None until it is set again.
    """

    columns: tuple[str, ...]
    transforms: tuple[tuple[str, Expression | Callable[..., Any] | None], ...] | None = None

    @classmethod
    def plan(
        cls,
        columns: Sequence[str],
        variable_names: Sequence[str] | None = None,
        transforms: Mapping[str, Transform] | Sequence[Transform] | None = None,
    ) -> Features:
        """Features from a user's arguments.

        Args:
            columns: default names of the recorded columns.
            variable_names: names for the columns; with a list of transforms, names for
                these (one each).
            transforms: variables by name, or a list of them.

        Raises:
            InputError: a wrong number of names, names that are not identifiers or occur
                twice; a transform of columns that do not exist.
            UnsupportedTypeError: a transform that is neither text nor a function.
        """
        columns = tuple(columns)
        names = None if variable_names is None else check_names(variable_names)
        if transforms is None or isinstance(transforms, Mapping):
            if names is not None:
                _check_count(names, columns, "input columns")
                columns = names
            if transforms is None:
                return cls(columns)
            items = list(transforms.items())
        else:
            if names is None:
                names = tuple(f"t{i}" for i in range(len(transforms)))
            _check_count(names, transforms, "variable transforms")
            items = list(zip(names, transforms, strict=True))
        if not items:
            raise InputError("variable_transforms is empty; None uses the columns themselves")
        check_names([name for name, _ in items])
        return cls(columns, tuple((name, _transform(name, t, columns)) for name, t in items))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the variables."""
        return self.columns if self.transforms is None else tuple(n for n, _ in self.transforms)

    def __call__(self, table: torch.Tensor) -> torch.Tensor:
        """Compute the variables: [rows, columns] -> [rows, variables].

        Transforms of integers and of half precision are computed in float32.

        Raises:
            InputError: a transform fails, or returns the wrong shape.
            StateError: a function has not been set again after loading.
        """
        if self.transforms is None:
            return table
        if table.dtype not in (torch.float32, torch.float64):
            table = table.to(torch.float32)
        named = dict(zip(self.columns, table.unbind(-1), strict=True))
        values = []
        for name, transform in self.transforms:
            if transform is None:
                raise StateError(
                    f"variable transform '{name}' is a Python function, which no file holds; "
                    f"hand it over again: block.set_variable_transforms({{'{name}': ...}})"
                )
            if isinstance(transform, Expression):
                values.append(transform(named))
            else:
                values.append(_column(name, transform(table), len(table)))
        # A function may compute in another type; the variables keep that of the table.
        return torch.stack([value.to(table.dtype) for value in values], dim=-1)

    @property
    def unsaved(self) -> list[str]:
        """Names of the variables that are Python functions: a file cannot hold them."""
        return [n for n, t in self.transforms or () if not isinstance(t, Expression)]

    def with_functions(self, functions: Mapping[str, Transform]) -> Features:
        """The features with some transforms set again, by name."""
        if self.transforms is None:
            return self
        return Features(
            self.columns,
            tuple(
                (name, _transform(name, functions[name], self.columns) if name in functions else t)
                for name, t in self.transforms
            ),
        )

    def to_saved(self) -> SavedFeatures:
        """In the form of a document; functions are left out."""
        if self.transforms is None:
            return SavedFeatures(self.columns, None)
        equations = [t if isinstance(t, Expression) else None for _, t in self.transforms]
        called = [o for equation in equations if equation for o in equation.operators]
        texts = [None if equation is None else str(equation) for equation in equations]
        return SavedFeatures(
            self.columns,
            tuple(zip(self.names, texts, strict=True)),
            tuple(dict.fromkeys(o.definition for o in called if o.definition is not None)),
        )

    @classmethod
    def from_saved(cls, saved: SavedFeatures) -> Features:
        """The inverse of `to_saved`.

        Raises:
            InputError: names or equations that cannot be read.
        """
        columns = check_names(saved.columns)
        if saved.transforms is None:
            return cls(columns)
        operators = {o.name: o for o in map(define_operator, saved.operators)}
        transforms = [
            None if text is None else Expression.parse(text, columns, operators)
            for _, text in saved.transforms
        ]
        names = check_names([name for name, _ in saved.transforms])
        return cls(columns, tuple(zip(names, transforms, strict=True)))


@dataclass(frozen=True)
class SavedFeatures:
    """`Features` in a document: transforms as text, None for a Python function.

    Args:
        columns: names of the columns.
        transforms: name and text of each variable; None if the columns are the variables.
        operators: definitions of the operators in the texts.
    """

    columns: tuple[str, ...]
    transforms: tuple[tuple[str, str | None], ...] | None
    operators: tuple[str, ...] = ()


def _check_count(names: Sequence[str], things: Sequence[Any], what: str) -> None:
    if len(names) != len(things):
        shown = f" {[*things]}" if what == "input columns" else ""
        raise InputError(f"{len(names)} variable_names {[*names]} for {len(things)} {what}{shown}")


def _transform(
    name: str, transform: Transform, columns: Sequence[str]
) -> Expression | Callable[..., Any]:
    if isinstance(transform, str):
        return Expression.parse(transform, columns)
    if isinstance(transform, Expression):
        unknown = [variable for variable in transform.variables if variable not in columns]
        if unknown:
            raise InputError(
                f"variable transform '{name}' = {transform} uses {unknown}; the columns are "
                f"{[*columns]}"
            )
        return transform
    if not callable(transform):
        raise UnsupportedTypeError(
            f"variable transform '{name}' must be an equation as text or a function of the "
            f"table [rows, columns]; got {type(transform).__name__}"
        )
    return transform


def _column(name: str, value: Any, rows: int) -> torch.Tensor:
    column = torch.as_tensor(value)
    if column.shape == (rows, 1):
        column = column[:, 0]
    if column.shape != (rows,):
        raise InputError(
            f"variable transform '{name}' must give one value a row, [{rows}]; "
            f"it gave {[*column.shape]}"
        )
    return column
