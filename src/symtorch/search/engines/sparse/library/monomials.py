"""Products of powers of the inputs, alone or times one atom: much deeper than enumeration reaches.

They are evaluated as what they are, ``exp(exponents @ log|X|)`` with a sign: one matrix product
for a hundred thousand of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ..trees.tree import Tree, inp, num, values_of
from ..trees.vocabulary import MaybeTree, Vocabulary
from .rows import Library, normalised

LOG_OF_ZERO = -700.0
"""Stands for the logarithm of 0: its exponential is still a number, and next to none."""

ROOTS = 300
"""Half-integer vectors that are added where the inputs are positive."""


def exponent_vectors(
    d: int, total: int, limit: int, largest: int = 6, halves: bool = False
) -> Tensor:
    """Exponent vectors [m, d] by growing sum of absolute values up to ``total``, at most
    ``limit`` rows.

    With ``halves`` the vectors are halved: square roots of the monomials.
    """
    found: list[tuple[int, ...]] = [(0,) * d]
    for size in range(1, total + 1):
        # A layer of 64 inputs can have millions of vectors: only as many are made as fit.
        room = limit - len(found)
        layer = list(itertools.islice(_exponent_layer(d, size, largest), room + 1))
        if len(layer) > room:
            break
        found += layer
    exponents = torch.tensor(found, dtype=torch.float64)
    return exponents / 2 if halves else exponents


def _exponent_layer(d: int, size: int, largest: int) -> Iterator[tuple[int, ...]]:
    """Exponent vectors [d] whose absolute values add up to ``size``, fewest inputs first."""
    for active in range(1, min(d, size) + 1):
        for places in itertools.combinations(range(d), active):
            for cuts in itertools.combinations(range(1, size), active - 1):
                parts = [b - a for a, b in zip((0, *cuts), (*cuts, size), strict=True)]
                if max(parts) > largest:
                    continue
                for signs in itertools.product((1, -1), repeat=active):
                    vector = [0] * d
                    for place, part, sign in zip(places, parts, signs, strict=True):
                        vector[place] = part * sign
                    yield tuple(vector)


def monomial_tree(
    vocabulary: Vocabulary, exponents: list[float], atoms: Sequence[tuple[Tree, float]] = ()
) -> MaybeTree:
    """``prod(x_i ** p_i)`` times the atoms, each with its power."""
    factors = [(inp(i), p) for i, p in enumerate(exponents) if p != 0]
    return vocabulary.product([*factors, *atoms])


def monomials_times_atoms(
    X: Tensor,
    atoms: list[Tree],
    vocabulary: Vocabulary,
    limit: int,
    total: int,
    check: Callable[[], None],
) -> Library:
    """Products of powers of the inputs X [n, d], alone and times each of ``atoms``; float32 rows.

    The exponents' absolute sum is at most ``total`` for bare monomials; what room is left under
    ``limit`` is shared among the atoms.
    """
    n, d = X.shape
    bare = exponent_vectors(d, total, limit // 3)
    # The simplest come first; with many inputs there are more atoms than rows to hold them.
    atoms = atoms[: max(1, limit - len(bare))]
    around = exponent_vectors(d, total, max(1, (limit - len(bare)) // max(1, len(atoms))))
    roots = _roots(X, vocabulary)
    bare = torch.cat([bare, roots])
    if len(roots) < len(around):
        around = torch.cat([around, roots])
    monomials = _Monomials(X)
    rows = [_usable(*monomials.values(bare))]
    kinds = [-1]
    value, fine = monomials.values(around)
    for k, atom in enumerate(atoms):
        check()
        row, ok = normalised(values_of(atom, X, vocabulary.functions).expand(n)[None])
        if bool(ok):
            rows.append(_usable(value * row, fine))
            kinds.append(k)
    vectors = torch.cat([keep for _, keep in rows])
    counts = torch.tensor([len(keep) for _, keep in rows], device=X.device)
    kind = torch.tensor(kinds, device=X.device).repeat_interleave(counts)
    costs = _cost(bare.to(X.device)), _cost(around.to(X.device))
    atom_costs = [vocabulary.complexity(atom) for atom in atoms]
    of_atoms = torch.tensor([*atom_costs, 0.0], device=X.device)[kind] + 1
    complexity = torch.where(
        kind < 0,
        costs[0][vectors.clamp_max(len(bare) - 1)],
        costs[1][vectors.clamp_max(len(around) - 1)] + of_atoms,
    )

    def tree_of(row: int) -> Tree:
        vector, atom = int(vectors[row]), int(kind[row])
        if atom < 0:
            tree = monomial_tree(vocabulary, bare[vector].tolist())
        else:
            tree = monomial_tree(vocabulary, around[vector].tolist(), [(atoms[atom], 1.0)])
        return tree if tree is not None else num(float("nan"))

    return Library(torch.cat([values for values, _ in rows]), complexity, tree_of)


class _Monomials:
    """Values of monomials on the rows of X [n, d], up to scale."""

    def __init__(self, X: Tensor) -> None:
        self.size = X.abs().log().nan_to_num(neginf=LOG_OF_ZERO)
        self.negative = (X < 0).to(X.dtype)
        self.zero = (X == 0).to(X.dtype)

    def values(self, exponents: Tensor) -> tuple[Tensor, Tensor]:
        """Of exponents [m, d]: values [m, n], and which rows have them everywhere [m]."""
        exponents = exponents.to(self.size.device)
        logs = exponents @ self.size.T
        logs = logs - logs.amax(dim=1, keepdim=True)
        odd = (exponents.remainder(2) == 1).to(self.size.dtype)
        flips = 1 - 2 * ((odd @ self.negative.T).remainder(2))
        value = logs.exp() * flips
        # A zero input has no negative power and makes every positive power zero.
        poles = (exponents < 0).to(self.size.dtype) @ self.zero.T
        zeros = (exponents > 0).to(self.size.dtype) @ self.zero.T
        return torch.where(zeros > 0, 0.0, value), ~(poles > 0).any(dim=1)


def _roots(X: Tensor, vocabulary: Vocabulary) -> Tensor:
    """Half-integer exponent vectors of the inputs that are positive, where roots are allowed."""
    if vocabulary.power(("x", 0), 0.5) is None:
        return exponent_vectors(X.shape[1], 0, 1)[:0]
    positive = (X > 0).all(dim=0).cpu()
    roots = exponent_vectors(X.shape[1], 2, ROOTS, halves=True)[1:]
    return roots[((roots == 0) | positive).all(dim=1)]


def _usable(values: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [m, n] fit to be used, scaled, as float32, and their positions."""
    unit, ok = normalised(values)
    keep = (ok & fine).nonzero()[:, 0]
    return unit[keep].float(), keep


def _cost(exponents: Tensor) -> Tensor:
    """Complexity of monomials [m], about: two nodes an input, two more where it has a power."""
    powers = (exponents.abs() > 1) | (exponents % 1 != 0)
    return 2 * (exponents != 0).sum(1) + 2 * powers.sum(1)
