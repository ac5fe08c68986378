"""Ranges of equations over boxes, and where they are not proved to be defined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ...symbolic.definitions import definition_of
from ...symbolic.nodes import Call, Constant, Node, Variable, substitute
from .interval import Interval
from .requirements import Demand
from .rules import RULES, Rule


@dataclass(frozen=True, eq=False)
class Enclosure:
    """What an equation does on boxes.

    Args:
        range: of its values where it is defined.
        may_fail: [boxes], where it is not proved to be finite.
        fails: [boxes], where it is proved not to be finite at any point.
    """

    range: Interval
    may_fail: torch.Tensor
    fails: torch.Tensor


def enclose(node: Node, variables: Mapping[str, Interval]) -> Enclosure:
    """Evaluate an equation over boxes.

    >>> from symtorch import Expression
    >>> box = {"x": Interval.of([1.0, -1.0], [2.0, 2.0])}
    >>> around = enclose(Expression.parse("log(x) + 1").root, box)
    >>> around.may_fail
    tensor([False,  True])

    Args:
        node: the equation; operators that the user defined count as their definition.
        variables: [boxes] intervals by name.
    """
    return _enclose(expanded(node), variables)


def _enclose(node: Node, variables: Mapping[str, Interval]) -> Enclosure:
    no = torch.zeros_like(next(iter(variables.values())).lower, dtype=torch.bool)
    if isinstance(node, Constant):
        return Enclosure(Interval.of(torch.full(no.shape, node.value, dtype=torch.float64)), no, no)
    if isinstance(node, Variable):
        return Enclosure(variables[node.name], no, no)
    parts = [_enclose(arg, variables) for arg in node.args]
    args = [part.range for part in parts]
    may_fail, fails = no, no
    for part in parts:
        may_fail, fails = may_fail | part.may_fail, fails | part.fails
    for demand in demands_of(node, args):
        may_fail, fails = may_fail | demand.may_fail, fails | demand.fails
    return Enclosure(rule_of(node).value(*args), may_fail, fails)


def demands_of(call: Call, args: list[Interval]) -> Iterator[Demand]:
    """What a call's arguments must satisfy for a finite value."""
    return (requirement(*args) for requirement in rule_of(call).needs)


def rule_of(call: Call) -> Rule:
    """The row of the interval table for a call in an expanded tree."""
    return RULES[call.operator.name]


def expanded(node: Node) -> Node:
    """The tree with the user's operators replaced by what they are defined as.

    >>> from symtorch import Expression
    >>> from symtorch.symbolic.definitions import define_operator
    >>> twice = define_operator("twice(a) = a + a")
    >>> tree = Expression.parse("twice(x*y)", operators={"twice": twice}).root
    >>> str(Expression(expanded(tree)))
    'x*y + x*y'
    """
    if not isinstance(node, Call):
        return node
    args = tuple(expanded(arg) for arg in node.args)
    definition = definition_of(node.operator)
    if definition is None:
        return Call(node.operator, args)
    parameters, body = definition
    return expanded(substitute(body, dict(zip(parameters, args, strict=True))))
