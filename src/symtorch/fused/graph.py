"""Graph: equations as one graph of elementary steps, equal subexpressions once.

Planning only: nothing here computes on data. Trees are rewritten to few kinds of steps,
because what is of one kind can later run as one tensor operation (see program.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from ..expression import Expression
from ..operators import OPERATORS
from ..parsing import definition_of
from ..tree import Constant, Node, Variable, is_structural

MULTIPLIED_OUT = 64
"""Largest integer power that is computed by multiplication."""

SHARED_TERMS = 3
"""Sums of at least so many equal terms, in two places or more, become a matrix product."""


@dataclass(frozen=True)
class Kernel:
    """What a step computes, elementwise on operands that broadcast.

    Args:
        name: what steps are grouped by.
        function: on tensors.
        into: the same with a keyword ``out``, where torch has it.
    """

    name: str
    function: Callable[..., torch.Tensor] = field(repr=False, compare=False)
    into: Callable[..., torch.Tensor] | None = field(default=None, repr=False, compare=False)


def _kernels() -> dict[str, Kernel]:
    return {
        name: Kernel(name, row.torch, row.torch if _takes_out(row.torch) else None)
        for name, row in OPERATORS.items()
    }


def _takes_out(function: Callable[..., torch.Tensor]) -> bool:
    # torch's own functions do, but for this one; the table's lambdas do not.
    return type(function) is type(torch.sin) and function is not torch.relu


KERNELS: Mapping[str, Kernel] = _kernels()

MULTIPLY = KERNELS["*"]
DIVIDE = KERNELS["/"]

AFFINE = Kernel("a + b*c", torch.addcmul, torch.addcmul)
"""Sums, differences and sums with a multiple, all in one kind."""

LINEAR = Kernel("linear", torch.addmm, torch.addmm)
"""Several linear combinations of the same terms: a matrix product."""


@dataclass(frozen=True)
class Input:
    """A column of the input."""

    column: int


@dataclass(frozen=True)
class Number:
    """A number that is part of the form. Told apart by ``text``: nan is nan, -0 is not 0."""

    value: float = field(compare=False)
    text: str

    @classmethod
    def of(cls, value: float) -> Number:
        """The leaf of a number."""
        return cls(value, value.hex())


@dataclass(frozen=True)
class Parameter:
    """A constant that can be trained, or its negative."""

    position: int
    sign: int = 1


@dataclass(frozen=True)
class Step:
    """A kernel on earlier nodes.

    Args:
        kernel: what is computed.
        args: numbers of the operands. Of `AFFINE`: a, b, c, the last one a constant. Of
            `LINEAR`: the terms.
        weights: of `LINEAR`: the bias, and a constant for each term.
    """

    kernel: Kernel
    args: tuple[int, ...]
    weights: tuple[int, ...] = ()


Leaf: TypeAlias = Input | Number | Parameter


@dataclass(frozen=True)
class Graph:
    """Nodes, operands before what uses them, and which of them are the outputs.

    >>> graph = build_graph([Expression.parse("2*x + y"), Expression.parse("sin(2*x)")], ["x", "y"])
    >>> [node.kernel.name for node in graph.nodes if isinstance(node, Step)]
    ['*', 'a + b*c', 'sin']

    Args:
        nodes: leaves and steps.
        outputs: number of the node of each equation.
        width: how many columns the input has.
    """

    nodes: tuple[Leaf | Step, ...]
    outputs: tuple[int, ...]
    width: int

    @property
    def trainable(self) -> bool:
        """Whether there are constants that can be trained."""
        return any(isinstance(node, Parameter) for node in self.nodes)

    @property
    def steps(self) -> Iterable[tuple[int, Step]]:
        """The steps, with their numbers."""
        return ((i, node) for i, node in enumerate(self.nodes) if isinstance(node, Step))


def build_graph(
    expressions: Sequence[Expression], variables: Sequence[str], *, trainable: bool = False
) -> Graph:
    """Rewrite equations to one graph.

    Args:
        expressions: one per output.
        variables: a name per input column.
        trainable: whether constants are `Parameter` leaves, numbered left to right, or
            numbers, on which all that can be computed beforehand is.
    """
    builder = _Builder({name: Input(i) for i, name in enumerate(variables)}, trainable)
    outputs = [builder.build(expression.root) for expression in expressions]
    return _without_the_unused(_share_sums(builder, outputs), outputs, len(variables))


class _Builder:
    """Adds nodes, each one once."""

    def __init__(self, inputs: Mapping[str, Input], trainable: bool) -> None:
        self.inputs = inputs
        self.trainable = trainable
        self.parameters = 0
        self.nodes: list[Leaf | Step] = []
        self._numbers: dict[Leaf | Step, int] = {}

    def add(self, node: Leaf | Step) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self.nodes)
            self.nodes.append(node)
        return self._numbers[node]

    def number(self, value: float) -> int:
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
        if isinstance(node, Variable):
            return self.add(self.inputs[node.name]) if scope is None else scope[node.name]
        if isinstance(node, Constant):
            if not self.trainable or scope is not None:
                return self.number(node.value)
            self.parameters += 1
            return self.add(Parameter(self.parameters - 1))
        args = []
        for position, arg in enumerate(node.args):
            if isinstance(arg, Constant) and is_structural(node, position):
                args.append(self.number(arg.value))
            else:
                args.append(self.build(arg, scope))
        definition = definition_of(node.operator)
        if definition is not None:
            names, body = definition
            return self.build(body, dict(zip(names, args, strict=True)))
        return self.call(node.operator.name, args)

    def call(self, name: str, args: list[int]) -> int:
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
        return self.add(Step(KERNELS[name], tuple(args)))

    def product(self, a: int, b: int) -> int:
        """``a*b``; of ``(c*x)*y`` the constant goes last, so that equations share ``x*y``."""
        for first, other in ((a, b), (b, a)):
            apart = self.scaled(first)
            if apart is not None and not self.constant(other):
                return self.product(apart[0], self.product(apart[1], other))
        return self.add(Step(MULTIPLY, (min(a, b), max(a, b))))

    def power(self, base: int, exponent: int) -> int:
        """By squaring, so that x**4 uses the x**2 of another equation."""
        if exponent == 0:
            return self.number(1.0)
        if exponent == 1:
            return base
        if exponent < 0:
            # Inverted first: 1/x**2 would have gradient nan at infinity, where it is 0.
            inverse = self.add(Step(DIVIDE, (self.number(1.0), base)))
            return self.power(inverse, -exponent)
        if exponent % 2:
            return self.product(self.power(base, exponent - 1), base)
        half = self.power(base, exponent // 2)
        return self.product(half, half)

    def constant(self, i: int) -> bool:
        return isinstance(self.nodes[i], Number | Parameter)

    def negative(self, i: int) -> int:
        node = self.nodes[i]
        if isinstance(node, Number):
            return self.number(-node.value)
        if isinstance(node, Parameter):
            return self.add(Parameter(node.position, -node.sign))
        return self.product(i, self.number(-1.0))

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
        return self.add(Step(AFFINE, (a, b, c)))


def _share_sums(builder: _Builder, outputs: Sequence[int]) -> list[Leaf | Step]:
    """Replace sums over the same terms by rows of one matrix product.

    Only where all terms are the same: a zero in the matrix would turn an infinite term of
    one sum into a nan of the other.
    """
    nodes = [*builder.nodes]
    uses = Counter(arg for node in nodes if isinstance(node, Step) for arg in node.args)
    uses.update(outputs)
    inner = {
        part
        for node in nodes
        if isinstance(node, Step) and node.kernel is AFFINE
        for part in _parts_of_sum(builder, node)
        if uses[part] == 1
    }
    found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
    for i, node in enumerate(nodes):
        if isinstance(node, Step) and node.kernel is AFFINE and uses[i] and i not in inner:
            sum_ = _Sum(builder)
            if sum_.add(i, 1):
                terms = tuple(sorted(sum_.terms))
                bias = builder.number(0.0) if sum_.bias is None else sum_.bias
                weights = (bias, *(sum_.terms[term] for term in terms))
                found.setdefault(terms, []).append((i, weights))
    changed = builder.nodes
    for terms, sums in found.items():
        if len(terms) >= SHARED_TERMS and len(sums) > 1:
            for i, weights in sums:
                changed[i] = Step(LINEAR, terms, weights)
    return changed


def _parts_of_sum(builder: _Builder, node: Step) -> list[int]:
    """Operands of an affine step that enter it with a factor of 1 or -1."""
    a, b, c = node.args
    return [a, b] if builder.value(c) in (1.0, -1.0) else [a]


class _Sum:
    """A tree of sums, flattened: a constant, and a weight by term."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        self.bias: int | None = None
        self.terms: dict[int, int] = {}

    def add(self, i: int, sign: int) -> bool:
        """Add a node; False where it has two constants, or a term that is there already."""
        node = self.builder.nodes[i]
        if isinstance(node, Step) and node.kernel is AFFINE:
            a, b, c = node.args
            if not self.add(a, sign):
                return False
            factor = self.builder.value(c)
            if factor in (1.0, -1.0):
                return self.add(b, sign * int(factor))
            return self.term(b, c, sign)
        if self.builder.constant(i):
            free = self.bias is None
            self.bias = i if sign > 0 else self.builder.negative(i)
            return free
        c, b = self.builder.scaled(i) or (self.builder.number(1.0), i)
        return self.term(b, c, sign)

    def term(self, i: int, weight: int, sign: int) -> bool:
        free = i not in self.terms and not self.builder.constant(i)
        self.terms[i] = weight if sign > 0 else self.builder.negative(weight)
        return free


def _without_the_unused(nodes: Sequence[Leaf | Step], outputs: Sequence[int], width: int) -> Graph:
    """Drop what the rewriting left behind, and number the rest anew."""
    needed = set(outputs)
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        if i in needed and isinstance(node, Step):
            needed.update(node.args, node.weights)
    # Leaves first: the rewriting adds constants after the steps that use them.
    order = sorted(needed, key=lambda i: (isinstance(nodes[i], Step), i))
    numbers = {i: new for new, i in enumerate(order)}
    kept = []
    for i in order:
        node = nodes[i]
        if isinstance(node, Step):
            args = tuple(numbers[arg] for arg in node.args)
            weights = tuple(numbers[weight] for weight in node.weights)
            node = Step(node.kernel, args, weights)
        kept.append(node)
    return Graph(tuple(kept), tuple(numbers[i] for i in outputs), width)
