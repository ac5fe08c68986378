"""Tree to text: exactly (it parses back to the same tree) or for reading."""

from __future__ import annotations

from collections.abc import Callable

from .nodes import Call, Constant, Node, Variable

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
        return f"({text})" if precedence < context else text

    def _format(self, node: Node) -> tuple[str, int]:
        if isinstance(node, Variable):
            return node.name, _ATOM
        if isinstance(node, Constant):
            text = self.number(node.value)
            # A negative number is bracketed in any operand but the first one of a sum,
            # product or quotient, where the parser takes the sign for the number's own.
            return text, 0 if text.startswith("-") else _ATOM
        name, args = node.operator.name, node.args
        if self.readable and name in _READABLE:
            precedence, template = _READABLE[name]
            return template.format(self.print(args[0], precedence + 1)), precedence
        if self.readable and name == "inv":
            return f"1/{self.print(args[0], 3)}", 2
        if name == "neg":
            # neg(3) must not come back as the number -3.
            if isinstance(args[0], Constant):
                return f"neg({self.print(args[0], 0)})", _ATOM
            return f"-{self.print(args[0], 3)}", 3
        if name not in _PRECEDENCE:
            return f"{name}({', '.join(self.print(arg, 0) for arg in args)})", _ATOM
        return self._infix(name, args[0], args[1])

    def _infix(self, name: str, left: Node, right: Node) -> tuple[str, int]:
        precedence = _PRECEDENCE[name]
        if self.readable and name in "+-":
            name, right = _turn_sign(name, right)
        if name == "^":  # binds to the right: (a**b)**c needs brackets, a**(b**c) gets them too
            first, second = self.print(left, precedence + 1), self.print(right, precedence + 1)
            return f"{first}**{second}", precedence
        first = self.print(left, 0 if isinstance(left, Constant) else precedence)
        # The parser groups to the left, so an operand of equal strength on the right
        # is bracketed even where the arithmetic would not need it.
        second = self.print(right, precedence + 1)
        if name in "+-":
            return f"{first} {name} {second}", precedence
        return f"{first}{name}{second}", precedence


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
