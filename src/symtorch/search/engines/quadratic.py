"""The quadratic engine: sums of inputs and their products, for many inputs and much noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from ...errors import InputError
from ...symbolic.expression import Expression
from ..engine import FORM_AND_BUDGET, Progress, SearchRun
from ..options import SearchOptions
from ..problem import Problem, Sample
from ..selection import Covariances, LinearFit, forward_fits

PRODUCTS_OF = 48
"""Products are made of this many inputs, those that alone or squared explain most."""

CHUNK = 4096
"""Most rows whose terms are held at once."""

CHUNK_WORK = 6.5e9
"""Products of terms in one chunk, about a second of work; the clock is asked in between."""

READING_END = 0.6
"""Share of the budget after which no more rows are read."""

MOST_BYTES = 2**32
"""Memory that the terms, or their covariances, may take."""

COPIES = 4
"""Of these, that live at once."""


class QuadraticEngine:
    """Forward selection among all inputs, squares and products of two.

    Each step takes the term that removes most of the squared error once all chosen ones are
    fitted again. All rows count, through one matrix of covariances, so that a hundred weak
    terms are found where noise hides each of them from a search that looks at equations one by
    one: the residue of a wide block in few coordinates.

    >>> from symtorch.search import SearchOptions, search
    >>> x = torch.randn(5000, 20, dtype=torch.float64)
    >>> y = 0.3 * x[:, 3] * x[:, 7] + torch.randn(5000, dtype=torch.float64)
    >>> front = search(Problem.split(x, y), SearchOptions(maxsize=7), engine="quadratic")
    >>> front[-1].expression.variables
    ('x3', 'x7')

    ``niterations`` is the number of terms, as many as fit ``maxsize`` by default. It needs
    ``+`` and ``*`` among the operators.
    """

    name = "quadratic"
    honours = FORM_AND_BUDGET

    def require(self) -> None:
        """Nothing beyond torch is needed."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Sums of one term, of two, and so on.

        Raises:
            InputError: more inputs and rows than fit into memory.
        """
        if not {"+", "*"} <= {operator.name for operator in options.binary}:
            return []
        _check_size(len(problem.train), len(problem.names))
        rule = options.complexity_rule(problem.names)
        found: list[Expression] = []
        with run.until_interrupted():
            terms = _terms(problem.train)
            fits = _fits(problem.train, terms, run)
            for count, fit in enumerate(fits, start=1):
                text = _written(fit, terms, problem.names, options)
                expression = Expression.parse(text, problem.names)
                size = rule.of(expression)
                if size > options.maxsize or run.budget.left() == 0:
                    break
                found.append(expression)
                if options.niterations is not None and count >= options.niterations:
                    break
                run.progress(Progress(size / options.maxsize, fit.loss, f"{count} terms"))
        return found


def _written(
    fit: LinearFit, terms: Sequence[tuple[int, ...]], names: Sequence[str], options: SearchOptions
) -> str:
    """The sum as text, in the fewest nodes that the operators allow."""
    allowed = {operator.name for operator in (*options.binary, *options.unary)}
    square = "square({0})" if "square" in allowed else "{0}**2" if "^" in allowed else "{0}*{0}"

    def product(term: tuple[int, ...]) -> str:
        first, last = names[term[0]], names[term[-1]]
        if len(term) == 1:
            return first
        return square.format(first) if first == last else f"{first}*{last}"

    text = ""
    for factor, term in zip(fit.coefficients, (terms[i] for i in fit.terms), strict=True):
        if text and factor < 0 and "-" in allowed:
            text += f" - {-factor!r}*{product(term)}"
        else:
            text += f"{' + ' if text else ''}{factor!r}*{product(term)}"
    return f"{text} + {fit.constant!r}"


def _terms(sample: Sample) -> list[tuple[int, ...]]:
    """Positions of the inputs of each term: one, or two that may be the same."""
    count = sample.X.shape[1]
    singles: list[tuple[int, ...]] = [(i,) for i in range(count)]
    inputs = list(range(count))
    if count > PRODUCTS_OF:
        gains = _gains(sample, sample.X) + _gains(sample, sample.X.square())
        inputs = sorted(gains.topk(PRODUCTS_OF).indices.tolist())
    return [*singles, *((a, b) for n, a in enumerate(inputs) for b in inputs[n:])]


def _gains(sample: Sample, columns: torch.Tensor) -> torch.Tensor:
    """What each column [rows, columns] alone takes off the variance of the target [columns]."""
    weights = sample.weights / sample.weights.sum()
    centred = columns - weights @ columns
    target = weights * (sample.y - weights @ sample.y)
    return (target @ centred).square() / (weights @ centred.square()).clamp(min=1e-300)


def _check_size(rows: int, inputs: int) -> None:
    """Refuse what does not fit into memory.

    Raises:
        InputError: says how much it would be.
    """
    paired = min(inputs, PRODUCTS_OF)
    terms = inputs + paired * (paired + 1) // 2
    need = 8 * COPIES * terms * min(rows, terms)
    if need > MOST_BYTES:
        raise InputError(
            f"engine 'quadratic' would hold {need / 2**30:.0f} GiB for {terms} terms of {inputs} "
            f"inputs on {rows} rows, and may hold {MOST_BYTES / 2**30:.0f}; give it fewer "
            f"inputs, or use engine='sparse'"
        )


def _fits(sample: Sample, terms: Sequence[tuple[int, ...]], run: SearchRun) -> Iterator[LinearFit]:
    """Sums of one term, of two, ... by whichever is smaller: the terms, or their covariances."""
    if len(sample) <= len(terms):
        return forward_fits(_columns(sample.X, terms), sample.y, sample.weights)
    return _covariances(sample, terms, run).fits()


def _columns(X: torch.Tensor, terms: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """The terms on some rows: [rows, inputs] -> [rows, terms]."""
    first = torch.tensor([term[0] for term in terms], device=X.device)
    second = torch.tensor([term[-1] for term in terms], device=X.device)
    twice = torch.tensor([len(term) == 2 for term in terms], device=X.device)
    return torch.where(twice, X[:, first] * X[:, second], X[:, first])


def _covariances(sample: Sample, terms: Sequence[tuple[int, ...]], run: SearchRun) -> Covariances:
    """Of the terms and the target, over all rows, or over as many as there is time for."""
    at_once = max(64, min(CHUNK, int(CHUNK_WORK / len(terms) ** 2)))
    count = math.ceil(len(sample) / at_once)

    def chunks() -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for number in range(count):
            if number and run.budget.fraction() > READING_END:
                return
            # Every so many rows, so that those read by then are like the others.
            rows = slice(number, None, count)
            yield _columns(sample.X[rows], terms), sample.y[rows], sample.weights[rows]

    return Covariances.of(chunks())
