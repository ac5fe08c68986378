"""Files: the one way in which this package writes to disk."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from urllib.parse import quote

from .errors import InputError

LONGEST_NAME = 255
"""Bytes that a file's name may have on all common file systems."""


def write_file(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file so that at every moment there is the old one or the new one, whole.

    A full disk, an interrupt or a crash leaves what was there before. The content goes to a
    temporary file in the same folder, on to the disk, and then takes the name in one step.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_file(Path(folder, "law.json"), "{}")
    ...     Path(folder, "law.json").read_text()
    '{}'

    Args:
        path: of the file; its folder must be there.
        content: bytes, or text to be written as UTF-8.

    Raises:
        OSError: it cannot be written; then nothing has changed.
    """
    target = Path(os.path.realpath(path))
    data = content.encode() if isinstance(content, str) else content
    temporary = target.with_name(f".symtorch-{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def file_name(name: str, suffix: str) -> str:
    """A file's name for anything's name: no two names share one.

    >>> file_name("layers.0/mlp", ".json"), file_name("layers.0_mlp", ".json")
    ('layers.0%2Fmlp.json', 'layers.0_mlp.json')

    Raises:
        InputError: it is too long for a file.
    """
    # Letters of all scripts are fine in names; of the other signs, many are not somewhere.
    safe = "".join(
        letter if letter.isalnum() else quote(letter, safe=" ()[]+,=@#") for letter in name
    )
    if len(f"{safe}{suffix}".encode()) > LONGEST_NAME:
        raise InputError(
            f"'{name[:40]}...' is too long for the name of a file; "
            f"{LONGEST_NAME} bytes are the most"
        )
    return f"{safe}{suffix}"
