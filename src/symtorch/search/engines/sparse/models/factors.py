"""Factors that a product may have, and their logarithms as rows to select from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ....selection import orthonormal
from ..library.atoms import Family, TunedRows, scan
from ..library.rows import Deduplicator, Library
from .context import SearchContext

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
    arguments: Library, families: Sequence[Family], budget: int, context: SearchContext
) -> FactorPool:
    """Direct rows, exponential rows and scanned tuned rows for ``arguments`` (float64 rows).

    What powers of the inputs explain is taken out in float64 before rows become float32:
    ``log(1 + x)`` at x = 1e5 differs from ``log x`` in the sixth digit only, and that difference
    is the signal.
    """
    vocabulary = context.vocabulary
    X = context.screen.X
    nonzero = [i for i in range(X.shape[1]) if bool((X[:, i] != 0).all())]
    basis = orthonormal(
        torch.stack([torch.ones_like(X[:, 0]), *(log_abs(X[:, i]) for i in nonzero)], dim=1)
    )
    tuned: TunedRows = scan(families, arguments.rows, True, budget, context.check)
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
    dedup = Deduplicator(X.shape[0], context.generator, X.device)
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
