"""C source: equations as one C99 function, printed from the graph that the layer runs.

Each number is printed as a double, so that no part of a formula is computed in integers, and
the text is as the graph is: what equations share is one line, and no line grows long.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...symbolic.expression import Expression
from ...symbolic.operators import OPERATORS
from ..planning.graph import AFFINE, DIVIDE, MULTIPLY, Graph, Input, Leaf, Number, Step
from ..planning.rewriting import plain_graph
from .c_names import check_function_name

LONGEST_PIECE = 60
"""Characters up to which a value that is used once is written where it is used."""

_CALL = re.compile(r"([a-z]\w*)\((a|a, b)\)")
"""A row's text that is nothing but a call of a function from math.h."""


def c_source(expressions: Sequence[Expression], variables: Sequence[str], name: str) -> str:
    """One function ``void name(const double *x, double *y)`` that writes all equations.

    >>> print(c_source([Expression.parse("2*u + sin(v)")], ["u", "v"], "law"))
    #include <math.h>
    <BLANKLINE>
    /* x: u, v; y: 1 value. */
    void law(const double *x, double *y);
    <BLANKLINE>
    void law(const double *x, double *y)
    {
        y[0] = 2.0*x[0] + sin(x[1]);
    }
    <BLANKLINE>

    Args:
        expressions: one per value of ``y``.
        variables: one per value of ``x``.
        name: of the function.

    Raises:
        InputError: a name that C does not take.
    """
    check_function_name(name)
    written = _write(plain_graph(expressions, variables), name)
    body = written.lines if written.reads_inputs else ["(void)x;", *written.lines]
    count = "1 value" if len(expressions) == 1 else f"{len(expressions)} values"
    signature = f"void {name}(const double *x, double *y)"
    return "\n".join(
        [
            "#include <math.h>",
            "",
            *(line for helper in written.helpers for line in (helper, "")),
            f"/* x: {', '.join(variables).encode('ascii', 'replace').decode()}; y: {count}. */",
            f"{signature};",
            "",
            signature,
            "{",
            *(f"    {line}" for line in body),
            "}",
            "",
        ]
    )


_SUM, _PRODUCT, _ATOM = range(3)


class _Text(NamedTuple):
    """A piece of C, and how strongly its outermost operator binds.

    A minus sign in front counts as part of a product: ``-a*b`` is the same number as ``-(a*b)``.
    """

    text: str
    strength: int

    @property
    def is_negative(self) -> bool:
        """Whether it is a number or product with a minus sign in front."""
        return self.strength > _SUM and self.text.startswith("-")

    @property
    def is_number(self) -> bool:
        """Whether it is a number."""
        return self.strength == _ATOM and self.text.lstrip("-")[0] in "0123456789NI"

    def left(self, strength: int) -> str:
        """The text as the first operand, in brackets if it needs some."""
        return f"({self.text})" if self.strength < strength else self.text

    def right(self, strength: int) -> str:
        """The text as the second operand."""
        return f"({self.text})" if self.strength < strength or self.is_negative else self.text


@dataclass
class _Written:
    lines: list[str]
    helpers: list[str]
    reads_inputs: bool


def _write(graph: Graph, name: str) -> _Written:
    """The lines of a function's body, and the functions that it calls."""
    uses = Counter(arg for _, step in graph.steps for arg in step.args)
    uses.update(graph.outputs)
    texts: list[_Text] = []
    lines: list[str] = []
    helpers: dict[str, str] = {}
    temporaries = 0
    for i, node in enumerate(graph.nodes):
        if not isinstance(node, Step):
            texts.append(_leaf(node))
            continue
        text = _step(node, [texts[arg] for arg in node.args], [*node.args], name, helpers)
        if uses[i] > 1 or len(text.text) > LONGEST_PIECE:
            lines.append(f"const double t{temporaries} = {text.text};")
            text = _Text(f"t{temporaries}", _ATOM)
            temporaries += 1
        texts.append(text)
    lines += [f"y[{k}] = {texts[i].text};" for k, i in enumerate(graph.outputs)]
    reads = any(isinstance(node, Input) for node in graph.nodes)
    return _Written(lines, [*helpers.values()], reads)


def _leaf(leaf: Leaf) -> _Text:
    if isinstance(leaf, Input):
        return _Text(f"x[{leaf.column}]", _ATOM)
    assert isinstance(leaf, Number)  # constants that can be trained are numbers by now
    return _number(leaf.value)


def _number(value: float) -> _Text:
    if math.isnan(value):
        return _Text("NAN", _ATOM)
    text = repr(abs(value)) if math.isfinite(value) else "INFINITY"
    return _Text(f"-{text}" if math.copysign(1, value) < 0 else text, _ATOM)


def _step(
    step: Step, args: Sequence[_Text], places: Sequence[int], name: str, helpers: dict[str, str]
) -> _Text:
    if step.kernel is AFFINE:
        return _affine(args, places)
    if step.kernel is MULTIPLY:
        return _product(*args)
    if step.kernel is DIVIDE:
        return _Text(f"{args[0].left(_PRODUCT)}/{args[1].right(_ATOM)}", _PRODUCT)
    body = OPERATORS[step.kernel.name].c
    assert body is not None  # only operators that the user defined have none
    call = _CALL.fullmatch(body)
    function = call[1] if call else f"{name}_{_word(step.kernel.name)}"
    if not call:
        parameters = ", ".join(f"double {letter}" for letter in "ab"[: len(args)])
        helpers[function] = f"static double {function}({parameters}) {{ return {body}; }}"
    return _Text(f"{function}({', '.join(arg.text for arg in args)})", _ATOM)


def _affine(args: Sequence[_Text], places: Sequence[int]) -> _Text:
    """``a + b*c``, the part first that was there first."""
    a, b, c = args
    product = b if c.text == "1.0" else _negative(b) if c.text == "-1.0" else _product(b, c)
    first, second = (product, a) if a.is_number or places[1] < places[0] else (a, product)
    if first.is_negative or second.strength == _SUM:
        first, second = second, first
    if second.is_negative:
        return _Text(f"{first.text} - {_negative(second).text}", _SUM)
    return _Text(f"{first.text} + {second.right(_PRODUCT)}", _SUM)


def _negative(a: _Text) -> _Text:
    if a.is_negative:
        return _Text(a.text[1:], a.strength)
    return _Text(f"-{a.left(_PRODUCT)}", _PRODUCT)


def _product(a: _Text, b: _Text) -> _Text:
    """Factors in either order give the same number: numbers come first, then products."""
    a, b = sorted((a, b), key=lambda factor: (not factor.is_number, factor.strength == _ATOM))
    if a.text == "-1.0":
        return _negative(b)
    return _Text(f"{a.left(_PRODUCT)}*{b.right(_ATOM)}", _PRODUCT)


def _word(operator: str) -> str:
    return operator if operator.isidentifier() else "".join(f"{ord(c):x}" for c in operator)
