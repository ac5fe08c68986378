"""report(): from what was found to one file."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

import numpy as np

from ...files import write_file
from ..comparison import Comparison
from ..slices import Slice, slices
from .charts import definitions
from .contents import Contents, Section, Source, Tables, collect
from .data import json_text, script_data
from .page import body

SLICES = 4
"""Most inputs of an output that slices are drawn of."""


def report(
    source: Source,
    path: str | os.PathLike[str],
    *,
    data: Tables = None,
    title: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write all that was found as one HTML file, which opens without a network.

    >>> import tempfile
    >>> from symtorch import Candidate, Expression, Front
    >>> row = Candidate(Expression.parse("2*x"), 3, 0.01, 0.012)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report(Front((row,), ("x",)), f"{folder}/report.html", settings={"seed": 0})

    For each output: the front, to step through; the chosen equation against the data; sliders
    for the constants; and the equation as LaTeX, Python, C and SymPy to copy.

    Args:
        source: a `Front`, fronts by output or by name, a `SymbolicModel`, or a model with such
            blocks in it.
        path: of the file.
        data: for fronts, the `Problem` of each, by the same key (or one for all); for a block,
            its `Recording`; for a model, a `Recording` by the block's dotted name. Without them
            the report shows equations and losses only.
        title: of the page.
        settings: what else is needed to do it again: engine, seed, options.

    Raises:
        InputError: nothing was distilled, or data that do not belong to it.
        UnsupportedTypeError: something else than the above.
    """
    contents = _finite(collect(source, data))
    along = [
        [] if section.comparison is None else slices(section.comparison, SLICES)
        for section in contents.sections
    ]
    title = title or f"Equations: {contents.sections[0].label or 'a front'}"
    text = _page(title, contents, along, _to_do_it_again(contents, settings or {}))
    write_file(path, text)


def _finite(contents: Contents) -> Contents:
    sections = [
        Section(s.label, s.front, None if s.comparison is None else s.comparison.finite())
        for s in contents.sections
    ]
    return Contents(tuple(sections), contents.parts)


def _page(
    title: str,
    contents: Contents,
    along: Sequence[Sequence[Slice]],
    settings: Mapping[str, str],
) -> str:
    here = files(__package__)
    style = here.joinpath("page.css").read_text("utf-8")
    script = "".join(here.joinpath(name).read_text("utf-8") for name in ("machine.js", "page.js"))
    data = [
        script_data(section, some) for section, some in zip(contents.sections, along, strict=True)
    ]
    # Only these two pieces may run or style; nothing may be fetched, sent or framed.
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"{definitions()}{body(title, contents, along, settings)}"
        f'<script type="application/json" id="data">{json_text(data)}</script>'
        f"<script>{script}</script></body></html>\n"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _to_do_it_again(contents: Contents, settings: Mapping[str, Any]) -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for package in ("symtorch", "torch", "numpy", "sympy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed as a package"
    hashes = {
        f"data of {section.label or 'the front'} (SHA-256)": _data_hash(section.comparison)
        for section in contents.sections
        if section.comparison is not None
    }
    return {**{name: str(value) for name, value in settings.items()}, **versions, **hashes}


def _data_hash(comparison: Comparison) -> str:
    digest = hashlib.sha256()
    for table in (comparison.X, comparison.y):
        digest.update(np.ascontiguousarray(table).tobytes())
    return digest.hexdigest()
