"""Combined inputs: the smaller problems that an oracle's gradients propose.

Inputs that enter only as a sum, difference, product, quotient or radius become one, and factors
and linear terms are split off: the symmetries of AI Feynman (Udrescu & Tegmark 2020, "AI Feynman:
a physics-inspired method for symbolic regression"), tested on gradients as in its 2.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .....errors import InputError
from ....options import SearchOptions
from .gradients import Derivatives, defect, usable
from .variants import Variant, healthy

TOLERANCE = 0.03
"""How far a relation between gradients may be off, relative to its terms. The gradients of a
network that fits to 1e-3 are good to about one percent."""

_EXPONENTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_STEPS = 6


@dataclass(frozen=True)
class _Move:
    """One step towards a smaller problem: how badly it fits, and the two sides after it."""

    defect: float
    make: Callable[[Variant], Variant]
    derivatives: Derivatives


def proposals(variant: Variant, expired: Callable[[], bool] = lambda: False) -> list[Variant]:
    """Smaller problems that the oracle's gradients propose, the smallest first.

    Pairs of many inputs, and pairs behind each possible factor, are many: when ``expired`` says
    so, no further ones are tried.

    >>> from symtorch.search import Problem
    >>> X = torch.rand(300, 2, dtype=torch.float64) + 1
    >>> problem = Problem.split(X, torch.sin(X[:, 0] - X[:, 1]), ["a", "b"],
    ...                         oracle=lambda x: torch.sin(x[:, 0] - x[:, 1]))
    >>> [p.story for p in proposals(Variant.of(problem, SearchOptions()))]
    [' u0 = a - b;']
    """
    table = Derivatives.of(variant.problem)
    chain: list[Variant] = []
    for _ in range(_STEPS):
        if table is None or len(variant.problem.names) < 2:
            break
        made: Variant | None = None
        for move in _moves(variant, table, expired):
            try:
                made = move.make(variant)
            except InputError:
                continue  # an operator that the form needs is not among those asked for
            if healthy(made):
                variant, table = made, move.derivatives
                chain.append(variant)
                break
            made = None
        if made is None:
            break
    # The steps in between are cheap to derive but expensive to search: the last, and the first.
    return [chain[-1], chain[0]] if len(chain) > 2 else chain[-1:]


def _moves(variant: Variant, table: Derivatives, expired: Callable[[], bool]) -> Iterator[_Move]:
    """Steps that the gradients allow, the simplest kind first, of one kind the surest first."""
    kinds = (
        (TOLERANCE, (*_factors(variant, table), *_linear_terms(variant, table))),
        (TOLERANCE, _pairs(variant, table, lambda variant: variant, expired)),
        # A derivative of a quotient has the errors of two.
        (1.6 * TOLERANCE, _pairs_behind_a_factor(variant, table, expired)),
    )
    for limit, moves in kinds:
        good = [move for move in moves if move.defect < limit]
        # Below a tenth of what is allowed, only rounding decides, so the first one does.
        yield from sorted(good, key=lambda move: max(move.defect, 0.1 * TOLERANCE))


def _pairs_behind_a_factor(
    variant: Variant, table: Derivatives, expired: Callable[[], bool]
) -> Iterator[_Move]:
    """``f = x h`` or ``f = h/x`` where two inputs enter h together: ``dx`` times a function of the
    distance alone."""
    for k, name in enumerate(variant.problem.names):
        x = table.X[:, k]
        if bool((x == 0).any()):
            continue
        for power, form in ((1.0, name), (-1.0, f"1/{name}")):
            inner = table.divided(x**power, k, power * x ** (power - 1))

            def first(
                variant: Variant, k: int = k, power: float = power, form: str = form
            ) -> Variant:
                return variant.divided(lambda X: X[:, k] ** power, form)

            yield from _pairs(variant, inner, first, expired)


def _factors(variant: Variant, table: Derivatives) -> Iterator[_Move]:
    """``f = x^p h(others)``: then ``x f_x = p f``."""
    for k, name in enumerate(variant.problem.names):
        x = table.X[:, k]
        for power in _EXPONENTS:
            off = defect(x * table.gradients[:, k], power * table.values)
            form = _power(name, power, variant.options)
            if off >= TOLERANCE or form is None or (power % 1 and not bool((x > 0).all())):
                continue

            def make(
                variant: Variant, k: int = k, power: float = power, form: str = form
            ) -> Variant:
                return _without(variant.divided(lambda X: X[:, k] ** power, form), k)

            with_factor = table.divided(x**power, k, power * x ** (power - 1))
            yield _Move(off, make, with_factor.selected(_others(variant, k)))


def _linear_terms(variant: Variant, table: Derivatives) -> Iterator[_Move]:
    """``f = c x + h(others)``: then ``f_x = c``."""
    for k in range(len(variant.problem.names)):
        slopes = table.gradients[:, k]
        c = float(slopes.median())
        off = defect(slopes, torch.full_like(slopes, c))

        def make(variant: Variant, k: int = k, c: float = c) -> Variant:
            return _without(variant.reduced(k, c), k)

        yield _Move(off, make, table.reduced(k, c).selected(_others(variant, k)))


def _pairs(
    variant: Variant,
    table: Derivatives,
    first: Callable[[Variant], Variant],
    expired: Callable[[], bool],
) -> Iterator[_Move]:
    """Two inputs that enter together: as ``x + c y``, ``x^c y`` or ``x^2 + c y^2``.

    A function of u(x, y) and others has ``f_x u_y = f_y u_x``.
    """
    names = variant.problem.names
    for i in range(len(names)):
        if expired():
            return
        for j in range(i):
            x, y = table.X[:, j], table.X[:, i]
            fx, fy = table.gradients[:, j], table.gradients[:, i]
            a, b = names[j], names[i]
            one = torch.ones_like(x)
            kinds: list[tuple[Tensor, Tensor, str, Callable[..., Tensor], Tensor, Tensor]] = []
            for c in (1.0, -1.0):
                sign = "+" if c > 0 else "-"
                kinds.append(
                    (c * fx, fy, f"{a} {sign} {b}", lambda x, y, c=c: x + c * y, one, c * one)
                )
            square_a, square_b = (_power(name, 2.0, variant.options) for name in (a, b))
            kinds.append((x * fx, y * fy, f"{a}*{b}", lambda x, y: x * y, y, x))
            kinds.append((-x * fx, y * fy, f"{a}/{b}", lambda x, y: x / y, 1 / y, -x / y**2))
            kinds.append(
                (
                    y * fx,
                    x * fy,
                    f"{square_a} + {square_b}",
                    lambda x, y: x**2 + y**2,
                    2 * x,
                    2 * y,
                )
            )
            for left, right, form, values, by_x, by_y in kinds:
                off = defect(left, right)
                u = values(x, y)
                if off >= 2 * TOLERANCE or not bool(torch.isfinite(u).all()):
                    continue
                # A quotient by something that passes through zero is no better variable.
                if form == f"{a}/{b}" and not bool(usable(y).all()):
                    continue

                def make(
                    variant: Variant,
                    i: int = i,
                    j: int = j,
                    values: Callable[..., Tensor] = values,
                    form: str = form,
                ) -> Variant:
                    return first(variant).combined(j, i, lambda X: values(X[:, j], X[:, i]), form)

                yield _Move(off, make, table.combined(j, i, u, by_x, by_y))


def _without(variant: Variant, column: int) -> Variant:
    return variant.selected(_others(variant, column))


def _others(variant: Variant, column: int) -> list[int]:
    return [k for k in range(len(variant.problem.names)) if k != column]


def _power(name: str, power: float, options: SearchOptions) -> str | None:
    """How a power of a column is written with the operators at hand; None if it cannot be."""
    allowed = {operator.name for operator in (*options.binary, *options.unary)}
    if abs(power) == 2:
        text = f"square({name})" if "square" in allowed else f"({name}*{name})"
    elif abs(power) == 0.5:
        if "sqrt" not in allowed:
            return None
        text = f"sqrt({name})"
    else:
        text = name
    return text if power > 0 else f"1/{text}"
