"""What an equation requires to be finite, taken apart as far as that makes proofs easier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch

from ..symbolic.expression import Expression
from ..symbolic.nodes import Call, Constant, Node, walk
from .intervals import Interval, enclose
from .intervals.requirements import Demand, Kind, Requirement
from .intervals.trees import rule_of
from .taylor import Basis, TaylorModel, expand

_DIVISIONS = {"/": 1, "inv": 0, "mod": 1}
"""Operators that divide by an argument, and which."""

_LOGARITHMS = ("log", "log2", "log10")

_ZERO_WITH_ARGUMENT = ("neg", "abs", "square", "cube", "sqrt", "cbrt", "sinh", "asinh", "atan")
"""Operators that are 0 where their argument is 0, and nowhere else."""


@dataclass(frozen=True)
class Condition:
    """A margin over a box that must not be 0, or be positive, or not be negative.

    Args:
        kind: which.
        reason: what fails, in words.
        args: the parts of the equation that the margin is made of.
        requirement: the margin of these.
        continuous: whether the margin is, where it is defined.
    """

    kind: Kind
    reason: str
    args: tuple[Node, ...]
    requirement: Requirement
    continuous: bool

    def over(self, columns: Mapping[str, Interval]) -> Demand:
        """The condition over boxes, [boxes] intervals by column."""
        return self.requirement(*(self._range(arg, columns) for arg in self.args))

    @staticmethod
    def _range(arg: Node, columns: Mapping[str, Interval]) -> Interval:
        """By intervals and, for x**2 + y**2 - 2*x*y, by a Taylor model."""
        lower, upper = (
            torch.stack([getattr(side, end) for side in columns.values()], 1)
            for end in ("lower", "upper")
        )
        x = TaylorModel.variables(Basis(len(columns), 2), lower, upper)
        return enclose(arg, columns).range.intersect(expand(arg, [*columns], x).range)

    def defined(self, columns: Mapping[str, Interval]) -> torch.Tensor:
        """[boxes], whether the margin is proved to be defined on all of a box."""
        return ~torch.stack([enclose(arg, columns).may_fail for arg in self.args]).any(0)


def conditions_of(root: Node) -> list[Condition]:
    """All conditions of an expanded equation, the innermost first.

    >>> for condition in conditions_of(Expression.parse("log(x)/(y**2*z)").root):
    ...     print(condition.reason)
    log(x): the argument is not positive
    log(x)/(y**2*z): the divisor is 0
    log(x)/(y**2*z): the divisor is 0
    """
    found = [c for node in walk(root) if isinstance(node, Call) for c in _of_call(node)]
    return found[::-1]


def _of_call(call: Call) -> Iterator[Condition]:
    name = call.operator.name
    reason = f"{Expression(call).pretty()}: "
    if name in _DIVISIONS:
        for factor in _factors(call.args[_DIVISIONS[name]]):
            yield _not_zero(factor, reason + "the divisor is 0")
        return
    if name in _LOGARITHMS and (base := _base_of_even(call.args[0])) is not None:
        for factor in _factors(base):
            yield _not_zero(factor, reason + "the argument is 0")
        return
    power = call.args[1] if name == "^" else None
    if isinstance(power, Constant) and power.value.is_integer():
        if power.value < 0:
            for factor in _factors(call.args[0]):
                yield _not_zero(factor, reason + "the divisor is 0")
        return
    words = {
        "not zero": "a pole",
        "positive": "the argument is not positive",
        "not negative": "the argument is outside the domain",
    }
    for need in rule_of(call).needs:
        yield Condition(need.kind, reason + words[need.kind], call.args, need, _smooth(call.args))


def _not_zero(node: Node, reason: str) -> Condition:
    margin = Requirement("not zero", lambda x: x)
    return Condition("not zero", reason, (node,), margin, _smooth((node,)))


def _factors(node: Node) -> Iterator[Node]:
    """Parts of which at least one is 0 where the node is 0, and the other way round.

    ``(x - 1)**2`` touches 0 without a change of sign; ``x - 1`` passes through it.
    """
    if isinstance(node, Call):
        name = node.operator.name
        if name == "*":
            yield from _factors(node.args[0])
            yield from _factors(node.args[1])
            return
        if name == "/" or name in _ZERO_WITH_ARGUMENT or _is_positive_power(node):
            yield from _factors(node.args[0])
            return
    yield node


def _is_positive_power(call: Call) -> bool:
    power = call.args[1] if call.operator.name == "^" else None
    return isinstance(power, Constant) and power.value > 0


def _base_of_even(node: Node) -> Node | None:
    """x of ``x**2``, ``abs(x)`` and other even powers, which are positive unless x is 0."""
    if not isinstance(node, Call):
        return None
    if node.operator.name in ("square", "abs"):
        return node.args[0]
    power = node.args[1] if _is_positive_power(node) else None
    even = isinstance(power, Constant) and power.value % 2 == 0
    return node.args[0] if even else None


def _smooth(args: tuple[Node, ...]) -> bool:
    calls = (node for arg in args for node in walk(arg) if isinstance(node, Call))
    return all(rule_of(call).continuous for call in calls)
