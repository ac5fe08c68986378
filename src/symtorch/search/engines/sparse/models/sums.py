"""Sums: ``g(y) = sum_k b_k f_k + c`` with the terms f_k from a library, and rational laws.

Sampled physics spans decades, so sums are searched twice: in relative terms, where every row of
data counts the same
(divide everything by g(y): explain 1), and in plain weighted least squares. In relative terms a
rational law
``y = N / (1 + D)`` is linear too: ``1 = N/y - D``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import Subset, best_subsets, least_squares
from ..library.rows import Library, monomial_tree
from ..trees.tree import Tree, const, evaluate, inputs_of, merge_powers
from ..trees.vocabulary import MaybeTree, Vocabulary
from .context import Workspace
from .links import Link

PAIRED = 2_500
"""How many of the simplest terms are tried in all pairs."""

RATIONAL_PAIRED = 1_200
"""The same for rational laws, where it happens once per leading term."""


@dataclass
class SumSearch:
    """Search for one link's sums on the screening rows. typical [n]: expected size of the target
    at each row."""

    workspace: Workspace
    library: Library
    link: Link
    relative: bool
    typical: Tensor
    center: tuple[float, ...] = ()
    """Exponents of a monomial that multiplies every term: the library then holds what differs
    from it."""

    def __post_init__(self) -> None:
        X, y = self.workspace.screen.X, self.workspace.screen.y
        z = self.link.forward(y)
        self.around: Tree | None = None
        shape = torch.ones_like(z)
        if any(self.center):
            self.around = monomial_tree(self.workspace.vocabulary, list(self.center))
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
        root = self.workspace.screen.weights.clamp_min(0).sqrt()
        if self.relative:
            self.multiplier = torch.where(
                good, root / tempered(self.z, self.typical, self.link.power), 0.0
            )
        else:
            # Least squares in y, not in z: errors of z count by how much they move y.
            slope = 1 / self.link.derivative(y).abs()
            usual = float(slope.nan_to_num(0.0, 0.0, 0.0).median())
            self.multiplier = torch.where(
                good,
                root * (slope / max(usual, 1e-300)).nan_to_num(0.0, 0.0, 0.0).clamp_max(1e3),
                0.0,
            )

    def run(self, beams: tuple[int, ...], keep: int) -> None:
        """Consider the best ``keep`` sums of each number of terms."""
        ones = torch.ones_like(self.z)
        base = (ones * self.multiplier)[:, None]
        if self.around is not None:
            base = torch.cat([base, (self.shape * self.multiplier)[:, None]], dim=1)
        bias = 1 + 0.01 * self.library.complexity
        subsets = best_subsets(
            self.library.rows,
            self.multiplier * self.shape,
            self.z * self.multiplier,
            base,
            beams,
            self.workspace.check,
            bias=bias,
            pairs=self.library.complexity.argsort(stable=True)[
                : 1_000 if self.relative else PAIRED
            ],
        )
        ranked: list[Subset] = []
        for size in range(1, len(beams) + 1):
            of_size = sorted((s for s in subsets if len(s.indices) == size), key=lambda s: s.left)
            # Below this, float32 cannot tell the law from its neighbours: more of them get a trial.
            ranked += of_size[: 3 * keep if of_size and of_size[0].left < 1e-10 else keep]
        ranked.sort(key=lambda s: s.left)
        for subset in ranked:
            if self.workspace.solved:
                return
            self.emit(subset)

    def emit(self, subset: Subset) -> None:
        """Write a subset as equations and hand them to the workspace."""
        trees = [self.library.tree_of(i) for i in subset.indices]
        if self.around is not None:
            vocabulary = self.workspace.vocabulary
            moved = [
                vocabulary.product(merge_powers([(self.around, 1.0), (t, 1.0)])) for t in trees
            ]
            trees = [self.around, *(t for t in moved if t is not None and inputs_of(t))]
        for tree in assemble(trees, self.z, self.multiplier, self.workspace):
            self.workspace.consider(self.link.inverse(self.workspace.vocabulary, tree))
            if self.workspace.solved:
                return


def tempered(z: Tensor, typical: Tensor, power: float) -> Tensor:
    """Size [n] of the target for relative errors, kept up where terms cancel: there, size says
    nothing of scale."""
    if not power:
        return z.abs().clamp_min(1e-6 * float(z.abs().median()) + 1e-300)
    return z.abs() + 0.3 * typical**power


def assemble(
    terms: Sequence[Tree], z: Tensor, multiplier: Tensor, workspace: Workspace
) -> list[Tree]:
    """Sum trees for the terms with least-squares coefficients; terms that carry nothing are
    dropped."""
    X = workspace.screen.X
    functions = workspace.vocabulary.functions
    kept = list(terms)
    while kept:
        rows = [evaluate(t, X, functions).expand(X.shape[0]) for t in kept]
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
        found += factored(pairs, intercept, workspace.vocabulary)
        found.append(workspace.vocabulary.linear(pairs, intercept))
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


@dataclass
class RationalSearch:
    """``y = N / (1 + D)``: terms of N enter as f/y, terms of D as f, and together they explain
    1."""

    workspace: Workspace
    library: Library
    typical: Tensor

    def run(self, leading: int, beams: tuple[int, ...], keep: int) -> None:
        """Consider laws whose numerator holds one of ``leading`` monomials f: ``f/y = 1 + D -
        N'/y``.

        Fixing one term's coefficient keeps the trivial answer out: without it, terms that almost
        cancel among
        themselves explain 0 = 0 better than any law.
        """
        workspace = self.workspace
        y = workspace.screen.y
        root = workspace.screen.weights.clamp_min(0).sqrt()
        good = y != 0
        safe = torch.where(good, y, torch.ones_like(y))
        varied = (self.library.rows.amax(dim=1) - self.library.rows.amin(dim=1)) > 1e-6
        self.kept = varied.nonzero()[:, 0].tolist()
        rows = self.library.rows[varied].double()
        m = rows.shape[0]
        over = rows / safe
        over = over / over.abs().amax(dim=1, keepdim=True)
        table = torch.cat([over, rows]).float()
        cost = self.library.complexity[varied]
        bias = 1 + 0.01 * torch.cat([cost, cost])
        sizes = (rows / self.typical).abs().log().nan_to_num(0.0, 700.0, -700.0)
        spread = sizes.std(dim=1, correction=0) * (1 + 0.02 * cost)
        simplest = torch.cat([cost, cost]).argsort(stable=True)[:RATIONAL_PAIRED]
        found: list[tuple[float, int, tuple[int, ...]]] = []
        plain = cost.argsort(stable=True)[: leading // 2].tolist()
        close = spread.argsort(stable=True)[: leading // 2].tolist()
        for lead in dict.fromkeys([*plain, *close]):
            ratio = over[lead]
            usual = (rows[lead] / self.typical).abs() * float(
                (over[lead] * safe / rows[lead]).abs().median()
            )
            multiplier = torch.where(good, root / (ratio.abs() + usual), 0.0).nan_to_num(
                0.0, 0.0, 0.0
            )
            base = multiplier[:, None]
            # The leading term must not explain itself.
            own = table[lead].clone()
            table[lead] = 0.0
            subsets = best_subsets(
                table,
                multiplier,
                ratio * multiplier,
                base,
                beams,
                workspace.check,
                bias=bias,
                pairs=simplest,
            )
            table[lead] = own
            found += [(s.left, lead, s.indices) for s in subsets if any(i >= m for i in s.indices)]
        found.sort()
        for _, lead, indices in found[:keep]:
            if workspace.solved:
                break
            self.emit([lead, *(i for i in indices if i < m)], [i - m for i in indices if i >= m])

    def emit(self, above: list[int], below: list[int]) -> None:
        """Write numerator and denominator rows as equations and hand them to the workspace."""
        workspace = self.workspace
        vocabulary = workspace.vocabulary
        X, y = workspace.screen.X, workspace.screen.y
        root = workspace.screen.weights.clamp_min(0).sqrt()
        up = [self.library.tree_of(self.kept[i]) for i in above]
        down = [self.library.tree_of(self.kept[i]) for i in below]
        rows = [evaluate(t, X, vocabulary.functions).expand(len(y)) / y for t in up]
        rows += [evaluate(t, X, vocabulary.functions).expand(len(y)) for t in down]
        A = torch.stack(rows, dim=1) * root[:, None]
        ok = torch.isfinite(A).all(dim=1)
        A, b = A[ok], root[ok]
        size = A.norm(dim=0).clamp_min(1e-300)
        solution = (least_squares(A / size, b) / size).tolist()
        numerator_pairs = list(zip(solution[: len(up)], up, strict=True))
        numerators = [
            *factored(numerator_pairs, 0.0, vocabulary),
            vocabulary.linear(numerator_pairs),
        ]
        denominator: MaybeTree = ("k", 1.0)
        for coefficient, tree in zip(solution[len(up) :], down, strict=True):
            denominator = vocabulary.add(denominator, vocabulary.scaled(-coefficient, tree))
        for numerator in numerators:
            workspace.consider(vocabulary.divide(numerator, denominator))
            if workspace.solved:
                return
