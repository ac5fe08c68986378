"""Input screening: which columns matter, by the oracle's gradients or by the samples alone.

Gradients rank inputs as derivative-based sensitivity measures do (Sobol & Kucherenko 2009);
samples are asked by trees against shuffled columns (Kursa & Rudnicki 2010) and by orthogonal
matching pursuit over short products.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ....options import SearchOptions
from ....problem import Problem
from ....selection import ColumnSelection
from ....selection.greedy import EXPLAINED
from .gradients import Derivatives

MANY_INPUTS = 8
"""Without an oracle, screening starts above this many inputs: fewer cost the engine little."""

SCREENING_ROWS = 1_000

MOST_TERMS = 24
"""Terms of the short sum that screening fits, and at most one for eight rows."""

NEW = 1e-12
"""Share of a term's power that must be new to that sum: powers of one input are much alike."""

CERTAIN = 2.5
"""How much more important than the luckiest shuffled column a column must be to trees."""

LEAK = 0.02
"""Influence of an input, as a share of the largest, that training alone may leave."""


def relevant_inputs(problem: Problem, options: SearchOptions, random_state: int = 0) -> list[int]:
    """Indices of the input columns that matter, ascending; never none.

    >>> _ = torch.manual_seed(0)
    >>> X = torch.rand(300, 12, dtype=torch.float64)
    >>> relevant_inputs(Problem.split(X, X[:, 3] * X[:, 7]), SearchOptions())
    [3, 7]

    Args:
        problem: with an oracle its gradients are asked; without one, and with more than
            `MANY_INPUTS` inputs, the samples are.
        options: ``select_k_features`` gives exactly so many inputs, whatever there is.
        random_state: seed of the trees that look at the samples.
    """
    return screened(problem, options, random_state)[0]


def screened(problem: Problem, options: SearchOptions, random_state: int) -> tuple[list[int], bool]:
    """Columns that matter, and whether the others surely do not."""
    count = len(problem.names)
    asked = options.select_k_features
    everything = list(range(count))
    if count == 1 or (asked is not None and asked >= count):
        return everything, True
    if asked is not None:
        return strongest(problem, asked, random_state), True
    table = Derivatives.of(problem)
    if table is not None:
        return _above_the_gap(table.influence())
    if count <= MANY_INPUTS:
        return everything, True
    columns = screened_by_samples(problem.train.X, problem.train.y, random_state)
    return (columns, False) if columns else (everything, True)


def strongest(problem: Problem, count: int, random_state: int) -> list[int]:
    """The ``count`` columns that matter most, ascending.

    >>> _ = torch.manual_seed(0)
    >>> X = torch.rand(300, 40, dtype=torch.float64)
    >>> strongest(Problem.split(X, X[:, 3] + X[:, 7]), 2, 0)
    [3, 7]
    """
    table = Derivatives.of(problem)
    if table is None:
        ranked = _ranked_by_samples(problem.train.X, problem.train.y, random_state)
    else:
        ranked = torch.argsort(table.influence(), descending=True, stable=True).tolist()
    return sorted(ranked[:count])


def _above_the_gap(influence: Tensor) -> tuple[list[int], bool]:
    """Split influences [d] where they fall by the largest factor, below the first few percent.

    Trained networks leak a little gradient into every input, so that small is not enough: what is
    left out must also be far below the weakest input that is kept.
    """
    ordered, order = torch.sort(influence, descending=True, stable=True)
    share = (ordered / ordered[0].clamp_min(1e-300)).tolist()
    falls = [
        (share[i - 1] / max(share[i], 1e-12), i) for i in range(1, len(share)) if share[i] < 0.05
    ]
    everything = list(range(len(share)))
    if not falls:
        return everything, True
    fall, cut = max(falls, key=lambda pair: (pair[0], -pair[1]))
    if fall < 3:
        return everything, True
    return sorted(order[:cut].tolist()), share[cut] < LEAK


def screened_by_samples(X: Tensor, y: Tensor, random_state: int) -> list[int]:
    """Columns of ``X`` [n, d] that surely tell something about ``y`` [n], ascending.

    Two opinions are joined. Trees see any dependence, and a column counts when it is more
    important than every shuffled copy of a column (Boruta: Kursa & Rudnicki 2010, "Feature
    selection with the Boruta package"). Trees do not see a weak term beside a strong product; a
    short sum of products of two columns, chosen term by term (orthogonal matching pursuit), does.
    """
    X, y = _few_rows(X, y, random_state)
    importance, chance = _tree_importance(X, y, random_state)
    kept = {i for i in range(X.shape[1]) if importance[i] > CERTAIN * chance}
    return sorted(kept | _gains(X, y, importance).keys())


def _ranked_by_samples(X: Tensor, y: Tensor, random_state: int) -> list[int]:
    """All columns, the ones that matter most first."""
    X, y = _few_rows(X, y, random_state)
    importance, chance = _tree_importance(X, y, random_state)
    leading = torch.argsort(importance, descending=True, stable=True).tolist()
    gains = _gains(X, y, importance)
    shares = importance / importance.sum().clamp_min(1e-300)

    def merit(column: int) -> tuple[bool, float]:
        seen = column in gains or float(importance[column]) > CERTAIN * chance
        return seen, max(gains.get(column, 0.0), float(shares[column]))

    return sorted(leading, key=merit, reverse=True)


