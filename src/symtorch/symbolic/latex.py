"""LaTeX: rows of a front as a table for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError, did_you_mean

COLUMNS: Mapping[str, str] = {
    "equation": "Equation",
    "complexity": "Complexity",
    "loss": "Loss",
    "validation_loss": "Held out",
    "score": "Score",
    "r2": "$R^2$",
}
"""What a table can show, and the headings."""


def table(rows: Sequence[Mapping[str, str | float]], columns: Sequence[str], digits: int) -> str:
    r"""A ``tabular`` with rules from the package booktabs.

    >>> print(table([{"equation": "x^{2}", "loss": 0.00001234}], ["equation", "loss"], 2))
    \begin{tabular}{ll}
    \toprule
    Equation & Loss \\
    \midrule
    $x^{2}$ & $1.2 \cdot 10^{-5}$ \\
    \bottomrule
    \end{tabular}

    Raises:
        InputError: a column that there is not.
    """
    for column in columns:
        if column not in COLUMNS:
            raise InputError(
                f"no column '{column}'{did_you_mean(column, COLUMNS)}; there are {[*COLUMNS]}"
            )
    lines = [" & ".join(_cell(row[column], digits) for column in columns) for row in rows]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(columns)}}}",
            r"\toprule",
            " & ".join(COLUMNS[column] for column in columns) + r" \\",
            r"\midrule",
            *(rf"{line} \\" for line in lines),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _cell(value: str | float, digits: int) -> str:
    if isinstance(value, str):
        return f"${value}$"
    if isinstance(value, int):
        return f"${value}$"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$" if exponent else f"${mantissa}$"
