"""Text to tree, by a whitelist over Python's own grammar. Nothing is ever evaluated.

Text may come from a checkpoint or an engine's output file, so only numbers, known
names, ``+ - * / **`` (or ``^``) and calls of known operators are let through.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError, UnsupportedTypeError, did_you_mean
from .names import NOT_FINITE, clip
from .nodes import Call, Constant, Node, Variable
from .operators import OPERATORS, Operator, operator_named

MAX_TEXT = 100_000
"""Longest accepted text, in characters."""

MAX_DEPTH = 200
"""Deepest accepted nesting: far above any readable equation, far below Python's stack.

A sum counts once, however many terms it has.
"""

NAMED_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "E": math.e}

_BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "^",
}

_LEVEL: Mapping[type[ast.operator], int] = {
    ast.Add: 1,
    ast.Sub: 1,
    ast.Mult: 2,
    ast.Div: 2,
    ast.Pow: 3,
}
"""Operators of one level chain up to the left without being nested."""


def parse_tree(
    text: str,
    variables: Sequence[str] | None = None,
    operators: Mapping[str, Operator] | None = None,
) -> Node:
    """Parse ``"x0**2 + 3*sin(x4) - 4"`` to a tree.

    Args:
        text: the equation; ``^`` is read as a power.
        variables: names allowed as variables; None allows any that is not an operator.
        operators: operators beside the table's, by name (see `define_operator`).

    Raises:
        InputError: anything outside the whitelist; the message quotes the piece.
    """
    if not isinstance(text, str):
        raise UnsupportedTypeError(f"an equation must be text, not {type(text).__name__}")
    if len(text) > MAX_TEXT:
        raise InputError(f"equation of {len(text)} characters; at most {MAX_TEXT} are read")
    # PySR writes powers with ^, which Python would read as "exclusive or", at a
    # precedence below +; no other meaning of ^ is allowed here, so it can be rewritten.
    source = text.strip().replace("^", "**")
    try:
        body = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"not an equation: {clip(text)!r} ({error})") from None
    allowed = None if variables is None else frozenset(variables)
    return _Converter(source, allowed, operators or {}).convert(body, 0)


@dataclass(frozen=True)
class _Converter:
    """Python's tree of a text to ours.

    Args:
        source: the text, for messages.
        variables: names that may occur; None for any.
        operators: beside the table's.
    """

    source: str
    variables: frozenset[str] | None
    operators: Mapping[str, Operator]

    def convert(self, node: ast.expr, depth: int) -> Node:
        """Convert an expression that is nested so deep."""
        if depth > MAX_DEPTH:
            raise InputError(
                f"equation nested deeper than {MAX_DEPTH} levels: {clip(self.source)!r}"
            )
        match node:
            case ast.Constant(value=bool()):
                raise self.refused(node)
            case ast.Constant(value=int() | float() as value):
                return self.number(value)
            case ast.Name(id=name):
                return _variable(name, self.source, self.variables, self.operators)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self.convert(operand, depth + 1)
                if isinstance(operand, ast.Constant) and isinstance(inner, Constant):
                    return Constant(-inner.value)
                return Call(self.operators.get("neg", OPERATORS["neg"]), (inner,))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.convert(operand, depth + 1)
            case ast.BinOp() if type(node.op) in _BINARY:
                return self.chain(node, depth)
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
                return self.call(name, args, depth)
        raise self.refused(node)

    def number(self, value: float) -> Constant:
        """A finite number."""
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise InputError(f"number out of range in {clip(self.source)!r}")
        return Constant(number)

    def chain(self, node: ast.BinOp, depth: int) -> Node:
        """A sum or a product of any length: to Python ``a + b + c`` is nested, to us it is long."""
        chained = [node]
        while (
            isinstance(left := chained[-1].left, ast.BinOp)
            and _LEVEL.get(type(left.op)) == _LEVEL[type(node.op)]
        ):
            chained.append(left)
        result = self.convert(chained[-1].left, depth + 1)
        for part in reversed(chained):
            operator = OPERATORS[_BINARY[type(part.op)]]
            result = Call(operator, (result, self.convert(part.right, depth + 1)))
        return result

    def call(self, name: str, args: Sequence[ast.expr], depth: int) -> Node:
        """A call of a known operator."""
        operator = operator_named(name, self.operators)
        if len(args) != operator.arity:
            raise InputError(
                f"operator '{name}' takes {operator.arity} argument(s), "
                f"got {len(args)} in {clip(self.source)!r}"
            )
        return Call(operator, tuple(self.convert(arg, depth + 1) for arg in args))

    def refused(self, node: ast.expr) -> InputError:
        """What is outside of the whitelist."""
        piece = ast.get_source_segment(self.source, node) or type(node).__name__
        return InputError(
            f"{clip(piece)!r} is not allowed in an equation; numbers, variables, "
            f"+ - * / ** and calls of known operators are"
        )


def _variable(
    name: str,
    source: str,
    variables: frozenset[str] | None,
    operators: Mapping[str, Operator],
) -> Node:
    if variables is None:
        if name in NAMED_CONSTANTS:
            return Constant(NAMED_CONSTANTS[name])
        if name in OPERATORS or name in operators:
            raise InputError(f"operator '{name}' used without arguments in {clip(source)!r}")
        if name in NOT_FINITE:
            raise InputError(f"'{name}' is not a finite number, in {clip(source)!r}")
        return Variable(name)
    if name in variables:
        return Variable(name)
    if name in NAMED_CONSTANTS:
        return Constant(NAMED_CONSTANTS[name])
    raise InputError(
        f"unknown variable '{name}' in {clip(source)!r}{did_you_mean(name, variables)}; "
        f"known: {', '.join(sorted(variables)) or 'none'}"
    )
