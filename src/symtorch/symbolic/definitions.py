"""Definitions: operators that users write, ``"gauss(x) = exp(-x^2)"``."""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, UnsupportedTypeError
from ..lazy import LazyModule
from .names import check_names, check_word, clip
from .nodes import Node, evaluate, evaluate_sympy
from .operators import ALIASES, OPERATORS, Operator
from .parsing import parse_tree

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

_DEFINITION = re.compile(r"^\s*([A-Za-z_]\w*)\s*\(([^()]*)\)\s*=(?!=)(.+)$", re.DOTALL)


def define_operator(text: str) -> Operator:
    """Make an operator from a definition in the table's operators, PySR's spelling.

    >>> gauss = define_operator("gauss(x) = exp(-x^2)")
    >>> gauss.arity, float(gauss.numpy(0.0))
    (1, 1.0)

    A definition of a name the table has must mean the same as the table's row, so
    ``"inv(x) = 1/x"`` is the table's ``inv``.

    Raises:
        InputError: not of the form ``name(args) = body``; a body with other variables;
            a table's name given another meaning.
    """
    name, parameters, body = _read_definition(text)

    def numpy_(*args: npt.ArrayLike) -> Any:
        kind = np.result_type(*args)
        number = kind.type if kind.kind == "f" else np.float64  # float32 stays float32
        return evaluate(body, dict(zip(parameters, args, strict=True)), "numpy", number)

    def torch_(*args: torch.Tensor) -> torch.Tensor:
        def number(value: float) -> torch.Tensor:
            return torch.as_tensor(value, dtype=args[0].dtype, device=args[0].device)

        value: torch.Tensor = evaluate(
            body, dict(zip(parameters, args, strict=True)), "torch", number
        )
        return value

    def sympy_(*args: sympy.Expr) -> sympy.Expr:
        return evaluate_sympy(body, dict(zip(parameters, args, strict=True)))

    arity = len(parameters)
    operator = Operator(
        name,
        arity,
        torch_,
        numpy_,
        sympy_,
        domain=((-math.inf, math.inf),) * arity,
        definition=" ".join(text.split()),
    )
    row = OPERATORS.get(ALIASES.get(name, name))
    if row is None:
        return operator
    if _same_values(operator, row):
        return row
    raise InputError(
        f"'{name}' already means something else; choose another name than in {clip(text)!r}"
    )


@functools.lru_cache(maxsize=256)
def definition_of(operator: Operator) -> tuple[tuple[str, ...], Node] | None:
    """Arguments and body of an operator that the user defined; None for the table's rows.

    >>> definition_of(define_operator("gauss(x) = exp(-x^2)"))[0]
    ('x',)
    """
    if operator.definition is None:
        return None
    _, parameters, body = _read_definition(operator.definition)
    return tuple(parameters), body


def _read_definition(text: str) -> tuple[str, list[str], Node]:
    if not isinstance(text, str):
        raise UnsupportedTypeError(f"a definition must be text, not {type(text).__name__}")
    match = _DEFINITION.match(text)
    if match is None:
        raise InputError(f"not an operator definition: {clip(text)!r}; write it as 'inv(x) = 1/x'")
    name, parameters, body_text = match[1], [p.strip() for p in match[2].split(",")], match[3]
    if len(parameters) not in (1, 2):
        raise InputError(f"operator '{name}' must have one or two arguments: {clip(text)!r}")
    check_word(name, "operator")
    check_names(parameters)
    body = parse_tree(body_text, parameters)
    return name, parameters, body


def _same_values(a: Operator, b: Operator) -> bool:
    """Whether two operators agree, undefined values included, on a grid of points.

    A proof by symbolic simplification would let a definition in a crafted file keep
    SymPy busy for hours.
    """
    if a.arity != b.arity:
        return False
    positive = np.array([1e-6, 0.137, 0.5, 0.9182, 1.0, 1.4142, 2.7, 7.77, 19.3])
    points = np.concatenate([-positive, [0.0], positive])
    grid = np.meshgrid(*[points] * a.arity)
    with np.errstate(all="ignore"):
        ours, theirs = a.numpy(*grid), b.numpy(*grid)
    return np.allclose(ours, theirs, rtol=1e-9, atol=1e-14, equal_nan=True)
