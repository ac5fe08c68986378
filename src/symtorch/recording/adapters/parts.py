"""Parts of what a block returns: an item of a tuple or dict."""

from __future__ import annotations

import copy
from typing import Any

from ...errors import InputError
from .request import OutputPath
from .values import describe, is_table


def part_of(output: Any, path: OutputPath, name: str) -> Any:
    """The table in what a block returned.

    Args:
        output: of the block.
        path: of the table in it; None where it is the table.
        name: of the block, for messages.

    Raises:
        InputError: there is no such part, or it is no table.
    """
    if path is not None:
        try:
            output = output[path]
        except (KeyError, IndexError, TypeError):
            raise InputError(
                f"block '{name}': output={path!r}, but it returns {describe(output)}"
            ) from None
    if not is_table(output):
        raise InputError(
            f"block '{name}' returns {describe(output)}; choose the tensor to distill "
            f"with output=0 (a position) or output='key'"
        )
    return output


def with_part(whole: Any, path: OutputPath, part: Any) -> Any:
    """A copy of what a block returned with another table in it.

    >>> with_part((1, 2), 0, 5)
    (5, 2)
    """
    if path is None:
        return part
    if isinstance(whole, tuple) and isinstance(path, int):
        items = list(whole)
        items[path] = part
        return type(whole)(*items) if hasattr(whole, "_fields") else tuple(items)
    changed = copy.copy(whole)
    changed[path] = part
    return changed
