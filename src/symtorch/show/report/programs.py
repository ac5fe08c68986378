"""Equations as data for the page's script: programs that a small stack machine runs.

The page's security policy lets no text become code, so the script cannot evaluate source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ...symbolic.definitions import definition_of
from ...symbolic.expression import Expression
from ...symbolic.nodes import Call, Constant, Node, is_structural


def program(expression: Expression, variables: Sequence[str]) -> str:
    """Words that leave the value on a stack.

    >>> program(Expression.parse("2*u**2 + sin(v)"), ["u", "v"])
    'c0 v0 2.0 ^ * v1 sin +'

    ``c0`` is the first tunable constant, ``v0`` the first variable; other words are numbers
    and operators of the table. An operator of the user's own is its body between ``enter2``,
    which takes two arguments off the stack and calls them ``a0`` and ``a1``, and ``leave``.
    """
    places = {name: f"v{place}" for place, name in enumerate(variables)}
    return " ".join(_Writer(places, tunable=True).words(expression.root))


class _Writer:
    def __init__(self, names: Mapping[str, str], *, tunable: bool) -> None:
        self._names = names
        self._tunable = tunable
        self._constants = 0

    def words(self, node: Node, *, structural: bool = False) -> Iterator[str]:
        if isinstance(node, Constant):
            if structural or not self._tunable:
                yield repr(float(node.value))
            else:
                yield f"c{self._constants}"
                self._constants += 1
        elif isinstance(node, Call):
            for place, arg in enumerate(node.args):
                yield from self.words(arg, structural=is_structural(node, place))
            yield from _operator(node)
        else:
            yield self._names[node.name]


def _operator(node: Call) -> Iterator[str]:
    defined = definition_of(node.operator)
    if defined is None:
        yield node.operator.name
        return
    parameters, body = defined
    names = {name: f"a{place}" for place, name in enumerate(parameters)}
    yield f"enter{len(parameters)}"
    yield from _Writer(names, tunable=False).words(body)
    yield "leave"
