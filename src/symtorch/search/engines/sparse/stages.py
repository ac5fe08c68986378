"""The plan of a search: stages from cheap to expensive, and when an exact law ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .library.arguments import argument_library
from .library.atoms import factor_families, term_families, tuned_library
from .library.forms import distances, independent_atoms, library_atoms
from .library.monomials import monomials_times_atoms
from .library.rows import Library
from .models.context import SearchContext
from .models.factors import FactorPool, build_pool
from .models.log_model import LogModel, power_law
from .models.products import ProductSearch
from .models.rational import RationalSearch
from .models.sums import SumSearch
from .models.transforms import (
    IDENTITY,
    TargetTransform,
    offset_transform,
    sum_transforms,
    transcendental_transforms,
)

NEARLY_WHOLE = 0.12
"""How far the exponent of a common factor may be from a whole number. An input that is in some of
the terms only has an average of their exponents, and that may lie anywhere."""

ARGUMENT_COMPLEXITY = 9
"""Largest complexity of what may stand inside a function: ``(a - b)^2 + c`` and the like."""

MONOMIAL_DEGREE = 9
"""Largest sum of absolute exponents of a monomial in a sum: ``a^2 b^3 / c^4``."""

RATIONAL_DEGREE = 5
"""The same for rational laws, where every term counts twice."""

PAIRED_FACTORS = 3_000
"""Factors of which all pairs are tried: five million pairs, a second or two."""


def centers(exponents: Sequence[float], power: float) -> list[tuple[float, ...]]:
    """Monomials that may multiply every term of a sum equal to ``y^power``.

    exponents [d]: those of the product of powers nearest to y. Inputs whose exponent is close to
    a whole number may be common factors; the others are averages over the terms, and then the
    middle is a good place to look from.
    """
    scaled = [p * power for p in exponents]
    clean = tuple(float(round(p)) if abs(p - round(p)) < NEARLY_WHOLE else 0.0 for p in scaled)
    middle = tuple(float(round(p)) for p in scaled)
    return [center for center in dict.fromkeys((clean, middle)) if any(center)]


@dataclass(frozen=True)
class Stage:
    """One step of the plan.

    Args:
        message: for the progress report.
        short_enough: size up to which an exact law, found before or here, ends the search:
            later stages could hardly find a shorter one.
        run: does it.
    """

    message: str
    short_enough: float
    run: Callable[[], None]


def stages(context: SearchContext) -> list[Stage]:
    """The plan of a search, in order.

    Every kind of law comes several times, first with a small library, which takes a fraction of
    a second and holds most textbook laws, later with larger ones: a search that ends early has
    looked everywhere a little. Products come before sums because the logarithm of a product is
    linear in the unknown exponents, so that one fit finds all of them; exact data come before
    noisy ones (``plain``) because weights relative to the target tell laws apart over decades.
    The sizes double or more from one visit to the next, so that each costs about as much as all
    before it together.
    """
    plan = _Plan(context)
    every = math.inf
    return [
        Stage("powers of the inputs", every, plan.powers),
        Stage("sums of simple terms", 9, lambda: plan.plain_sums(400, (32, 16, 8), 2)),
        Stage("products", 12, lambda: plan.products(600, 40_000, 1, 32)),
        Stage("wider products", 14, lambda: plan.products(2_000, 100_000, 1, 32)),
        Stage("two simple factors", 12, lambda: plan.factor_pairs(600, 40_000, True)),
        Stage("short sums", 9, lambda: plan.plain_sums(10_000, (128, 96, 48), 3)),
        Stage("rational laws", 9, lambda: plan.rational(2_000, 12, (16, 6), 3)),
        Stage("two factors", 14, lambda: plan.products(2_000, 100_000, 2, 48)),
        Stage("sums", 16, lambda: plan.sums(30_000, (128, 32, 12), 3, only_powers=True)),
        Stage("two factors, plain", 14, lambda: plan.factor_pairs(600, 40_000, False)),
        Stage("tuned sums", 14, lambda: plan.tuned_sums(30_000, (64, 24, 8), 3)),
        Stage("more rational laws", 18, lambda: plan.rational(6_000, 30, (32, 12, 4), 6)),
        Stage("more factors, plain", 14, lambda: plan.products(2_000, 100_000, 2, 32, False)),
        Stage("plain sums", 16, lambda: plan.plain_sums(60_000, (128, 48, 24, 8), 4)),
        Stage("transformed targets", every, lambda: plan.transformed(2_000, 100_000, 1, 32)),
        Stage("long sums", every, lambda: plan.sums(250_000, (256, 64, 24), 6)),
        Stage("many factors", every, lambda: plan.products(6_000, 400_000, 3, 96)),
    ]


class _Plan:
    """What the stages do, and the libraries that they share.

    Of the arguments, ``limit`` is the rows of a library; ``budget`` the rows that scanning inner
    constants may add; ``beams`` the subsets that survive at one, two, ... terms; ``beam`` the
    same for factors, of which there are up to ``depth``; ``trials`` the models of each size that
    are written as equations and fitted.
    """

    def __init__(self, context: SearchContext) -> None:
        self.context = context
        self.vocabulary = context.vocabulary
        self.X, self.y = context.screen.X, context.screen.y
        self.families = factor_families(self.vocabulary)
        self._libraries: dict[tuple[str, int], Library] = {}
        self._pools: dict[int, FactorPool] = {}

    # -- stages ----------------------------------------------------------------------------------

    def powers(self) -> None:
        """Products of powers of the inputs, and these behind a transform of the target."""
        library = self._arguments(8, 1)
        pool = build_pool(library, self.families[:1], 10, self.context)
        for transform in self._product_transforms():
            for relative in (True, False):
                model = LogModel(self.context, transform, relative)
                ProductSearch(model, library, self.families, pool).run(0, 1)

    def products(
        self, limit: int, budget: int, depth: int, beam: int, relative: bool = True
    ) -> None:
        """Powers of the inputs times one, two or three other factors."""
        self._products(limit, budget, depth, beam, [IDENTITY], relative)

    def transformed(self, limit: int, budget: int, depth: int, beam: int) -> None:
        """Targets that are a function of a product, or off by a constant from one."""
        self._products(limit, budget, depth, beam, self._product_transforms()[1:], True)

    def factor_pairs(self, limit: int, budget: int, relative: bool) -> None:
        """Two factors neither of which need be good alone."""
        pool = self._factor_pool(limit, budget)
        library = self._arguments(limit)
        model = LogModel(self.context, relative=relative)
        ProductSearch(model, library, self.families, pool).pairs(PAIRED_FACTORS, 4)

    def plain_sums(self, limit: int, beams: tuple[int, ...], trials: int) -> None:
        """Sums by least squares of the target, also of its square and its reciprocal."""
        typical = power_law(self.context)[1]
        for transform in sum_transforms(self.y, self.vocabulary)[:3]:
            if not self.context.solved:
                search = SumSearch(self.context, self._terms(limit), transform, False, typical)
                search.run(beams, trials)

    def sums(
        self, limit: int, beams: tuple[int, ...], trials: int, only_powers: bool = False
    ) -> None:
        """Sums in relative terms, from zero and around the nearest product of powers."""
        library = self._terms(limit)
        exponents, typical = power_law(self.context)
        for transform in sum_transforms(self.y, self.vocabulary):
            if only_powers and not transform.power:
                continue
            if self.context.solved:
                return
            if not bool((self.y != 0).all()):
                continue
            for center in ((), *centers(exponents, transform.power)):
                if center == () or not self.context.solved:
                    search = SumSearch(self.context, library, transform, True, typical, center)
                    search.run(beams, trials)

    def tuned_sums(self, budget: int, beams: tuple[int, ...], trials: int) -> None:
        """Sums whose terms have inner constants, as ``exp(-1.7*t)`` has."""
        tunable = term_families(self.vocabulary)
        if not tunable:
            return  # only sums and products were asked for: nothing holds an inner constant
        arguments, check = self._arguments(600), self.context.check
        tuned = tuned_library(tunable, arguments, self.vocabulary, budget, check)
        library = self._terms(10_000).joined(tuned)
        typical = power_law(self.context)[1]
        SumSearch(self.context, library, IDENTITY, False, typical).run(beams, trials)

    def rational(self, limit: int, leading: int, beams: tuple[int, ...], trials: int) -> None:
        """``N / (1 + D)``, with each of ``leading`` terms in N in turn."""
        atoms = independent_atoms(self.vocabulary, self.X)
        library = monomials_times_atoms(
            self.X, atoms, self.vocabulary, limit, RATIONAL_DEGREE, self.context.check
        )
        typical = power_law(self.context)[1]
        RationalSearch(self.context, library, typical).run(leading, beams, trials)

    # -- what they share -------------------------------------------------------------------------

    def _products(
        self,
        limit: int,
        budget: int,
        depth: int,
        beam: int,
        transforms: Sequence[TargetTransform],
        relative: bool,
    ) -> None:
        pool = self._factor_pool(limit, budget)
        for transform in transforms:
            if self.context.solved:
                return
            model = LogModel(self.context, transform, relative)
            search = ProductSearch(model, self._arguments(limit), self.families, pool)
            if depth == 2:
                search.pairs(4_000, 4)
            if not self.context.solved:
                search.run(depth, beam)

    def _product_transforms(self) -> list[TargetTransform]:
        transforms = [IDENTITY, offset_transform(1, 1.0), offset_transform(1, -1.0)]
        if bool((self.y > 0).all()):
            transforms += [offset_transform(power, 1.0) for power in (2, -1, 0.5)]
        return [*transforms, *transcendental_transforms(self.y, self.vocabulary)]

    def _arguments(self, limit: int, complexity: int = ARGUMENT_COMPLEXITY) -> Library:
        """What may stand inside a function."""
        key = "arguments", limit
        if key not in self._libraries:
            X, vocabulary = self.X, self.vocabulary
            atoms = [distances(vocabulary, X), independent_atoms(vocabulary, X)]
            self._libraries[key] = argument_library(
                X, atoms, vocabulary, self.context.generator, limit, complexity, self.context.check
            )
        return self._libraries[key]

    def _terms(self, limit: int) -> Library:
        """What may stand in a sum."""
        key = "terms", limit
        if key not in self._libraries:
            X, vocabulary = self.X, self.vocabulary
            atoms = library_atoms(vocabulary, X)
            self._libraries[key] = monomials_times_atoms(
                X, atoms, vocabulary, limit, MONOMIAL_DEGREE, self.context.check
            )
        return self._libraries[key]

    def _factor_pool(self, limit: int, budget: int) -> FactorPool:
        if limit not in self._pools:
            self._pools[limit] = build_pool(
                self._arguments(limit), self.families, budget, self.context
            )
        return self._pools[limit]
