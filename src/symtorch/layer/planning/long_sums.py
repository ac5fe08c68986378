"""Sums of many terms as matrix products."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from .builder import Builder
from .graph import AFFINE, LINEAR, LONG_SUMS, Leaf, Step

SHARED_TERMS = 3
"""Sums of at least so many equal terms, in two places or more, become a matrix product."""

LONG = 16
"""Sums of at least so many terms are computed as one step."""


def share_sums(builder: Builder, outputs: Sequence[int]) -> list[Leaf | Step]:
    """Replace sums over the same terms by rows of one matrix product.

    Only where all terms are the same: a zero in the matrix would turn an infinite term of
    one sum into a nan of the other.

    Args:
        builder: of all nodes.
        outputs: nodes that are results.

    Returns:
        The nodes.
    """
    found: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for i, terms, weights in _whole_sums(builder, outputs):
        found[terms].append((i, weights))
    nodes = builder.nodes
    for terms, sums in found.items():
        if len(terms) >= SHARED_TERMS and len(sums) > 1:
            for i, weights in sums:
                nodes[i] = Step(LINEAR, terms, weights)
    return nodes


def long_sums(builder: Builder, outputs: Sequence[int]) -> list[Leaf | Step]:
    """Replace long sums by single steps, which can run together where they are as long.

    Sums of about the same length are made as long as the longest by adding 0 times 1, which
    changes no result, not even an infinite one.

    Args:
        builder: of all nodes.
        outputs: nodes that are results.

    Returns:
        The nodes.
    """
    alike: dict[int, list[tuple[int, tuple[int, ...], tuple[int, ...]]]] = defaultdict(list)
    for i, terms, weights in _whole_sums(builder, outputs):
        if len(terms) >= LONG:
            alike[(len(terms) - 1).bit_length()].append((i, terms, weights))
    one, zero = builder.number(1.0), builder.number(0.0)
    nodes = builder.nodes
    for sums in alike.values():
        length = max(len(terms) for _, terms, _ in sums)
        for i, terms, weights in sums:
            more = length - len(terms)
            nodes[i] = Step(LONG_SUMS, terms + more * (one,), weights + more * (zero,))
    return nodes


def _whole_sums(
    builder: Builder, outputs: Sequence[int]
) -> Iterator[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    """Sums that are no part of a larger one: their node, terms, and bias with weights."""
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
    for i, node in enumerate(nodes):
        if isinstance(node, Step) and node.kernel is AFFINE and uses[i] and i not in inner:
            sum_ = _Sum(builder)
            if sum_.add(i, 1):
                terms = tuple(sorted(sum_.terms))
                bias = builder.number(0.0) if sum_.bias is None else sum_.bias
                yield i, terms, (bias, *(sum_.terms[term] for term in terms))


def _parts_of_sum(builder: Builder, node: Step) -> list[int]:
    """Operands of an affine step that enter it with a factor of 1 or -1."""
    a, b, c = node.args
    return [a, b] if builder.value(c) in (1.0, -1.0) else [a]


class _Sum:
    """A tree of sums, flattened: a constant, and a weight by term."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.bias: int | None = None
        self.terms: dict[int, int] = {}

    def add(self, i: int, sign: int) -> bool:
        """Add a node; False where it has two constants, or a term that is there already."""
        while True:
            node = self.builder.nodes[i]
            if not (isinstance(node, Step) and node.kernel is AFFINE):
                return self.part(i, sign)
            i, b, c = node.args
            factor = self.builder.value(c)
            if factor in (1.0, -1.0):
                fits = self.add(b, sign * int(factor))
            else:
                fits = self.term(b, c, sign)
            if not fits:
                return False

    def part(self, i: int, sign: int) -> bool:
        """Add a node that is no sum."""
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
