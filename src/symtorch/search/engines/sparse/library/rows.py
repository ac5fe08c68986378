"""Libraries: many subexpressions, evaluated as the rows of one tensor.

`enumerate_expressions` builds small expressions of any shape bottom-up by complexity;
`monomials_times_atoms` builds products of powers of the inputs, alone or times one atom, much
deeper
than enumeration reaches. Rows are kept up to scale: two expressions whose ratio is constant on the
sample are the same regressor, and the simpler one stays.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..trees.tree import Tree, inp, num, values_of
from ..trees.vocabulary import MaybeTree, Vocabulary

TINY = 1e-280
HUGE = 1e280

MOST_ENTRIES = 20_000
"""Products of a monomial and an atom written for one library: about half a second of work."""


@dataclass
class Library:
    """Rows [m, n] scaled to unit maximum, with their trees and complexities.

    ``rows`` are float64 for small libraries that serve as arguments and float32 for large ones that
    are only correlated. ``tree_of`` builds the tree of one row on demand.
    """

    rows: Tensor
    complexity: Tensor
    tree_of: Callable[[int], Tree]

    def __len__(self) -> int:
        return self.rows.shape[0]

    def joined(self, other: Library) -> Library:
        """The rows of both, as float32."""
        count = len(self)
        return Library(
            torch.cat([self.rows.float(), other.rows.float()]),
            torch.cat([self.complexity, other.complexity]),
            lambda row: self.tree_of(row) if row < count else other.tree_of(row - count),
        )


def normalised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows [m, n] over their largest absolute value, and the mask [m] of rows fit to be used."""
    size = rows.abs().amax(dim=1)
    usable = torch.isfinite(size) & (size > TINY) & (size < HUGE)
    safe = torch.where(usable, size, torch.ones_like(size))
    return torch.nan_to_num(rows / safe[:, None]), usable


class Deduplicator:
    """Remembers rows up to a factor, by two random projections of the normalised row."""

    def __init__(self, n: int, generator: torch.Generator, device: torch.device) -> None:
        self.probes = (
            torch.rand(n, 2, generator=generator, dtype=torch.float64).add_(0.5).to(device)
        )
        self.seen: set[tuple[int, int]] = set()

    def fresh(self, unit_rows: Tensor) -> Tensor:
        """Mask [m] of the rows that were not met before, in order."""
        scaled = unit_rows / unit_rows.norm(dim=1, keepdim=True).clamp_min(1e-300)
        marks = scaled @ self.probes
        marks = marks * torch.where(marks[:, :1] < 0, -1.0, 1.0)
        # Rounding splits values that straddle a boundary; a duplicate kept now and then does no
        # harm.
        keys = (marks * 1e8).round().to(torch.int64).tolist()
        mask = torch.zeros(len(keys), dtype=torch.bool)
        for k, (first, second) in enumerate(keys):
            if (first, second) not in self.seen:
                self.seen.add((first, second))
                mask[k] = True
        return mask.to(unit_rows.device)


@dataclass
class _Level:
    values: list[Tensor] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)


