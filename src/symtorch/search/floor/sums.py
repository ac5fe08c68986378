"""Lines, sums of ramps and steps, and sums of products, all by forward selection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...symbolic.expression import ComplexityRule, Expression
from ...symbolic.nodes import Call, Constant, Node, Variable
from ...symbolic.operators import OPERATORS
from ..engine import SearchRun
from ..engines.local.engine import varying_inputs
from ..engines.local.frame import Frame
from ..engines.local.pool import Pool, grown_sums, strongest_inputs
from ..engines.local.terms import Term
from ..engines.quadratic import QuadraticEngine
from ..options import SearchOptions
from ..problem import Problem

LEADING = 24
"""Inputs that ramps and steps are made of, the strongest."""

PRODUCTS_OF = 16
"""Inputs that products and squares of any two are made of, the strongest."""

PARTNERS = 4
"""Inputs whose terms may multiply others, the strongest."""

MOST_TERMS = 12
"""Terms of a sum of ramps and steps."""

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
    lines, order = _lines(Frame(sample, sample.train, None), options)
    leading = order[: options.select_k_features or LEADING]
    if not leading:
        return
    yield from _shortest(sample, leading[0])
    yield from lines
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
    columns, weights = sorted(inputs), options.complexity_of_variables
    if not isinstance(weights, int):
        weights = tuple(weights[i] for i in columns)
    options = options.widened().replace(
        niterations=None, select_k_features=None, complexity_of_variables=weights
    )
    return sample.select(columns), options


def _lines(frame: Frame, options: SearchOptions) -> tuple[list[Expression], list[int]]:
    """Lines of 1, 2, 3, ... inputs, and the inputs, those that matter most first."""

    columns = frame.varying()
    pool = Pool(frame, [Term(Variable(name), (i,)) for i, name in columns])
    # A line of k inputs has 4k + 1 nodes; what costs more is dropped by the judge.
    most = options.select_k_features or max(options.maxsize // 4, 1)
    sums = list(grown_sums(pool, [], most))
    pool.add([_bend(frame, i, name) for i, name in columns])
    chosen = [term.inputs[0] for term in sums[-1][: LEADING // 2]] if sums else []
    order = list(dict.fromkeys([*chosen, *strongest_inputs(pool, len(columns))]))
    return [Expression(frame.equation(terms)) for terms in sums], order


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
    """Sums of lines and one other kind of term, and of their products."""

    frame = Frame(few, few.train, None)
    terms = [term for column in varying_inputs(frame, options) for term in column.terms()]
    for kinds in ADDITIVE:
        some = [term for term in terms if isinstance(term.node, Variable) or _head(term) in kinds]
        if all(isinstance(term.node, Variable) for term in some):
            continue
        pool = Pool(frame, some)
        ranked = strongest_inputs(pool, PARTNERS)
        partners = [term for term in pool.terms if term.inputs[0] in ranked]
        for chosen in grown_sums(pool, partners, MOST_TERMS):
            equation = Expression(frame.equation(chosen))
            yield equation
            if rule.of(equation) >= options.maxsize:
                break


def _head(term: Term) -> str:
    """The name of the operator on top of a term."""
    return term.node.operator.name if isinstance(term.node, Call) else ""
