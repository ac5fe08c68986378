"""The registry, the options, the limits and the front that a search builds."""

from __future__ import annotations

import pytest
import torch

from symtorch.errors import EngineUnavailableError, InputError, UnsupportedTypeError
from symtorch.search import (
    Problem,
    Progress,
    SearchOptions,
    available_engines,
    register_engine,
    registry,
    search,
)
from symtorch.search.judging import Judge
from symtorch.search.limits import keeps_constraints, within_limits
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression


class Guest:
    """An engine that answers with fixed equations."""

    name = "guest"
    honours = frozenset({"maxsize", "timeout_in_seconds", "binary_operators", "unary_operators"})

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.calls = 0

    def require(self) -> None:
        pass

    def search(self, problem, options, run):
        self.calls += 1
        run.progress(Progress(1.0, 0.5, "done"))
        self.run = run
        return [Expression.parse(text, problem.names) for text in self.texts]


class Missing(Guest):
    def require(self) -> None:
        raise EngineUnavailableError("no Fortran here; install it, or use engine='operon'")


@pytest.fixture
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "_ENGINES", dict(registry._ENGINES))


@pytest.fixture
def problem():
    X = torch.rand(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Problem.split(X, 2 * X[:, 0] + X[:, 1] ** 2)


# -- registry ---------------------------------------------------------------------------------


def test_an_engine_of_ones_own_is_found_by_name(own_registry, problem):
    guest = Guest("2*x0 + x1**2", "2*x0")
    register_engine("guest", lambda: guest)
    options = SearchOptions(binary_operators=("+", "*", "^"))
    front = search(problem, options, engine="guest", random_state=3)
    assert [row.equation for row in front][-1] == "2*x0 + square(x1)"  # shorter by one
    assert guest.run.random_state == 3
    assert "guest" in available_engines()


def test_unknown_engine_gets_a_suggestion(problem):
    with pytest.raises(InputError, match="unknown engine 'opero'; did you mean 'operon'"):
        search(problem, engine="opero")


def test_engine_that_cannot_run_is_not_available_and_says_why(own_registry, problem):
    register_engine("missing", Missing)
    assert "missing" not in available_engines()
    with pytest.raises(EngineUnavailableError, match="no Fortran here"):
        search(problem, engine="missing")


def test_option_that_an_engine_ignores_is_an_error_that_names_others(own_registry, problem):
    register_engine("guest", Guest)
    with pytest.raises(InputError) as caught:
        search(problem, SearchOptions(batching=True), engine="guest")
    assert "engine 'guest' cannot honour 'batching'; engines that can:" in str(caught.value)
    assert "pysr" in str(caught.value)
    assert "guest, " not in str(caught.value)


def test_progress_reaches_the_caller(own_registry, problem):
    register_engine("guest", lambda: Guest("x0"))
    seen: list[Progress] = []
    search(problem, engine="guest", progress=seen.append)
    assert seen == [Progress(1.0, 0.5, "done")]


def test_timeout_becomes_the_budget(own_registry, problem):
    guest = Guest("x0")
    register_engine("guest", lambda: guest)
    search(problem, SearchOptions(timeout_in_seconds=7.5), engine="guest")
    assert guest.run.budget.seconds == 7.5
    search(problem, engine="guest")
    assert guest.run.budget.seconds == registry.SECONDS_PER_OUTPUT


def test_constant_target_needs_no_engine(own_registry):
    guest = Guest("x0")
    register_engine("guest", lambda: guest)
    front = search(Problem.split(torch.rand(50, 2), torch.full((50,), 0.1)), engine="guest")
    assert guest.calls == 0
    assert len(front) == 1
    assert float(front[0].expression.constants[0]) == pytest.approx(0.1)


# -- judging ------------------------------------------------------------------------------


def front_of(problem: Problem, *texts: str, **options):
    chosen = SearchOptions(**options)
    rule = chosen.complexity_rule(problem.names)
    judge = Judge(problem, chosen, rule)
    return judge.tidied(judge.front(judge.scores(map(Expression.parse, texts))))


def test_front_is_sorted_and_losses_fall(problem):
    front = front_of(problem, "2*x0 + square(x1)", "1", "x0", "x0 + x1", "2*x0 + x1", "3*x0 + x1")
    losses = [row.loss for row in front]
    assert front.complexities == sorted(set(front.complexities))
    assert losses == sorted(losses, reverse=True)
    assert front[-1].equation == "2*x0 + square(x1)"


def test_front_drops_what_is_too_large_not_allowed_or_not_finite(problem):
    front = front_of(
        problem, "1", "tan(x0)", "log(x0 - 5)", "x0 + x1 + x0*x1 - square(x0)", maxsize=5
    )
    assert [row.equation for row in front] == ["1"]


def test_front_judges_on_both_halves(problem):
    front = front_of(problem, "2*x0 + square(x1)")
    row = front[0]
    assert row.loss == pytest.approx(0, abs=1e-28)
    assert row.validation_loss == pytest.approx(0, abs=1e-28)


# -- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options", "fits"),
    [
        ("sin(x)", {}, True),
        ("tan(x)", {}, False),
        ("-x", {}, True),
        ("1/x", {"binary_operators": ("*",), "unary_operators": ("inv",)}, True),
        ("1/x", {"binary_operators": ("*",), "unary_operators": ("sin",)}, False),
        ("x - y", {"binary_operators": ("+", "*"), "unary_operators": ()}, True),
        ("x - y", {"binary_operators": ("+",), "unary_operators": ()}, False),
        ("sin(x + 1)", {"maxdepth": 3}, True),
        ("sin(x + 1)", {"maxdepth": 2}, False),
        ("sin(x + 1)", {"constraints": {"sin": 3}}, True),
        ("sin(x + 1)", {"constraints": {"sin": 2}}, False),
        ("(x + y)*x", {"constraints": {"*": (-1, 1)}}, True),
        ("x*(x + y)", {"constraints": {"*": (-1, 1)}}, False),
        ("sin(cos(x))", {"nested_constraints": {"sin": {"cos": 0}}}, False),
        ("sin(cos(x))", {"nested_constraints": {"sin": {"sin": 0}}}, True),
        ("sin(x + sin(x))", {"nested_constraints": {"sin": {"sin": 0}}}, False),
        ("sin(sin(x)) + sin(x)", {"nested_constraints": {"sin": {"sin": 1}}}, True),
    ],
)
def test_within_limits(text, options, fits):
    assert within_limits(Expression.parse(text), SearchOptions(**options), ComplexityRule()) is fits


