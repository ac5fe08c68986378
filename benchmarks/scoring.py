"""When an equation counts as the law.

Three questions, from loose to strict:

- `Target.reached_by`: does it give the law's values, without being much longer?
- `same_function`: is it the law, also far from the data, with nothing superfluous in it?
- `same_structure`: does it become the law when its constants are put right by some percent?

None of them depends on how an equation is written; `shown_by_sympy` compares what is
written, after expanding.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

import mpmath
import numpy as np
import sympy
from laws import Array, Law
from scipy.optimize import least_squares

from symtorch import Expression
from symtorch.errors import InputError
from symtorch.search import Candidate, Front
from symtorch.symbolic.nodes import Call, Constant, Node, Variable, walk

TOLERANCE = 1e-8
"""Largest relative error, at every test point; as in the published runs of FastSRB."""

LENGTH = 1.5
"""An equation may be this many times as complex as the law."""

_POINTS = 300
_WIDER = 3.0
_AGREES = 1e-6
_REFITTED = 1e-5
_CONDITION = 1e-12
_MULTIPLE_ANGLE = 12
_DIGITS = 80
_DOUBT = 1e-9
_FAR_OUT = ((2.0, 100), (20.0, 500))


class OverTimeError(Exception):
    """A computation was cut off."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `OverTimeError` inside after that many seconds; main thread only."""

    def stop(_: int, __: FrameType | None) -> None:
        raise OverTimeError(f"cut off after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def folded(expression: Expression) -> Expression:
    """The expression with every operation on constants alone carried out.

    >>> str(folded(Expression.parse("v1 * (6/(2*3) + 8) ^ (1/2)")))
    'v1*3'
    """

    def fold(node: Node) -> Node:
        if not isinstance(node, Call):
            return node
        node = Call(node.operator, tuple(fold(arg) for arg in node.args))
        if any(isinstance(part, Variable) for part in walk(node)):
            return node
        return Constant(float(Expression(node)({})))

    return Expression(fold(expression.root))


def complexity_of(law: Law) -> int:
    """Nodes of a law's formula, a constant counting once however it is written."""
    return folded(law.expression).complexity()


@dataclass(frozen=True)
class Target:
    """Values to reach on points that no search has seen.

    Args:
        columns: of the test points, by name.
        values: of the law there.
        complexity: of the law.
        floor: values smaller than this share of their root mean square are given an
            error relative to that; 0 makes every error relative to the value itself.
    """

    columns: Mapping[str, Array]
    values: Array
    complexity: int
    floor: float = 0.0

    def error(self, expression: Expression) -> float:
        """Largest relative error; inf where a value is not finite."""
        scale = np.maximum(np.abs(self.values), self.floor * _size(self.values))
        return _largest_error(expression(self.columns), self.values, scale)

    def reached_by(self, candidate: Candidate) -> bool:
        """Whether an equation has the law's values and at most 1.5 times its complexity."""
        short = candidate.complexity <= LENGTH * self.complexity
        return short and self.error(candidate.expression) < TOLERANCE

    def reached_on(self, front: Front) -> Candidate | None:
        """The simplest equation of a front that does."""
        return next((row for row in front if self.reached_by(row)), None)


def same_function(
    found: Expression, reference: Expression, law: Law, tolerance: float = _AGREES
) -> bool:
    """Whether two expressions are one function, and ``found`` has no idle parts.

    Compared on the law's ranges, on ranges three times as wide, and in long arithmetic on
    ranges up to forty decades wide, where even ``sin(x)`` and ``x`` part for an ``x`` of
    1e-17. Points at which the reference itself is ill-conditioned do not count.

    Args:
        found: what is judged.
        reference: what it should be.
        law: gives names and ranges.
        tolerance: largest relative error.
    """
    if set(found.variables) != set(reference.variables):
        return False
    points = _telling_points(reference, law, tolerance)

    def agrees(expression: Expression) -> bool:
        return _agree(expression, reference, points, law, tolerance)

    def has_idle_constant(expression: Expression) -> bool:
        return any(map(agrees, _with_one_doubled(expression)))

    # Some laws have a part that is idle on their ranges; then it is not held against found.
    return (
        agrees(found)
        and (not has_idle_constant(found) or has_idle_constant(folded(reference)))
        and _agree_far_out(found, reference, law, tolerance)
    )


def same_structure(found: Expression, law: Law, tolerance: float = 0.05) -> bool:
    """Whether an equation is the law up to the values of its constants.

    Its constants are fitted to the law's exact values, none moving by more than
    ``tolerance`` of itself; that must make it the same function, at most 1.5 times as
    complex as the law. A term too many cannot vanish that way, nor a missing one appear.

    Args:
        found: constants as they came from the data.
        law: what it should be.
        tolerance: relative, of every constant.
    """
    reference = law.expression
    if set(found.variables) != set(reference.variables):
        return False
    fitted = refitted(folded(found), law, tolerance)
    if not same_function(fitted, reference, law, _REFITTED):
        return False
    # A factor of 1.02 that has become 1 is not counted.
    plain = fitted.with_constants([float(f"{value:.5g}") for value in fitted.constants])
    return plain.simplify().complexity() <= LENGTH * complexity_of(law)


def refitted(found: Expression, law: Law, tolerance: float) -> Expression:
    """The expression with its constants moved towards the law, by ``tolerance`` at most."""
    start = np.array(found.constants)
    free = start != 0
    if not free.any():
        return found
    X, y = law.sample(_POINTS)
    columns, size = law.columns(X), _size(y)

    def at(factors: Array) -> Expression:
        values = start.copy()
        values[free] *= factors
        return found.with_constants(values.tolist())

    def residual(factors: Array) -> Array:
        return np.nan_to_num((at(factors)(columns) - y) / size, nan=1e3, posinf=1e3, neginf=-1e3)

    fit = least_squares(
        residual,
        np.ones(int(free.sum())),
        jac="3-point",
        bounds=(1 - tolerance, 1 + tolerance),
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
        max_nfev=200,
    )
    return at(fit.x)


def shown_by_sympy(
    found: Expression, references: Sequence[Expression], seconds: float = 5.0
) -> bool:
    """Whether SymPy finds found and one of the references term by term equal.

    Both are brought over a common denominator, ``a/b`` and ``c/d``, and ``a*d`` and
    ``c*b`` expanded; constants may differ by 1e-6. A no says little: SymPy may not see
    it, or run out of time.
    """
    try:
        with time_limit(seconds):
            above, below = _fraction(found)
            for reference in references:
                other_above, other_below = _fraction(reference)
                if _same_terms(above * other_below, other_above * below):
                    return True
    except (OverTimeError, InputError, ArithmeticError, RecursionError, TypeError, ValueError):
        return False
    return False


def _fraction(expression: Expression) -> tuple[sympy.Expr, sympy.Expr]:
    form = folded(expression).sympy()
    # Positive symbols let roots of products split; rounded numbers inside functions compare.
    # Large integers become floats too, or sin(10**33*x) would be expanded as a multiple angle.
    positive = {symbol: sympy.Symbol(symbol.name, positive=True) for symbol in form.free_symbols}
    rounded = {
        number: sympy.Float(f"{float(number):.8g}")
        for number in form.atoms(sympy.Float, sympy.Integer)
        if isinstance(number, sympy.Float) or abs(number) > _MULTIPLE_ANGLE
    }
    above, below = sympy.fraction(sympy.together(form.xreplace(positive | rounded)))
    return above, below


def _same_terms(left: sympy.Expr, right: sympy.Expr) -> bool:
    ours, theirs = (
        sympy.expand(sympy.expand_trig(side)).as_coefficients_dict() for side in (left, right)
    )
    return set(ours) == set(theirs) and all(
        abs(complex(ours[term] - theirs[term])) <= _AGREES * abs(complex(theirs[term]))
        for term in theirs
    )


def _telling_points(reference: Expression, law: Law, tolerance: float) -> Array:
    """Points at and around the law's ranges where rounding alone cannot pass for an error."""
    tables = [law.sample(_POINTS, seed=1)[0]]
    with suppress(ValueError):  # outside its own ranges a law may be undefined
        tables.append(law.widened(_WIDER).sample(_POINTS, seed=2)[0])
    X = np.concatenate(tables)
    moved = X * (1 + _CONDITION * np.random.default_rng(0).choice([-1.0, 1.0], X.shape))
    with np.errstate(all="ignore"):
        here, there = (reference(law.columns(at)) for at in (X, moved))
        steady = np.abs(here - there) <= 0.01 * tolerance * np.abs(here)
    return X[steady]


def _agree(
    found: Expression, reference: Expression, points: Array, law: Law, tolerance: float
) -> bool:
    columns = law.columns(points)
    values, wanted = found(columns), reference(columns)
    # Far out exp(x)/(exp(x) + 1) overflows where its other forms do not.
    finite = np.isfinite(values)
    if finite.mean() < 0.9:
        return False
    wanted = wanted[finite]
    # Exact zeros are the reference's, sin(0) for example, and found's come close.
    scale = np.maximum(np.abs(wanted), 1e-9 * np.median(np.abs(wanted)))
    return _largest_error(values[finite], wanted, scale) <= tolerance


def _agree_far_out(found: Expression, reference: Expression, law: Law, tolerance: float) -> bool:
    rng = np.random.default_rng(0)
    constants = np.array(found.constants)
    shifts = _DOUBT * rng.choice([-1.0, 1.0], len(constants)) * rng.uniform(0.5, 1, len(constants))
    doubted = found.with_constants((constants * (1 + shifts)).tolist())
    with mpmath.workdps(_DIGITS):
        try:
            ours, doubtful, wanted = (_long(e, law.names) for e in (found, doubted, reference))
        except InputError:  # an operator that SymPy lacks
            return True
        for decades, count in _FAR_OUT:
            X = law.spread(decades).draw(count, seed=3)
            moved = X * (1 + _CONDITION * rng.choice([-1.0, 1.0], X.shape))
            for point, beside in zip(X.tolist(), moved.tolist(), strict=True):
                goal = wanted(point)
                if goal is None or not _near(wanted(beside), goal, 0.01 * tolerance):
                    continue
                value = ours(point)
                # Where its last digits decide, as in 0.5 - 0.5*tanh(99), nothing is told.
                if value is not None and not _near(doubtful(point), value, 0.1 * tolerance):
                    continue
                if not _near(value, goal, tolerance):
                    return False
    return True


def _near(value: mpmath.mpf | None, goal: mpmath.mpf, tolerance: float) -> bool:
    return value is not None and abs(value - goal) <= tolerance * abs(goal)


def _long(
    expression: Expression, names: Sequence[str]
) -> Callable[[Sequence[float]], mpmath.mpf | None]:
    """The expression in mpmath's numbers; None where it is not a real one."""
    symbols = [sympy.Symbol(name) for name in names]
    function = sympy.lambdify(symbols, folded(expression).sympy(), "mpmath")

    def evaluate(point: Sequence[float]) -> mpmath.mpf | None:
        try:
            value = function(*(mpmath.mpf(x) for x in point))
        except (ArithmeticError, ValueError):
            return None
        value = mpmath.mpmathify(value)
        return value if isinstance(value, mpmath.mpf) and mpmath.isfinite(value) else None

    return evaluate


def _with_one_doubled(expression: Expression) -> Iterator[Expression]:
    """Yield the forms with one constant doubled: where it is idle the values stay."""
    constants = expression.constants
    for position, value in enumerate(constants):
        if value != 0:
            yield expression.with_constants(
                [2 * value if i == position else c for i, c in enumerate(constants)]
            )


def _largest_error(values: Array, wanted: Array, scale: Array) -> float:
    with np.errstate(all="ignore"):
        errors = np.abs(values - wanted) / np.maximum(scale, 1e-300)
    return float(np.max(np.where(np.isfinite(errors), errors, np.inf), initial=0.0))


def _size(values: Array) -> float:
    largest = float(np.abs(values).max())
    return largest * float(np.sqrt(np.mean((values / largest) ** 2))) if largest else 1.0
