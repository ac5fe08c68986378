"""Products: ``log|z| = c + sum p_i log|x_i| + sum q_k log|f_k| + sum r_k f_k``.

The powers of the inputs are always in the model, so the selection only has to find what is *not*
a power
of an input: differences, sines, ``1 - v^2/c^2`` ... One or two such factors cover most of physics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .atoms import Family, TunedRows, refine, scan
from .library import Deduplicator, Library
from .links import IDENTITY, Link
from .subset import best_pairs, leftovers, orthonormal
from .tree import Tree, const, evaluate, inp, inputs_of, is_number, merge_powers, num
from .vocabulary import MaybeTree
from .workspace import Workspace

DIRECT, PLAIN = -1, -2
"""Pseudo-families: the factor ``f^q``, and the factor ``exp(r*f)``."""


@dataclass(frozen=True)
class Factor:
    """One factor: its family (or DIRECT, PLAIN), argument row, inner constant."""

    family: int
    argument: int
    theta: float


@dataclass(frozen=True)
class FactorPool:
    """Log-rows [m, n] that may be selected (float32), what each is, and a factor that favours
    simple ones."""

    rows: Tensor
    family: Tensor
    argument: Tensor
    theta: Tensor
    bias: Tensor

    def factor(self, row: int) -> Factor:
        """What row ``row`` stands for."""
        return Factor(int(self.family[row]), int(self.argument[row]), float(self.theta[row]))


def log_abs(values: Tensor) -> Tensor:
    """``log|values|``."""
    return values.abs().log()


def build_pool(
    arguments: Library, families: Sequence[Family], budget: int, workspace: Workspace
) -> FactorPool:
    """Direct rows, exponential rows and scanned tuned rows for ``arguments`` (float64 rows).

    What powers of the inputs explain is taken out in float64 before rows become float32: ``log(1
    + x)`` at
    x = 1e5 differs from ``log x`` in the sixth digit only, and that difference is the signal.
    """
    vocabulary = workspace.vocabulary
    X = workspace.screen.X
    nonzero = [i for i in range(X.shape[1]) if bool((X[:, i] != 0).all())]
    basis = orthonormal(
        torch.stack([torch.ones_like(X[:, 0]), *(log_abs(X[:, i]) for i in nonzero)], dim=1)
    )
    tuned: TunedRows = scan(families, arguments.rows, True, budget, workspace.check)
    logs = log_abs(arguments.rows)
    count = len(arguments)
    ids = torch.arange(count, device=logs.device)
    zero = torch.zeros(count, dtype=logs.dtype, device=logs.device)
    rows: list[Tensor] = []
    family: list[Tensor] = []
    # exp(f) comes before f: of two equal rows the first stays, and exp(x)^-1.97 is exp(-1.97*x).
    for kind in (PLAIN, DIRECT) if "exp" in vocabulary.unary else (DIRECT,):
        rows.append(logs if kind == DIRECT else arguments.rows)
        family.append(torch.full_like(ids, kind))
    argument, theta = [ids] * len(rows), [zero] * len(rows)
    rows.append(tuned.rows)
    family.append(tuned.family)
    argument.append(tuned.argument)
    theta.append(tuned.theta)
    packed = [torch.cat(parts) for parts in (family, argument, theta)]
    blocks: list[Tensor] = []
    masks: list[Tensor] = []
    dedup = Deduplicator(X.shape[0], workspace.generator, X.device)
    fixed = sum(-(-len(block) // 20_000) for block in rows[:-1])
    for block in rows:
        for piece in torch.split(block, 20_000):
            centred = piece - (piece @ basis) @ basis.T
            centred = centred - (centred @ basis) @ basis.T
            size = centred.abs().amax(dim=1)
            ok = torch.isfinite(size) & (size > 1e-12 * piece.abs().amax(dim=1))
            if len(blocks) < fixed:
                # log(x*sin(x)) and log(sin(x)) differ by a power of an input: one of them is
                # enough.
                known = ok.nonzero()[:, 0]
                ok[known] = dedup.fresh(centred[known])
            blocks.append(
                (centred / torch.where(ok, size, torch.ones_like(size))[:, None])[ok].float()
            )
            masks.append(ok)
    keep = torch.cat(masks)
    table = torch.cat(blocks)
    cost = arguments.complexity[packed[1]] + torch.where(
        packed[0] >= 0, 2.0, torch.where(packed[0] == PLAIN, 1.0, 0.0)
    )
    return FactorPool(
        table, packed[0][keep], packed[1][keep], packed[2][keep], (1 + 0.01 * cost)[keep]
    )


@dataclass
class ProductSearch:
    """Search for one link's products on the screening rows."""

    workspace: Workspace
    arguments: Library
    families: Sequence[Family]
    pool: FactorPool
    link: Link
    relative: bool = True
    """Whether every row counts the same (exact data over decades) or as in least squares of y
    (noise)."""

    def __post_init__(self) -> None:
        X, y = self.workspace.screen.X, self.workspace.screen.y
        z = self.link.forward(y)
        good = torch.isfinite(z) & (z != 0)
        self.z = torch.where(good, z, torch.ones_like(z))
        self.target = log_abs(self.z)
        # Weight: rounding and noise in y reach log|z| through its derivative dz/dy / z.
        spread = (self.link.derivative(y) * y.abs() / self.z).abs()
        weight = torch.where(
            good & torch.isfinite(spread), 1 / spread.clamp_min(1.0), torch.zeros_like(z)
        )
        if not self.relative:
            # An error e of y moves log|z| by e * dz/dy / z: least squares of y weighs by the
            # inverse.
            size = (self.z / self.link.derivative(y)).abs().nan_to_num(0.0, 0.0, 0.0)
            weight = torch.where(good, size / float(size.max()), torch.zeros_like(z))
        self.root = (weight * self.workspace.screen.weights.clamp_min(0).sqrt()).clamp_max(1e3)
        self.powers = []
        columns = [torch.ones_like(z)]
        for i in range(X.shape[1]):
            # A zero input does no harm on rows where the target is zero too: those carry no weight.
            logs = log_abs(torch.where(self.root > 0, X[:, i], torch.ones_like(z)))
            if bool(torch.isfinite(logs).all()) and float(logs.std()) > 1e-9:
                self.powers.append(i)
                columns.append(logs - logs.mean())
        self.base = torch.stack(columns, dim=1)

    # -- rows ------------------------------------------------------------------------------------

    def row(self, factor: Factor) -> Tensor:
        """``log|factor|`` on the screening rows [n]."""
        u = self.arguments.rows[factor.argument]
        if factor.family == PLAIN:
            return u
        if factor.family == DIRECT:
            return log_abs(u)
        theta = torch.tensor(factor.theta, dtype=u.dtype, device=u.device)
        return self.families[factor.family].log(theta, u)

    def columns(self, factors: Sequence[Factor]) -> Tensor:
        """The base and the factors' centred log-rows [n, q]."""
        rows = [self.row(f).nan_to_num(0.0, 0.0, 0.0) for f in factors]
        rows = [r - r.mean() for r in rows]
        return torch.cat([self.base, *(r[:, None] for r in rows)], dim=1)

    def fit(self, factors: Sequence[Factor]) -> tuple[list[float], float]:
        """Coefficients by weighted least squares, and the relative residual."""
        A = self.columns(factors) * self.root[:, None]
        b = self.target * self.root
        size = A.norm(dim=0).clamp_min(1e-300)
        solution = torch.linalg.lstsq(A / size, b[:, None], driver="gelsd").solution[:, 0] / size
        left = b - A @ solution
        return solution.tolist(), float((left @ left) / (self.root @ self.root).clamp_min(1e-300))

    # -- search ----------------------------------------------------------------------------------

    def run(self, depth: int, beam: int) -> None:
        """Consider products of the inputs' powers and up to ``depth`` found factors."""
        if not bool((self.root > 0).any()):
            return
        _, left = self.fit([])
        self.emit([])
        if self.workspace.solved or depth == 0:
            return
        states: list[tuple[float, list[Factor]]] = [(left, [])]
        for level in range(depth):
            grown: list[tuple[float, list[Factor]]] = []
            for _, factors in states:
                self.workspace.check()
                grown += self.extend(factors, beam if level == 0 else max(4, beam // 8))
            grown.sort(key=self.rank)
            states = grown[: max(6, beam // 4)]
            self.emit_best(grown, 6)

    def extend(self, factors: list[Factor], beam: int) -> list[tuple[float, list[Factor]]]:
        """The best ways to add one factor, inner constants refined."""
        base = self.columns(factors) * self.root[:, None]
        basis = orthonormal(base)
        residual = self.target * self.root
        residual = residual - basis @ (basis.T @ residual)
        left = leftovers(self.pool.rows, self.root, residual, basis) * self.pool.bias
        picks = self.diverse(left, beam)
        picks += self.shifted_picks(picks)
        by_family: dict[int, list[Factor]] = {}
        for pick in picks:
            by_family.setdefault(pick.family, []).append(pick)
        found: list[tuple[float, list[Factor]]] = []
        for family, members in by_family.items():
            if family < 0:
                found += [(self.fit([*factors, m])[1], [*factors, m]) for m in members]
                continue
            u = self.arguments.rows[[m.argument for m in members]]
            start = torch.tensor([m.theta for m in members], dtype=u.dtype, device=u.device)
            theta, error = refine(self.families[family], u, start, True, self.root, basis, residual)
            total = float(self.root @ self.root)
            for member, t, e, row in zip(members, theta.tolist(), error.tolist(), u, strict=True):
                # A scaled argument this small is the argument itself: the direct row says the
                # same, shorter.
                if self.families[family].name != "shift" and abs(t) * float(row.abs().max()) < 0.02:
                    continue
                found.append((e / total, [*factors, Factor(family, member.argument, t)]))
        unique: dict[tuple[tuple[int, int, float], ...], tuple[float, list[Factor]]] = {}
        for left_over, chosen in sorted(found, key=lambda pair: pair[0]):
            key = tuple((f.family, f.argument, float(f"{f.theta:.4g}")) for f in chosen)
            unique.setdefault(key, (left_over, chosen))
        return list(unique.values())

    def cost(self, factor: Factor) -> float:
        """Complexity of a factor, about."""
        return float(self.arguments.complexity[factor.argument]) + (
            2.0 if factor.family >= 0 else 0.0
        )

    def diverse(self, left: Tensor, beam: int) -> list[Factor]:
        """The rows that leave least: one constant per family and argument, half the places for
        simple arguments."""
        if left.numel() == 0:
            return []
        order = left.argsort(stable=True)
        kind = (self.pool.family[order] + 2) * len(self.arguments) + self.pool.argument[order]
        _, group = torch.unique(kind, return_inverse=True)
        first = torch.full((int(group.max()) + 1,), len(order), device=left.device)
        first.scatter_reduce_(0, group, torch.arange(len(order), device=left.device), "amin")
        champions = [self.pool.factor(int(row)) for row in order[first.sort().values[: 40 * beam]]]
        per_argument: dict[int, int] = {}
        picks: list[Factor] = []
        for simple in (True, False):
            for factor in champions:
                if len(picks) >= (beam // 2 if simple else beam):
                    break
                seen = per_argument.get(factor.argument, 0)
                if (
                    factor in picks
                    or seen >= 3
                    or (simple and float(self.arguments.complexity[factor.argument]) > 3)
                ):
                    continue
                per_argument[factor.argument] = seen + 1
                picks.append(factor)
        return picks

    def shifted_picks(self, picks: list[Factor]) -> list[Factor]:
        """``c + f`` for picked factors f and exp(f): a softening is small, and ``1 - v^2/c^2``
        starts as a slope."""
        shift = next(k for k, family in enumerate(self.families) if family.name == "shift")
        found = []
        for argument in dict.fromkeys(f.argument for f in picks):
            u = self.arguments.rows[argument].abs()
            small, large = 0.03 * float(u.median()), 3.0 * float(u.max())
            found += [Factor(shift, argument, theta) for theta in (small, -small, large, -large)]
        return found

    def pairs(self, most: int, keep: int) -> None:
        """Consider two factors out of all pairs of about ``most`` rows: fixed ones, and tuned
        ones of simple arguments."""
        if not bool((self.root > 0).any()) or len(self.pool.rows) < 2:
            return
        fixed = (self.pool.family < 0).nonzero()[:, 0][: most // 2]
        tuned = (self.pool.family >= 0).nonzero()[:, 0]
        tuned = tuned[self.pool.argument[tuned].argsort(stable=True)][: most - len(fixed)]
        rows = torch.cat([fixed, tuned])
        basis = orthonormal(self.base * self.root[:, None])
        residual = self.target * self.root
        residual = residual - basis @ (basis.T @ residual)
        states: dict[tuple[tuple[int, int], ...], tuple[float, list[Factor]]] = {}
        seen: dict[tuple[int, ...], int] = {}
        ranked = [
            [self.pool.factor(int(rows[i])), self.pool.factor(int(rows[j]))]
            for i, j in best_pairs(self.pool.rows[rows], self.root, residual, basis, 200 * keep)
        ]
        # A coarse constant hides a good pair; functions of bare inputs deserve the benefit of it.
        bare = [pair for pair in ranked if all(self.is_input(f) for f in pair)]
        for pool, swept in ((bare, 9 * keep), (ranked, 2 * keep)):
            for factors in pool:
                key = tuple(sorted((f.family, f.argument) for f in factors))
                place = tuple(sorted(f.argument for f in factors))
                # Functions of one argument resemble each other; others must get their turn.
                if key in states or (pool is ranked and seen.get(place, 0) >= 4):
                    continue
                if swept == 0:
                    break
                swept -= 1
                seen[place] = seen.get(place, 0) + 1
                states[key] = self.sweep(factors)
        self.emit_best(list(states.values()), keep)

    def is_input(self, factor: Factor) -> bool:
        """Whether the factor is a function of one bare input."""
        return bool(self.arguments.tree_of(factor.argument)[0] == "x")

    def sweep(self, factors: list[Factor], rounds: int = 2) -> tuple[float, list[Factor]]:
        """Refine the inner constants in turn, the other factors held in the base."""
        self.workspace.check()
        chosen = list(factors)
        for _ in range(rounds if sum(f.family >= 0 for f in factors) > 1 else 1):
            for k, factor in enumerate(chosen):
                if factor.family < 0:
                    continue
                basis = orthonormal(self.columns(chosen[:k] + chosen[k + 1 :]) * self.root[:, None])
                residual = self.target * self.root
                residual = residual - basis @ (basis.T @ residual)
                u = self.arguments.rows[[factor.argument]]
                start = torch.tensor([factor.theta], dtype=u.dtype, device=u.device)
                theta, _ = refine(
                    self.families[factor.family], u, start, True, self.root, basis, residual
                )
                chosen[k] = Factor(factor.family, factor.argument, float(theta))
        return self.fit(chosen)[1], chosen

    def rank(self, state: tuple[float, list[Factor]]) -> tuple[int, float]:
        """Constants are refined to some nine digits here; what differs below that is decided by
        size."""
        # A state without a fit has an error that is infinite or not a number, and those have no
        # rounded logarithm.
        error = max(state[0], 1e-17) if state[0] < 1e30 else 1e30
        return round(2 * math.log10(error)), sum(self.cost(f) for f in state[1])

    def emit_best(self, states: list[tuple[float, list[Factor]]], keep: int) -> None:
        """Write as equations the best states, those of the next ones that are exact, and each
        that is simpler than all better ones.

        Where the target carries a network's errors, longer factors that follow these leave less
        than the law does; it stands where the front of error against size falls.
        """
        simplest = math.inf
        for number, (error, factors) in enumerate(sorted(states, key=self.rank)):
            if self.workspace.solved:
                return
            cost = sum(self.cost(factor) for factor in factors)
            exact = error < 1e-12 and number < 2 * keep
            if number < keep or exact or cost < simplest:
                self.emit(factors)
            simplest = min(simplest, cost)

    # -- trees -----------------------------------------------------------------------------------

    def emit(self, factors: list[Factor]) -> None:
        """Write the state as equations, exponents rounded to halves, and hand them to the
        workspace."""
        coefficients, _ = self.fit(factors)
        exponents = coefficients[1 : 1 + len(self.powers)]
        inner = coefficients[1 + len(self.powers) :]
        parts: list[tuple[Tree, float]] = [
            (inp(i), p) for i, p in zip(self.powers, exponents, strict=True)
        ]
        variants: list[list[tuple[Tree, float]]] = [parts]
        for factor, q in zip(factors, inner, strict=True):
            options = self.writings(factor, q)
            variants = [[*variant, *option] for variant in variants for option in options]
        for variant in variants[:12]:
            for rounded in roundings(variant):
                self.consider(rounded)
                if self.workspace.solved:
                    return

    def writings(self, factor: Factor, q: float) -> list[list[tuple[Tree, float]]]:
        """Ways to write one factor with coefficient ``q``, as (tree, exponent) lists."""
        vocabulary = self.workspace.vocabulary
        u = self.arguments.tree_of(factor.argument)
        if factor.family == DIRECT:
            return [[(u, q)]]
        if factor.family == PLAIN:
            options: list[list[tuple[Tree, float]]] = []
            exponential = vocabulary.apply("exp", vocabulary.scaled(q, u))
            if exponential is not None:
                options.append([(exponential, 1.0)])
            # To first order exp(q*u) is (c + u)^p with c = p/q; which one it is, the fit decides.
            for p in (-0.5, 0.5, 1.0, -1.0, 2.0, -2.0):
                shifted = vocabulary.add(const(p / q), u) if q != 0 else None
                if shifted is not None:
                    options.append([(shifted, p)])
            return options
        tree = self.families[factor.family].tree(vocabulary, factor.theta, u)
        return [[(tree, q)]] if tree is not None else []

    def consider(self, parts: list[tuple[Tree, float]]) -> None:
        """Hand the product of ``tree ** exponent`` to the workspace, with its scale and sign."""
        workspace = self.workspace
        vocabulary = workspace.vocabulary
        product = vocabulary.product(
            [
                (positive, p)
                for tree, p in merge_powers(parts)
                if (positive := self.positive(tree) if p % 1 else tree) is not None
            ]
        )
        if product is None or not inputs_of(product):
            return
        value = evaluate(product, workspace.screen.X, vocabulary.functions)
        used = self.root > 0
        ratio, weight = (self.z / value)[used], self.z[used].abs()
        if not bool(torch.isfinite(ratio).all()):
            return
        # Which sign most of the target has beside the product; noise may flip it near zero, and
        # only there.
        balance = float((ratio.sign() * weight).sum() / weight.sum())
        if abs(balance) < 0.9:
            return
        scale = math.copysign(float(ratio.abs().median()), balance)
        tree: MaybeTree = vocabulary.scaled(scale, product)
        workspace.consider(self.link.inverse(vocabulary, tree))

    def positive(self, tree: Tree) -> MaybeTree:
        """``c - u`` for ``u - c`` where that is negative on all rows: only then can a root be
        taken of it."""
        vocabulary = self.workspace.vocabulary
        value = evaluate(tree, self.workspace.screen.X, vocabulary.functions)
        if not bool((value < 0).all()):
            return tree
        if tree[0] == "-":
            return vocabulary.subtract(tree[2], tree[1])
        if tree[0] == "+" and is_number(tree[1]):
            return vocabulary.subtract((tree[1][0], -tree[1][1]), tree[2])
        return vocabulary.multiply(num(-1), tree)


def roundings(parts: list[tuple[Tree, float]]) -> list[list[tuple[Tree, float]]]:
    """Exponents rounded to integers, halves and thirds: the closest reading first, zeros
    dropped."""
    readings = []
    for unit in (1.0, 0.5, 1 / 3):
        rounded = [(tree, round(p / unit) * unit) for tree, p in parts]
        error = max(
            (abs(p - r) for (_, p), (_, r) in zip(parts, rounded, strict=True)), default=0.0
        )
        kept = [(tree, float(round(p * 6) / 6)) for tree, p in rounded if abs(p) > 1e-9]
        readings.append((error, kept))
    unique: list[tuple[float, list[tuple[Tree, float]]]] = []
    for error, kept in readings:
        if kept not in [k for _, k in unique]:
            unique.append((error, kept))
    best = [kept for error, kept in unique if error < 1e-3]
    if best:
        return best[:1]
    return [kept for _, kept in unique[:2]]


def power_law(workspace: Workspace) -> tuple[list[float], Tensor]:
    """The product of powers nearest to the screened target: exponents [d] (0 where there can be
    none), values [n]."""
    empty = torch.zeros(0, device=workspace.screen.X.device)
    pool = FactorPool(empty[None], empty.long(), empty.long(), empty, empty)
    library = Library(empty[None], empty, lambda row: inp(row))
    search = ProductSearch(workspace, library, [], pool, IDENTITY)
    coefficients, _ = search.fit([])
    exponents = [0.0] * workspace.screen.X.shape[1]
    for i, p in zip(search.powers, coefficients[1:], strict=True):
        exponents[i] = p
    fitted = search.base @ torch.tensor(
        coefficients, dtype=search.base.dtype, device=search.base.device
    )
    return exponents, fitted.exp()
