"""Which operators the search may use, and how to write common algebra with them.

The stages think in products, powers, sums and unary functions; the vocabulary writes those thoughts
with the operators that were allowed (``x^2`` may have to be ``square(x)`` or ``x*x``; ``a/b`` may
have to
be ``a*inv(b)``) or answers None when they cannot be written at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .....symbolic.operators import OPERATORS
from .tree import LEAVES, Tree, const, is_number, num, walk

MaybeTree = Tree | None


@dataclass(frozen=True)
class Vocabulary:
    """Operators of one search.

    binary, unary: allowed operator names; functions: torch implementation of every name;
    costs: complexity per operator name (1 where absent), as in PySR's ``complexity_of_operators``.
    """

    binary: frozenset[str]
    unary: frozenset[str]
    functions: Mapping[str, Callable[..., Tensor]]
    costs: Mapping[str, float] = field(default_factory=dict)
    constant_cost: float = 1.0
    variable_costs: tuple[float, ...] | float = 1.0

    def complexity(self, tree: Tree) -> float:
        """Size of a tree under the search's costs."""
        kind = tree[0]
        if kind == "x":
            costs = self.variable_costs
            return costs if isinstance(costs, int | float) else costs[tree[1]]
        if kind in LEAVES:
            return self.constant_cost
        return self.costs.get(kind, 1.0) + sum(self.complexity(child) for child in tree[1:])

    def allows_nesting(self, name: str, inner: Tree) -> bool:
        """Whether ``name`` applied to ``inner`` is worth a row: no double wrapping, no nested
        transcendentals."""
        row = OPERATORS.get(name)
        if inner[0] == name or (row is not None and inner[0] in row.undoes):
            return False
        if row is None or row.nesting is None:
            return True
        return all(_nesting(n[0]) != row.nesting for n in walk(inner))

    def evaluate_number(self, name: str, values: list[float]) -> float:
        """An operator on plain numbers."""
        arguments = (torch.tensor(value, dtype=torch.float64) for value in values)
        return float(self.functions[name](*arguments))

    # -- algebra ----------------------------------------------------------------------------------

    def apply(self, name: str, a: MaybeTree) -> MaybeTree:
        """``name(a)``."""
        if a is None or name not in self.unary:
            return None
        return (name, a)

    def add(self, a: MaybeTree, b: MaybeTree) -> MaybeTree:
        """``a + b``."""
        if a is None or b is None:
            return None
        if is_number(a) and is_number(b):
            return (a[0] if a[0] == b[0] else "c", a[1] + b[1])
        if is_number(a) and a[1] == 0:
            return b
        if is_number(b) and b[1] == 0:
            return a
        if "-" in self.binary:
            # A negative number, or a product that starts with one, is written as a subtraction.
            positive = _without_sign(b)
            if positive is not None:
                return ("-", a, positive)
            positive = _without_sign(a)
            if positive is not None:
                return ("-", b, positive)
        return ("+", a, b) if "+" in self.binary else None

    def subtract(self, a: MaybeTree, b: MaybeTree) -> MaybeTree:
        """``a - b``."""
        if a is None or b is None:
            return None
        if "-" in self.binary:
            return ("-", a, b)
        return self.add(a, self.multiply(num(-1), b))

    def multiply(self, a: MaybeTree, b: MaybeTree) -> MaybeTree:
        """``a * b``, numbers gathered in front."""
        if a is None or b is None:
            return None
        if is_number(b) and not is_number(a):
            a, b = b, a
        if is_number(a):
            if is_number(b):
                return (a[0] if a[0] == b[0] else "c", a[1] * b[1])
            if a[1] == 1:
                return b
            if a[1] == -1 and "neg" in self.unary:
                return ("neg", b)
            if b[0] in ("*", "/") and is_number(b[1]):
                return self.multiply_head(("c", a[1] * b[1][1]), b)
            if b[0] == "/" and b[1] == num(1):
                return ("/", a, b[2])
        return ("*", a, b) if "*" in self.binary else None

    def multiply_head(self, number: Tree, product: Tree) -> MaybeTree:
        """``product`` with its leading number replaced."""
        if product[0] == "*":
            return self.multiply(number, product[2])
        return ("/", number, product[2])

    def divide(self, a: MaybeTree, b: MaybeTree) -> MaybeTree:
        """``a / b``."""
        if a is None or b is None:
            return None
        if is_number(b):
            return self.multiply(const(1 / b[1]), a) if b[1] != 0 else None
        if a == num(1) and "inv" in self.unary:
            return ("inv", b)
        if "/" in self.binary:
            return ("/", a, b)
        if "inv" in self.unary:
            return self.multiply(a, ("inv", b))
        if "^" in self.binary:
            return self.multiply(a, ("^", b, num(-1)))
        return None

    def power(self, a: MaybeTree, p: float) -> MaybeTree:
        """``a`` to the fixed power ``p``, in the cheapest form the operators allow."""
        if a is None or p == 0:
            return None if a is None else num(1)
        if p == 1:
            return a
        if p < 0:
            return self.divide(num(1), self.power(a, -p))
        named = {2.0: "square", 3.0: "cube", 0.5: "sqrt", 1 / 3: "cbrt"}
        short = next((name for value, name in named.items() if abs(p - value) < 1e-12), "")
        options: list[MaybeTree] = [(short, a)] if short in self.unary else []
        if "^" in self.binary:
            options.append(("^", a, num(p)))
        if not options and "*" in self.binary and p > 1:
            if p % 2 == 0 and "square" in self.unary:
                options.append(self.apply("square", self.power(a, p / 2)))
            elif p == int(p) and p <= 8:
                options.append(self.multiply(a, self.power(a, p - 1)))
            elif p % 1 == 0.5 and "sqrt" in self.unary:
                options.append(self.multiply(self.power(a, p - 0.5), ("sqrt", a)))
        found = [option for option in options if option is not None]
        return min(found, key=self.complexity) if found else None

    def product(self, factors: list[tuple[Tree, float]], scale: Tree | None = None) -> MaybeTree:
        """``scale * prod(tree ** p)`` with one fraction bar: numerators first, then denominators.

        Square roots are gathered under one root: ``sqrt(a*b/c)`` is shorter than three roots.
        """
        roots = [(tree, 2 * p) for tree, p in factors if abs(p) % 1 == 0.5]
        if len(roots) > 1 and "sqrt" in self.unary:
            half = [(tree, math.copysign(1, p)) for tree, p in roots]
            whole = [
                (tree, p if abs(p) % 1 == 0 else p - math.copysign(0.5, p)) for tree, p in factors
            ]
            inside = self.product(half)
            rest = [(tree, p) for tree, p in whole if p != 0]
            return (
                self.product([*rest, (("sqrt", inside), 1.0)], scale)
                if inside is not None
                else None
            )
        above: MaybeTree = None
        below: MaybeTree = None
        for tree, p in factors:
            part = self.power(tree, abs(p))
            if part is None:
                return None
            if p > 0:
                above = part if above is None else self.multiply(above, part)
            else:
                below = part if below is None else self.multiply(below, part)
            if above is None and below is None:
                return None
        if above is None:
            above = scale if scale is not None else num(1)
        elif scale is not None:
            above = self.multiply(scale, above)
        return above if below is None else self.divide(above, below)

    def linear(self, terms: list[tuple[float, Tree]], intercept: float = 0.0) -> MaybeTree:
        """``sum(b * tree) + intercept`` with free constants for the coefficients."""
        total: MaybeTree = None
        for coefficient, tree in terms:
            part = self.scaled(coefficient, tree)
            if part is None:
                return None
            total = part if total is None else self.add(total, part)
        if total is None:
            return const(intercept)
        return self.add(total, const(intercept)) if intercept != 0 else total

    def scaled(self, coefficient: float, tree: Tree) -> MaybeTree:
        """``coefficient * tree`` with the coefficient free, even where it starts as 1."""
        if is_number(tree):
            return const(coefficient * tree[1])
        if tree[0] == "/" and is_number(tree[1]):
            return ("/", const(coefficient * tree[1][1]), tree[2])
        if tree[0] == "inv" and "/" in self.binary:
            return ("/", const(coefficient), tree[1])
        return ("*", const(coefficient), tree) if "*" in self.binary else None


def _without_sign(tree: Tree) -> MaybeTree:
    """``tree`` times -1 when that only flips the sign of a leading number, else None."""
    if is_number(tree):
        return (tree[0], -tree[1]) if tree[1] < 0 else None
    if tree[0] in ("*", "/") and is_number(tree[1]) and tree[1][1] < 0:
        return (tree[0], (tree[1][0], -tree[1][1]), tree[2])
    if tree[0] == "neg":
        inner: Tree = tree[1]
        return inner
    return None


def _nesting(name: str) -> str | None:
    row = OPERATORS.get(name)
    return None if row is None else row.nesting
