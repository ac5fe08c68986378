"""The benchmark's own parts: sampling, scoring, the tables of laws, a run of the smallest size."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from symtorch import Expression
from symtorch.search.front import Candidate, Front

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import fastsrb
import scoring
import workers
from laws import EIGHT, TEXTBOOK, Input, Law, log, uniform, whole

LAWS = {law.name: law for law in (*EIGHT, *TEXTBOOK)}


@pytest.fixture
def benchmark_file(tmp_path):
    def variable(bounds, kind):
        return {"name": "a", "sample_range": bounds, "sample_type": kind}

    problem = {
        "id": "I.1",
        "moniker": "speed",
        "difficulty": "easy",
        "formula": "neg(v1) * (3/2) ^ 2 / v2 ^ 2",
        "accept": ["((-2.25*v1)/(v2^2.0))"],
        "vars": {
            "v1": variable(["-1.0e1", "1.0e1"], ["uni", "pos"]),
            "v2": variable(["1.0e-2", 1.0, "a note"], ["log", "pos_neg"]),
            "v0": {"name": "y"},
        },
        "constraints": ["v2 != 0"],
        "solved_of_5": {"SymbolicRegression.jl": 2, "TiSR": 5},
    }
    unpublished = {**problem, "id": "I.2", "solved_of_5": None}
    path = tmp_path / "fastsrb.json"
    path.write_text(json.dumps({"problems": [problem, unpublished]}))
    return path


# -- laws and sampling ------------------------------------------------------------------------


def test_there_are_enough_laws_of_our_own():
    assert len(EIGHT) == 8
    assert len(TEXTBOOK) >= 40
    assert len(LAWS) == len(EIGHT) + len(TEXTBOOK)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_is_finite_and_varies_on_its_ranges(name):
    law = LAWS[name]
    X, y = law.sample(300)
    assert X.shape == (300, len(law.inputs))
    assert np.isfinite(y).all()
    assert y.std() > 0
    assert set(law.expression.variables) <= set(law.names)
    # Seldom outside the formula's domain: the ranges are the law's own.
    assert np.isfinite(law(_raw(law, 300))).mean() > 0.7


def _raw(law: Law, rows: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([i.sample(rows, rng) for i in law.inputs], axis=1)


@pytest.mark.parametrize(
    ("drawn", "low", "high"),
    [
        (uniform("x", -2, 3), -2, 3),
        (log("x", 1e-12, 1e-3), 1e-12, 1e-3),
        (Input("x", 1, 5, sign="neg"), -5, -1),
        (log("x", 0.1, 10, "pos_neg"), -10, 10),
        (whole("x", 1, 4), 1, 4),
    ],
)
def test_inputs_stay_in_range_and_fill_it(drawn, low, high):
    values = drawn.sample(2_000, np.random.default_rng(0))
    assert low <= values.min()
    assert values.max() <= high
    assert (values < 0).any() == (low < 0)
    if drawn.scale == "log":
        decades = np.log10(np.abs(values))
        middle = (np.log10(drawn.low) + np.log10(drawn.high)) / 2
        assert abs(np.median(decades) - middle) < 0.2
    if drawn.scale == "integer":
        assert set(values) == {1, 2, 3, 4}


def test_widened_ranges_never_cross_zero():
    assert log("x", 1, 4).widened(2) == log("x", 0.5, 8)
    assert uniform("x", -1, 1).widened(2) == uniform("x", -2, 2)
    assert uniform("x", 0, 1).widened(2) == uniform("x", 0, 2)
    assert uniform("x", -4, -1).widened(2) == uniform("x", -8, -0.5)


def test_a_sample_is_fixed_by_its_seed_and_differs_between_seeds():
    law = LAWS["spring"]
    assert np.array_equal(law.sample(50, 3)[0], law.sample(50, 3)[0])
    assert not np.array_equal(law.sample(50, 3)[0], law.sample(50, 4)[0])


def test_points_outside_the_domain_are_drawn_again_or_refused():
    half = Law("half", "sqrt(x)", (uniform("x", -1, 1),), "test")
    X, y = half.sample(100)
    assert (X >= 0).all()
    assert len(y) == 100
    with pytest.raises(ValueError, match="'none' is finite at only 0"):
        Law("none", "sqrt(x)", (uniform("x", -2, -1),), "test").sample(10)


# -- FastSRB ----------------------------------------------------------------------------------


def test_fastsrb_is_read_with_its_oddities(benchmark_file):
    first, second = fastsrb.read(benchmark_file)
    assert first.law.inputs == (uniform("v1", -10, 10), log("v2", 0.01, 1, "pos_neg"))
    assert first.solved == {"SymbolicRegression.jl": 0.4, "TiSR": 1.0}
    assert second.solved == {}
    assert fastsrb.published([first, second]) == {"SymbolicRegression.jl": 40.0, "TiSR": 100.0}
    assert scoring.complexity_of(first.law) == 8
    accepted = Expression.parse(first.accepted[0])
    assert scoring.same_function(accepted, first.law.expression, first.law)
    assert scoring.shown_by_sympy(accepted, [first.law.expression])


@pytest.mark.skipif(not fastsrb.DEFAULT_PATH.exists(), reason="FastSRB's file is not here")
def test_fastsrb_file_gives_the_published_shares():
    problems = fastsrb.read()
    assert len(problems) == 120
    shares = fastsrb.published(problems)
    assert shares["SymbolicRegression.jl"] == pytest.approx(44.8, abs=0.05)
    assert shares["TiSR"] == pytest.approx(69.4, abs=0.05)
    for problem in problems[::10]:
        X, y = problem.law.sample(400)
        assert np.isfinite(X).all()
        assert np.isfinite(y).all()


# -- scoring ----------------------------------------------------------------------------------


def target(law: Law, floor: float = 0.0) -> scoring.Target:
    X, y = law.sample(200)
    return scoring.Target(law.columns(X), y, scoring.complexity_of(law), floor)


def front(law: Law, *equations: str) -> Front:
    rows = [Expression.parse(text, law.names) for text in equations]
    candidates = [Candidate(e, e.complexity(), 1 / (1 + i), 1.0) for i, e in enumerate(rows)]
    return Front(tuple(candidates), law.names)


def test_a_law_is_reached_by_its_values_at_limited_length():
    law = LAWS["reduced mass"]
    goal = target(law)
    found = front(law, "m*n", "m*n/(m + n)", "1/(1/m + 1/n)", "m*n/(m + n) + 0*exp(sin(m*n))")
    assert [goal.reached_by(row) for row in found] == [False, True, True, False]
    assert goal.reached_on(found) is found[1]
    near = front(law, "m*n/(m + 1.0000001*n)")
    assert goal.reached_on(near) is None


def test_an_equation_that_is_not_finite_everywhere_is_no_hit():
    law = Law("line", "x + 1", (uniform("x", -1, 1),), "test")
    assert target(law).error(Expression.parse("sqrt(x)*sqrt(x) + 1")) == np.inf


def test_floor_keeps_zero_crossings_from_deciding():
    law = Law("wave", "sin(3*x)", (uniform("x", -3, 3),), "test")
    shifted = Expression.parse("sin(3*x) + 0.000000001")
    assert target(law).error(shifted) > 1e-8
    assert target(law, floor=0.5).error(shifted) < 1e-8


SAME = [
    ("adding speeds", "1/((1 + u*v)/(u + v))"),
    ("spring", "2*dx - 2*dx*inv(sqrt(square(dx) + square(dy)))"),
    ("damped oscillation", "a*cos(t*w)*exp(t*-1*g)"),
    ("projectile range", "0.2038735983690112*v**2*sin(a)*cos(a)"),
    ("occupation of states (Fermi)", "0.5 - 0.5*tanh((e - m)/(2*k))"),
    ("third law of Kepler", "2*pi/sqrt(6.674e-11)*sqrt(a)*a/sqrt(m)"),
    ("dispersion (Cauchy)", "a + (b + c/l**2)/square(l)"),
    ("isothermal work", "n*T*8.314*(log(v) - log(w))"),
]

DIFFERENT = [
    ("adding speeds", "u + v - u*v*(u + v)", "a series"),
    ("adding speeds", "(u + v)/(1 + 1.0001*u*v)", "another constant"),
    ("spring", "2*dx - 2*dx/sqrt(square(dx) + square(dy) + 1e-5)", "a softening it has not"),
    ("energy of a particle", "sqrt(p**2 + m**2) + 1e-12*p", "an idle term"),
    ("energy of a particle", "p + m", "another law"),
    ("damped oscillation", "a*exp(-0.5*t)*cos(w*t)", "an input missing"),
    ("projectile range", "0.2038735983690112*v**2*(a - 0.666666*a**3)", "a series"),
]


@pytest.mark.parametrize(("name", "text"), SAME)
def test_equal_forms_are_one_function(name, text):
    law = LAWS[name]
    found = Expression.parse(text, law.names)
    assert scoring.same_function(found, law.expression, law)
    assert scoring.same_structure(found, law)


@pytest.mark.parametrize(("name", "text", "_why"), DIFFERENT)
def test_others_are_not(name, text, _why):
    law = LAWS[name]
    assert not scoring.same_function(Expression.parse(text, law.names), law.expression, law)


def test_approximations_part_far_out_however_good_they_are_on_the_data():
    law = Law("tiny angle", "sin(1e33*x*y)", (log("x", 1e-18, 1e-16), log("y", 1e-18, 1e-16)), "t")
    found = Expression.parse("sin(1e33*x*sin(y))")
    X, y = law.sample(200)
    assert scoring.Target(law.columns(X), y, 6).error(found) < 1e-12
    assert not scoring.same_function(found, law.expression, law)
    assert scoring.same_function(Expression.parse("sin(y/1e-33*x)"), law.expression, law)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("square and sine", "0.98*x0**2 + 3.05*sin(1.01*x4) - 4.1"),
        ("soft gravity", "m2*m1*dx*(dx**2 + 0.99*dy**2 + 0.0103)**-1.48"),
        ("heat solution", "0.97*sin(3.15*x)/exp(2*t)"),
        ("lorenz y", "x*(28.3 - 0.99*z) - 1.02*y"),
        ("reciprocal root", "x0/sqrt(1.01 - x1**2)"),
        ("gaussian density", "0.41*exp(-0.51*square(x/s))/s"),
        ("log over rational", "log(x1)*x0/(1.03 + 0.97*x2)"),
    ],
)
def test_the_right_structure_with_constants_nearly_right(name, text):
    law = LAWS[name]
    assert scoring.same_structure(Expression.parse(text, law.names), law)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("square and sine", "x0**2 + 3*sin(x4) - 4.5"),  # a constant off by more
        ("square and sine", "x0**2 + 3*sin(x4) - 4 + 0.01*x1"),  # a term of noise
        ("square and sine", "x0**2 + 3*sin(x4) - 4 + 0.01*x0"),  # one in an input it has
        ("square and sine", "x0**2 + 3*sin(x4 + 0.02) - 4"),  # a constant where none is
        ("square and sine", "x0**2 + 3*x4 - 0.5*x4**3 - 4"),  # a series
        ("spring", "2*dx - 2*dx/sqrt(dx**2 + dy**2 + 0.01)"),
        ("soft gravity", "m1*m2*dx/(dx**2 + dy**2)**1.5"),  # a softening missing
        ("soft gravity", "m1*m2*dx/(dx**2 + dy**2 + 0.02)**1.5"),
        ("lorenz y", "x*(28 - z)"),
        ("heat solution", "exp(-1.97*t)*sin(pi*x)*(sin(x)**2 + cos(x)**2)"),  # too long
    ],
)
def test_the_wrong_structure(name, text):
    law = LAWS[name]
    assert not scoring.same_structure(Expression.parse(text, law.names), law)


def test_a_wider_tolerance_lets_constants_move_further():
    law = LAWS["square and sine"]
    found = Expression.parse("x0**2 + 3*sin(x4) - 4.3")
    assert not scoring.same_structure(found, law)
    assert scoring.same_structure(found, law, tolerance=0.1)


def test_sympy_shows_rearrangements_and_no_more():
    def shown(a: str, b: str) -> bool:
        return scoring.shown_by_sympy(Expression.parse(a), [Expression.parse(b)])

    assert shown("x/(2*(1 + y))", "0.5*x/(y + 1.00000001)")
    assert shown("sqrt(a*b/c)", "sqrt(a)*sqrt(b)/sqrt(c)")
    assert shown("1/(1/a + b/c)", "a*c/(c + a*b)")
    assert shown("sin(9.4826219546e33*a*b)**2", "square(sin(a*b*9.48262195461e33))")
    assert not shown("x/(1 + y)", "x/(1 + 1.01*y)")
    assert not shown("x + y", "x - y")
    assert not scoring.shown_by_sympy(Expression.parse("x"), [])


def test_time_limit_cuts_off_and_leaves_no_alarm():
    with pytest.raises(scoring.OverTimeError, match=r"after 0\.05 s"), scoring.time_limit(0.05):
        time.sleep(5)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


# -- processes --------------------------------------------------------------------------------


def test_a_task_that_raises_or_dies_is_its_own_answer():
    roots = {end.task: end for end in workers.run_in_processes(math.sqrt, [4.0, -1.0])}
    assert roots[4.0].answer == 2.0
    assert roots[-1.0].answer is None
    assert "ValueError" in roots[-1.0].error
    (end,) = workers.run_in_processes(os._exit, [3])
    assert (end.answer, end.error) == (None, "its process died")


def test_peak_memory_is_measured():
    assert 10 < workers.peak_mib() < 100_000
