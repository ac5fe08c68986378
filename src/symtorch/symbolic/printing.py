"""Tree to text: exactly (it parses back to the same tree) or for reading."""

from __future__ import annotations

from collections.abc import Callable

from .nodes import Call, Constant, Node, Variable, spine

_PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "^": 4}
_ATOM = 5

# Calls that read better as a power or a quotient. Only for reading: parsed back they
# would be another tree, of another complexity.
_READABLE: dict[str, tuple[int, str]] = {"square": (4, "{}**2"), "cube": (4, "{}**3")}


def exact(node: Node) -> str:
    """Text that parses back to the very same tree, given its variables and own operators.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> exact(parse_tree("x0**2 + 3*sin(x4) - (4 - y)"))
    'x0**2 + 3*sin(x4) - (4 - y)'
    """
    return _Printer(_exact_number, readable=False).print(node, 0)


def readable(node: Node, digits: int) -> str:
    """Text for people: numbers to ``digits`` significant digits, ``square(x)`` as ``x**2``.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> readable(parse_tree("3.14159265*square(x0) + -1.5"), 3)
    '3.14*x0**2 - 1.5'
    """
    return _Printer(lambda value: f"{value:.{digits}g}", readable=True).print(node, 0)


def _exact_number(value: float) -> str:
    if value.is_integer() and abs(value) < 1e16:
        # -0.0 must come back as itself, so it keeps its decimal point.
        return repr(value) if value == 0 and str(value)[0] == "-" else str(int(value))
    return repr(value)


class _Printer:
    def __init__(self, number: Callable[[float], str], *, readable: bool) -> None:
        self.number = number
        self.readable = readable

    def print(self, node: Node, context: int) -> str:
        """Print a node as an operand of an operator that binds with strength ``context``."""
        text, precedence = self._format(node)
        return _bound(text, precedence, context)

    def _format(self, node: Node) -> tuple[str, int]:
        leaf, calls = spine(node)
        text, precedence = self._leaf(leaf)
        for call in calls:
            text, precedence = self._call(call, text, precedence)
        return text, precedence

    def _leaf(self, leaf: Constant | Variable) -> tuple[str, int]:
        if isinstance(leaf, Variable):
            return leaf.name, _ATOM
        text = self.number(leaf.value)
        # A negative number is bracketed in any operand but the first one of a sum,
        # product or quotient, where the parser takes the sign for the number's own.
        return text, 0 if text.startswith("-") else _ATOM

    def _call(self, call: Call, first: str, strength: int) -> tuple[str, int]:
        """A call whose first argument is printed, and binds that strongly."""
        name, args = call.operator.name, call.args
        if self.readable and name in _READABLE:
            precedence, template = _READABLE[name]
            return template.format(_bound(first, strength, precedence + 1)), precedence
        if self.readable and name == "inv":
            return f"1/{_bound(first, strength, 3)}", 2
        if name == "neg":
            # neg(3) must not come back as the number -3.
            if isinstance(args[0], Constant):
                return f"neg({first})", _ATOM
            return f"-{_bound(first, strength, 3)}", 3
        if name not in _PRECEDENCE:
            others = [self.print(arg, 0) for arg in args[1:]]
            return f"{name}({', '.join([first, *others])})", _ATOM
        if not isinstance(args[0], Constant) or name == "^":
            # ^ binds to the right: (a**b)**c needs brackets, a**(b**c) gets them too.
            first = _bound(first, strength, _PRECEDENCE[name] + (name == "^"))
        return self._infix(name, first, args[1])

    def _infix(self, name: str, first: str, right: Node) -> tuple[str, int]:
        precedence = _PRECEDENCE[name]
        if self.readable and name in "+-":
            name, right = _turn_sign(name, right)
        # The parser groups to the left, so an operand of equal strength on the right
        # is bracketed even where the arithmetic would not need it.
        second = self.print(right, precedence + 1)
        if name in "+-":
            return f"{first} {name} {second}", precedence
        return f"{first}{'**' if name == '^' else name}{second}", precedence


def _bound(text: str, strength: int, context: int) -> str:
    """An operand of an operator that binds with strength ``context``."""
    return f"({text})" if strength < context else text


def _turn_sign(name: str, right: Node) -> tuple[str, Node]:
    """``a + -2*b`` reads as ``a - 2*b``."""
    flipped = "-" if name == "+" else "+"
    positive = without_sign(right)
    return (name, right) if positive is None else (flipped, positive)


def without_sign(node: Node) -> Node | None:
    """The node without the minus sign it starts with; None where there is none."""
    if isinstance(node, Constant):
        return Constant(-node.value) if node.value < 0 else None
    if isinstance(node, Call) and node.operator.name == "neg":
        return node.args[0]
    if isinstance(node, Call) and node.operator.name in ("*", "/"):
        head = without_sign(node.args[0])
        return None if head is None else Call(node.operator, (head, node.args[1]))
    return None
