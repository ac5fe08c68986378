"""Lines, sums of ramps and steps, and sums of products, all by forward selection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ...symbolic.complexity import ComplexityRule
from ...symbolic.expression import Expression
from ...symbolic.nodes import Call, Constant, Node, Variable
from ...symbolic.operators import OPERATORS
from ..engine import SearchRun
from ..engines.local.engine import varying_inputs
from ..engines.local.frame import Frame
from ..engines.local.pool import Pool, grown_sums, strongest_inputs
from ..engines.local.terms import Array, Term, atoms
from ..engines.quadratic import QuadraticEngine
from ..options import SearchOptions
from ..problem import Problem
from .shared import shared_lines

LEADING = 24
"""Inputs that ramps and steps are made of, the strongest."""

PRODUCTS_OF = 16
"""Inputs that products and squares of any two are made of, the strongest."""

PAIRS = 4
"""Pairs of inputs whose products explain most of what lines leave, and that are looked at."""

MOST_PAIRED = 2_000
"""Inputs of which all pairs are compared, for the memory: 2,000 make 32 MB."""

PARTNERS = 4
"""Inputs whose terms may multiply others, the strongest."""

MOST_TERMS = 12
"""Terms of a sum of ramps and steps, or as many as a larger ``maxsize`` holds."""

ADDITIVE: Sequence[frozenset[str]] = (
    frozenset({"max", "min"}),
    frozenset({"greater"}),
    frozenset({"max", "min", "greater"}),
    frozenset({"square", "^", "greater", "tanh"}),
)
"""What sums are made of beside lines and products, one set after the other: where all terms
compete, the longest win, and the short sums of shorter terms are missing."""


def sums(
    sample: Problem,
    options: SearchOptions,
    rule: ComplexityRule,
    run: SearchRun,
) -> Iterator[Expression]:
    """Yield equations, the cheapest to find first, some of which may be too long.

    Args:
        sample: the rows to look at.
        options: what equations may look like.
        rule: how they are counted.
        run: of the whole search.
    """
    frame = Frame(sample, sample.train, None)
    lines, order = forward_lines(frame, options)
    leading = order[: options.select_k_features or LEADING]
    if not leading:
        return
    yield from _shortest(sample, leading[0])
    yield from lines
    if options.select_k_features is None:
        yield from map(Expression, shared_lines(frame, options.maxsize))
    yield from _additive(*_narrowed(sample, options, leading), rule)
    few, free = _narrowed(sample, options, leading[:PRODUCTS_OF])
    silent = replace(run, progress=lambda _: None)
    yield from QuadraticEngine().search(few, free, silent)


def signed(node: Node) -> Node:
    """A sum with ``- 2*x`` in the place of ``+ -2*x``.

    >>> str(Expression(signed(Expression.parse("x + -2*y").root)))
    'x - 2*y'
    """
    if not (isinstance(node, Call) and node.operator.name == "+"):
        return node
    first, last = map(signed, node.args)
    if (positive := _negated(last)) is not None:
        return Call(OPERATORS["-"], (first, positive))
    return Call(node.operator, (first, last))


def _negated(node: Node) -> Node | None:
    """A term with a minus in front without it; None for others."""
    if isinstance(node, Constant):
        return Constant(-node.value) if node.value < 0 else None
    if isinstance(node, Call) and node.operator.name == "neg":
        return node.args[0]
    if isinstance(node, Call) and node.operator.name == "*":
        positive = _negated(node.args[0])
        return None if positive is None else Call(node.operator, (positive, node.args[1]))
    return None


def _narrowed(
    sample: Problem, options: SearchOptions, inputs: Sequence[int]
) -> tuple[Problem, SearchOptions]:
    """The problem with some of its inputs, and the options for all that can be read."""
    columns = sorted(inputs)
    free = options.widened().replace(niterations=None, select_k_features=None)
    return sample.select(columns), free.select(columns)


def forward_lines(frame: Frame, options: SearchOptions) -> tuple[list[Expression], list[int]]:
    """Lines of 1, 2, 3, ... inputs, and the inputs, those that matter most first."""

    columns = frame.varying()
    pool = Pool(frame, [Term(Variable(name), (i,)) for i, name in columns])
    # A line of k inputs has 4k + 1 nodes; what costs more is dropped by the judge.
    most = options.select_k_features or max(options.maxsize // 4, 1)
    sums = list(grown_sums(pool, [], most))
    pool.add([_bend(frame, i, name) for i, name in columns])
    chosen = [term.inputs[0] for term in sums[-1][: LEADING // 2]] if sums else []
    paired = interacting(frame, [i for i, _ in columns], pool.selection.residual.numpy())
    order = list(dict.fromkeys([*chosen, *paired, *strongest_inputs(pool, len(columns))]))
    return [Expression(frame.equation(terms)) for terms in sums], order


def interacting(frame: Frame, columns: Sequence[int], residual: Array) -> list[int]:
    """Inputs of the products of two that explain most of what lines leave, the best first.

    With columns Z and a residual r, ``Z' diag(r) Z`` holds the product of r with every product
    of two columns: all pairs cost one matrix product.
    """
    table = frame.table[:, columns] - frame.center[columns]
    scale = np.sqrt(frame.weights @ np.square(table))
    strongest = np.argsort(-np.abs(residual @ table) / scale)[:MOST_PAIRED]
    table = table[:, strongest] / scale[strongest]
    overlap = np.abs(table.T @ (table * (residual * frame.root)[:, None]))
    # A square is a bend of one input, which is ranked elsewhere; each pair once.
    pairs = np.triu(overlap, k=1)
    best = np.argsort(-pairs, axis=None)[:PAIRS]
    found = np.column_stack(np.unravel_index(best, pairs.shape)).ravel()
    return [columns[strongest[i]] for i in dict.fromkeys(found.tolist())]


def _bend(frame: Frame, position: int, name: str) -> Term:
    """The squared deviation of an input: what a line does not see of it."""

    deviation = Call(OPERATORS["-"], (Variable(name), Constant(float(frame.center[position]))))
    return Term(Call(OPERATORS["square"], (deviation,)), (position,))


def _shortest(sample: Problem, position: int) -> Iterator[Expression]:
    """The strongest input alone, with only an offset, and with only a factor."""
    variable = Variable(sample.names[position])
    x, y = sample.train.X[:, position], sample.train.y
    share = sample.train.weights / sample.train.weights.sum()
    yield Expression(variable)
    offset = float(share @ (y - x))
    yield Expression(Call(OPERATORS["+"], (variable, Constant(offset))))
    power = float(share @ x.square())
    if power > 0:
        factor = Constant(float(share @ (x * y)) / power)
        yield Expression(Call(OPERATORS["*"], (factor, variable)))


def _additive(few: Problem, options: SearchOptions, rule: ComplexityRule) -> Iterator[Expression]:
    """Sums of lines, of one other kind of term, and of their products."""
    frame = Frame(few, few.train, None)
    inputs = varying_inputs(frame, options)
    terms = [term for column in inputs for term in column.terms()]
    kinds = [
        [t for t in terms if isinstance(t.node, Variable) or _head(t) in kind] for kind in ADDITIVE
    ]
    for some in (atoms(inputs, options.unary), *kinds):
        if all(isinstance(term.node, Variable) for term in some):
            continue
        pool = Pool(frame, some)
        ranked = strongest_inputs(pool, PARTNERS)
        partners = [term for term in pool.terms if term.inputs[0] in ranked]
        for chosen in grown_sums(pool, partners, max(MOST_TERMS, options.maxsize // 5)):
            equation = Expression(frame.equation(chosen))
            yield equation
            if rule.of(equation) >= options.maxsize:
                break


def _head(term: Term) -> str:
    """The name of the operator on top of a term."""
    return term.node.operator.name if isinstance(term.node, Call) else ""
