"""Text to tree, by a whitelist over Python's own grammar. Nothing is ever evaluated.

Text may come from a checkpoint or an engine's output file, so only numbers, known
names, ``+ - * / **`` (or ``^``) and calls of known operators are let through.
"""

from __future__ import annotations

import ast
import keyword
import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from ..errors import InputError, UnsupportedTypeError, did_you_mean
from ..lazy import LazyModule
from .nodes import Call, Constant, Node, Variable, evaluate, evaluate_sympy, walk
from .operators import ALIASES, OPERATORS, Operator, operator_named

if TYPE_CHECKING:
    import sympy
else:
    sympy = LazyModule("sympy")

MAX_TEXT = 100_000
"""Longest accepted text, in characters."""

MAX_DEPTH = 200
"""Deepest accepted nesting: far above any readable equation, far below Python's stack.

A sum counts once, however many terms it has.
"""

NAMED_CONSTANTS: Mapping[str, float] = {"pi": math.pi, "E": math.e}

_AN = {"variable": "a variable", "operator": "an operator"}

_NOT_FINITE = frozenset({"nan", "inf"})

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


def check_names(names: Sequence[str], operators: Collection[str] = ()) -> tuple[str, ...]:
    """Check that every name can stand for a variable in an equation, and return them.

    >>> check_names(["x0", "theta", "E"])
    ('x0', 'theta', 'E')

    Args:
        names: one per input column.
        operators: operators in use beside the table's.

    Raises:
        InputError: a name that is not an identifier, is a word of Python's grammar, an
            operator's name or there twice; the message says which.
    """
    if isinstance(names, str):
        raise InputError(f"variable names must be a list of names; got the text {names!r}")
    names = tuple(names)
    seen: set[str] = set()
    for name in names:
        _check_word(name, "variable")
        if name in OPERATORS or name in operators:
            raise InputError(f"'{name}' is an operator, so it cannot be a variable name")
        if name in seen:
            raise InputError(f"variable name '{name}' is there twice")
        seen.add(name)
    return names


def _check_word(word: object, kind: str) -> None:
    if not isinstance(word, str) or not word.isidentifier() or keyword.iskeyword(word):
        raise InputError(
            f"{_clip(repr(word))} cannot be the name of {_AN[kind]}; use letters, digits and _, "
            f"no digit first, no word of Python's own"
        )
    # Python's grammar reads names in this form, so another spelling of the same letters
    # would not be found again in an equation.
    normal = unicodedata.normalize("NFKC", word)
    if word != normal:
        raise InputError(f"{kind} name '{word}' would be read as '{normal}'; use that spelling")
    if word in _NOT_FINITE:
        raise InputError(f"'{word}' is a number, so it cannot be the name of {_AN[kind]}")


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
                f"equation nested deeper than {MAX_DEPTH} levels: {_clip(self.source)!r}"
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
            raise InputError(f"number out of range in {_clip(self.source)!r}")
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
                f"got {len(args)} in {_clip(self.source)!r}"
            )
        return Call(operator, tuple(self.convert(arg, depth + 1) for arg in args))

    def refused(self, node: ast.expr) -> InputError:
        """What is outside of the whitelist."""
        piece = ast.get_source_segment(self.source, node) or type(node).__name__
        return InputError(
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
        if name in _NOT_FINITE:
            raise InputError(f"'{name}' is not a finite number, in {_clip(source)!r}")
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
    name, parameters, body = _read_definition(text)

    def numpy_(*args: npt.ArrayLike) -> Any:
        kind = np.result_type(*args)
        number = kind.type if kind.kind == "f" else np.float64  # float32 stays float32
        return evaluate(body, dict(zip(parameters, args, strict=True)), "numpy", number)

    def torch_(*args: torch.Tensor) -> torch.Tensor:
        def number(value: float) -> torch.Tensor:
            return torch.as_tensor(value, dtype=args[0].dtype, device=args[0].device)

        value: torch.Tensor = evaluate(
            body, dict(zip(parameters, args, strict=True)), "torch", number
        )
        return value

    def sympy_(*args: sympy.Expr) -> sympy.Expr:
        return evaluate_sympy(body, dict(zip(parameters, args, strict=True)))

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
    row = OPERATORS.get(ALIASES.get(name, name))
    if row is None:
        return operator
    if _same_values(operator, row):
        return row
    raise InputError(
        f"'{name}' already means something else; choose another name than in {_clip(text)!r}"
    )


def definition_of(operator: Operator) -> tuple[tuple[str, ...], Node] | None:
    """Arguments and body of an operator that the user defined; None for the table's rows.

    >>> definition_of(define_operator("gauss(x) = exp(-x^2)"))[0]
    ('x',)
    """
    if operator.definition is None:
        return None
    _, parameters, body = _read_definition(operator.definition)
    return tuple(parameters), body


def _read_definition(text: str) -> tuple[str, list[str], Node]:
    if not isinstance(text, str):
        raise UnsupportedTypeError(f"a definition must be text, not {type(text).__name__}")
    match = _DEFINITION.match(text)
    if match is None:
        raise InputError(f"not an operator definition: {_clip(text)!r}; write it as 'inv(x) = 1/x'")
    name, parameters, body_text = match[1], [p.strip() for p in match[2].split(",")], match[3]
    if len(parameters) not in (1, 2):
        raise InputError(f"operator '{name}' must have one or two arguments: {_clip(text)!r}")
    _check_word(name, "operator")
    check_names(parameters)
    body = parse_tree(body_text, parameters)
    return name, parameters, body


def _same_values(a: Operator, b: Operator) -> bool:
    """Whether two operators agree, undefined values included, on a grid of points.

    A proof by symbolic simplification would let a definition in a crafted file keep
    SymPy busy for hours.
    """
    if a.arity != b.arity:
        return False
    positive = np.array([1e-6, 0.137, 0.5, 0.9182, 1.0, 1.4142, 2.7, 7.77, 19.3])
    points = np.concatenate([-positive, [0.0], positive])
    grid = np.meshgrid(*[points] * a.arity)
    with np.errstate(all="ignore"):
        ours, theirs = a.numpy(*grid), b.numpy(*grid)
    return np.allclose(ours, theirs, rtol=1e-9, atol=1e-14, equal_nan=True)


def operators_in(node: Node) -> set[str]:
    """Names of the operators a tree calls."""
    return {n.operator.name for n in walk(node) if isinstance(n, Call)}


def _clip(text: str, length: int = 80) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
