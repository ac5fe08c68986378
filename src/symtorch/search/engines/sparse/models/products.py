"""Products: ``log|z| = c + sum p_i log|x_i| + sum q_k log|f_k| + sum r_k f_k``.

The powers of the inputs are always in the model, so the selection only has to find what is *not*
a power of an input: differences, sines, ``1 - v^2/c^2`` ... One or two such factors cover most
of physics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import best_pairs, leftovers
from ..library.atoms import Family, tune
from ..library.rows import Library
from ..trees.tree import const, inp
from .context import SearchContext
from .factors import DIRECT, PLAIN, Factor, FactorPool, log_abs
from .log_model import LogModel
from .product_trees import Powers, ProductTrees

CHAMPIONS = 40
"""Rows looked at for each place in the beam: most are one function at other constants."""

SIMPLE = 3
"""Complexity up to which an argument gets one of the places kept for simple ones."""

OF_ONE_ARGUMENT = 3
"""Places that functions of one argument may take; they resemble each other."""

LIKE_ITSELF = 0.02
"""Size of a scaled argument below which a function of it is the argument itself."""

WRITTEN = 12
"""Ways to write one product that are fitted: two factors have up to 36, mostly alike."""

State = tuple[float, list[Factor]]
"""A product's relative residual, and its factors beside the powers of the inputs."""


