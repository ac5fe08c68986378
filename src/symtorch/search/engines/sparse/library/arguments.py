"""What may stand inside a function of a law."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..trees.tree import Tree, values_of
from ..trees.vocabulary import Vocabulary
from .enumeration import enumerate_expressions
from .monomials import exponent_vectors, monomial_tree
from .rows import Deduplicator, Library, distinct

MOST_ENTRIES = 20_000
"""Products of a monomial and an atom written for one library: about half a second of work."""

DEGREE = 4
"""Largest sum of absolute exponents of a monomial as an argument: ``a*b/(c*d)``."""

DEGREE_WITH_ATOM = 2
"""The same beside an atom: ``a*(b - c)/d``."""

ASKED_EVERY = 1_024
WRITTEN_AT_ONCE = 2_048


def argument_library(
    X: Tensor,
    atoms: list[list[Tree]],
    vocabulary: Vocabulary,
    generator: torch.Generator,
    limit: int,
    max_complexity: int,
    check: Callable[[], None],
) -> Library:
    """What may stand inside a function: monomials, monomials times an atom, and small
    expressions; float64 rows.

    Monomials count less than their trees, so that ``a*b/c`` comes before the thousands of shapes
    of its size: the arguments of exponentials and sines in physics are mostly of that kind.

    Entries are written before they are evaluated, so their number is bounded too: with 64 inputs
    the products of a monomial and a distance would be millions.
    """
    n, d = X.shape
    # Half of the places for expressions of any shape, a third for monomials.
    small = enumerate_expressions(
        X, vocabulary, generator, max(limit // 2, 2 * d), max_complexity, check
    )
    entries = [(float(c), small.tree_of(k)) for k, c in enumerate(small.complexity.tolist())]
    entries += _monomials(d, vocabulary, limit // 3)
    for group in atoms:
        entries += _around_atoms(d, group, vocabulary, limit // 3, check)
    entries.sort(key=lambda entry: entry[0])
    dedup = Deduplicator(n, generator, X.device)
    trees: list[Tree] = []
    rows: list[Tensor] = []
    for start in range(0, len(entries), WRITTEN_AT_ONCE):
        check()
        if len(trees) >= limit:
            break
        chunk = [tree for _, tree in entries[start : start + WRITTEN_AT_ONCE]]
        values = torch.stack([values_of(tree, X, vocabulary.functions).expand(n) for tree in chunk])
        keep = distinct(values, dedup)
        rows.append(values[keep])
        trees += [chunk[k] for k in keep.tolist()]
    complexity = torch.tensor([vocabulary.complexity(tree) for tree in trees], device=X.device)
    return Library(torch.cat(rows)[:limit], complexity[:limit], trees.__getitem__)


def _monomials(d: int, vocabulary: Vocabulary, limit: int) -> Iterator[tuple[float, Tree]]:
    """Monomials, each with what it counts."""
    for vector in exponent_vectors(d, DEGREE, limit)[1:].tolist():
        tree = monomial_tree(vocabulary, vector)
        if tree is not None:
            yield sum(abs(p) for p in vector) + 0.5, tree


def _around_atoms(
    d: int,
    atoms: Sequence[Tree],
    vocabulary: Vocabulary,
    limit: int,
    check: Callable[[], None],
) -> Iterator[tuple[float, Tree]]:
    """Monomials times atoms, each with what it counts."""
    share = max(1 + 2 * d, limit // max(1, len(atoms)))
    around = exponent_vectors(d, DEGREE_WITH_ATOM, share).tolist()
    products = itertools.product(around, atoms[:MOST_ENTRIES])
    for number, (vector, atom) in enumerate(itertools.islice(products, MOST_ENTRIES)):
        if number % ASKED_EVERY == 0:
            check()
        tree = monomial_tree(vocabulary, vector, [(atom, 1.0)])
        if tree is not None:
            yield vocabulary.complexity(atom) - 1 + sum(abs(p) for p in vector), tree
