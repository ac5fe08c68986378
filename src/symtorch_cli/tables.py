"""Tables out of files: named columns of numbers."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ORIGINAL = "names in the file"
"""Entry of a table's ``attrs``: what each column was called, and is called now."""


def read_table(file: str, *, header: bool = True) -> pd.DataFrame:
    """A table whose columns can be named in equations.

    Args:
        file: path that ends in .csv, .tsv, .txt, .parquet or .npz; ``-`` for CSV on stdin.
        header: whether a CSV begins with the names of its columns.

    Raises:
        InputError: not a table.
    """
    import pandas as pd

    from symtorch.errors import InputError

    if file != "-" and not Path(file).exists():
        raise FileNotFoundError(2, "no such file", file)
    try:
        table = _read(file, header)
    except OSError:
        raise
    except ImportError:
        raise InputError(f"{file}: Parquet needs pyarrow; run: pip install pyarrow") from None
    except Exception as error:  # parsers raise anything; all of it means the same
        raise InputError(f"{file}: {error}") from None
    if not len(table.columns) or not len(table):
        raise InputError(f"{file}: no rows")
    if header and all(_is_number(name) for name in table.columns):
        raise InputError(
            f"{file}: the first line holds numbers where names were expected; if the file has no "
            f"names, say --no-header"
        )
    names = identifiers(table.columns)
    for before, after in zip(table.columns, names, strict=True):
        if before != after:
            print(f"column '{before}' is called {after} in equations", file=sys.stderr)
    renamed = pd.DataFrame(table.set_axis(names, axis="columns"))
    renamed.attrs[ORIGINAL] = dict(zip(map(str, table.columns), names, strict=True))
    return renamed


def _read(file: str, header: bool) -> pd.DataFrame:
    import pandas as pd

    suffix = Path(file).suffix.lower()
    if suffix in (".parquet", ".pq"):
        return pd.read_parquet(file)
    if suffix == ".npz":
        return _read_npz(file)
    # The separator of tables from spreadsheets in half of Europe is a semicolon.
    table = pd.read_csv(
        sys.stdin if file == "-" else file,
        sep=None,
        engine="python",
        header=0 if header else None,
    )
    if not header:
        table.columns = pd.Index([f"x{number}" for number in range(len(table.columns))])
    return table


def _read_npz(file: str) -> pd.DataFrame:
    """Arrays [rows] are columns ``name``, arrays [rows, k] columns ``name_0``, ``name_1``, ..."""
    import numpy as np
    import pandas as pd

    columns: dict[str, Any] = {}
    with np.load(file, allow_pickle=False) as arrays:
        for name, array in arrays.items():
            if array.ndim == 2 and array.shape[1] > 1:
                columns |= {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
            elif array.ndim in (1, 2):
                columns[name] = array.reshape(len(array))
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"its arrays have different numbers of rows: {lengths}")
    return pd.DataFrame(columns)


def identifiers(names: Iterable[object]) -> list[str]:
    """Names that equations can hold, each made from one given.

    >>> identifiers(["mass (kg)", "2nd", "max", "mass [kg]"])
    ['mass_kg', 'x2nd', 'max_', 'mass_kg_2']
    """
    from symtorch.symbolic.operators import OPERATORS

    found: dict[str, None] = {}
    for name in names:
        word = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", str(name)).strip()).strip("_")
        if not word or not (word[0].isalpha() or word[0] == "_"):
            word = f"x{word}"
        if word in OPERATORS or keyword.iskeyword(word) or word in ("nan", "inf"):
            word = f"{word}_"
        number, unique = 1, word
        while unique in found:
            number += 1
            unique = f"{word}_{number}"
        found[unique] = None
    return list(found)


def _is_number(name: object) -> bool:
    try:
        float(str(name))
    except ValueError:
        return False
    return True


def names_now(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Names as a user typed them, those of the file included, as the table has them."""
    return [table.attrs[ORIGINAL].get(name, name) for name in names]


def numbers_of(table: pd.DataFrame, columns: Sequence[str], file: str) -> pd.DataFrame:
    """Columns of a table as float64.

    Raises:
        InputError: a column that there is not, or one of text; the message lists what there is.
    """
    from symtorch.errors import InputError, did_you_mean

    for name in columns:
        if name not in table.columns:
            raise InputError(
                f"{file}: no column '{name}'{did_you_mean(name, table.columns)}; there are "
                f"{', '.join(table.columns)}"
            )
        if not holds_numbers(table[name]):
            text = table[name].dropna()
            example = f", such as {text.iloc[0]!r}" if len(text) else ""
            raise InputError(f"{file}: column '{name}' holds no numbers{example}")
    return table[list(columns)].astype("float64")


def holds_numbers(column: pd.Series[Any]) -> bool:
    """Whether a column is of real numbers or of true and false."""
    return column.dtype.kind in "fiub" or str(column.dtype).lower().startswith(("int", "float"))
