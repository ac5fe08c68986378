"""Polynomials written out term by term, recognised without computer algebra."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from .nodes import Call, Constant, Node, Variable

_POWERS = {"square": 2, "cube": 3}


def shortest_as_written(node: Node, operators: Collection[str]) -> bool:
    """Whether a tree is a sum of products that nothing short of factoring makes shorter.

    The terms are different products of variables, each with a number that matters in front,
    or one number alone; no power is spelled out where an operator could write it; and no
    variable is in every term.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> shortest_as_written(parse_tree("0.5*x*y + 3.0*square(z) - 2.0"), {"square"})
    True
    >>> shortest_as_written(parse_tree("0.5*x*y + 3.0*y*x"), {"square"})
    False

    Args:
        node: the tree.
        operators: names that may be used to write it.
    """
    products: list[dict[str, int]] = []
    for term in _parts(node, {"+", "-"}):
        powers = _powers(term, operators)
        if powers is None or powers in products:
            return False
        products.append(powers)
    return not set.intersection(*(set(powers) for powers in products))


def _powers(term: Node, operators: Collection[str]) -> dict[str, int] | None:
    """The exponents of a term's variables; None if it is no term in its shortest form."""
    numbers: list[float] = []
    powers: Counter[str] = Counter()
    factors = _parts(term, {"*"})
    for factor in factors:
        match factor:
            case Constant(value):
                numbers.append(value)
            case Variable(name):
                powers[name] += 1
            case Call(operator, (Variable(name),)) if operator.name in _POWERS:
                powers[name] += _POWERS[operator.name]
            case Call(operator, (Variable(name), Constant(value))) if operator.name == "^":
                shorter = any(_POWERS[o] == value for o in _POWERS if o in operators)
                if shorter or not value.is_integer() or value < 2:
                    return None
                powers[name] += int(value)
            case _:
                return None
    spelled_out = len(factors) - len(numbers) > len(powers)
    if spelled_out and any(name in operators for name in (*_POWERS, "^")):
        return None
    if len(numbers) > 1 or (numbers and abs(numbers[0]) in (0.0, 1.0) and powers):
        return None
    return dict(powers)


def _parts(node: Node, names: Collection[str]) -> list[Node]:
    """What is chained by operators of these names, left to right."""
    found, waiting = [], [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Call) and part.operator.name in names and len(part.args) == 2:
            waiting += reversed(part.args)
        else:
            found.append(part)
    return found
