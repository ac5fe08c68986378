"""NestedInputs: lists and tuples of tensors, such as a recurrent cell's state, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
import torch

from ...errors import InputError
from .columns import apart, check_saved, chosen_axis, column_names, side_by_side, width_of
from .protocol import Rows
from .request import LayoutRequest
from .values import as_tensor, is_table

Tree: TypeAlias = "int | tuple[str, tuple[Tree, ...]]"
"""Structure of an argument: the width of a tensor, or ``("list", trees)``, ``("tuple", trees)``."""

_CONTAINERS: dict[str, type[list[Any]] | type[tuple[Any, ...]]] = {"list": list, "tuple": tuple}

_MAX_DEPTH = 8
"""A file may claim any depth; calls of blocks are shallow."""


@dataclass(frozen=True)
class NestedInputs:
    """Arguments some of which are lists or tuples of tensors, all with the same rows.

    >>> cell = NestedInputs(("input", "hx"), (1, ("tuple", (2, 2))), -1)
    >>> cell.names
    ('input_0', 'hx_0_0', 'hx_0_1', 'hx_1_0', 'hx_1_1')
    >>> h = c = torch.ones(7, 2)
    >>> cell.read({"input": torch.ones(7, 1), "hx": (h, c)}, "cell").values.shape
    torch.Size([7, 5])

    Args:
        arguments: names of the arguments.
        trees: structure of each.
        feature_dim: axis of the features; None if each tensor is one column.
    """

    arguments: tuple[str, ...]
    trees: tuple[Tree, ...]
    feature_dim: int | None

    kind: ClassVar[str] = "nested"
    partial: ClassVar[bool] = False

    @property
    def _widths(self) -> dict[str, int]:
        """The columns of each tensor, by its path: ``{"hx_0": 2}``."""
        found: dict[str, int] = {}
        for argument, tree in zip(self.arguments, self.trees, strict=True):
            found |= dict(_leaves(argument, tree))
        return found

    @property
    def count(self) -> int:
        """Number of columns."""
        return sum(self._widths.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: the argument, the position in it, the feature."""
        return column_names(self._widths, self.feature_dim)

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], request: LayoutRequest, block: object, name: str
    ) -> Self | None:
        """Arguments that hold tensors, also in lists and tuples, or those that the user named.

        If the user named none, a list or tuple counts only if its tensors have the rows of the
        other arguments: position embeddings shared by all texts are settings.
        """
        nested = [key for key, value in arguments.items() if _holds_tensors(value)]
        if request.inputs is not None:
            chosen = {key: arguments.get(key) for key in request.inputs}
            missing = [k for k, v in chosen.items() if not is_table(v) and k not in nested]
            if missing:
                return None  # TensorInputs raises the error for these
        else:
            chosen = {k: v for k, v in arguments.items() if is_table(v) or k in nested}
        tensors = dict(_tensors(chosen))
        axis = chosen_axis(tensors, request, block, name)
        if request.inputs is None:
            chosen = _of_the_same_rows(chosen, axis)
        if not any(key in nested for key in chosen):
            return None
        trees = tuple(_tree(value, key, axis, name) for key, value in chosen.items())
        planned = cls(tuple(chosen), trees, axis)
        if len(planned._widths) < len([*_tensors(chosen)]):
            raise InputError(
                f"block '{name}': the names of its inputs {[*chosen]} coincide with those of "
                f"tensors in them; choose the ones that are columns with inputs=(...)"
            )
        return planned

    def read(self, arguments: Mapping[str, Any], name: str) -> Rows:
        """The features of all tensors, side by side."""
        chosen = {key: arguments[key] for key in self.arguments if key in arguments}
        return side_by_side(dict(_tensors(chosen)), self._widths, self.feature_dim, name)

    def write(self, table: torch.Tensor) -> dict[str, Any]:
        """Lists and tuples of tensors [rows, width], or [rows] if each is one column."""
        tensors = iter(apart(table, self._widths, self.feature_dim).values())
        return {
            argument: _filled(tree, tensors)
            for argument, tree in zip(self.arguments, self.trees, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {
            "arguments": list(self.arguments),
            "trees": list(self.trees),
            "feature_dim": self.feature_dim,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        trees = tuple(_read_tree(tree) for tree in data["trees"])
        check_saved(data["arguments"], [1] * len(trees), data["feature_dim"])
        read = cls(**{**data, "arguments": tuple(data["arguments"]), "trees": trees})
        check_saved([*read._widths], [*read._widths.values()], read.feature_dim)
        return read


def _holds_tensors(value: Any) -> bool:
    """Whether a list or tuple holds tensors of numbers, and nothing else."""
    return (
        isinstance(value, list | tuple)
        and len(value) > 0
        and all(
            as_tensor(item).dtype != torch.bool if is_table(item) else _holds_tensors(item)
            for item in value
        )
    )


def _tensors(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The tensors in some arguments, by path."""
    for key, value in values.items():
        if isinstance(value, list | tuple):
            yield from _tensors({f"{key}_{i}": item for i, item in enumerate(value)})
        else:
            yield key, as_tensor(value) if is_table(value) else value


def _of_the_same_rows(chosen: Mapping[str, Any], axis: int | None) -> dict[str, Any]:
    """The plain tensors of numbers, and the lists and tuples that have their rows."""
    plain = {
        key: as_tensor(value)
        for key, value in chosen.items()
        if is_table(value) and (axis is None or as_tensor(value).ndim > 0)
    }
    plain = {key: value for key, value in plain.items() if value.dtype != torch.bool}
    try:
        lead = np.broadcast_shapes(*(_lead(value, axis) for value in plain.values()))
    except ValueError:
        return {}  # TensorInputs raises the error for these
    nested = {
        key
        for key, value in chosen.items()
        if not is_table(value)
        and (not plain or all(_lead(leaf, axis) == lead for _, leaf in _tensors({key: value})))
    }
    return {key: value for key, value in chosen.items() if key in plain or key in nested}


def _lead(tensor: torch.Tensor, axis: int | None) -> tuple[int, ...]:
    if axis is None or not -tensor.ndim <= axis < tensor.ndim:
        return tuple(tensor.shape)
    return tuple(tensor.movedim(axis, -1).shape[:-1])


def _tree(value: Any, key: str, axis: int | None, name: str) -> Tree:
    if is_table(value):
        return width_of(as_tensor(value), axis, key, name)
    container = "list" if isinstance(value, list) else "tuple"
    return container, tuple(_tree(v, f"{key}_{i}", axis, name) for i, v in enumerate(value))


def _leaves(path: str, tree: Tree) -> Iterator[tuple[str, int]]:
    if isinstance(tree, int):
        yield path, tree
    else:
        for i, child in enumerate(tree[1]):
            yield from _leaves(f"{path}_{i}", child)


def _filled(tree: Tree, tensors: Iterator[torch.Tensor]) -> Any:
    if isinstance(tree, int):
        return next(tensors)
    return _CONTAINERS[tree[0]](_filled(child, tensors) for child in tree[1])


def _read_tree(data: Any, depth: int = 0) -> Tree:
    if type(data) is int and depth <= _MAX_DEPTH:
        return data
    container, children = data
    if container not in _CONTAINERS or not isinstance(children, list) or depth > _MAX_DEPTH:
        raise ValueError(f"inputs {data}")
    return container, tuple(_read_tree(child, depth + 1) for child in children)
