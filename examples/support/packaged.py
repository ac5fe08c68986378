"""Files inside installed packages, for this project's own examples and benchmarks."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def packaged_file(package: str, pattern: str) -> Path | None:
    """The first file of a package that matches; the package itself is not imported.

    >>> packaged_file("symtorch", "errors.p*").name
    'errors.py'

    Args:
        package: its import name.
        pattern: as for `pathlib.Path.glob`, from the package's folder.

    Returns:
        None without the package, or without such a file.
    """
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.glob(pattern), None)
