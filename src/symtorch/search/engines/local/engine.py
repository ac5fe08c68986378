"""The local engine: sums of simple terms by forward selection, and short laws."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ....symbolic.expression import Expression
from ....symbolic.nodes import Node
from ...engine import FORM_AND_BUDGET, Progress, SearchRun
from ...limits import within_limits, written_with
from ...options import SearchOptions
from ...problem import Problem
from ...selection import best_subsets
from .frame import Anchor, Frame
from .pool import Pool, best_gains, grown_sums, strongest_inputs
from .terms import InputColumn, Term, atoms, product

TERMS = 12
"""Most terms of a sum, unless ``niterations`` says otherwise."""

ROWS = 2048
"""Rows that are looked at; the terms of one input on these take half a megabyte."""

MOST_INPUTS = 256
"""Inputs whose terms are held together, the strongest."""

RANKED_AT_ONCE = 64
RANKING_END = 0.3
"""Share of the budget after which no further inputs are ranked by more than a line."""

PARTNERS = 6
LAW_INPUTS = 4
LAW_BEAMS = (12, 6)
LAWS_OF_A_SIZE = 3


class LocalEngine:
    """Short sums for a function near a point, also one with steps or noise.

    A sum grows term by term, each the one that explains most of what is left: a line, a
    square, a ramp ``tanh((x - t)/s)``, a step ``greater(x, t)``, or a product of one of
    these with what is already in the sum. Beside these sums it tries laws of one or two
    terms, each a function of an input or a product of two such.

    >>> from symtorch.search import search
    >>> grid = torch.linspace(0, 1, 20, dtype=torch.float64)
    >>> X = torch.cartesian_prod(grid, grid)                            # [rows, inputs]
    >>> y = 3 * (X[:, 0] > 0.48) + X[:, 1]
    >>> options = SearchOptions(binary_operators=("+", "*", "greater"))
    >>> front = search(Problem.split(X, y), options, engine="local")
    >>> front.get_best().expression.pretty()
    'x1 + 3*greater(x0, 0.474)'

    ``niterations`` is the number of terms, 12 by default. Forms whose operators are not
    among those of the search are not tried; steps need ``greater``, ramps ``tanh``.

    Args:
        anchor: where given, all equations pass through it; centres are then its inputs,
            otherwise the weighted mean of the rows.
    """

    name = "local"
    honours = FORM_AND_BUDGET | {"select_k_features"}

    def __init__(self, anchor: Anchor | None = None) -> None:
        self.anchor = anchor

    def require(self) -> None:
        """Nothing beyond numpy is needed."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Candidate equations, sums first, each with one term more than the last."""
        rule = options.complexity_rule(problem.names)
        found: list[Expression] = []
        with run.until_interrupted():
            for done, node in self._equations(problem, options, run):
                expression = Expression(node)
                fits = rule.of(expression) <= options.maxsize
                if fits and within_limits(expression, options, rule):
                    found.append(expression)
                if run.budget.left() == 0:
                    break
                prediction = problem.predict(expression, problem.train)
                run.progress(Progress(done, problem.train.loss(prediction), "adding terms"))
        return found

    def _equations(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Iterator[tuple[float, Node]]:
        generator = torch.Generator().manual_seed(run.random_state)
        rows = torch.randperm(len(problem.train), generator=generator)[:ROWS].sort().values
        frame = Frame(problem, problem.train.take(rows.to(problem.train.y.device)), self.anchor)
        inputs = _leading(frame, varying_inputs(frame, options), run)
        if not inputs:
            return
        pool = Pool(frame, [term for column in inputs for term in column.terms()])
        ranked = strongest_inputs(pool, options.select_k_features or len(inputs))
        if options.select_k_features is not None:
            inputs = [column for column in inputs if column.position in ranked]
            pool = Pool(frame, [term for column in inputs for term in column.terms()])
        partners = [term for term in pool.terms if term.inputs[0] in ranked[:PARTNERS]]
        count = options.niterations or TERMS
        for size, terms in enumerate(grown_sums(pool, partners, count), start=1):
            yield size / (count + 1), frame.equation(terms)
        leading = [column for column in inputs if column.position in ranked[:LAW_INPUTS]]
        for law in _laws(frame, leading, options):
            yield 1.0, frame.equation(law)


def varying_inputs(frame: Frame, options: SearchOptions) -> list[InputColumn]:
    """The input columns that vary, as terms are made of them."""
    allowed = written_with({op.name for op in (*options.binary, *options.unary)})
    spread = np.sqrt(frame.weights @ np.square(frame.table - frame.center))
    return [
        InputColumn(i, name, frame.table[:, i], float(frame.center[i]), float(spread[i]), allowed)
        for i, name in frame.varying()
    ]


def _leading(frame: Frame, inputs: list[InputColumn], run: SearchRun) -> list[InputColumn]:
    """The inputs whose best single term gains most, where there are more than can be held.

    Lines are cheap, so all inputs are ranked by these first; then steps and ramps are tried in
    that order, as far as the time for it reaches.
    """
    if len(inputs) <= MOST_INPUTS:
        return inputs
    columns = {column.position: column for column in inputs}
    lines = Pool(frame, [next(column.terms()) for column in inputs])
    order = strongest_inputs(lines, len(inputs))
    gains: dict[int, float] = {}
    for first in range(0, len(order), RANKED_AT_ONCE):
        if first and run.budget.fraction() > RANKING_END:
            break
        some = order[first : first + RANKED_AT_ONCE]
        pool = Pool(frame, [term for position in some for term in columns[position].terms()])
        gains.update(best_gains(pool))
    kept = sorted(gains, key=lambda position: -gains[position])[:MOST_INPUTS]
    return [column for column in inputs if column.position in set(kept)]


def _laws(
    frame: Frame, inputs: Sequence[InputColumn], options: SearchOptions
) -> Iterator[list[Term]]:
    """Sums of one or two textbook terms: the best of each size."""
    single = atoms(inputs, options.unary)
    products = (product(first, second) for first, second in itertools.combinations(single, 2))
    terms = [*single, *(term for term in products if term is not None)]
    values = frame.values([term.node for term in terms])
    columns = frame.deviations(values)
    # A term that hardly moves next to its size, or leaves float64, fits nothing but rounding.
    with np.errstate(all="ignore"):
        size = np.abs(values).max(axis=0)
        moves = np.linalg.norm(columns, axis=0) > 1e-6 * size
    usable = np.flatnonzero(np.isfinite(columns).all(axis=0) & (size < 1e12) & moves)
    if not len(usable) or "*" not in {op.name for op in options.binary}:
        return
    subsets = best_subsets(
        torch.from_numpy(np.ascontiguousarray(columns[:, usable].T)),
        torch.ones(len(frame.target), dtype=torch.float64),
        torch.from_numpy(frame.target),
        torch.zeros(len(frame.target), 0, dtype=torch.float64),
        LAW_BEAMS,
        lambda: None,
        # All pairs: neither term of a sum need be good alone.
        pairs=torch.arange(len(usable)),
    )
    for count in range(1, len(LAW_BEAMS) + 1):
        best = sorted(
            s for s in ((s.unexplained, s.indices) for s in subsets) if len(s[1]) == count
        )
        for _, indices in best[:LAWS_OF_A_SIZE]:
            yield [terms[usable[i]] for i in indices]
