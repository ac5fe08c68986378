"""Sums: ``g(y) = sum_k b_k f_k + c`` with the terms f_k from a library.

Sampled physics spans decades, so sums are searched twice: in relative terms, where every row of
data counts the same (divide everything by g(y): explain 1), and in plain weighted least squares.
The first finds laws whose small values matter as much as the large ones; the second is right
where the data have noise of one size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import Subset, best_subsets, least_squares
from ..library.monomials import monomial_tree
from ..library.rows import Library
from ..trees.tree import Tree, const, inputs_of, merge_powers, values_of
from ..trees.vocabulary import MaybeTree, Vocabulary
from .context import SearchContext
from .transforms import TargetTransform

PAIRED = 2_500
"""How many of the simplest terms are tried in all pairs."""

RELATIVE_PAIRED = 1_000
"""The same for relative sums, of which there are several for each transform."""

SIMPLER = 0.01
"""What a node of complexity must take off the residual, as a share, for a longer term to win."""

EXACT_TO_FLOAT32 = 1e-10
"""Share of the target below which float32 cannot tell the law from its neighbours."""


@dataclass
class SumSearch:
    """Search for the sums under one transform, on the screening rows.

    typical [n]: expected size of the target at each row.
    """

    context: SearchContext
    library: Library
    transform: TargetTransform
    relative: bool
    typical: Tensor
    center: tuple[float, ...] = ()
    """Exponents of a monomial that multiplies every term: the library then holds what differs
    from it."""

    def __post_init__(self) -> None:
        X, y = self.context.screen.X, self.context.screen.y
        z = self.transform.forward(y)
        self.around: Tree | None = None
        shape = torch.ones_like(z)
        if any(self.center):
            self.around = monomial_tree(self.context.vocabulary, list(self.center))
            logs = X.abs().log().nan_to_num(0.0, 0.0, 0.0) @ torch.tensor(
                self.center, dtype=z.dtype, device=z.device
            )
            shape = (logs - logs.mean()).exp()
            odd = [i for i, p in enumerate(self.center) if p % 2 == 1]
            shape = shape * torch.where(X[:, odd] < 0, -1.0, 1.0).prod(dim=1)
        self.shape = shape
        good = torch.isfinite(z) & (
            (z != 0) if self.relative else torch.ones_like(z, dtype=torch.bool)
        )
        self.z = torch.where(good, z, torch.ones_like(z))
        root = self.context.screen.weights.clamp_min(0).sqrt()
        if self.relative:
            self.multiplier = torch.where(
                good, root / tempered(self.z, self.typical, self.transform.power), 0.0
            )
        else:
            # Least squares in y, not in z: errors of z count by how much they move y.
            slope = 1 / self.transform.derivative(y).abs()
            usual = float(slope.nan_to_num(0.0, 0.0, 0.0).median())
            self.multiplier = torch.where(
                good,
                root * (slope / max(usual, 1e-300)).nan_to_num(0.0, 0.0, 0.0).clamp_max(1e3),
                0.0,
            )

    def run(self, beams: tuple[int, ...], trials: int) -> None:
        """Consider the best ``trials`` sums of each number of terms."""
        ones = torch.ones_like(self.z)
        base = (ones * self.multiplier)[:, None]
        if self.around is not None:
            base = torch.cat([base, (self.shape * self.multiplier)[:, None]], dim=1)
        bias = 1 + SIMPLER * self.library.complexity
        paired = RELATIVE_PAIRED if self.relative else PAIRED
        simplest = self.library.complexity.argsort(stable=True)[:paired]
        subsets = best_subsets(
            self.library.rows,
            self.multiplier * self.shape,
            self.z * self.multiplier,
            base,
            beams,
            self.context.check,
            bias=bias,
            pairs=simplest,
        )
        ranked: list[Subset] = []
        for size in range(1, len(beams) + 1):
            of_size = sorted(
                (s for s in subsets if len(s.indices) == size), key=lambda s: s.unexplained
            )
            exact = bool(of_size) and of_size[0].unexplained < EXACT_TO_FLOAT32
            ranked += of_size[: 3 * trials if exact else trials]
        ranked.sort(key=lambda s: s.unexplained)
        for subset in ranked:
            if self.context.solved:
                return
            self.emit(subset)

    def emit(self, subset: Subset) -> None:
        """Write a subset as equations and hand them to the context."""
        trees = [self.library.tree_of(i) for i in subset.indices]
        if self.around is not None:
            vocabulary = self.context.vocabulary
            moved = [
                vocabulary.product(merge_powers([(self.around, 1.0), (t, 1.0)])) for t in trees
            ]
            trees = [self.around, *(t for t in moved if t is not None and inputs_of(t))]
        for tree in assemble(trees, self.z, self.multiplier, self.context):
            self.context.consider(self.transform.inverse(self.context.vocabulary, tree))
            if self.context.solved:
                return


def tempered(z: Tensor, typical: Tensor, power: float) -> Tensor:
    """Size [n] of the target for relative errors, kept up where terms cancel: there, size says
    nothing of scale."""
    if not power:
        return z.abs().clamp_min(1e-6 * float(z.abs().median()) + 1e-300)
    return z.abs() + 0.3 * typical**power


def assemble(
    terms: Sequence[Tree], z: Tensor, multiplier: Tensor, context: SearchContext
) -> list[Tree]:
    """Sum trees for the terms with least-squares coefficients; terms that carry nothing are
    dropped."""
    X = context.screen.X
    functions = context.vocabulary.functions
    kept = list(terms)
    while kept:
        rows = [values_of(t, X, functions).expand(X.shape[0]) for t in kept]
        A = torch.stack([*rows, torch.ones_like(z)], dim=1) * multiplier[:, None]
        if not bool(torch.isfinite(A).all()):
            return []
        b = z * multiplier
        size = A.norm(dim=0).clamp_min(1e-300)
        solution = least_squares(A / size, b)
        residual = float((b - (A / size) @ solution).norm())
        share = (solution.abs() / b.norm()).tolist()
        floor = max(3 * residual / float(b.norm()), 1e-11)
        # A term whose part of the target is lost in what stays unexplained is not known to be
        # there.
        weak = [k for k in range(len(kept)) if share[k] < 1e-9]
        if weak and len(weak) < len(kept):
            kept = [t for k, t in enumerate(kept) if k not in weak]
            continue
        coefficients = (solution / size).tolist()
        intercept = coefficients[-1] if share[-1] > min(floor, 1e-7) else 0.0
        found: list[MaybeTree] = []
        pairs = list(zip(coefficients[:-1], kept, strict=True))
        found += factored(pairs, intercept, context.vocabulary)
        found.append(context.vocabulary.linear(pairs, intercept))
        return [t for t in found if t is not None]
    return []


def factored(
    pairs: list[tuple[float, Tree]], intercept: float, vocabulary: Vocabulary
) -> list[Tree]:
    """The sum with what its terms have in common taken out, where that is shorter.

    ``m*v^2/2 + m*u^2/2`` becomes ``0.5*m*(v^2 + u^2)``: coefficients that agree up to a small
    whole ratio are
    taken out with the common powers.
    """
    if len(pairs) < 2 and intercept == 0:
        return []
    if any(b == 0 for b, _ in pairs):
        return []
    terms = [(b, dict(merge_powers([(tree, 1.0)]))) for b, tree in pairs]
    if intercept != 0:
        terms.append((intercept, {}))
    common: dict[Tree, float] = {}
    for base in set.intersection(*(set(powers) for _, powers in terms)):
        exponents = [powers[base] for _, powers in terms]
        if all(p > 0 for p in exponents):
            common[base] = min(exponents)
        elif all(p < 0 for p in exponents):
            common[base] = max(exponents)
    ordered = sorted(common.items(), key=lambda item: str(item[0]))
    results: list[MaybeTree] = []
    pivots = sorted(range(len(terms)), key=lambda k: abs(terms[k][0]))
    for pivot in dict.fromkeys((pivots[0], pivots[-1], 0)):
        scale = terms[pivot][0]
        inner: MaybeTree = None
        for k in [pivot, *(k for k in range(len(terms)) if k != pivot)]:
            b, powers = terms[k]
            rest = [(base, p - common.get(base, 0.0)) for base, p in powers.items()]
            rest = [(base, p) for base, p in rest if abs(p) > 1e-9]
            body = vocabulary.product(rest) if rest else ("k", 1.0)
            if body is None:
                return []
            ratio = b / scale
            whole = round(ratio)
            if abs(ratio - whole) < 1e-7 * abs(ratio) and abs(whole) == 1:
                part: MaybeTree = vocabulary.multiply(("k", float(whole)), body)
            else:
                part = vocabulary.scaled(ratio, body)
            if inner is None:
                inner = part
            elif abs(ratio - whole) < 1e-7 * abs(ratio) and whole == -1:
                inner = vocabulary.subtract(inner, body)
            else:
                inner = vocabulary.add(inner, part)
        if inner is None:
            return []
        unit = const(scale)
        results.append(vocabulary.product([*ordered, (inner, 1.0)], unit))
        if pivot == pivots[0] and not ordered and len(set(pivots)) == 1:
            break
    found = [tree for tree in results if tree is not None]
    return sorted(found, key=vocabulary.complexity)[:1]
