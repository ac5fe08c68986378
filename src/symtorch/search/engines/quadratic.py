"""The quadratic engine: sums of inputs and their products, for many inputs and much noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ...symbolic.expression import Expression
from ..engine import FORM_AND_BUDGET, Progress, SearchRun
from ..options import SearchOptions
from ..problem import Problem, Sample

PRODUCTS_OF = 48
"""Products are made of this many inputs, those that alone or squared explain most."""

CHUNK = 4096
_COLLINEAR = 1e-8


class QuadraticEngine:
    """Forward selection among all inputs, squares and products of two.

    Each step takes the term that removes most of the squared error once all chosen ones are
    fitted again (orthogonal least squares; S. Chen, S. A. Billings and W. Luo, "Orthogonal
    least squares methods and their application to non-linear system identification",
    International Journal of Control 50, 1989). All rows count, through one Gram matrix, so
    that a hundred weak terms are found where noise hides each of them from a search that
    looks at equations one by one: the residue of a wide block in few coordinates.

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
        try:
            for count, step in enumerate(_steps(problem.train), start=1):
                text = _written(step, problem.names, options)
                expression = Expression.parse(text, problem.names)
                size = rule.of(expression)
                if size > options.maxsize or run.budget.left() == 0:
                    break
                found.append(expression)
                if options.niterations is not None and count >= options.niterations:
                    break
                run.progress(Progress(size / options.maxsize, step.loss, f"{count} terms"))
        except KeyboardInterrupt:
            pass  # what there is counts
        return found


@dataclass(frozen=True)
class _Step:
    """A sum, least squares among all with its terms.

    Args:
        terms: positions of the inputs of each term, those that came in first leading.
        factors: of the terms.
        constant: added to them.
        loss: mean squared error.
    """

    terms: list[tuple[int, ...]]
    factors: list[float]
    constant: float
    loss: float


def _steps(sample: Sample) -> Iterator[_Step]:
    """Sums of one term, of two, ... until no term is left that adds anything."""
    terms = _terms(sample)
    gram, target, mean, level, spread = _gram(sample, terms)
    before = gram.diagonal().clone()
    left, goal = gram.clone(), target.clone()
    chosen: list[int] = []
    while len(chosen) < len(terms):
        free = left.diagonal()
        usable = free > _COLLINEAR * before.clamp(min=1e-300)
        gains = torch.where(usable, goal.square() / free.clamp(min=1e-300), 0.0)
        best = int(gains.argmax())
        if not float(gains[best]) > 0:
            return
        chosen.append(best)
        # What the term says is taken off all others and off the target (a Gram-Schmidt step).
        share = left[:, best] / left[best, best]
        goal = goal - share * goal[best]
        left = left - torch.outer(share, left[best])
        left[best] = left[:, best] = 0.0
        factors = torch.linalg.solve(gram[chosen][:, chosen], target[chosen])
        yield _Step(
            [terms[i] for i in chosen],
            factors.tolist(),
            level - float(factors @ mean[chosen]),
            max(spread - float(factors @ target[chosen]), 0.0),
        )


def _written(step: _Step, names: Sequence[str], options: SearchOptions) -> str:
    """The sum as text, in the fewest nodes that the operators allow."""
    allowed = {operator.name for operator in (*options.binary, *options.unary)}
    square = "square({0})" if "square" in allowed else "{0}**2" if "^" in allowed else "{0}*{0}"

    def product(term: tuple[int, ...]) -> str:
        first, last = names[term[0]], names[term[-1]]
        if len(term) == 1:
            return first
        return square.format(first) if first == last else f"{first}*{last}"

    text = ""
    for factor, term in zip(step.factors, step.terms, strict=True):
        if text and factor < 0 and "-" in allowed:
            text += f" - {-factor!r}*{product(term)}"
        else:
            text += f"{' + ' if text else ''}{factor!r}*{product(term)}"
    return f"{text} + {step.constant!r}"


def _terms(sample: Sample) -> list[tuple[int, ...]]:
    """Positions of the inputs of each term: one, or two that may be the same."""
    count = sample.X.shape[1]
    singles: list[tuple[int, ...]] = [(i,) for i in range(count)]
    inputs = list(range(count))
    if count > PRODUCTS_OF:
        squares: list[tuple[int, ...]] = [(i, i) for i in range(count)]
        gram, target, *_ = _gram(sample, [*singles, *squares])
        gains = target.square() / gram.diagonal().clamp(min=1e-300)
        inputs = sorted((gains[:count] + gains[count:]).topk(PRODUCTS_OF).indices.tolist())
    return [*singles, *((a, b) for n, a in enumerate(inputs) for b in inputs[n:])]


def _gram(
    sample: Sample, terms: Sequence[tuple[int, ...]]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float, float]:
    """Weighted covariances of the terms, with the target; means of both; its variance."""
    first = torch.tensor([term[0] for term in terms])
    second = torch.tensor([term[-1] for term in terms])
    twice = torch.tensor([len(term) == 2 for term in terms])
    size = len(terms) + 1
    gram, sums = sample.X.new_zeros(size, size), sample.X.new_zeros(size)
    weights = sample.weights / sample.weights.sum()
    for start in range(0, len(sample), CHUNK):
        rows = slice(start, start + CHUNK)
        x = sample.X[rows]
        columns = torch.where(twice.to(x.device), x[:, first] * x[:, second], x[:, first])
        table = torch.cat([columns, sample.y[rows, None]], dim=1)
        gram += table.mT @ (weights[rows, None] * table)
        sums += weights[rows] @ table
    covariance = gram - torch.outer(sums, sums)
    level, spread = float(sums[-1]), float(covariance[-1, -1])
    return covariance[:-1, :-1], covariance[:-1, -1], sums[:-1], level, spread
