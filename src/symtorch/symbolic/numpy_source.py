"""Python source: equations as one function on NumPy arrays, in need of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import InputError
from .expression import Expression
from .operators import Operator
from .parsing import definition_of
from .printing import exact

_IMPORTED: Mapping[str, str] = {
    "abs": "abs",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "cbrt": "cbrt",
    "ceil": "ceil",
    "cos": "cos",
    "cosh": "cosh",
    "exp": "exp",
    "expm1": "expm1",
    "floor": "floor",
    "log": "log",
    "log10": "log10",
    "log1p": "log1p",
    "log2": "log2",
    "max": "maximum",
    "min": "minimum",
    "mod": "mod",
    "neg": "negative",
    "sign": "sign",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "square": "square",
    "tan": "tan",
    "tanh": "tanh",
}
"""Operators that NumPy has, and their names there."""

_WRITTEN: Mapping[str, str] = {
    "cond": "(x, y): return np.where(x > 0, y, 0.0)",
    "cube": "(x): return x * x * x",
    "greater": "(x, y): return np.greater(x, y).astype(float)",
    "inv": "(x): return 1.0 / np.asarray(x)",
    "less": "(x, y): return np.less(x, y).astype(float)",
    "relu": "(x): return np.maximum(x, 0.0)",
    "sigmoid": "(x): return np.exp(-np.logaddexp(0.0, -np.asarray(x)))",
    "softplus": "(x): return np.logaddexp(x, 0.0)",
}
"""Operators that are written out: arguments and body."""

_SPECIAL = frozenset({"erf", "erfc"})
"""Operators that SciPy has."""

_SYMBOLS = frozenset({"+", "-", "*", "/", "^"})


def numpy_source(
    expressions: Sequence[Expression], variables: Sequence[str], name: str = "equations"
) -> str:
    """A function ``name(x)`` on arrays, [..., variables] -> [..., equations].

    >>> print(numpy_source([Expression.parse("2*u + sin(v)")], ["u", "v"], "law"))
    import numpy as np
    from numpy import sin
    <BLANKLINE>
    <BLANKLINE>
    def law(x):
        "[..., 2] -> [..., 1]; columns: u, v"
        columns = np.moveaxis(np.asarray(x, dtype=float), -1, 0)
        with np.errstate(all="ignore"):
            return np.stack(np.broadcast_arrays(columns[0], *_values(*columns))[1:], axis=-1)
    <BLANKLINE>
    <BLANKLINE>
    def _values(u, v):
        return (
            2*u + sin(v),
        )
    <BLANKLINE>

    Args:
        expressions: one per value.
        variables: one per column.
        name: of the function.

    Raises:
        InputError: a name that cannot be the function's.
    """
    if not name.isidentifier() or name in ("np", "_values"):
        raise InputError(f"'{name}' cannot be the name of the function in Python")
    head, definitions = _needed(expressions, name)
    lines = [
        "import numpy as np",
        *head,
        *definitions,
        "",
        "",
        f"def {name}(x):",
        f'    "[..., {len(variables)}] -> [..., {len(expressions)}]; '
        f'columns: {", ".join(variables)}"',
        "    columns = np.moveaxis(np.asarray(x, dtype=float), -1, 0)",
        '    with np.errstate(all="ignore"):',
        "        return np.stack(np.broadcast_arrays(columns[0], *_values(*columns))[1:], axis=-1)",
        "",
        "",
        # Apart, for a variable may be called np or x; none is called like an operator.
        f"def _values({', '.join(variables)}):",
        "    return (",
        *(f"        {expression}," for expression in expressions),
        "    )",
        "",
    ]
    return "\n".join(lines)


def numpy_function(expression: Expression, variables: Sequence[str], name: str = "equation") -> str:
    """A function of one column each, ``name(u, v)``.

    >>> print(numpy_function(Expression.parse("2*u + sin(v)"), ["u", "v"]))
    from numpy import sin
    <BLANKLINE>
    <BLANKLINE>
    def equation(u, v):
        return 2*u + sin(v)
    <BLANKLINE>

    Raises:
        InputError: a name that cannot be the function's.
    """
    if not name.isidentifier() or name == "np":
        raise InputError(f"'{name}' cannot be the name of the function in Python")
    imports, definitions = _needed([expression], name)
    if any("np." in line for line in definitions):
        imports.insert(0, "import numpy as np")
    head = [*imports, *definitions]
    function = [f"def {name}({', '.join(variables)}):", f"    return {expression}", ""]
    return "\n".join([*head, "", "", *function] if head else function)


def _needed(expressions: Sequence[Expression], name: str) -> tuple[list[str], list[str]]:
    """Imports, and definitions of the operators that there is nothing to import for."""
    imports: list[str] = []
    definitions: dict[str, list[str]] = {}
    waiting = [operator for expression in expressions for operator in expression.operators]
    seen: set[str] = set()
    while waiting:
        operator = waiting.pop(0)
        if operator.name in seen | _SYMBOLS:
            continue
        seen.add(operator.name)
        if operator.name == name:
            raise InputError(f"'{name}' is an operator of the equations; name the function else")
        if operator.name in _IMPORTED:
            theirs = _IMPORTED[operator.name]
            alias = "" if theirs == operator.name else f" as {operator.name}"
            imports.append(f"from numpy import {theirs}{alias}")
        elif operator.name in _SPECIAL:
            imports.append(f"from scipy.special import {operator.name}")
        else:
            text, inner = _definition(operator)
            definitions[operator.name] = text
            waiting += inner
    return sorted(imports), [line for text in definitions.values() for line in text]


def _definition(operator: Operator) -> tuple[list[str], list[Operator]]:
    """An operator as a function of its own, and the operators that it calls."""
    defined = definition_of(operator)
    if defined is None:
        arguments, _, body = _WRITTEN[operator.name].partition(": ")
        return ["", "", f"def {operator.name}{arguments}:", f"    {body}"], []
    parameters, root = defined
    head = f"def {operator.name}({', '.join(parameters)}):"
    return ["", "", head, f"    return {exact(root)}"], [*Expression(root).operators]
