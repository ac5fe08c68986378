"""Modules imported when first used, so that ``import symtorch`` stays cheap."""

from __future__ import annotations

import importlib
from typing import Any


class LazyModule:
    """Stands for a module and imports it when an attribute is asked for.

    >>> LazyModule("math").sqrt(9.0)
    3.0

    Args:
        name: full name of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        # Kept, so that the next use is a plain attribute.
        self.__dict__[attribute] = value
        return value
