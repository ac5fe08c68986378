"""Python source: equations as one function on NumPy arrays, in need of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .definitions import definition_of
from .expression import Expression
from .operators import Operator
from .printing import exact

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
        if isinstance(operator.numpy, np.ufunc):
            theirs = operator.numpy.__name__
            alias = "" if theirs == operator.name else f" as {operator.name}"
            imports.append(f"from numpy import {theirs}{alias}")
            continue
        text, inner = _definition(operator)
        if any("special." in line for line in text):
            imports.append("from scipy import special")
        definitions[operator.name] = text
        waiting += inner
    return sorted({*imports}), [line for text in definitions.values() for line in text]


def _definition(operator: Operator) -> tuple[list[str], list[Operator]]:
    """An operator as a function of its own, and the operators that it calls."""
    defined = definition_of(operator)
    if defined is not None:
        parameters, root = defined
        body, inner = exact(root), [*Expression(root).operators]
    elif operator.python is not None:
        parameters, body, inner = ("x", "y")[: operator.arity], operator.python, []
    else:
        raise InputError(f"operator '{operator.name}' has no text for Python in its row")
    head = f"def {operator.name}({', '.join(parameters)}):"
    return ["", "", head, f"    return {body}"], inner