def _gains(X: Tensor, y: Tensor, importance: Tensor) -> dict[int, float]:
    """Columns that short sums of products need, with the share of the variance that they explain.

    Asked of the values, of their ranks (blind to scale), and of the size of the output: what
    enters only in a product of many odd functions still shows in how far the output goes.
    """
    leading = torch.argsort(importance, descending=True, stable=True)[:32].tolist()
    ranks = _ranks(X)
    size = (y - y.median()).abs()
    gains: dict[int, float] = {}
    for table, target in (
        (_standardised(X), y),
        (ranks, _ranks(y[:, None])[:, 0]),
        (ranks, _ranks(size[:, None])[:, 0]),
    ):
        for column, gain in _explaining(table, target, leading).items():
            gains[column] = max(gains.get(column, 0.0), gain)
    return gains


def _few_rows(X: Tensor, y: Tensor, random_state: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(random_state)
    rows = torch.randperm(len(y), generator=generator)[:SCREENING_ROWS].sort().values.to(y.device)
    return X[rows].cpu(), y[rows].cpu()


def _tree_importance(X: Tensor, y: Tensor, random_state: int) -> tuple[Tensor, float]:
    """Importance of each column [d], and the largest that chance gave to a shuffled one."""
    # scikit-learn takes a second to import, and small problems never get here.
    from sklearn.ensemble import ExtraTreesRegressor

    generator = torch.Generator().manual_seed(random_state + 1)
    shadows = torch.stack(
        [column[torch.randperm(len(column), generator=generator)] for column in X.T], dim=1
    )
    # Ranks make the trees blind to scale and to a few huge targets.
    table = torch.cat([_ranks(X), _ranks(shadows)], dim=1).numpy()
    forest = ExtraTreesRegressor(
        n_estimators=60,
        min_samples_leaf=3,
        max_features=0.5,
        n_jobs=1,
        random_state=random_state % 2**32,
    )
    forest.fit(table, _ranks(y[:, None])[:, 0].numpy())
    importance = torch.from_numpy(forest.feature_importances_)
    d = X.shape[1]
    return importance[:d], float(importance[d:].max())


def _explaining(z: Tensor, y: Tensor, leading: Sequence[int]) -> dict[int, float]:
    """Columns of ``z`` [n, d] in a short sum of products of at most two of them, with the share
    of the variance that came with each.

    Products are formed of the ``leading`` columns with each other, powers of all columns.
    """
    n, d = z.shape
    square = z**2
    terms = [z, square, z**3]
    parts: list[tuple[int, ...]] = [(i,) for _ in range(3) for i in range(d)]
    for a, i in enumerate(leading):
        for j in leading[a + 1 :]:
            terms.append(
                torch.stack([z[:, i] * z[:, j], square[:, i] * z[:, j], z[:, i] * square[:, j]], 1)
            )
            parts += [(i, j)] * 3
    table = torch.cat(terms, dim=1)
    table = table - table.mean(0)
    # Columns that are the same but for rounding must not be divided by it.
    norms = table.norm(dim=0)
    table = table / norms.clamp_min(1e-300) * (norms > 1e-9 * math.sqrt(n))
    selection = ColumnSelection(y - y.mean(), table, NEW)
    gains: dict[int, float] = {}
    if not (selection.total > 0 and math.isfinite(selection.total)):
        return gains
    # The best of m columns of noise explains about 2 log(m)/n of the variance; twice that and a
    # margin is no chance.
    needed = min(0.5, (4 * math.log(table.shape[1]) + 10) / n)
    for _ in range(min(MOST_TERMS, n // 8)):
        # By overlaps, not by gains: a column that the sum nearly says already must not win by
        # the little that is new in it, for there chance is at home.
        best = int(selection.overlaps().argmax())
        before = float(selection.residual @ selection.residual)
        if before <= EXPLAINED * selection.total or not float(selection.gains()[best]) > 0:
            break
        selection.take(best)
        gain = before - float(selection.residual @ selection.residual)
        if gain < needed * before:
            break
        for column in parts[best]:
            gains[column] = gains.get(column, 0.0) + gain / selection.total
    return gains


def _standardised(X: Tensor) -> Tensor:
    """Columns with mean 0 and spread 1; constant ones are 0."""
    centred = X - X.mean(0)
    spread = centred.abs().amax(0)
    centred = centred / torch.where(spread > 0, spread, torch.ones_like(spread))
    return centred / centred.square().mean(0).sqrt().clamp_min(1e-150)


def _ranks(X: Tensor) -> Tensor:
    """Columns replaced by the ranks of their values, -1 to 1; equal values get equal ranks."""
    ranks = [torch.searchsorted(column.sort().values, column.contiguous()) for column in X.T]
    return 2 * torch.stack(ranks, dim=1).double() / max(len(X) - 1, 1) - 1
