"""Which equation of a front is chosen, and what its rows say about it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from symtorch import Candidate, Expression, Front
from symtorch.search import Problem, SearchOptions
from symtorch.search.choosing import nearly_best, shortest_description
from symtorch.search.evidence import Evidence, Neighbours, Surroundings, effective_rows
from symtorch.search.judging import Judge

LAW = "x/sqrt(1 - y**2)"
WILD = "x/sqrt(1 - y**2) + 0.003*sin(5*x)*y + 0.002*cos(4*y)"


def candidate(text: str, loss: float, rows: float = 80.0, finite: bool = True) -> Candidate:
    expression = Expression.parse(text)
    return Candidate(
        expression, expression.complexity(), loss, loss, evidence=Evidence(rows, finite)
    )


def rows(count: int = 1_000, inputs: int = 2, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, inputs, generator=generator, dtype=torch.float64) * 2 - 1


# -- effective rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [1, 2, 5, 40])
def test_noise_is_worth_about_all_rows(inputs: int) -> None:
    X = rows(3_000, inputs)
    noise = torch.randn(3_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert Neighbours(X).independent(noise) > 1_500


@pytest.mark.parametrize("count", [1_000, 4_000, 20_000])
def test_a_smooth_residual_is_worth_as_much_however_many_rows_there_are(count: int) -> None:
    X = rows(count)
    smooth = torch.sin(4 * X[:, 0] + 2 * X[:, 1])
    assert 5 < Neighbours(X).independent(smooth) < 60


def test_a_wiggly_residual_is_worth_more_than_a_smooth_one() -> None:
    X = rows(2_000)
    count = Neighbours(X)
    worth = [count.independent(torch.sin(w * X[:, 0]) * torch.sin(w * X[:, 1])) for w in (2, 6, 18)]
    assert worth == sorted(worth)


def test_scales_of_inputs_and_residual_do_not_matter() -> None:
    X = rows(500)
    residual = torch.sin(4 * X[:, 0])
    scaled = Neighbours(X * torch.tensor([1e6, 1e-6], dtype=torch.float64)).independent(
        1e-9 * residual
    )
    assert scaled == pytest.approx(Neighbours(X).independent(residual), rel=0.2)


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_residuals_that_say_nothing(value: float) -> None:
    assert Neighbours(rows(100)).independent(torch.full((100,), value, dtype=torch.float64)) == 100


@given(st.integers(2, 40), st.integers(1, 4))
def test_the_count_is_between_one_and_all(count: int, inputs: int) -> None:
    X = rows(count, inputs, seed=count)
    assert 1 <= Neighbours(X).independent(torch.cos(X.sum(1))) <= count


def test_noise_counts_row_by_row_and_a_smooth_residual_as_a_few_rows() -> None:
    X = rows(4_000)
    near = Neighbours(X)
    noise = torch.randn(4_000, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    smooth = torch.sin(3 * X[:, 0] + X[:, 1])

    def worth(residual: torch.Tensor, variance: float) -> float:
        return effective_rows(residual, near.shared(residual), variance)

    assert worth(noise, 1e3) > 3_000
    assert 25 < worth(smooth, 1e6) < 40  # as little as a network's own error
    assert 200 < worth(smooth, 1.0) < 300  # more than a network's own error
    assert worth(smooth + noise, 1e6) < worth(noise, 1e6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_residual_that_is_not_finite_counts_as_one_row_at_least(value: float) -> None:
    residual = torch.full((50,), value, dtype=torch.float64)
    assert effective_rows(residual, 0.0, 1.0) >= 1


# -- surroundings -----------------------------------------------------------------------------


def test_an_equation_that_breaks_down_beside_the_rows_is_seen() -> None:
    X = 0.95 * rows(400)
    law = Expression.parse("x*y", ["x", "y"])
    problem = Problem.split(X, X[:, 0] * X[:, 1], ["x", "y"], oracle=lambda x: x[:, 0] * x[:, 1])
    around = Surroundings(problem)
    assert around.allow(law)
    assert not around.allow(Expression.parse("sqrt(1 - x**2)*y", ["x", "y"]))


def test_where_the_block_itself_breaks_down_nothing_is_held_against_an_equation() -> None:
    X = 0.95 * rows(400)
    law = Expression.parse("sqrt(1 - x**2)*y", ["x", "y"])

    def oracle(x: torch.Tensor) -> torch.Tensor:
        return torch.sqrt(1 - x[:, 0] ** 2) * x[:, 1]

    assert Surroundings(Problem.split(X, oracle(X), ["x", "y"], oracle=oracle)).allow(law)
    assert Surroundings(Problem.split(X, oracle(X), ["x", "y"])).allow(law)


def test_an_oracle_that_refuses_points_is_no_evidence() -> None:
    def refuses(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("only recorded rows")

    X = rows(50)
    problem = Problem.split(X, X[:, 0], ["x", "y"], oracle=refuses)
    assert Surroundings(problem).allow(Expression.parse("log(x)", ["x", "y"]))


# -- the rule ---------------------------------------------------------------------------------


def test_the_law_is_not_outbid_by_what_follows_the_networks_error() -> None:
    # The figures of a network that learned the law: three decades, then a factor of three.
    front = [candidate("x*y", 0.6), candidate(LAW, 6e-4), candidate(WILD, 2e-4)]
    assert front[shortest_description(front, 1e-300)].equation == str(Expression.parse(LAW))


def test_with_independent_noise_a_small_true_term_is_kept() -> None:
    short, long = candidate("2*x", 1.05, rows=5_000), candidate("2*x + 0.3*y", 1.0, rows=5_000)
    assert shortest_description([short, long], 1e-300) == 1


def test_without_evidence_a_term_of_chance_is_dropped() -> None:
    short, long = candidate("2*x", 1.0005, rows=5_000), candidate("2*x + 0.01*y", 1.0, rows=5_000)
    assert shortest_description([short, long], 1e-300) == 0


def test_what_is_not_finite_beside_the_rows_needs_more_evidence() -> None:
    short = candidate("x", 1.0)
    for rows_, expected in ((40.0, 0), (400.0, 1)):
        longer = candidate("log(x) + x", 0.6, rows=rows_, finite=False)
        assert shortest_description([short, longer], 1e-300) == expected
        assert shortest_description([short, candidate("log(x) + x", 0.6, rows=rows_)], 1e-300) == 1


def test_losses_below_the_floor_are_equal() -> None:
    exact, longer = candidate("x*y", 1e-20, rows=9e9), candidate("x*y + 1e-13", 1e-30, rows=9e9)
    assert shortest_description([exact, longer], 1e-18) == 0


def test_losses_beyond_a_floats_range_of_ratios_are_compared() -> None:
    front = Front((candidate("x", 1e300), candidate("x*y", 1e-300)), ("x", "y"))
    assert front.get_best().equation == "x*y"
    assert front.scores[1] == pytest.approx(600 * math.log(10) / 2)


@given(st.lists(st.floats(1e-12, 1e3), min_size=1, max_size=8), st.floats(1.0, 1e6))
def test_a_choice_is_always_made_and_scale_does_not_matter(
    losses: list[float], scale: float
) -> None:
    falling = sorted(losses, reverse=True)
    fronts = [
        [candidate(" + ".join(["x"] * (i + 1)), loss * s) for i, loss in enumerate(falling)]
        for s in (1.0, scale)
    ]
    one, other = (shortest_description(front, 1e-300) for front in fronts)
    assert one == other


def test_a_front_carries_its_evidence_through_json() -> None:
    X = rows(300)
    problem = Problem.split(X, X[:, 0] * X[:, 1] + 0.1 * torch.sin(9 * X[:, 0]), ["x", "y"])
    options = SearchOptions(unary_operators=["sin"])
    texts = ("x", "x*y", "x*y + 0.1*sin(9*x)")
    judge = Judge(problem, options, options.complexity_rule(problem.names))
    front = judge.weighed(judge.front(judge.scores(map(Expression.parse, texts))))
    assert all(row.evidence.effective_rows > 1 for row in front)
    again = Front.from_json(front.to_json())
    assert again == front
    assert again.get_best().equation == "x*y + 0.1*sin(9*x)"


def test_an_approximation_is_within_reach_of_the_best_one() -> None:
    losses = [1.0, 0.6, 0.43, 0.415, 0.41]
    assert nearly_best(losses, 1.0, 400) == [2, 3, 4]
    # A lowest loss that is chance keeps nothing out.
    assert nearly_best([1.0, 0.95], 1.0, 100) == [0, 1]
    # The law beside an equation that follows a network's own error stays.
    assert nearly_best([1.0, 1e-4, 1e-5], 1.0, 100) == [1, 2]
    texts = {"x": 0.6, "x + x": 0.43, "x + x + x": 0.41}
    few = [candidate(text, loss, rows=2.0) for text, loss in texts.items()]
    front = Front(tuple(few), ("x",), variance=1.0, held_out=400)
    assert front.get_best() == few[1]
