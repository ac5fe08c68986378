"""Which forms a search's options allow: depth, argument sizes, nesting, operators."""

from __future__ import annotations

from ..symbolic.complexity import ComplexityRule
from ..symbolic.expression import Expression
from ..symbolic.nodes import Call, Node, walk
from ..symbolic.operators import operator_named
from .options import SearchOptions


def within_limits(expression: Expression, options: SearchOptions, rule: ComplexityRule) -> bool:
    """Whether an expression keeps to the operators and limits asked for.

    >>> options = SearchOptions(nested_constraints={"sin": {"sin": 0}})
    >>> within_limits(Expression.parse("sin(sin(x))"), options, ComplexityRule())
    False
    >>> within_limits(Expression.parse("tan(x)"), options, ComplexityRule())
    False
    """
    rows = (*options.binary, *options.unary, *options.approximations)
    allowed = {operator.name for operator in rows}
    if not {operator.name for operator in expression.operators} <= written_with(allowed):
        return False
    if options.maxdepth is not None and _depth(expression.root) > options.maxdepth:
        return False
    return keeps_constraints(expression.root, options, rule)


def keeps_constraints(root: Node, options: SearchOptions, rule: ComplexityRule) -> bool:
    """Whether a tree keeps to ``constraints`` and ``nested_constraints`` alone.

    >>> options = SearchOptions(constraints={"sin": 1})
    >>> keeps_constraints(Expression.parse("sin(x + 1)").root, options, ComplexityRule())
    False
    """
    return all(
        _arguments_fit(node, options, rule) and _nesting_fits(node, options)
        for node in walk(root)
        if isinstance(node, Call)
    )


def written_with(allowed: set[str]) -> set[str]:
    """Allowed operators, and those that are only another way to write them, at no smaller size.

    ``-x`` is ``-1*x``, ``x - y`` is ``x + -1*y``, ``1/x`` is ``inv(x)``.

    >>> sorted(written_with({"inv", "*"}))
    ['*', '/', 'inv', 'neg']
    """
    written = set(allowed)
    if "*" in allowed:
        written |= {"neg"}
    if {"+", "*"} <= allowed:
        written |= {"-"}
    if "/" in allowed:
        written |= {"inv"}
    if "inv" in allowed:
        written |= {"/"}
    return written


def _depth(node: Node) -> int:
    if isinstance(node, Call):
        return 1 + max(_depth(arg) for arg in node.args)
    return 1


def _arguments_fit(node: Call, options: SearchOptions, rule: ComplexityRule) -> bool:
    for name, limit in options.constraints.items():
        if operator_named(name, options.custom).name != node.operator.name:
            continue
        limits = (limit,) * len(node.args) if isinstance(limit, int) else tuple(limit)
        for most, arg in zip(limits, node.args, strict=True):
            if most >= 0 and rule.of(arg) > most:
                return False
    return True


def _nesting_fits(node: Call, options: SearchOptions) -> bool:
    limits = options.nesting.get(node.operator.name, {})
    return all(
        max(_nesting(arg, name) for arg in node.args) <= most for name, most in limits.items()
    )


def _nesting(node: Node, name: str) -> int:
    """How many operators of that name lie on one path from a node down."""
    if not isinstance(node, Call):
        return 0
    return (node.operator.name == name) + max(_nesting(arg, name) for arg in node.args)
