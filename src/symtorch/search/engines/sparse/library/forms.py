"""Forms that physics likes: the atoms with which libraries are seeded."""

from __future__ import annotations

import itertools

import torch

from ..trees.tree import Tree, inputs_of
from ..trees.vocabulary import Vocabulary

_POWERS = frozenset({"square", "cube", "inv", "sqrt", "neg"})
"""Functions whose values the monomials already have."""


MOST_PAIRED = 24
"""Inputs, the first ones, of which pairs and triples are formed: 24 have 276 pairs and 2,024
triples, 64 would have 2,016 and 41,664."""


def comparable_pairs(X: torch.Tensor) -> list[tuple[int, int]]:
    """Pairs of inputs of one order of magnitude: the sum of 1e-20 and 1e7 is nobody's law."""
    middle = X.abs().median(dim=0).values
    largest = X.abs().amax(dim=0)
    d = min(X.shape[1], MOST_PAIRED)
    return [
        (i, j)
        for i in range(d)
        for j in range(i + 1, d)
        if float(largest[i]) > 0.03 * float(middle[j])
        and float(largest[j]) > 0.03 * float(middle[i])
    ]


def library_atoms(vocabulary: Vocabulary, X: torch.Tensor) -> list[Tree]:
    """Atoms that multiply monomials: unary functions of inputs, sums, differences and products,
    and their powers."""
    inputs: list[Tree] = [("x", i) for i in range(X.shape[1])]
    pairs = itertools.combinations(inputs[:MOST_PAIRED], 2)
    alike = comparable_pairs(X)
    differences = [
        t for i, j in alike if (t := vocabulary.subtract(inputs[i], inputs[j])) is not None
    ]
    products = [t for a, b in pairs if (t := vocabulary.multiply(a, b)) is not None]
    atoms: list[Tree] = []
    usual = ("sin", "cos", "exp", "log", "tanh")
    for name in (*usual, *sorted(vocabulary.unary - _POWERS - set(usual))):
        atoms += [t for u in inputs if (t := vocabulary.apply(name, u)) is not None]
    for name in ("sin", "cos"):
        atoms += [t for u in differences if (t := vocabulary.apply(name, u)) is not None]
    for name in ("sin", "cos"):
        atoms += [
            t for u in inputs if (t := vocabulary.power(vocabulary.apply(name, u), 2)) is not None
        ]
    for p in (2, -1, -2):
        atoms += [t for u in differences if (t := vocabulary.power(u, p)) is not None]
    for i, j in alike:
        radius = vocabulary.add(vocabulary.power(inputs[i], 2), vocabulary.power(inputs[j], 2))
        atoms += [
            t for p in (-0.5, 0.5, -1, -1.5) if (t := vocabulary.power(radius, p)) is not None
        ]
    for name in ("sin", "cos"):
        atoms += [t for u in products if (t := vocabulary.apply(name, u)) is not None]
    for p in (-1, -2):
        for i, j in alike:
            squares = [vocabulary.power(inputs[k], 2) for k in (i, j)]
            t = vocabulary.power(vocabulary.subtract(*squares), p)
            if t is not None:
                atoms.append(t)
    return [t for t in atoms if inputs_of(t)]


def independent_atoms(vocabulary: Vocabulary, X: torch.Tensor) -> list[Tree]:
    """Atoms that no linear identity ties to each other or to monomials.

    Rational laws are found as a linear relation among terms, so sin^2 + cos^2 = 1 would pass for
    one.
    """
    inputs: list[Tree] = [("x", i) for i in range(X.shape[1])]
    differences = [vocabulary.subtract(inputs[i], inputs[j]) for i, j in comparable_pairs(X)]
    atoms = [vocabulary.apply(name, u) for name in ("sin", "cos", "exp", "log") for u in inputs]
    atoms += [vocabulary.apply(name, u) for name in ("sin", "cos") for u in differences]
    return [t for t in atoms if t is not None]


def distances(vocabulary: Vocabulary, X: torch.Tensor) -> list[Tree]:
    """Sums, differences, and sums and differences of squares of inputs of one order of
    magnitude."""
    alike = comparable_pairs(X)
    inputs: list[Tree] = [("x", i) for i in range(X.shape[1])]
    squares = [vocabulary.power(u, 2) for u in inputs]
    found = []
    for i, j in alike:
        found += [vocabulary.add(inputs[i], inputs[j]), vocabulary.subtract(inputs[i], inputs[j])]
        found += [
            vocabulary.add(squares[i], squares[j]),
            vocabulary.subtract(squares[i], squares[j]),
        ]
        found.append(vocabulary.power(vocabulary.subtract(inputs[i], inputs[j]), 2))
    pairs = set(alike)
    for i, j in alike:
        found += [
            vocabulary.add(vocabulary.add(squares[i], squares[j]), squares[k])
            for k in range(j + 1, min(X.shape[1], MOST_PAIRED))
            if (i, k) in pairs and (j, k) in pairs
        ]
    return [t for t in found if t is not None]