def enumerate_expressions(
    X: Tensor,
    vocabulary: Vocabulary,
    generator: torch.Generator,
    limit: int,
    max_complexity: int,
    check: Callable[[], None],
) -> Library:
    """All small expressions of the inputs [n, d], simplest first, at most ``limit`` rows (float64).

    The numeral 1 takes part in sums only: ``1 + x`` and ``1 - x`` are common inside laws, and other
    constants are the business of tuned atoms.
    """
    n, d = X.shape
    dedup = Deduplicator(n, generator, X.device)
    levels: dict[int, _Level] = {}
    total = 0

    def push(cost: int, value: Tensor, trees: list[Tree]) -> None:
        """Keep the usable, unseen rows among ``value`` [m, n]."""
        nonlocal total
        unit, usable = normalised(value)
        spread = unit.amax(dim=1) - unit.amin(dim=1)
        usable &= spread > 1e-9
        keep = usable.nonzero()[:, 0]
        keep = keep[dedup.fresh(unit[keep])][: limit - total]
        level = levels.setdefault(cost, _Level())
        level.values.append(value[keep])
        level.trees += [trees[k] for k in keep.tolist()]
        total += len(keep)

    costs = [round(vocabulary.complexity(inp(i))) for i in range(d)]
    for cost in sorted(set(costs)):
        members = [i for i in range(d) if costs[i] == cost]
        push(cost, X[:, members].T.clone(), [inp(i) for i in members])
    unary = [(name, round(vocabulary.costs.get(name, 1))) for name in sorted(vocabulary.unary)]
    arithmetic = ("*", "/", "-", "+")
    others = sorted(vocabulary.binary - {*arithmetic, "^"})
    binary = [
        (name, round(vocabulary.costs.get(name, 1)))
        for name in (*arithmetic, *others)
        if name in vocabulary.binary
    ]
    one = round(vocabulary.constant_cost)

    def stacked(level: _Level) -> Tensor:
        if len(level.values) != 1:
            level.values = [torch.cat(level.values)]
        return level.values[0]

    for cost in range(2, max_complexity + 1):
        for name, own in unary:
            source = levels.get(cost - own)
            if source is None or not source.trees or total >= limit:
                continue
            kept = [
                k for k, tree in enumerate(source.trees) if vocabulary.allows_nesting(name, tree)
            ]
            if kept:
                value = vocabulary.functions[name](stacked(source)[kept])
                push(cost, value, [(name, source.trees[k]) for k in kept])
        if "^" in vocabulary.binary and "square" not in vocabulary.unary:
            own = round(vocabulary.costs.get("^", 1))
            source = levels.get(cost - own - one)
            if source is not None and source.trees and total < limit:
                push(cost, stacked(source) ** 2, [("^", tree, num(2)) for tree in source.trees])
        for name, own in binary:
            if name in "+-":
                source = levels.get(cost - own - one)
                if source is not None and source.trees and total < limit:
                    values = stacked(source)
                    sizes = values.abs().median(dim=1).values
                    alike = ((sizes > 1e-3) & (sizes < 1e3)).nonzero()[:, 0]
                    around_one = vocabulary.functions[name](
                        torch.ones_like(values[alike]), values[alike]
                    )
                    push(
                        cost, around_one, [(name, num(1), source.trees[k]) for k in alike.tolist()]
                    )
            for left_cost in range(1, cost - own):
                left, right = levels.get(left_cost), levels.get(cost - own - left_cost)
                if left is None or right is None or not left.trees or not right.trees:
                    continue
                symmetric = name in "+-*"
                if symmetric and left_cost > cost - own - left_cost:
                    continue
                a, b = stacked(left), stacked(right)
                chunk = max(1, 20_000 // max(1, b.shape[0]))
                for start in range(0, a.shape[0], chunk):
                    check()
                    if total >= limit:
                        break
                    piece = a[start : start + chunk]
                    first, second = torch.cartesian_prod(
                        torch.arange(piece.shape[0], device=X.device),
                        torch.arange(b.shape[0], device=X.device),
                    ).unbind(1)
                    if name in "+-":
                        # The sum of things of wholly different size is the larger one, written at
                        # length.
                        sizes = (piece.abs().median(1).values[first] + TINY) / (
                            b.abs().median(1).values[second] + TINY
                        )
                        alike = (sizes > 1e-3) & (sizes < 1e3)
                        first, second = first[alike], second[alike]
                    value = vocabulary.functions[name](piece[first], b[second])
                    trees = [
                        (name, left.trees[start + i], right.trees[j])
                        for i, j in zip(first.tolist(), second.tolist(), strict=True)
                    ]
                    push(cost, value, trees)
        if total >= limit:
            break
    order = sorted(cost for cost in levels if levels[cost].trees)
    trees = [tree for cost in order for tree in levels[cost].trees]
    complexity = torch.tensor([cost for cost in order for _ in levels[cost].trees], device=X.device)
    rows = torch.cat([stacked(levels[cost]) for cost in order]) if trees else X.new_zeros((0, n))
    return Library(rows, complexity, trees.__getitem__)


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
    of its size:
    the arguments of exponentials and sines in physics are mostly of that kind.

    Entries are written before they are evaluated, so their number is bounded too: with 64 inputs
    the products of a monomial and a distance would be millions.
    """
    n, d = X.shape
    small = enumerate_expressions(
        X, vocabulary, generator, max(limit // 2, 2 * d), max_complexity, check
    )
    monomials = exponent_vectors(d, 4, limit // 3)[1:].tolist()
    entries: list[tuple[float, Tree]] = [
        (float(c), small.tree_of(k)) for k, c in enumerate(small.complexity.tolist())
    ]
    for vector in monomials:
        tree = monomial_tree(vocabulary, vector)
        if tree is not None:
            entries.append((sum(abs(p) for p in vector) + 0.5, tree))
    for group in atoms:
        around = exponent_vectors(d, 2, max(1 + 2 * d, limit // 3 // max(1, len(group)))).tolist()
        for number, (vector, atom) in enumerate(itertools.product(around, group[:MOST_ENTRIES])):
            if number % 1024 == 0:
                check()
            if number >= MOST_ENTRIES:
                break
            tree = monomial_tree(vocabulary, vector, [(atom, 1.0)])
            if tree is not None:
                entries.append(
                    (vocabulary.complexity(atom) - 1 + sum(abs(p) for p in vector), tree)
                )
    entries.sort(key=lambda entry: entry[0])
    dedup = Deduplicator(n, generator, X.device)
    trees: list[Tree] = []
    rows: list[Tensor] = []
    for start in range(0, len(entries), 2048):
        check()
        if len(trees) >= limit:
            break
        chunk = [tree for _, tree in entries[start : start + 2048]]
        values = torch.stack([values_of(tree, X, vocabulary.functions).expand(n) for tree in chunk])
        unit, usable = normalised(values)
        usable &= (unit.amax(dim=1) - unit.amin(dim=1)) > 1e-9
        keep = usable.nonzero()[:, 0]
        keep = keep[dedup.fresh(unit[keep])]
        rows.append(values[keep])
        trees += [chunk[k] for k in keep.tolist()]
    complexity = torch.tensor([vocabulary.complexity(tree) for tree in trees], device=X.device)
    return Library(torch.cat(rows)[:limit], complexity[:limit], trees.__getitem__)


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
    share = max(1, (limit - len(bare)) // max(1, len(atoms)))
    around = exponent_vectors(d, total, share)
    if vocabulary.power(("x", 0), 0.5) is not None:
        positive = (X > 0).all(dim=0).cpu()
        roots = exponent_vectors(d, 2, 300, halves=True)[1:]
        roots = roots[((roots == 0) | positive).all(dim=1)]
        bare = torch.cat([bare, roots])
        if len(roots) < len(around):
            around = torch.cat([around, roots])
    size = X.abs().log().nan_to_num(neginf=-700.0)
    sign = torch.where(X < 0, -1.0, 1.0).to(X.dtype)
    dead = (X == 0).to(X.dtype)

    def monomials(exponents: Tensor) -> tuple[Tensor, Tensor]:
        exponents = exponents.to(X.device)
        logs = exponents @ size.T
        logs = logs - logs.amax(dim=1, keepdim=True)
        odd = (exponents.remainder(2) == 1).to(X.dtype)
        flips = 1 - 2 * ((odd @ (sign < 0).to(X.dtype).T).remainder(2))
        value = logs.exp() * flips
        # A zero input has no negative power and makes every positive power zero.
        poles = (exponents < 0).to(X.dtype) @ dead.T
        zeros = (exponents > 0).to(X.dtype) @ dead.T
        fine = ~(poles > 0).any(dim=1)
        return torch.where(zeros > 0, 0.0, value), fine

    blocks: list[Tensor] = []
    index: list[Tensor] = []

    def add(values: Tensor, fine: Tensor, exponent_ids: Tensor, atom: int) -> None:
        unit, ok = normalised(values)
        keep = (ok & fine).nonzero()[:, 0]
        blocks.append(unit[keep].float())
        index.append(torch.stack([exponent_ids[keep], torch.full_like(keep, atom)], dim=1))

    value, fine = monomials(bare)
    add(value, fine, torch.arange(len(bare), device=X.device), -1)
    value, fine = monomials(around)
    for k, atom in enumerate(atoms):
        check()
        row = values_of(atom, X, vocabulary.functions).expand(n)
        row, ok = normalised(row[None])
        if bool(ok):
            add(value * row, fine, torch.arange(len(around), device=X.device), k)
    where = torch.cat(index)
    atom_costs = torch.tensor(
        [vocabulary.complexity(atom) for atom in atoms] + [0.0], device=X.device
    )

    def cost_of(exponents: Tensor) -> Tensor:
        powers = (exponents.abs() > 1) | (exponents % 1 != 0)
        return 2 * (exponents != 0).sum(1) + 2 * powers.sum(1)

    complexity = torch.where(
        where[:, 1] < 0,
        cost_of(bare.to(X.device))[where[:, 0].clamp_max(len(bare) - 1)],
        cost_of(around.to(X.device))[where[:, 0].clamp_max(len(around) - 1)]
        + atom_costs[where[:, 1]]
        + 1,
    )

    def tree_of(row: int) -> Tree:
        exponent_id, atom = where[row].tolist()
        if atom < 0:
            tree = monomial_tree(vocabulary, bare[exponent_id].tolist())
        else:
            tree = monomial_tree(vocabulary, around[exponent_id].tolist(), [(atoms[atom], 1.0)])
        return tree if tree is not None else num(float("nan"))

    return Library(torch.cat(blocks), complexity, tree_of)
