"""``symtorch export``: saved equations as source text or ONNX."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..saved import read_saved

if TYPE_CHECKING:
    from symtorch import Front


def run(arguments: argparse.Namespace) -> int:
    """Write the chosen equation of each front, in their order."""
    from symtorch import export
    from symtorch.errors import InputError
    from symtorch.files import write_file

    found = read_saved(arguments.file, arguments.block)
    fronts = dict(enumerate(found.values()))
    if arguments.to == "onnx":
        if arguments.output is None:
            raise InputError("ONNX is binary and needs a file: add --output model.onnx")
        export.to_onnx(fronts, arguments.output, arguments.complexity)
        return 0
    text = _source(fronts, arguments)
    if arguments.output is None:
        sys.stdout.write(text)
    else:
        write_file(arguments.output, text)
    return 0


def _source(fronts: dict[int, Front], arguments: argparse.Namespace) -> str:
    from symtorch import export
    from symtorch.symbolic.numpy_source import numpy_source

    complexity, name = arguments.complexity, arguments.name
    match arguments.to:
        case "c":
            return export.to_c(fronts, complexity, name=name)
        case "numpy":
            layer = export.as_layer(fronts, complexity)
            return numpy_source(layer.expressions, layer.variables, name)
        case _:
            # One by one: formulas of fronts over different variables stand beside each other.
            formulas = [export.to_latex(front, complexity)[0] for front in fronts.values()]
            return "".join(f"{formula}\n" for formula in formulas)
