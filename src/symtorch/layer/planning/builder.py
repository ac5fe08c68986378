"""Builder: trees to nodes of few kinds, each one once.

What is of one kind can later run as one tensor operation (see program.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...symbolic.definitions import definition_of
from ...symbolic.nodes import Call, Constant, Node, Variable, is_structural, spine
from ...symbolic.operators import OPERATORS
from .graph import AFFINE, DIVIDE, MULTIPLY, Input, Leaf, Number, Parameter, Step, kernel_of

MULTIPLIED_OUT = 64
"""Largest integer power that is computed by multiplication."""


class Builder:
    """Adds nodes, each one once.

    Args:
        inputs: leaves by the name of their variable.
        trainable: whether the equations' constants are `Parameter` leaves.
    """

    def __init__(self, inputs: Mapping[str, Input], trainable: bool = False) -> None:
        self.inputs = inputs
        self.trainable = trainable
        self.trained: list[float] = []
        self.nodes: list[Leaf | Step] = []
        self._numbers: dict[Leaf | Step, int] = {}

    def add(self, node: Leaf | Step) -> int:
        """Number of a node, which is added if it is not there."""
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[node]

    def number(self, value: float) -> int:
        """A number as a leaf."""
        return self.add(Number.of(value))

    def value(self, i: int) -> float | None:
        """Of a number; None for other nodes."""
        node = self.nodes[i]
        return node.value if isinstance(node, Number) else None

    def build(self, node: Node, scope: Mapping[str, int] | None = None) -> int:
        """Add a tree.

        Args:
            node: its root.
            scope: in the body of an operator's definition, its arguments.
        """
        leaf, calls = spine(node)
        result = self.named(leaf, scope)
        for call in calls:
            args = [result]
            for position, arg in enumerate(call.args[1:], start=1):
                if isinstance(arg, Constant) and is_structural(call, position):
                    args.append(self.number(arg.value))
                else:
                    args.append(self.argument(call, args, scope))
            definition = definition_of(call.operator)
            if definition is None:
                result = self.call(call.operator.name, args)
            else:
                names, body = definition
                result = self.build(body, dict(zip(names, args, strict=True)))
        return result

    def named(self, node: Constant | Variable, scope: Mapping[str, int] | None) -> int:
        """Add a leaf of a tree."""
        if isinstance(node, Variable):
            return self.leaf(
                self.add(self.inputs[node.name]) if scope is None else scope[node.name]
            )
        if not self.trainable or scope is not None:
            return self.number(node.value)
        self.trained.append(node.value)
        return self.leaf(self.add(Parameter(len(self.trained) - 1)))

    def leaf(self, i: int) -> int:
        """What a variable or a constant stands for, where it stands."""
        return i

    def argument(self, node: Call, before: list[int], scope: Mapping[str, int] | None) -> int:
        """Add the next argument of a call, those before it being there."""
        return self.build(node.args[len(before)], scope)

    def call(self, name: str, args: list[int]) -> int:
        """An operator on nodes."""
        values = [self.value(i) for i in args]
        if all(value is not None for value in values):
            exact = [torch.tensor(value, dtype=torch.float64) for value in values]
            return self.number(float(OPERATORS[name].torch(*exact)))
        match name:
            case "+":
                return self.sum(args[0], args[1], 1)
            case "-":
                return self.sum(args[0], args[1], -1)
            case "neg":
                return self.negative(args[0])
            case "*":
                return self.product(args[0], args[1])
            case "square":
                return self.power(args[0], 2)
            case "cube":
                return self.power(args[0], 3)
            case "inv":
                return self.power(args[0], -1)
            case "^":
                exponent = values[1]
                if (
                    exponent is not None
                    and exponent.is_integer()
                    and abs(exponent) <= MULTIPLIED_OUT
                ):
                    return self.power(args[0], int(exponent))
        return self.add(Step(kernel_of(name), tuple(args)))

    def product(self, a: int, b: int) -> int:
        """``a*b``."""
        return self.times(a, b)

    def times(self, a: int, b: int) -> int:
        """``a*b`` as it is."""
        return self.add(Step(MULTIPLY, (min(a, b), max(a, b))))

    def power(self, base: int, exponent: int) -> int:
        """By squaring, so that x**4 uses the x**2 of another equation.

        Of the base as it is: with constants last, (2*x)**64 would multiply by 2 64 times.
        """
        if exponent == 0:
            return self.number(1.0)
        if exponent == 1:
            return base
        if exponent < 0:
            # Inverted first: 1/x**2 would have gradient nan at infinity, where it is 0.
            inverse = self.add(Step(DIVIDE, (self.number(1.0), base)))
            return self.power(inverse, -exponent)
        if exponent % 2:
            return self.times(self.power(base, exponent - 1), base)
        half = self.power(base, exponent // 2)
        return self.times(half, half)

    def constant(self, i: int) -> bool:
        """Whether a node is a number or a constant that can be trained."""
        return isinstance(self.nodes[i], Number | Parameter)

    def multiple(self, i: int, factor: float) -> int:
        """A constant times a number."""
        node = self.nodes[i]
        if isinstance(node, Parameter):
            return self.add(Parameter(node.position, node.factor * factor))
        assert isinstance(node, Number)
        return self.number(node.value * factor)

    def negative(self, i: int) -> int:
        """The node times -1."""
        return self.multiple(i, -1.0) if self.constant(i) else self.times(i, self.number(-1.0))

    def scaled(self, i: int) -> tuple[int, int] | None:
        """Take ``c*b`` apart, if that is what a node is."""
        node = self.nodes[i]
        if isinstance(node, Step) and node.kernel is MULTIPLY:
            a, b = node.args
            if self.constant(a):
                return a, b
            if self.constant(b):
                return b, a
        return None

    def sum(self, left: int, right: int, sign: int) -> int:
        """``left + sign*right`` as ``a + c*b``."""
        if self.constant(right):
            left, right, sign = right if sign > 0 else self.negative(right), left, 1
        apart = self.scaled(right)
        if apart is not None:
            c, b = apart
            return self.affine(left, b, c if sign > 0 else self.negative(c))
        apart = self.scaled(left)
        if apart is not None and sign > 0:
            return self.affine(right, apart[1], apart[0])
        if sign > 0 and not self.constant(left):
            left, right = min(left, right), max(left, right)
        return self.affine(left, right, self.number(float(sign)))

    def affine(self, a: int, b: int, c: int) -> int:
        """``a + b*c``."""
        return self.add(Step(AFFINE, (a, b, c)))
