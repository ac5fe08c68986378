"""Export: equations for use outside of PyTorch, or in its own exchange formats.

All functions take a `SymbolicLayer`, a `Front` or the mapping of fronts that ``distill``
returns. LaTeX is SymPy's, ONNX torch's; C is printed from the graph that the layer runs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from ...errors import InputError, MissingDependencyError, UnsupportedTypeError
from ...search.front import Front
from ..layer import SymbolicLayer
from .c import c_source

if TYPE_CHECKING:
    import sympy

Equations: TypeAlias = SymbolicLayer | Front | Mapping[int, Front]
"""What can be exported. Of a front it is the equation that `Front.get_best` chooses."""


def as_layer(equations: Equations, complexity: int | None = None) -> SymbolicLayer:
    """The equations as a layer.

    Args:
        equations: fronts become a layer with an output each, in the order of their keys.
        complexity: which equation of each front; None for `Front.get_best`.

    Raises:
        InputError: fronts over different variables, or none; a complexity for a layer.
    """
    if isinstance(equations, SymbolicLayer):
        if complexity is not None:
            raise InputError("complexity chooses from a front; a layer has its equations")
        return equations
    if isinstance(equations, Front):
        equations = {0: equations}
    if not isinstance(equations, Mapping):
        raise UnsupportedTypeError(
            f"need a SymbolicLayer, a Front or a mapping of fronts; got {type(equations).__name__}"
        )
    fronts = [equations[dim] for dim in sorted(equations)]
    names = {front.variables for front in fronts}
    if len(names) != 1:
        raise InputError(f"need fronts over the same variables; got {sorted(names)}")
    return SymbolicLayer(
        [front.select(complexity).expression for front in fronts], fronts[0].variables
    )


def to_sympy(equations: Equations, complexity: int | None = None) -> list[sympy.Expr]:
    """One SymPy expression an output.

    >>> to_sympy(SymbolicLayer(["2*x + y", "x*x"], ["x", "y"]))
    [2*x + y, x**2]
    """
    return [e.sympy() for e in as_layer(equations, complexity).expressions]


def to_latex(equations: Equations, complexity: int | None = None, *, digits: int = 4) -> list[str]:
    """One LaTeX formula an output; `Front.latex_table` makes a table of a front.

    >>> to_latex(SymbolicLayer(["3.14159*sqrt(x)"], ["x"]), digits=3)
    ['3.14 \\\\sqrt{x}']
    """
    return [e.latex(digits) for e in as_layer(equations, complexity).expressions]


def to_numpy(
    equations: Equations, complexity: int | None = None
) -> Callable[[npt.ArrayLike], npt.NDArray[Any]]:
    """A function on arrays, [..., variables] -> [..., outputs]; torch has no part in it.

    >>> to_numpy(SymbolicLayer(["2*x + y", "x*x"], ["x", "y"]))([[1.0, 2.0], [3.0, 4.0]])
    array([[ 4.,  1.],
           [10.,  9.]])
    """
    layer = as_layer(equations, complexity)
    expressions, variables = layer.expressions, layer.variables

    def function(x: npt.ArrayLike) -> npt.NDArray[Any]:
        table = np.asarray(x)
        if not table.ndim or table.shape[-1] != len(variables):
            raise InputError(
                f"need [..., {len(variables)}] with columns {[*variables]}; got {[*table.shape]}"
            )
        columns = {name: table[..., i] for i, name in enumerate(variables)}
        return np.stack([expression(columns) for expression in expressions], axis=-1)

    return function


def to_c(equations: Equations, complexity: int | None = None, *, name: str = "equations") -> str:
    """C99 source of one function ``void name(const double *x, double *y)``.

    >>> "y[1] = " in to_c(SymbolicLayer(["2*x + y", "x*x"], ["x", "y"]), name="law")
    True

    It needs the C library's math functions (``-lm``), no more. What equations share is
    computed once.

    Args:
        equations: with a value of ``y`` each, from the variables in ``x``.
        complexity: which equation of each front; None for `Front.get_best`.
        name: of the function.

    Raises:
        InputError: a name that C does not take.
    """
    layer = as_layer(equations, complexity)
    return c_source(layer.expressions, layer.variables, name)


def to_program(
    equations: Equations, complexity: int | None = None, *, dtype: torch.dtype | None = None
) -> torch.export.ExportedProgram:
    """A `torch.export` program for any number of rows, to ``torch.export.save``.

    >>> program = to_program(SymbolicLayer(["2*x + y"], ["x", "y"]))
    >>> program.module()(torch.ones(5, 2)).shape       # [rows, variables] -> [rows, outputs]
    torch.Size([5, 1])

    Args:
        equations: to export; trainable constants become weights of the program.
        complexity: which equation of each front; None for `Front.get_best`.
        dtype: of its input; by default that of trainable constants, or torch's default.
    """
    layer, example = _traceable(equations, complexity, dtype)
    return torch.export.export(layer, (example,), dynamic_shapes=_ANY_ROWS)


def to_onnx(
    equations: Equations,
    path: str | os.PathLike[str],
    complexity: int | None = None,
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write an ONNX model with input ``x`` [rows, variables] and output ``y`` [rows, outputs].

    Args:
        equations: to export, trained constants as they are now.
        path: of the file.
        complexity: which equation of each front; None for `Front.get_best`.
        dtype: of input and output; float32 is what every runtime has all operators for.

    Raises:
        MissingDependencyError: torch's exporter needs the packages onnx and onnxscript.
    """
    for package in ("onnx", "onnxscript"):
        _require(package)
    layer, example = _traceable(equations, complexity, dtype)
    torch.onnx.export(
        layer.eval(),
        (example,),
        os.fspath(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_shapes=_ANY_ROWS,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


_ANY_ROWS = {"x": {0: torch.export.Dim.DYNAMIC}}


def _traceable(
    equations: Equations, complexity: int | None, dtype: torch.dtype | None
) -> tuple[SymbolicLayer, torch.Tensor]:
    layer = as_layer(equations, complexity)
    constants = layer.constants if layer.trainable_constants else None
    if dtype is None:
        dtype = torch.get_default_dtype() if constants is None else constants.dtype
    # Two rows at least: torch.export takes a size of 1 for a fact.
    return layer, torch.ones(3, len(layer.variables), dtype=dtype, device=layer.constants.device)


def _require(package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"exporting to ONNX needs the package {package} ({error}); "
            f"run: pip install 'symtorch[onnx]'"
        ) from None
