"""Target: the model to explain as a function of encoded rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ..errors import InputError, UnsupportedTypeError
from ..recording.contexts import evaluating, gradients
from ..recording.query import in_single_precision
from .columns import Array, Columns, as_array
from .link import LINKS, Link

SUM_TOLERANCE = 1e-4
"""How far a row of class probabilities may be from summing to 1, in float16 or float32."""

Query = Callable[[Any], Any]
"""A model as a function of a table of the data's kind: -> [rows] or [rows, outputs]."""


def query_of(f: Any) -> tuple[Query, bool]:
    """A model as a query, and whether its predictions are known to be probabilities.

    Args:
        f: an `nn.Module`, a function, a method of an estimator, or an estimator.

    Raises:
        UnsupportedTypeError: none of these.
    """
    if isinstance(f, nn.Module):
        module = in_single_precision(f)
        return lambda rows: _run_module(module, rows), False
    if callable(f):
        return f, getattr(f, "__name__", "") == "predict_proba"
    for method in ("predict_proba", "predict"):
        if callable(getattr(f, method, None)):
            return getattr(f, method), method == "predict_proba"
    raise UnsupportedTypeError(
        f"f must be a module, a function of a table, or an estimator with predict; "
        f"got {type(f).__name__}"
    )


def answers(query: Query, columns: Columns, encoded: Array) -> npt.NDArray[Any]:
    """A model's predictions for encoded rows [n, inputs]: [n, outputs], in the model's type.

    Raises:
        InputError: predictions of the wrong shape, or that are not finite numbers.
    """
    with gradients(False):
        given = as_array(query(columns.decode(encoded)))
    found = given.reshape(len(given), -1) if given.ndim <= 2 and given.ndim > 0 else given
    if found.ndim != 2 or len(found) != len(encoded) or found.shape[1] == 0:
        raise InputError(
            f"f was asked about {len(encoded)} rows and answered with shape {[*given.shape]}; "
            f"it must give [rows] or [rows, outputs]"
        )
    if found.dtype.kind not in "biuf":
        raise InputError(
            f"f answered with {found.ravel()[0]!r}, no number; for a classifier pass its "
            f"predict_proba"
        )
    if not np.isfinite(found).all():
        raise InputError(f"f answered {np.sum(~np.isfinite(found))} times with nan or inf")
    return found


def choose_output(table: npt.NDArray[Any], output: int) -> npt.NDArray[Any]:
    """One column [n] of a model's predictions [n, outputs].

    Raises:
        InputError: there is no such column.
    """
    if isinstance(output, bool) or not isinstance(output, int | np.integer):
        raise UnsupportedTypeError(f"output must be a number of an output; got {output!r}")
    if not 0 <= output < table.shape[1]:
        raise InputError(f"f has outputs 0-{table.shape[1] - 1}; asked for output {output}")
    chosen: npt.NDArray[Any] = table[:, output]
    return chosen


def choose_link(
    name: Literal["auto", "identity", "logit"],
    table: npt.NDArray[Any],
    *,
    probabilities: bool,
) -> Link:
    """The requested link; "auto" takes log-odds for class probabilities.

    Raises:
        InputError: an unknown name; log-odds of numbers that are not probabilities.
    """
    if name == "auto":
        sums_to_one = np.abs(table.sum(axis=1) - 1).max() < SUM_TOLERANCE
        distribution = table.shape[1] > 1 and bool(sums_to_one) and table.min() >= 0
        name = "logit" if probabilities or distribution else "identity"
    if name not in LINKS:
        raise InputError(f"unknown link '{name}'; use 'auto', 'identity' or 'logit'")
    if name == "logit" and not (table.min() >= 0 and table.max() <= 1):
        raise InputError(
            f"log-odds need probabilities; f answered between {table.min():.4g} and "
            f"{table.max():.4g}"
        )
    return LINKS[name]


def _run_module(module: nn.Module, rows: Any) -> Any:
    tensor = rows if isinstance(rows, torch.Tensor) else torch.as_tensor(as_array(rows))
    like = next((p for p in module.parameters() if p.is_floating_point()), None)
    if like is not None:
        tensor = tensor.to(like)
    elif not tensor.is_floating_point():
        tensor = tensor.to(torch.get_default_dtype())
    with evaluating(module):
        return module(tensor)
