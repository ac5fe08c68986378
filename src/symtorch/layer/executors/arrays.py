"""NumPy's operations for a workspace: on the CPU, often twice as fast as torch's own.

Calling one costs a third of a call of torch's, and NumPy has vector code for functions that
torch computes by slower ones. Where this machine has no such code, torch's are taken.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ...symbolic.operators import OPERATORS
from ..planning.graph import AFFINE, Kernel

Array = npt.NDArray[Any]

_PLAIN = frozenset(
    {"add", "subtract", "multiply", "divide", "negative", "absolute", "square", "sqrt"}
    | {"maximum", "minimum", "floor", "ceil"}
)
"""Machine instructions, which any compiler turns into vector code."""


def bound_to_arrays(
    kernel: Kernel, operands: Sequence[torch.Tensor], out: torch.Tensor
) -> Callable[[], Any] | None:
    """A kernel on its operands in NumPy, ready to be called; None where torch's is to be taken.

    >>> x, out = torch.tensor([[1.0, 4.0]]), torch.empty(1, 2)
    >>> bound_to_arrays(Kernel("sqrt", torch.sqrt), [x], out)() is not None
    True
    >>> out
    tensor([[1., 2.]])

    Args:
        kernel: an operation.
        operands: float32 or float64, on the CPU; they broadcast to the result.
        out: [steps, rows], what it is written into; either the memory of an operand or none
            of it.
    """
    arrays = [operand.numpy() for operand in operands]
    if kernel is AFFINE:
        return _affine(arrays, out.numpy())
    row = OPERATORS.get(kernel.name)
    if row is None or not isinstance(row.numpy, np.ufunc) or not _is_fast(row.numpy, out.dtype):
        return None
    return functools.partial(row.numpy, *arrays, out=out.numpy())


def bound_take(table: torch.Tensor, rows: torch.Tensor, out: torch.Tensor) -> Callable[[], Any]:
    """Copying rows of a table, ready to be called."""
    # Any mode but "raise" writes into `out` without a copy between.
    return functools.partial(table.numpy().take, rows.numpy(), 0, out.numpy(), "clip")


def _affine(arrays: Sequence[Array], out: Array) -> Callable[[], Any]:
    a, b, c = arrays
    # The product may not be written where `a` still has to be read.
    product = np.empty_like(out) if np.may_share_memory(a, out) else out

    def call() -> None:
        np.multiply(b, c, product)
        np.add(product, a, out)

    return call


@functools.lru_cache(maxsize=256)
def _is_fast(function: np.ufunc, dtype: torch.dtype) -> bool:
    name = function.__name__
    if name in _PLAIN:
        return True
    try:
        from numpy.lib.introspect import opt_func_info
    except ImportError:  # before NumPy 2.1
        return False
    kind = "float32" if dtype is torch.float32 else "float64"
    loops = opt_func_info(func_name=f"^{name}$", signature=kind).get(name, {})
    code = np.dtype(kind).char * (function.nin + function.nout)
    target = loops.get(code, {}).get("current", "baseline")
    return not target.startswith("baseline")
