"""The quadratic engine: sums of inputs and their products, for many inputs and much noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ...symbolic.expression import Expression
from ..engine import FORM_AND_BUDGET, Progress, SearchRun
from ..options import SearchOptions
from ..problem import Problem, Sample
from ..selection import Covariances, CovarianceSelection, LinearFit

PRODUCTS_OF = 48
"""Products are made of this many inputs, those that alone or squared explain most."""

CHUNK = 4096
"""Rows whose terms are held at once."""


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
        """Sums of one term, of two, and so on."""
        if not {"+", "*"} <= {operator.name for operator in options.binary}:
            return []
        rule = options.complexity_rule(problem.names)
        found: list[Expression] = []
        with run.until_interrupted():
            terms = _terms(problem.train)
            fits = _covariances(problem.train, terms).fits()
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
        squares: list[tuple[int, ...]] = [(i, i) for i in range(count)]
        gains = CovarianceSelection(_covariances(sample, [*singles, *squares])).gains()
        inputs = sorted((gains[:count] + gains[count:]).topk(PRODUCTS_OF).indices.tolist())
    return [*singles, *((a, b) for n, a in enumerate(inputs) for b in inputs[n:])]


def _covariances(sample: Sample, terms: Sequence[tuple[int, ...]]) -> Covariances:
    """Of the terms and the target, over all rows."""
    device = sample.X.device
    first = torch.tensor([term[0] for term in terms], device=device)
    second = torch.tensor([term[-1] for term in terms], device=device)
    twice = torch.tensor([len(term) == 2 for term in terms], device=device)
    weights = sample.weights / sample.weights.sum()

    def chunks() -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        for start in range(0, len(sample), CHUNK):
            rows = slice(start, start + CHUNK)
            x = sample.X[rows]
            columns = torch.where(twice, x[:, first] * x[:, second], x[:, first])
            yield columns, sample.y[rows], weights[rows]

    return Covariances.of(chunks())