@dataclass
class ProductSearch:
    """Search for products on the screening rows.

    Args:
        model: the constant and the powers of the inputs, which every product has.
        arguments: of the factors.
        families: tuned functions of these.
        pool: the rows to select factors from.
    """

    model: LogModel
    arguments: Library
    families: Sequence[Family]
    pool: FactorPool

    @property
    def context(self) -> SearchContext:
        """Where equations are handed in."""
        return self.model.context

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

    def rows(self, factors: Sequence[Factor]) -> list[Tensor]:
        """Of each factor."""
        return [self.row(factor) for factor in factors]

    def fit(self, factors: Sequence[Factor]) -> tuple[list[float], float]:
        """Coefficients by weighted least squares, and the relative residual."""
        return self.model.fit(self.rows(factors))

    # -- search ----------------------------------------------------------------------------------

    def run(self, depth: int, beam: int) -> None:
        """Consider products of the inputs' powers and up to ``depth`` found factors."""
        if self.model.empty:
            return
        _, left = self.fit([])
        self.emit([])
        if self.context.solved or depth == 0:
            return
        states: list[State] = [(left, [])]
        for level in range(depth):
            grown: list[State] = []
            for _, factors in states:
                self.context.check()
                grown += self.extend(factors, beam if level == 0 else max(4, beam // 8))
            grown.sort(key=self.rank)
            states = grown[: max(6, beam // 4)]
            self.emit_best(grown, 6)

    def extend(self, factors: list[Factor], beam: int) -> list[State]:
        """The best ways to add one factor, inner constants refined."""
        basis, residual = self.model.unexplained(self.rows(factors))
        left = leftovers(self.pool.rows, self.model.root, residual, basis) * self.pool.bias
        picks = self.diverse(left, beam)
        picks += self.shifted_picks(picks)
        by_family: dict[int, list[Factor]] = {}
        for pick in picks:
            by_family.setdefault(pick.family, []).append(pick)
        found: list[State] = []
        for family, members in by_family.items():
            if family < 0:
                found += [(self.fit([*factors, m])[1], [*factors, m]) for m in members]
                continue
            u = self.arguments.rows[[m.argument for m in members]]
            start = torch.tensor([m.theta for m in members], dtype=u.dtype, device=u.device)
            theta, error = tune(
                self.families[family], u, start, True, self.model.root, basis, residual
            )
            total = float(self.model.root @ self.model.root)
            for member, t, e, row in zip(members, theta.tolist(), error.tolist(), u, strict=True):
                # A scaled argument this small is the argument itself: the direct row says the
                # same, shorter.
                if (
                    self.families[family].name != "shift"
                    and abs(t) * float(row.abs().max()) < LIKE_ITSELF
                ):
                    continue
                found.append((e / total, [*factors, Factor(family, member.argument, t)]))
        unique: dict[tuple[tuple[int, int, float], ...], State] = {}
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
        champions = [
            self.pool.factor(int(row)) for row in order[first.sort().values[: CHAMPIONS * beam]]
        ]
        per_argument: dict[int, int] = {}
        picks: list[Factor] = []
        for simple in (True, False):
            for factor in champions:
                if len(picks) >= (beam // 2 if simple else beam):
                    break
                seen = per_argument.get(factor.argument, 0)
                if (
                    factor in picks
                    or seen >= OF_ONE_ARGUMENT
                    or (simple and float(self.arguments.complexity[factor.argument]) > SIMPLE)
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
        if self.model.empty or len(self.pool.rows) < 2:
            return
        fixed = (self.pool.family < 0).nonzero()[:, 0][: most // 2]
        tuned = (self.pool.family >= 0).nonzero()[:, 0]
        tuned = tuned[self.pool.argument[tuned].argsort(stable=True)][: most - len(fixed)]
        chosen = torch.cat([fixed, tuned])
        basis, residual = self.model.unexplained()
        states: dict[tuple[tuple[int, int], ...], State] = {}
        seen: dict[tuple[int, ...], int] = {}
        ranked = [
            [self.pool.factor(int(chosen[i])), self.pool.factor(int(chosen[j]))]
            for i, j in best_pairs(
                self.pool.rows[chosen], self.model.root, residual, basis, 200 * keep
            )
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

    def sweep(self, factors: list[Factor], rounds: int = 2) -> State:
        """Refine the inner constants in turn, the other factors held in the base."""
        self.context.check()
        chosen = list(factors)
        for _ in range(rounds if sum(f.family >= 0 for f in factors) > 1 else 1):
            for k, factor in enumerate(chosen):
                if factor.family < 0:
                    continue
                others = self.rows(chosen[:k] + chosen[k + 1 :])
                basis, residual = self.model.unexplained(others)
                u = self.arguments.rows[[factor.argument]]
                start = torch.tensor([factor.theta], dtype=u.dtype, device=u.device)
                theta, _ = tune(
                    self.families[factor.family], u, start, True, self.model.root, basis, residual
                )
                chosen[k] = Factor(factor.family, factor.argument, float(theta))
        return self.fit(chosen)[1], chosen

    def rank(self, state: State) -> tuple[int, float]:
        """Constants are refined to some nine digits here; what differs below that is decided by
        size."""
        # A state without a fit has an error that is infinite or not a number, and those have no
        # rounded logarithm.
        error = max(state[0], 1e-17) if state[0] < 1e30 else 1e30
        return round(2 * math.log10(error)), sum(self.cost(f) for f in state[1])

    def emit_best(self, states: list[State], keep: int) -> None:
        """Write as equations the best states, those of the next ones that are exact, and each
        that is simpler than all better ones.

        Where the target carries a network's errors, longer factors that follow these leave less
        than the law does; it stands where the front of error against size falls.
        """
        simplest = math.inf
        for number, (error, factors) in enumerate(sorted(states, key=self.rank)):
            if self.context.solved:
                return
            cost = sum(self.cost(factor) for factor in factors)
            exact = error < 1e-12 and number < 2 * keep
            if number < keep or exact or cost < simplest:
                self.emit(factors)
            simplest = min(simplest, cost)

    # -- trees -----------------------------------------------------------------------------------

    def emit(self, factors: list[Factor]) -> None:
        """Write the state as equations and hand them to the context."""
        powers = self.model.powers
        coefficients, _ = self.fit(factors)
        exponents, inner = coefficients[1 : 1 + len(powers)], coefficients[1 + len(powers) :]
        variants: list[Powers] = [[(inp(i), p) for i, p in zip(powers, exponents, strict=True)]]
        for factor, q in zip(factors, inner, strict=True):
            options = self.writings(factor, q)
            variants = [[*variant, *option] for variant in variants for option in options]
        trees = ProductTrees(self.model)
        for variant in variants[:WRITTEN]:
            trees.consider_rounded(variant)
            if self.context.solved:
                return

    def writings(self, factor: Factor, q: float) -> list[Powers]:
        """Ways to write one factor with coefficient ``q``, as (tree, exponent) lists."""
        vocabulary = self.context.vocabulary
        u = self.arguments.tree_of(factor.argument)
        if factor.family == DIRECT:
            return [[(u, q)]]
        if factor.family == PLAIN:
            options: list[Powers] = []
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
