"""Tuned atoms: one-constant functions of a library row, such as ``sin(w*u)`` or ``c + u``.

The inner constant is found by scanning a coarse range and refining the best starts by repeated
bracketing, each time with the outer coefficient projected out (variable projection, Golub and
Pereyra 1973). A grid alone would miss: the constants of physics are not round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..trees.tree import Tree, const, num
from ..trees.vocabulary import MaybeTree, Vocabulary
from .rows import Library, normalised

Grid = Callable[[Tensor], Tensor]
"""From rows [m, n] to starting constants [m, t]."""


@dataclass(frozen=True)
class Family:
    """``value(theta, u)`` elementwise, with its tree and its scan.

    log_value: stable formula for ``log|value|``; share: part of the scan's budget, relative to
    the other families.
    """

    name: str
    value: Callable[[Tensor, Tensor], Tensor]
    tree: Callable[[Vocabulary, float, Tree], MaybeTree]
    grid: Grid
    log_value: Callable[[Tensor, Tensor], Tensor] | None = None
    share: int = 1

    def log(self, theta: Tensor, u: Tensor) -> Tensor:
        """``log|value|``, by its own formula where the value itself would overflow."""
        if self.log_value is not None:
            return self.log_value(theta, u)
        return self.value(theta, u).abs().log()


NATURAL = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


def typical(u: Tensor) -> Tensor:
    """Median size of each row [m, n] -> [m, 1]."""
    return u.abs().median(dim=1, keepdim=True).values.clamp_min(1e-300)


def _logspace(low: float, high: float, count: int, like: Tensor) -> Tensor:
    return torch.logspace(
        math.log10(low), math.log10(high), count, dtype=like.dtype, device=like.device
    )


def shift_grid(u: Tensor) -> Tensor:
    """Offsets for ``theta + u``: both signs, around the size of u, and just outside its range."""
    scale = typical(u)
    largest = u.abs().amax(dim=1, keepdim=True)
    positive = torch.cat(
        [scale * _logspace(0.03, 30, 8, u), largest * _logspace(1.01, 100, 6, u)], dim=1
    )
    natural = torch.tensor(NATURAL, dtype=u.dtype, device=u.device).expand(u.shape[0], -1)
    return torch.cat([natural, positive, -positive], dim=1)


def outside_grid(u: Tensor) -> Tensor:
    """Positive constants above every value of u."""
    return u.abs().amax(dim=1, keepdim=True) * _logspace(1.01, 300, 12, u)


def rate_grid(u: Tensor) -> Tensor:
    """Rates for ``exp(theta*u)`` and ``tanh(theta*u)``, both signs."""
    positive = torch.cat(
        [
            _logspace(0.1, 10, 9, u) / typical(u),
            _logspace(0.3, 30, 5, u) / u.abs().amax(dim=1, keepdim=True),
        ],
        dim=1,
    )
    natural = torch.tensor(NATURAL, dtype=u.dtype, device=u.device).expand(u.shape[0], -1)
    return torch.cat([natural, positive, -positive], dim=1)


def frequency_grid(u: Tensor, steps: int = 110) -> Tensor:
    """Frequencies for ``sin(theta*u)``: linear in phase, so that no period is skipped."""
    largest = u.abs().amax(dim=1, keepdim=True).clamp_min(1e-300)
    phases = torch.linspace(0.7, 1.0 * steps, steps, dtype=u.dtype, device=u.device)
    natural = torch.tensor((1.0, 2.0, 0.5, math.pi, 2 * math.pi), dtype=u.dtype, device=u.device)
    return torch.cat([natural.expand(u.shape[0], -1), phases / largest], dim=1)


def _shifted(vocabulary: Vocabulary, theta: float, u: Tree) -> MaybeTree:
    return vocabulary.add(u, const(theta)) if theta < 0 else vocabulary.add(const(theta), u)


def _doppler(vocabulary: Vocabulary, theta: float, u: Tree) -> MaybeTree:
    c = const(theta)
    return vocabulary.divide(vocabulary.add(c, u), vocabulary.subtract(c, u))


def _of_scaled(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda theta, u: function(theta * u)


def _of_shifted(function: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda theta, u: function(theta + u)


def _unary_of_scaled(name: str) -> Callable[[Vocabulary, float, Tree], MaybeTree]:
    return lambda v, theta, u: v.apply(name, v.scaled(theta, u))


def _unary_of_shifted(name: str) -> Callable[[Vocabulary, float, Tree], MaybeTree]:
    return lambda v, theta, u: v.apply(name, _shifted(v, theta, u))


def _exp_offset(offset: float) -> Callable[[Vocabulary, float, Tree], MaybeTree]:
    return lambda v, theta, u: v.add(v.apply("exp", v.scaled(theta, u)), num(offset))


def _log_expm1(theta: Tensor, u: Tensor) -> Tensor:
    x = theta * u
    return x.clamp_min(0) + torch.expm1(-x.abs()).abs().log()


def factor_families(vocabulary: Vocabulary) -> list[Family]:
    """What may stand as one factor of a product; any power of it is covered, so 1/(c+u) and
    sqrt(c+u) are too."""
    families = [Family("shift", lambda t, u: t + u, _shifted, shift_grid, share=3)]
    families.append(Family("doppler", lambda t, u: (t + u) / (t - u), _doppler, outside_grid))
    has = vocabulary.unary
    if "exp" in has:
        families.append(
            Family("exp-1", lambda t, u: torch.expm1(t * u), _exp_offset(-1), rate_grid, _log_expm1)
        )
        families.append(
            Family(
                "exp+1",
                lambda t, u: torch.exp(t * u) + 1,
                _exp_offset(1),
                rate_grid,
                lambda t, u: torch.nn.functional.softplus(t * u),
            )
        )
    for name in ("tanh", "cosh", "sinh"):
        if name in has:
            function = vocabulary.functions[name]
            families.append(Family(name, _of_scaled(function), _unary_of_scaled(name), rate_grid))
    for name in ("sin", "cos"):
        if name in has:
            function = vocabulary.functions[name]
            families.append(
                Family(name, _of_scaled(function), _unary_of_scaled(name), frequency_grid)
            )
    return families


def term_families(vocabulary: Vocabulary) -> list[Family]:
    """What may stand as one term of a sum."""
    families: list[Family] = []
    has = vocabulary.unary
    for name in sorted(has & {"exp", "tanh", "sinh", "cosh", "erf", "atan", "sigmoid"}):
        function = vocabulary.functions[name]
        families.append(Family(name, _of_scaled(function), _unary_of_scaled(name), rate_grid))
    for name in sorted(has & {"sin", "cos"}):
        function = vocabulary.functions[name]
        families.append(Family(name, _of_scaled(function), _unary_of_scaled(name), frequency_grid))
    for name in sorted(has & {"log", "sqrt", "tanh"}):
        function = vocabulary.functions[name]
        families.append(
            Family(
                f"{name}(c+u)",
                _of_shifted(function),
                _unary_of_shifted(name),
                shift_grid,
            )
        )
    if vocabulary.divide(num(1), ("x", 0)) is not None:
        families.append(
            Family(
                "1/(c+u)",
                lambda t, u: 1 / (t + u),
                lambda v, t, u: v.divide(num(1), _shifted(v, t, u)),
                shift_grid,
            )
        )
    for name in sorted(has - _TREATED):
        function = vocabulary.functions[name]
        families.append(
            Family(f"{name}(w*u)", _of_scaled(function), _unary_of_scaled(name), rate_grid)
        )
        families.append(
            Family(
                f"{name}(c+u)",
                _of_shifted(function),
                _unary_of_shifted(name),
                shift_grid,
            )
        )
    return families


_TREATED = frozenset(
    {"exp", "tanh", "sinh", "cosh", "erf", "atan", "sigmoid", "sin", "cos", "log", "sqrt"}
    | {"square", "cube", "inv", "neg", "abs", "sign", "cbrt", "floor", "ceil", "relu"}
)


@dataclass(frozen=True)
class TunedRows:
    """Scan results: rows [m, n], and what each is: family, argument row, constant."""

    rows: Tensor
    family: Tensor
    argument: Tensor
    theta: Tensor


def scan(
    families: Sequence[Family],
    arguments: Tensor,
    logs: bool,
    budget: int,
    check: Callable[[], None],
) -> TunedRows:
    """Evaluate every family (its logarithm with ``logs``) at every starting constant of every
    argument row [m, n].

    About ``budget`` rows come back: families share it, and each takes as many of the arguments as
    fit.
    """
    blocks = [arguments[:0]]
    labels = [torch.empty(0, 2, dtype=torch.long, device=arguments.device)]
    thetas = [arguments.new_empty(0)]
    n = arguments.shape[1]
    shares = sum(family.share for family in families)
    for number, family in enumerate(families):
        per_row = family.grid(arguments[:1]).shape[1]
        u = arguments[: max(1, family.share * budget // (shares * per_row))]
        theta = family.grid(u)
        for start in range(0, u.shape[0], 256):
            check()
            t, piece = theta[start : start + 256], u[start : start + 256]
            function = family.log if logs else family.value
            value = function(t[:, :, None], piece[:, None, :]).reshape(-1, n)
            ids = torch.arange(start, start + piece.shape[0], device=u.device).repeat_interleave(
                t.shape[1]
            )
            ok = torch.isfinite(value).all(dim=1)
            blocks.append(value[ok])
            labels.append(torch.stack([torch.full_like(ids, number), ids], dim=1)[ok])
            thetas.append(t.reshape(-1)[ok])
    label = torch.cat(labels)
    return TunedRows(torch.cat(blocks), label[:, 0], label[:, 1], torch.cat(thetas))


def tune(
    family: Family,
    u: Tensor,
    theta: Tensor,
    logs: bool,
    multiplier: Tensor,
    basis: Tensor,
    residual: Tensor,
    rounds: int = 16,
) -> tuple[Tensor, Tensor]:
    """Improve constants ``theta`` [m] of one family on argument rows ``u`` [m, n].

    multiplier [n]: factor on the samples; basis [n, q]: orthonormal columns already in the model;
    residual [n]:
    what they leave.
    Returns the constants and the remaining squared residual of each [m].
    """
    total = float(residual @ residual)
    width = theta.abs() * 0.25
    offsets = torch.linspace(-1, 1, 9, dtype=u.dtype, device=u.device)
    best = torch.full_like(theta, total)
    for _ in range(rounds):
        trial = theta[:, None] + width[:, None] * offsets
        rows = (family.log if logs else family.value)(trial[:, :, None], u[:, None, :]) * multiplier
        finite = torch.isfinite(rows).all(dim=2)
        rows = torch.nan_to_num(rows, posinf=0.0, neginf=0.0)
        rows = rows - (rows @ basis) @ basis.T
        power = (rows**2).sum(dim=2)
        left = (total - (rows @ residual) ** 2 / power.clamp_min(1e-300)).clamp_min(0)
        left = torch.where(finite & (power > 0), left, torch.full_like(left, torch.inf))
        best, where = left.min(dim=1)
        theta = trial.gather(1, where[:, None])[:, 0]
        # The minimum at an end means the valley lies further on; inside, the bracket closes.
        at_end = (where == 0) | (where == len(offsets) - 1)
        width = torch.where(at_end, width * 1.5, width * 0.35)
    return theta, best


def tuned_library(
    families: Sequence[Family],
    arguments: Library,
    vocabulary: Vocabulary,
    budget: int,
    check: Callable[[], None],
) -> Library:
    """The scanned atoms as a library of terms: float32 rows [m, n], inner constants coarse."""
    tuned = scan(families, arguments.rows, False, budget, check)
    unit, usable = normalised(tuned.rows)
    keep = usable.nonzero()[:, 0]
    family, argument = tuned.family[keep].tolist(), tuned.argument[keep].tolist()
    theta = tuned.theta[keep].tolist()

    def tree_of(row: int) -> Tree:
        u = arguments.tree_of(argument[row])
        tree = families[family[row]].tree(vocabulary, theta[row], u)
        return tree if tree is not None else num(math.nan)

    complexity = arguments.complexity[tuned.argument[keep]] + 3
    return Library(unit[keep].float(), complexity, tree_of)
