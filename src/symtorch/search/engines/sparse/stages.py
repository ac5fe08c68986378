"""The plan of a search: stages from cheap to dear, and when an exact law ends it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .library.atoms import factor_families, term_families, tuned_library
from .library.forms import distances, independent_atoms, library_atoms
from .library.rows import Library, argument_library, monomials_times_atoms
from .models.context import Workspace
from .models.factors import FactorPool, build_pool
from .models.links import IDENTITY, Link, offset_link, sum_links, transcendental_links
from .models.log_model import LogModel, power_law
from .models.products import ProductSearch
from .models.sums import RationalSearch, SumSearch


def centers(exponents: Sequence[float], power: float) -> list[tuple[float, ...]]:
    """Monomials that may multiply every term of a sum equal to ``y^power``.

    exponents [d]: those of the product of powers nearest to y. Inputs whose exponent is close to
    a whole number may be common factors; the others are averages over the terms, and then the
    middle is a good place to look from.
    """
    scaled = [p * power for p in exponents]
    clean = tuple(float(round(p)) if abs(p - round(p)) < 0.12 else 0.0 for p in scaled)
    middle = tuple(float(round(p)) for p in scaled)
    return [center for center in dict.fromkeys((clean, middle)) if any(center)]


@dataclass(frozen=True)
class Stage:
    """One step of the plan. settled: an exact law up to this size, found before or here, is not
    improved on later."""

    message: str
    settled: float
    run: Callable[[], None]


def stages(workspace: Workspace) -> list[Stage]:
    """The plan of a search, in order."""
    vocabulary = workspace.vocabulary
    X, y = workspace.screen.X, workspace.screen.y
    families = factor_families(vocabulary)
    made: dict[str, Library] = {}
    pools: dict[int, FactorPool] = {}

    def arguments(limit: int, complexity: int) -> Library:
        key = f"arguments{limit}"
        if key not in made:
            atoms = [distances(vocabulary, X), independent_atoms(vocabulary, X)]
            made[key] = argument_library(
                X, atoms, vocabulary, workspace.generator, limit, complexity, workspace.check
            )
        return made[key]

    def big(limit: int) -> Library:
        key = f"big{limit}"
        if key not in made:
            made[key] = monomials_times_atoms(
                X, library_atoms(vocabulary, X), vocabulary, limit, 9, workspace.check
            )
        return made[key]

    def product_links() -> list[Link]:
        links = [IDENTITY, offset_link(1, 1.0), offset_link(1, -1.0)]
        if bool((y > 0).all()):
            links += [offset_link(2, 1.0), offset_link(-1, 1.0), offset_link(0.5, 1.0)]
        return [*links, *transcendental_links(y, vocabulary)]

    def powers() -> None:
        library = arguments(8, 1)
        pool = build_pool(library, families[:1], 10, workspace)
        for link in product_links():
            for relative in (True, False):
                model = LogModel(workspace, link, relative)
                ProductSearch(model, library, families, pool).run(0, 1)

    def plain_sums(limit: int, beams: tuple[int, ...], keep: int) -> None:
        typical = power_law(workspace)[1]
        for link in sum_links(y, vocabulary)[:3]:
            if not workspace.solved:
                SumSearch(workspace, big(limit), link, False, typical).run(beams, keep)

    def factor_pool(limit: int, budget: int) -> FactorPool:
        if limit not in pools:
            pools[limit] = build_pool(arguments(limit, 9), families, budget, workspace)
        return pools[limit]

    def factor_pairs(limit: int, budget: int, relative: bool) -> None:
        pool = factor_pool(limit, budget)
        library = arguments(limit, 9)
        model = LogModel(workspace, relative=relative)
        ProductSearch(model, library, families, pool).pairs(3_000, 4)

    def products(
        limit: int, budget: int, depth: int, beam: int, links: list[Link], relative: bool = True
    ) -> None:
        pool = factor_pool(limit, budget)
        for link in links:
            if workspace.solved:
                return
            model = LogModel(workspace, link, relative)
            search = ProductSearch(model, arguments(limit, 9), families, pool)
            if depth == 2:
                search.pairs(4_000, 4)
            if not workspace.solved:
                search.run(depth, beam)

    def tuned_sums(budget: int, beams: tuple[int, ...], keep: int) -> None:
        tunable = term_families(vocabulary)
        if not tunable:
            return  # only sums and products were asked for: nothing holds an inner constant
        terms = tuned_library(tunable, arguments(600, 9), vocabulary, budget, workspace.check)
        library = big(10_000).joined(terms)
        typical = power_law(workspace)[1]
        SumSearch(workspace, library, IDENTITY, False, typical).run(beams, keep)

    def sums(limit: int, beams: tuple[int, ...], keep: int, only_powers: bool = False) -> None:
        library = big(limit)
        exponents, typical = power_law(workspace)
        for link in sum_links(y, vocabulary):
            if only_powers and not link.power:
                continue
            if workspace.solved:
                return
            if bool((y != 0).all()):
                SumSearch(workspace, library, link, True, typical).run(beams, keep)
                for center in centers(exponents, link.power):
                    if not workspace.solved:
                        SumSearch(workspace, library, link, True, typical, center).run(beams, keep)

    def rational(limit: int, leading: int, beams: tuple[int, ...], keep: int) -> None:
        library = monomials_times_atoms(
            X, independent_atoms(vocabulary, X), vocabulary, limit, 5, workspace.check
        )
        RationalSearch(workspace, library, power_law(workspace)[1]).run(leading, beams, keep)

    return [
        Stage("powers of the inputs", math.inf, powers),
        Stage("sums of simple terms", 9, lambda: plain_sums(400, (32, 16, 8), 2)),
        Stage("products", 12, lambda: products(600, 40_000, 1, 32, [IDENTITY])),
        Stage("wider products", 14, lambda: products(2_000, 100_000, 1, 32, [IDENTITY])),
        Stage("two simple factors", 12, lambda: factor_pairs(600, 40_000, True)),
        Stage("short sums", 9, lambda: plain_sums(10_000, (128, 96, 48), 3)),
        Stage("rational laws", 9, lambda: rational(2_000, 12, (16, 6), 3)),
        Stage("two factors", 14, lambda: products(2_000, 100_000, 2, 48, [IDENTITY])),
        Stage("sums", 16, lambda: sums(30_000, (128, 32, 12), 3, only_powers=True)),
        Stage("two factors, plain", 14, lambda: factor_pairs(600, 40_000, False)),
        Stage("tuned sums", 14, lambda: tuned_sums(30_000, (64, 24, 8), 3)),
        Stage("more rational laws", 18, lambda: rational(6_000, 30, (32, 12, 4), 6)),
        Stage(
            "more factors, plain", 14, lambda: products(2_000, 100_000, 2, 32, [IDENTITY], False)
        ),
        Stage("plain sums", 16, lambda: plain_sums(60_000, (128, 48, 24, 8), 4)),
        Stage("links", math.inf, lambda: products(2_000, 100_000, 1, 32, product_links()[1:])),
        Stage("long sums", math.inf, lambda: sums(250_000, (256, 64, 24), 6)),
        Stage("many factors", math.inf, lambda: products(6_000, 400_000, 3, 96, [IDENTITY])),
    ]