def test_constraints_count_as_the_rule_counts():
    options = SearchOptions(constraints={"sin": 3})
    root = Expression.parse("sin(x + 1)").root
    assert keeps_constraints(root, options, ComplexityRule())
    assert not keeps_constraints(root, options, ComplexityRule(operators={"+": 2}))


# -- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_size": 3}, "unknown search parameter 'max_size'; did you mean 'maxsize'?"),
        ({"unary_operators": ["sine"]}, "unknown operator 'sine'; did you mean 'sin'?"),
        ({"unary_operators": ["+"]}, "'+' takes 2 argument(s); it belongs in binary_operators"),
        ({"binary_operators": [], "unary_operators": []}, "no operators"),
        ({"complexity_of_operators": {"tann": 3}}, "unknown operator 'tann'; did you mean 'tan'?"),
        ({"maxsize": 0}, "maxsize must be at least 1; got 0"),
        ({"timeout_in_seconds": 0}, "timeout_in_seconds must be positive"),
        ({"timeout_in_seconds": float("inf")}, "timeout_in_seconds must be positive and finite"),
        ({"parsimony": -1}, "parsimony must not be negative"),
    ],
)
def test_bad_options_are_refused(params, message):
    with pytest.raises(InputError) as caught:
        SearchOptions.from_params(params)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "params", [{"maxsize": 3.5}, {"niterations": True}, {"unary_operators": 3}]
)
def test_options_of_the_wrong_type_are_refused(params):
    with pytest.raises(UnsupportedTypeError):
        SearchOptions.from_params(params)


def test_options_are_read_in_pysrs_spelling():
    options = SearchOptions.from_params(
        {"unary_operators": ["inv(x) = 1/x", "arcsin"], "complexity_of_operators": {"arcsin": 2}}
    )
    assert [operator.name for operator in options.unary] == ["inv", "asin"]
    assert options.complexity_rule(["x"]).of(Expression.parse("asin(x)")) == 3
    assert options.changed() == {"unary_operators", "complexity_of_operators"}


def test_variable_weights_must_match_the_columns():
    options = SearchOptions(complexity_of_variables=(1, 2))
    assert options.complexity_rule(["a", "b"]).of(Expression.parse("a + b")) == 4
    with pytest.raises(InputError, match="2 entries for 3 columns"):
        options.complexity_rule(["a", "b", "c"])


# -- sizes of numbers -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_numbers_whose_squares_leave_float64_are_refused_with_a_factor(size):
    X = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    with pytest.raises(InputError, match=r"output column 'target' .* divide it by"):
        Problem.split(X, X[:, 0] * size)
    with pytest.raises(InputError, match=r"input column 'x1' .* divide it by"):
        Problem.split(X * X.new_tensor([1.0, size]), X[:, 0])


@pytest.mark.parametrize("size", [1e-90, 1e-38, 1e38, 1e90])
def test_large_and_small_numbers_are_scaled_inside(size):
    X = torch.rand(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    y = X[:, 0] * X[:, 1]
    problem = Problem.split(X, y * size)
    options = SearchOptions(niterations=1, timeout_in_seconds=60)
    front = search(problem, options, engine="sparse")
    assert front.r2_of(front[-1]) == pytest.approx(1.0, abs=1e-12)


def test_an_outlier_that_decides_everything_is_named():
    X = torch.rand(200, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = X[:, 0].clone()
    y[7] = 1e38
    with pytest.warns(UserWarning, match=r"1 of 200 outputs .*the first in row 7"):
        Problem.split(X, y)
