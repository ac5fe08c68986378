"""MathML: a tree as browsers set it, printed from the tree itself.

SymPy's printer is not used: it writes Piecewise wrongly, and SymPy rearranges what was found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from html import escape

from .nodes import Call, Constant, Node, Variable, is_structural, walk
from .printing import without_sign

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = 1, 2, 3, 4, 5
"""How strongly a form holds together, from loosest to closed."""

_APPLY = "<mo>&#x2061;</mo>"
_TIMES = "<mo>&#x2062;</mo>"
_DOT = "<mo>&#x22c5;</mo>"
_MINUS = "<mo>&#x2212;</mo>"

_RAISED = 12
"""Most nodes of an exponent of e; a longer one would be too small to read: exp(...)."""

_FENCES: Mapping[str, tuple[str, str]] = {
    "abs": ("|", "|"),
    "floor": ("⌊", "⌋"),
    "ceil": ("⌈", "⌉"),
}

_FUNCTIONS: Mapping[str, str] = {
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "asinh": "arsinh",
    "acosh": "arcosh",
    "atanh": "artanh",
    "sign": "sgn",
}
"""Operators that mathematics calls by other names."""

_COMPARED: Mapping[str, str] = {"greater": "&gt;", "less": "&lt;"}

_GREEK = frozenset(
    {
        *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"),
        *("lamda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi"),
        "omega",
    }
)
"""Letters by their names in Unicode, without those that nobody means; Python owns ``lambda``."""

_NAME = re.compile(r"(?P<stem>.*?[^\W\d_])_?(?P<digits>\d+)\Z|(?P<word>[^\W_]+)_(?P<rest>\w+)\Z")


def mathml(node: Node, digits: int = 4, *, display: bool = False) -> str:
    """The tree as one ``<math>`` element; all text in it is escaped.

    >>> from symtorch.symbolic.parsing import parse_tree
    >>> mathml(parse_tree("x0/2"))
    '<math><mfrac><msub><mi>x</mi><mn>0</mn></msub><mn data-constant="0">2</mn></mfrac></math>'

    A constant that can be tuned carries ``data-constant``, its place in
    `Expression.constants`, and ``data-turned`` where its sign was drawn into a minus before.

    Args:
        node: the tree.
        digits: significant digits of numbers.
        display: fractions and roots in full size.
    """
    body = _Printer(digits).print(node, 0)
    return f'<math displaystyle="true">{body}</math>' if display else f"<math>{body}</math>"


def name_mathml(name: str) -> str:
    """A variable's name: Greek letters by name, what follows ``_`` or is a number set low.

    >>> name_mathml("theta_12")
    '<msub><mi>θ</mi><mn>12</mn></msub>'
    """
    match = _NAME.match(name)
    if match is None:
        return f"<mi>{_word(name)}</mi>"
    if match["word"] is not None:
        return f"<msub><mi>{_word(match['word'])}</mi><mi>{_word(match['rest'])}</mi></msub>"
    return f"<msub><mi>{_word(match['stem'])}</mi><mn>{match['digits']}</mn></msub>"


def number_mathml(value: float, digits: int = 4) -> str:
    """A number that is not negative.

    >>> number_mathml(1.5e20)
    '<mn>1.5</mn><mo>&#x22c5;</mo><msup><mn>10</mn><mn>20</mn></msup>'
    """
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    if mantissa == "inf":
        return "<mi>∞</mi>"
    if not exponent:
        return f"<mn>{mantissa}</mn>"
    power = exponent.lstrip("+-0")
    sign = _MINUS if exponent.startswith("-") else ""
    raised = _one(f"{sign}<mn>{power}</mn>")
    return f"<mn>{mantissa}</mn>{_DOT}<msup><mn>10</mn>{raised}</msup>"


def _word(text: str) -> str:
    if text.lower() not in _GREEK or text not in (text.lower(), text.capitalize()):
        return escape(text)
    size = "CAPITAL" if text[0].isupper() else "SMALL"
    return unicodedata.lookup(f"GREEK {size} LETTER {text.upper()}")


def _row(*parts: str) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _fenced(inner: str, left: str = "(", right: str = ")") -> str:
    return _row(f"<mo>{left}</mo>", inner, f"<mo>{right}</mo>")


class _Printer:
    """Prints nodes from left to right, and counts the constants that it passes."""

    def __init__(self, digits: int) -> None:
        self._digits = digits
        self._constants = 0
        self._special: Mapping[str, Callable[[Call], tuple[str, int]]] = {
            "+": self._sum,
            "-": self._sum,
            "*": self._product,
            "/": lambda node: self._fraction(*node.args),
            "inv": lambda node: self._fraction(None, node.args[0]),
            "^": self._power,
            "square": lambda node: self._raised(node.args[0], "<mn>2</mn>"),
            "cube": lambda node: self._raised(node.args[0], "<mn>3</mn>"),
            "neg": lambda node: (_row(_MINUS, self.print(node.args[0], _SIGN)), _SIGN),
            "sqrt": lambda node: (f"<msqrt>{self.print(node.args[0], 0)}</msqrt>", _ATOM),
            "cbrt": lambda node: (f"<mroot>{self.print(node.args[0], 0)}<mn>3</mn></mroot>", _ATOM),
            "exp": self._exponential,
            "mod": self._remainder,
            "cond": self._cases,
        }

    def print(self, node: Node, context: int) -> str:
        """A node as an operand of something that holds together as strongly as ``context``."""
        text, strength = self._format(node)
        return _fenced(text) if strength < context else text

    def _format(self, node: Node) -> tuple[str, int]:
        if isinstance(node, Variable):
            return name_mathml(node.name), _ATOM
        if isinstance(node, Constant):
            return self._constant(node.value)
        name = node.operator.name
        if name in self._special:
            return self._special[name](node)
        if name in _FENCES:
            return _fenced(self.print(node.args[0], 0), *_FENCES[name]), _ATOM
        if name in _COMPARED:
            # Iverson's brackets: 1 where what is inside holds, 0 elsewhere.
            sign = f"<mo>{_COMPARED[name]}</mo>"
            left, right = (self.print(arg, _SUM) for arg in node.args)
            return _fenced(_row(left, sign, right), "[", "]"), _ATOM
        return self._called(node), _ATOM

    def _constant(self, value: float, *, turned: bool = False) -> tuple[str, int]:
        mark = f' data-constant="{self._constants}"' + (' data-turned="1"' if turned else "")
        self._constants += 1
        if value < 0 or str(value).startswith("-"):
            return f"<mrow{mark}>{_MINUS}{number_mathml(-value, self._digits)}</mrow>", 0
        number = number_mathml(value, self._digits)
        if number.startswith("<mn>") and number.count("<") == 2:
            return f"<mn{mark}>{number[4:]}", _ATOM
        # A power of ten is a product.
        return f"<mrow{mark}>{number}</mrow>", _ATOM if number == "<mi>∞</mi>" else _PRODUCT

    def _called(self, node: Call, power: str | None = None) -> str:
        name = node.operator.name
        if name in ("log2", "log10"):
            head = f"<msub><mi>log</mi><mn>{name[3:]}</mn></msub>"
        else:
            head = f"<mi>{escape(_FUNCTIONS.get(name, name))}</mi>"
        if power is not None:
            head = f"<msup>{head}{power}</msup>"
        args = "<mo>,</mo>".join(self.print(arg, 0) for arg in node.args)
        return _row(head, _APPLY, _fenced(args))

    def _sum(self, node: Call) -> tuple[str, int]:
        left, right = node.args
        first = self.print(left, 0 if isinstance(left, Constant) else _SUM)
        minus = node.operator.name == "-"
        positive = without_sign(right)
        if positive is None:
            return _row(first, _MINUS if minus else "<mo>+</mo>", self.print(right, _SUM + 1)), _SUM
        sign = "<mo>+</mo>" if minus else _MINUS
        second = self._turned(right, positive)
        return _row(first, sign, second), _SUM

    def _turned(self, node: Node, positive: Node) -> str:
        """A term without the minus sign that it starts with."""
        if isinstance(node, Constant):
            return self._constant(-node.value, turned=True)[0]
        assert isinstance(node, Call)
        if node.operator.name == "neg":
            return self.print(positive, _SUM + 1)
        # A product or a quotient whose head carries the sign.
        head, other = node.args
        assert isinstance(positive, Call)
        if node.operator.name == "*":
            return self._times(self._turned(head, positive.args[0]), other)
        above = self._turned(head, positive.args[0])
        return f"<mfrac>{_one(above)}{_one(self.print(other, 0))}</mfrac>"

    def _product(self, node: Call) -> tuple[str, int]:
        left, right = node.args
        first = self.print(left, 0 if isinstance(left, Constant) else _PRODUCT)
        return self._times(first, right), _PRODUCT

    def _times(self, first: str, right: Node) -> str:
        """A product, its factors side by side unless two numbers would run into one."""
        second = self.print(right, _SIGN)
        return _row(first, _DOT if _begins_with_digit(second) else _TIMES, second)

    def _fraction(self, above: Node | None, below: Node) -> tuple[str, int]:
        top = "<mn>1</mn>" if above is None else self.print(above, 0)
        return f"<mfrac>{_one(top)}{_one(self.print(below, 0))}</mfrac>", _SIGN

    def _power(self, node: Call) -> tuple[str, int]:
        base, exponent = node.args
        if is_structural(node, 1):
            assert isinstance(exponent, Constant)
            minus = _MINUS if exponent.value < 0 else ""
            number = f"{minus}{number_mathml(abs(exponent.value), self._digits)}"
            return self._raised(base, _one(number), plain=exponent.value > 0)
        below = self.print(base, _ATOM)
        return f"<msup>{_one(below)}{_one(self.print(exponent, 0))}</msup>", _POWER

    def _raised(self, base: Node, exponent: str, *, plain: bool = True) -> tuple[str, int]:
        """A power with an exponent that is part of the form: sin²(x), (x + 1)³."""
        if plain and isinstance(base, Call) and self._is_named(base):
            # Not for negative exponents: sin with -1 above is the inverse function.
            return self._called(base, exponent), _POWER
        return f"<msup>{_one(self.print(base, _ATOM))}{exponent}</msup>", _POWER

    def _is_named(self, node: Call) -> bool:
        name = node.operator.name
        return name not in self._special and name not in _FENCES and name not in _COMPARED

    def _exponential(self, node: Call) -> tuple[str, int]:
        if sum(1 for _ in walk(node.args[0])) > _RAISED:
            return self._called(node), _ATOM
        return f"<msup><mi>e</mi>{_one(self.print(node.args[0], 0))}</msup>", _POWER

    def _remainder(self, node: Call) -> tuple[str, int]:
        left, right = (self.print(arg, _SIGN) for arg in node.args)
        return _row(left, '<mo lspace="0.3em" rspace="0.3em">mod</mo>', right), _PRODUCT

    def _cases(self, node: Call) -> tuple[str, int]:
        condition = _row(self.print(node.args[0], _SUM), "<mo>&gt;</mo>", "<mn>0</mn>")
        value = self.print(node.args[1], 0)
        when_true = f"<mtext>if&#xa0;</mtext>{condition}"
        rows = [(value, when_true), ("<mn>0</mn>", "<mtext>else</mtext>")]
        table = "".join(
            f"<mtr><mtd>{what}</mtd><mtd><mrow>{when}</mrow></mtd></mtr>" for what, when in rows
        )
        return _row("<mo>{</mo>", f"<mtable>{table}</mtable>"), _SIGN


def _one(text: str) -> str:
    """As a single element, which fractions and powers need for each of their parts."""
    return text if _is_one_element(text) else _row(text)


def _is_one_element(text: str) -> bool:
    name = re.match(r"<(\w+)", text)
    assert name is not None
    depth = 0
    for tag in re.finditer(r"<(/?)(\w+)[^>]*>", text):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end() == len(text)
    return False


def _begins_with_digit(text: str) -> bool:
    first = re.match(r"(?:<(?:mrow|msup|mn)\b[^>]*>)*([^<]?)", text)
    return first is not None and first[1].isdigit()
