"""Text to tree, by a whitelist over Python's own grammar. Nothing is ever evaluated.

Text may come from a checkpoint or an engine's output file, so only numbers, known
names, ``+ - * / **`` (or ``^``) and calls of known operators are let through.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence

import sympy
import torch

from .errors import InputError, UnsupportedTypeError, did_you_mean
from .operators import OPERATORS, Operator, operator_named
from .tree import Call, Constant, Node, Variable, evaluate, walk

MAX_TEXT = 100_000
"""Longest accepted text, in characters."""

MAX_DEPTH = 200
"""Deepest accepted nesting: far above any readable equation, far below Python's stack."""

NAMED_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "E": math.e}

_BINARY: Mapping[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "^",
}


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
        raise InputError(f"not an equation: {_clip(text)!r} ({error})") from None
    allowed = None if variables is None else frozenset(variables)
    return _convert(body, source, allowed, operators or {}, 0)


def _convert(
    node: ast.expr,
    source: str,
    variables: frozenset[str] | None,
    operators: Mapping[str, Operator],
    depth: int,
) -> Node:
    if depth > MAX_DEPTH:
        raise InputError(f"equation nested deeper than {MAX_DEPTH} levels: {_clip(source)!r}")

    def convert(child: ast.expr) -> Node:
        return _convert(child, source, variables, operators, depth + 1)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise InputError(f"number out of range in {_clip(source)!r}")
            return Constant(number)
        case ast.Name(id=name):
            return _variable(name, source, variables, operators)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = convert(operand)
            if isinstance(operand, ast.Constant) and isinstance(inner, Constant):
                return Constant(-inner.value)
            return Call(operators.get("neg", OPERATORS["neg"]), (inner,))
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return convert(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return Call(OPERATORS[_BINARY[type(op)]], (convert(left), convert(right)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            operator = operator_named(name, operators)
            if len(args) != operator.arity:
                raise InputError(
                    f"operator '{name}' takes {operator.arity} argument(s), "
                    f"got {len(args)} in {_clip(source)!r}"
                )
            return Call(operator, tuple(convert(arg) for arg in args))
    piece = ast.get_source_segment(source, node) or type(node).__name__
    raise InputError(
        f"{_clip(piece)!r} is not allowed in an equation; numbers, variables, "
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
            raise InputError(f"operator '{name}' used without arguments in {_clip(source)!r}")
        return Variable(name)
    if name in variables:
        return Variable(name)
    if name in NAMED_CONSTANTS:
        return Constant(NAMED_CONSTANTS[name])
    raise InputError(
        f"unknown variable '{name}' in {_clip(source)!r}{did_you_mean(name, variables)}; "
        f"known: {', '.join(sorted(variables)) or 'none'}"
    )


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
    match = _DEFINITION.match(text)
    if match is None:
        raise InputError(f"not an operator definition: {_clip(text)!r}; write it as 'inv(x) = 1/x'")
    name, parameters, body_text = match[1], [p.strip() for p in match[2].split(",")], match[3]
    if len(parameters) not in (1, 2) or len(set(parameters)) != len(parameters):
        raise InputError(f"operator '{name}' must have one or two different arguments: {text!r}")
    if not all(parameter.isidentifier() for parameter in parameters):
        raise InputError(f"operator '{name}' has an argument that is not a name: {text!r}")
    body = parse_tree(body_text, parameters)

    def numpy_(*args: object) -> object:
        return evaluate(body, dict(zip(parameters, args, strict=True)), "numpy", float)

    def torch_(*args: torch.Tensor) -> torch.Tensor:
        value = evaluate(
            body,
            dict(zip(parameters, args, strict=True)),
            "torch",
            lambda c: torch.as_tensor(c, dtype=args[0].dtype, device=args[0].device),
        )
        return torch.as_tensor(value)

    def sympy_(*args: sympy.Expr) -> sympy.Expr:
        return evaluate(body, dict(zip(parameters, args, strict=True)), "sympy", sympy_number)

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
    builtin = OPERATORS.get(name)
    if builtin is None:
        return operator
    if builtin.arity == arity:
        symbols = sympy.symbols(f"a:{arity}")
        if sympy.simplify(operator.sympy(*symbols) - builtin.sympy(*symbols)) == 0:
            return builtin
    raise InputError(f"'{name}' already means something else; choose another name than in {text!r}")


def sympy_number(value: float) -> sympy.Expr:
    """Integers as exact integers, so that ``x**2.0`` is a square; others as floats."""
    if value.is_integer() and abs(value) < 1e15:
        return sympy.Integer(int(value))
    return sympy.Float(value)


def operators_in(node: Node) -> set[str]:
    """Names of the operators a tree calls."""
    return {n.operator.name for n in walk(node) if isinstance(n, Call)}


def _clip(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
