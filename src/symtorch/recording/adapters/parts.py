"""Parts of a block's output: an item of a tuple or dict, an attribute of an object."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from ...errors import InputError
from .request import OutputPath
from .values import describe, is_table


def part_of(output: Any, path: OutputPath, name: str) -> Any:
    """The table in a block's output.

    Args:
        output: of the block.
        path: of the table in it; None if the output itself is the table.
        name: of the block, for messages.

    Raises:
        InputError: there is no such part, or it is not a table.
    """
    if path is not None:
        try:
            output = getattr(output, str(path)) if _named(output, path) else output[path]
        except (KeyError, IndexError, TypeError, AttributeError):
            raise InputError(
                f"block '{name}': output={path!r}, but it returns {describe(output)}"
            ) from None
    if not is_table(output):
        raise InputError(
            f"block '{name}' returns {describe(output)}; choose the tensor to distill "
            f"with output=0 (a position) or output='key' (or an attribute)"
        )
    return output


def with_part(whole: Any, path: OutputPath, part: Any) -> Any:
    """A copy of a block's output with another table in it.

    >>> with_part((1, 2), 0, 5)
    (5, 2)
    """
    if path is None:
        return part
    if isinstance(whole, tuple):
        named = hasattr(whole, "_fields")
        if named and isinstance(path, str):
            return whole._replace(**{path: part})  # type: ignore[attr-defined]
        items = list(whole)
        items[int(path)] = part
        return type(whole)(*items) if named else tuple(items)
    changed = copy.copy(whole)
    if not _named(whole, path):
        changed[path] = part
    elif is_dataclass(whole):
        object.__setattr__(changed, str(path), part)  # frozen ones too: it is our own copy
    else:
        setattr(changed, str(path), part)
    return changed


def _named(output: Any, path: int | str) -> bool:
    """Whether a path is an attribute; Hugging Face's outputs are dicts. Private ones are not."""
    return isinstance(path, str) and not isinstance(output, Mapping) and not path.startswith("_")
