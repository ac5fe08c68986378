"""The sparse engine: laws it must find, and promises it must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import keeps_to

from symtorch.search import Budget, Problem, Progress, SearchOptions, SearchRun, search
from symtorch.search.engines.sparse import SparseEngine
from symtorch.search.limits import within_limits
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression

SECONDS = 900.0  # never reached: laws end their search, and so does niterations


def table(
    law: str, ranges: dict[str, tuple[float, float]], rows: int = 300, seed: int = 0
) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Names, inputs [rows, d] and exact outputs [rows] of a law."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.uniform(low, high, rows) for name, (low, high) in ranges.items()}
    y = np.asarray(Expression.parse(law)(columns))
    return list(columns), torch.tensor(np.stack([*columns.values()], 1)), torch.tensor(y)


def run(problem: Problem, seed: int = 0, **params: object) -> list[Expression]:
    options = SearchOptions.from_params(params)
    return [*SparseEngine().search(problem, options, SearchRun(seed, Budget(SECONDS)))]


def best(problem: Problem, found: list[Expression]) -> Expression:
    """The simplest equation within a whisker of the lowest validation loss."""
    losses = {e: problem.validation.loss(problem.predict(e, problem.validation)) for e in found}
    limit = max(1.05 * min(losses.values()), problem.loss_floor)
    return min((e for e in found if losses[e] <= limit), key=lambda e: e.complexity())


def relative_error(problem: Problem, expression: Expression) -> float:
    y = problem.validation.y
    error = problem.predict(expression, problem.validation) - y
    return float(error.square().mean().sqrt() / y.square().mean().sqrt())


UNIT = (0.5, 3.0)
LAWS: dict[str, tuple[str, dict[str, tuple[float, float]], int]] = {
    "power": ("3*a*b**2/c", {"a": UNIT, "b": UNIT, "c": UNIT}, 9),
    "sine": ("x0**2 + 3*sin(x4) - 4", {"x0": (-3, 3), "x1": (-3, 3), "x4": (-3, 3)}, 9),
    "pole": ("x0/sqrt(1 - x1**2)", {"x0": (-2, 2), "x1": (-0.9, 0.9)}, 8),
    "spring": ("2*(1 - 1/r)*dx", {"r": (0.2, 3), "dx": (-2, 2)}, 9),
    "lorenz": ("x*(28 - z) - y", {"x": (-15, 15), "y": (-20, 20), "z": (5, 45)}, 13),
    "heat": ("exp(-1.97*t)*sin(3.1*x)", {"t": (0, 1), "x": (0, 1)}, 11),
    "bose": ("1/(exp(2.3*a/b) - 1)", {"a": UNIT, "b": UNIT}, 11),
    "lens": ("1/(1/a + b/c)", {"a": UNIT, "b": UNIT, "c": UNIT}, 13),
    "gamma": ("m/sqrt(1 - v**2/9e16)", {"m": UNIT, "v": (1e7, 2.5e8)}, 13),
    "doppler": ("f*sqrt((3e8 + v)/(3e8 - v))", {"f": UNIT, "v": (-1e8, 1e8)}, 13),
    "snell": ("sin(a)/sin(b)", {"a": (0.1, 1.5), "b": (0.1, 1.5)}, 6),
}


@pytest.mark.parametrize("name", LAWS)
def test_laws_are_recovered_exactly(name: str) -> None:
    law, ranges, size = LAWS[name]
    names, X, y = table(law, ranges)
    problem = Problem.split(X, y, names)
    found = best(problem, run(problem))
    assert relative_error(problem, found) < 1e-9, found.pretty()
    assert found.complexity() <= size, found.pretty()


def test_same_seed_gives_the_same_equations_and_leaves_the_global_generator_alone() -> None:
    names, X, y = table("a*log(1 + b)/(c + 2)", {"a": (-2, 2), "b": UNIT, "c": UNIT})
    problem = Problem.split(X, y, names)
    state = torch.random.get_rng_state()
    first = run(problem, seed=3)
    assert run(problem, seed=3) == first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scales_do_not_matter() -> None:
    names, X, y = table("a*b/(1 + a)", {"a": UNIT, "b": UNIT})
    problem = Problem.split(1e12 * X, 1e-20 * y, names)
    found = best(problem, run(problem))
    assert relative_error(problem, found) < 1e-9
    assert found.complexity() <= 13, found.pretty()


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_timeout_is_kept_within_a_tenth(seconds: float) -> None:
    rng = np.random.default_rng(0)
    X = torch.tensor(rng.normal(size=(2000, 8)))
    problem = Problem.split(X, torch.tensor(rng.normal(size=2000)))
    options = SearchOptions(timeout_in_seconds=seconds)
    assert keeps_to(seconds, lambda: search(problem, options, engine="sparse"))


def test_interrupt_returns_what_was_found() -> None:
    names, X, y = table("a*b + sin(3*a)*exp(b*c)", {"a": UNIT, "b": UNIT, "c": UNIT})
    problem = Problem.split(X, y, names)
    reports: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        reports.append(progress)
        if len(reports) == 6:
            raise KeyboardInterrupt

    options = SearchOptions()
    found = SparseEngine().search(problem, options, SearchRun(0, Budget(SECONDS), interrupt))
    assert len(reports) == 6
    assert found


def test_options_are_honoured() -> None:
    names, X, y = table("a*b + 2*sin(a)", {"a": (-2, 2), "b": (-2, 2)})
    problem = Problem.split(X, y, names)
    options = SearchOptions(
        binary_operators=("+", "*"),
        unary_operators=("sin", "exp"),
        maxsize=12,
        complexity_of_operators={"sin": 3},
        constraints={"sin": 3},
        nested_constraints={"sin": {"sin": 0, "exp": 0}},
    )
    rule: ComplexityRule = options.complexity_rule(problem.names)
    found = SparseEngine().search(problem, options, SearchRun(0, Budget(SECONDS)))
    assert found
    assert all(within_limits(e, options, rule) and rule.of(e) <= 12 for e in found)
    assert relative_error(problem, best(problem, [*found])) < 1e-9


def test_custom_operators_are_used() -> None:
    names, X, y = table("a*exp(-b**2)", {"a": UNIT, "b": (-2, 2)})
    problem = Problem.split(X, y, names)
    found = best(
        problem, run(problem, binary_operators=["*", "+"], unary_operators=["gauss(x) = exp(-x^2)"])
    )
    assert relative_error(problem, found) < 1e-9
    assert found.complexity() <= 6, found.pretty()


def test_weights_decide_between_two_laws() -> None:
    names, X, y = table("a*b", {"a": UNIT, "b": UNIT}, rows=400)
    other = X[:, 0] + X[:, 1]
    mixed = torch.where(torch.arange(400) % 2 == 0, y, other)
    for kept, law in ((0, y), (1, other)):
        weights = (torch.arange(400) % 2 == kept).double()
        problem = Problem.split(X, mixed, names, weights=weights)
        found = best(problem, run(problem, niterations=4))
        prediction = problem.predict(found, Problem.split(X, law, names).train)
        assert float((prediction - Problem.split(X, law, names).train.y).abs().max()) < 1e-6


def test_noise_gives_a_short_law() -> None:
    names, X, y = table("x0**2 + 3*sin(x1) - 4", {"x0": (-3, 3), "x1": (-3, 3)}, rows=600)
    noise = torch.tensor(np.random.default_rng(1).normal(size=600))
    problem = Problem.split(X, y + 0.1 * y.std() * noise, names)
    found = best(problem, run(problem, niterations=7))
    assert found.complexity() <= 12, found.pretty()
    clean = Expression.parse("x0**2 + 3*sin(x1) - 4")
    gap = problem.predict(found, problem.validation) - problem.predict(clean, problem.validation)
    assert float(gap.std() / y.std()) < 0.03, found.pretty()


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (torch.zeros(20, 2), torch.arange(20.0)),
        (torch.rand(3, 1), torch.rand(3)),
        (torch.rand(50, 2).repeat_interleave(2, dim=1), torch.zeros(50)),
        (torch.rand(50, 2).sign(), torch.rand(50).round()),
    ],
    ids=["constant inputs", "three rows", "zero target", "two-valued target"],
)
def test_degenerate_data_does_not_crash(X: torch.Tensor, y: torch.Tensor) -> None:
    problem = Problem.split(X, y)
    for expression in run(problem, niterations=6):
        assert torch.isfinite(problem.predict(expression, problem.train)).all()


def test_all_stages_run_with_sums_and_products_alone() -> None:
    X = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    options = SearchOptions(
        binary_operators=("+", "*"), unary_operators=(), maxsize=7, timeout_in_seconds=60
    )
    front = search(Problem.split(X, torch.exp(X[:, 0])), options, engine="sparse")
    assert {op.name for row in front for op in row.expression.operators} <= {"+", "*"}


def test_an_exponential_with_small_smooth_errors_is_among_the_candidates() -> None:
    """A network's errors: longer equations follow them, and the law must not be left out."""
    t = torch.linspace(0, 1, 400, dtype=torch.float64)
    y = 0.8 * torch.exp(-1.96 * t) + 3e-4 * torch.sin(7 * t) - 2e-4 * t**2
    options = SearchOptions(niterations=3, timeout_in_seconds=60)
    front = search(Problem.split(t[:, None], y, ["t"]), options, engine="sparse")
    law = [row for row in front if row.complexity <= 6][-1]
    assert law.loss < 1e-7, law.equation
