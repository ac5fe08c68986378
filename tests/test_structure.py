"""Structure hints: what they say about known laws and trained networks, and what they keep to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from helpers import fitted, keeps_to
from torch import nn

from symtorch.search import Budget, Problem, Progress, SearchOptions, SearchRun
from symtorch.search.engines.sparse import SparseEngine
from symtorch.search.engines.sparse.structure.gradients import Derivatives, defect
from symtorch.search.engines.sparse.structure.hints import search_with_hints
from symtorch.search.engines.sparse.structure.proposals import proposals
from symtorch.search.engines.sparse.structure.screening import relevant_inputs
from symtorch.search.engines.sparse.structure.separability import separated
from symtorch.search.engines.sparse.structure.variants import Restricted, Variant
from symtorch.search.limits import within_limits
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression

OPTIONS = SearchOptions()
SECONDS = 900.0  # never reached: niterations bounds the work
Ranges = dict[str, tuple[float, float]]


def problem_of(
    law: str,
    ranges: Ranges,
    *,
    rows: int = 400,
    error: float = 1e-3,
    idle: int = 0,
    ask: bool = True,
) -> Problem:
    """A law with a smooth error, a share of its spread, as networks have, and an oracle."""
    rng = np.random.default_rng(0)
    low, high = np.array([*ranges.values()]).T
    table = rng.uniform(low, high, (rows, len(ranges)))
    X = torch.tensor(np.hstack([table, rng.standard_normal((rows, idle))]))
    names = [*ranges, *(f"idle{i}" for i in range(idle))]
    expression = Expression.parse(law)

    def exact(x: torch.Tensor) -> torch.Tensor:
        return expression({name: x[:, i] for i, name in enumerate(ranges)})

    spread = float(exact(X).std())

    def oracle(x: torch.Tensor) -> torch.Tensor:
        wave = torch.sin(3 * x[:, : len(ranges)] + torch.arange(len(ranges))).sum(1)
        return exact(x) + error * spread * wave

    return Problem.split(X, oracle(X), names, oracle=oracle if ask else None)


UNIT, SIGNED = (0.5, 2.5), (-2.0, 2.0)


# ------------------------------------------------------------------ which inputs matter


SCREENED: dict[str, tuple[str, Ranges]] = {
    "a weak term": ("x*(28 - z) - y", {"x": (-20, 20), "y": (-25, 25), "z": (0, 45)}),
    "no main effect": ("a*b*sin(c)", {"a": SIGNED, "b": SIGNED, "c": SIGNED}),
    "even": ("a**2 + 3*cos(b)", {"a": SIGNED, "b": SIGNED}),
    "decades": ("a*b**3/c", {"a": (1e-9, 1e-7), "b": (1e3, 1e5), "c": UNIT}),
}


@pytest.mark.parametrize("ask", [True, False], ids=["network", "samples"])
@pytest.mark.parametrize("name", SCREENED)
def test_inputs_that_matter_are_kept_and_no_others(name: str, ask: bool) -> None:
    law, ranges = SCREENED[name]
    problem = problem_of(law, ranges, rows=1_000, idle=20, ask=ask, error=0.0)
    assert relevant_inputs(problem, OPTIONS) == [*range(len(ranges))]


def test_noise_does_not_make_inputs_matter() -> None:
    noisy = problem_of("a*b", {"a": SIGNED, "b": SIGNED}, rows=1_000, idle=30, ask=False)
    rng = torch.Generator().manual_seed(0)
    y = noisy.train.y + 0.3 * torch.randn(len(noisy.train), generator=rng, dtype=torch.float64)
    assert relevant_inputs(Problem.split(noisy.train.X, y), OPTIONS) == [0, 1]


def test_without_an_oracle_few_inputs_are_all_searched() -> None:
    problem = problem_of("a*b", {"a": SIGNED, "b": SIGNED}, idle=4, ask=False)
    assert relevant_inputs(problem, OPTIONS) == [*range(6)]


@pytest.mark.parametrize("ask", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_exactly_as_many_inputs_as_asked_for(count: int, ask: bool) -> None:
    problem = problem_of("10*a + b", {"a": SIGNED, "b": SIGNED}, idle=2, ask=ask)
    kept = relevant_inputs(problem, SearchOptions(select_k_features=count))
    assert len(kept) == count
    assert kept[: min(count, 2)] == [0, 1][:count]


def test_scale_of_inputs_and_outputs_does_not_matter() -> None:
    problem = problem_of("a*b", {"a": SIGNED, "b": SIGNED}, idle=8, ask=False)
    scales = torch.logspace(-20, 20, 10, dtype=torch.float64)
    scaled = Problem.split(problem.train.X * scales, problem.train.y * 1e-25)
    assert relevant_inputs(scaled, OPTIONS) == [0, 1]


def test_a_restricted_oracle_holds_the_other_inputs_and_has_gradients() -> None:
    some = Restricted(lambda x: x[:, 0] * x[:, 1] + x[:, 2], (2, 0), torch.tensor([9.0, 3.0, 9.0]))
    points = torch.tensor([[1.0, 2.0], [5.0, 4.0]], requires_grad=True)
    some(points).sum().backward()
    assert some(points).tolist() == [7.0, 17.0]
    assert points.grad is not None
    assert points.grad.tolist() == [[1.0, 3.0], [1.0, 3.0]]


# ------------------------------------------------------------------ proposals


PROPOSED: dict[str, tuple[str, Ranges, list[str], list[str]]] = {
    "difference": ("sin(a - b)*c + d**2", dict.fromkeys("abcd", UNIT), ["c", "d", "u0"], ["a - b"]),
    "sum": ("log(a + b)*sin(c)", dict.fromkeys("abc", UNIT), ["c", "u0"], ["a + b"]),
    "product": ("1/(1 + a*b)", dict.fromkeys("ab", UNIT), ["u0"], ["a*b"]),
    "ratio": ("sin(a/b) + c**2", dict.fromkeys("abc", UNIT), ["c", "u0"], ["a/b"]),
    "radius": (
        "cos(sqrt(a**2 + b**2)) + c**2",
        dict.fromkeys("abc", UNIT),
        ["c", "u0"],
        ["square(a) + square(b)"],
    ),
    "factor": (
        "a*log(b)/(1 + c)",
        {"a": SIGNED, "b": UNIT, "c": UNIT},
        ["b", "c"],
        ["output / (a)"],
    ),
    "factors": (
        "m*n*a/(a**2 + b**2 + 0.1)**1.5",
        {"m": UNIT, "n": UNIT, "a": SIGNED, "b": SIGNED},
        ["u0"],
        ["(m)", "(n)", "(a)", "square(a) + square(b)"],
    ),
    "behind a factor": ("exp(-a**2/b**2)/b", {"a": SIGNED, "b": UNIT}, ["u0"], ["a/b"]),
}


@pytest.mark.parametrize("name", PROPOSED)
def test_gradients_propose_the_right_variables(name: str) -> None:
    law, ranges, left, told = PROPOSED[name]
    smallest = proposals(Variant.of(problem_of(law, ranges), OPTIONS))[0]
    assert [*smallest.problem.names] == left, smallest.story
    for form in told:
        assert form in smallest.story


@pytest.mark.parametrize("name", PROPOSED)
def test_a_proposal_says_the_same_as_the_problem(name: str) -> None:
    law, ranges, _, _ = PROPOSED[name]
    problem = problem_of(law, ranges)
    for variant in proposals(Variant.of(problem, OPTIONS)):
        # Any equation at all must have the same loss before and after the way back.
        some = Expression.parse(f"0.7*{variant.problem.names[-1]} + 0.2", variant.problem.names)
        full = variant.back(some)
        inner, outer = variant.problem.train, problem.train
        total = float(inner.weights.sum())
        if total and len(inner) == len(outer):
            expected = outer.loss(problem.predict(full, outer)) * float(outer.weights.sum())
            found = inner.loss(variant.problem.predict(some, inner)) * total
            assert found == pytest.approx(expected, rel=1e-6)
        assert set(full.variables) <= set(ranges)


@pytest.mark.parametrize(
    ("law", "ranges"),
    [
        ("sin(a)*exp(b)", {"a": SIGNED, "b": UNIT}),
        ("a*b + sin(a + 2*b)", {"a": SIGNED, "b": SIGNED}),
    ],
)
def test_nothing_is_proposed_where_nothing_holds(law: str, ranges: Ranges) -> None:
    assert proposals(Variant.of(problem_of(law, ranges), OPTIONS)) == []


def test_new_columns_cost_what_they_stand_for_and_take_a_free_name() -> None:
    options = SearchOptions(complexity_of_variables=(2, 3, 5))
    problem = problem_of("sin(u0 - b) + log(c)*u0*0 + c**3", {"u0": UNIT, "b": UNIT, "c": UNIT})
    variant = Variant.of(problem, options).combined(0, 1, lambda X: X[:, 0] - X[:, 1], "u0 - b")
    assert variant.problem.names == ("c", "u1")
    assert variant.options.complexity_of_variables == (5, 6)
    assert str(variant.back(Expression.parse("sin(u1) + c"))) == "sin(u0 - b) + c"


def test_operators_that_are_not_asked_for_are_not_proposed() -> None:
    problem = problem_of("sin(a/b) + c**2", dict.fromkeys("abc", UNIT))
    options = SearchOptions(binary_operators=("+", "-", "*"), unary_operators=("sin",))
    found = search_with_hints(lambda p, o, r: [], problem, options, run(5))
    assert found == []
    variants = proposals(Variant.of(problem, options))
    assert all("/" not in variant.story for variant in variants)


# ------------------------------------------------------------------ pieces


@pytest.mark.parametrize(
    ("law", "operator", "groups"),
    [
        ("a**2 + 3*sin(b) - 4", "+", [("a",), ("b",)]),
        ("exp(-a)*sin(b)", "*", [("a",), ("b",)]),
        ("a*b + log(c)", "+", [("a", "b"), ("c",)]),
        ("sin(a + c)*(1 + b**2)", "*", [("a", "c"), ("b",)]),
    ],
)
def test_sums_and_products_fall_into_pieces(
    law: str, operator: str, groups: list[tuple[str, ...]]
) -> None:
    problem = problem_of(law, {n: UNIT for n in "abc" if n in {g for gs in groups for g in gs}})
    parts = separated(Variant.of(problem, OPTIONS))
    assert parts is not None
    assert parts.operator.name == operator
    assert [piece.problem.names for piece in parts.pieces] == groups
    # Put together again, the pieces are the function.
    total = torch.full_like(problem.train.y, parts.constant)
    for piece in parts.pieces:
        total = total + piece.problem.train.y if operator == "+" else total * piece.problem.train.y
    assert float((total - problem.train.y).square().mean().sqrt() / problem.train.y.std()) < 0.01


def test_what_does_not_separate_stays_whole() -> None:
    assert separated(Variant.of(problem_of("1/(1 + a*b)", {"a": UNIT, "b": UNIT}), OPTIONS)) is None


# ------------------------------------------------------------------ searches


def run(seconds: float, seed: int = 0, **more: Callable[[Progress], None]) -> SearchRun:
    return SearchRun(seed, Budget(seconds), **more)


def best(problem: Problem, found: list[Expression]) -> tuple[float, Expression]:
    """The lowest relative error on held-out rows, and the shortest equation that nearly has it."""
    sample = problem.validation
    losses = {e: sample.loss(problem.predict(e, sample)) for e in found}
    limit = 1.05 * min(losses.values()) + problem.loss_floor
    shortest = min((e for e in found if losses[e] <= limit), key=lambda e: e.complexity())
    return (losses[shortest] / float(sample.y.var())) ** 0.5, shortest


def searched(problem: Problem, **params: object) -> list[Expression]:
    options = SearchOptions.from_params(params)
    return [*SparseEngine().search(problem, options, run(SECONDS))]


@pytest.mark.parametrize(
    ("law", "ranges", "ask"),
    [
        ("a*b/(1 + c)", {"a": SIGNED, "b": SIGNED, "c": UNIT}, False),
        ("m*n*a/(a**2 + b**2 + 0.1)**1.5", PROPOSED["factors"][1], True),
    ],
)
def test_laws_among_irrelevant_inputs_are_recovered(law: str, ranges: Ranges, ask: bool) -> None:
    problem = problem_of(law, ranges, rows=600, error=0.0, idle=20, ask=ask)
    error, found = best(problem, searched(problem, niterations=8))
    assert error < 1e-9, found.pretty()
    assert found.complexity() <= 22
    assert set(found.variables) == set(ranges)


def test_a_weak_input_that_screening_missed_is_found_in_what_is_left() -> None:
    ranges: Ranges = {"a": SIGNED, "b": SIGNED, "c": SIGNED}
    problem = problem_of("100*a*b + 0.5*c", ranges, rows=600, error=0.0, idle=10, ask=False)
    error, found = best(problem, searched(problem, niterations=8))
    assert error < 1e-9, found.pretty()


def test_only_the_inputs_asked_for_are_used() -> None:
    problem = problem_of("3*a + b", {"a": SIGNED, "b": SIGNED}, idle=2, ask=False)
    found = searched(problem, niterations=3, select_k_features=1, maxsize=9)
    assert {name for e in found for name in e.variables} == {"a"}


class Distance(nn.Module):
    """A small network over two inputs, [rows, 3] -> [rows]; the third does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU())
        self.last = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.net(x))[:, 0]


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.rand(1_000, 3) * 3 - 1.5
        return fitted(Distance(), x, torch.sin(2 * (x[:, 0] - x[:, 1])), steps=1_500), x


def test_a_trained_network_gives_its_structure_away(
    network: tuple[nn.Module, torch.Tensor],
) -> None:
    block, x = network
    problem = Problem.split(
        x, block(x).detach(), ["a", "b", "c"], oracle=lambda p: block(p.float())
    )
    assert relevant_inputs(problem, OPTIONS) == [0, 1]
    variant = Variant.of(problem, OPTIONS).selected([0, 1])
    assert [p.story for p in proposals(variant)] == [" u0 = a - b;"]
    found = searched(problem, niterations=6, maxsize=12)
    _, law = best(problem, [e for e in found if e.complexity() <= 8])
    at = {"a": torch.tensor([0.3, 1.0]), "b": torch.tensor([-0.4, 0.2]), "c": torch.zeros(2)}
    torch.testing.assert_close(law(at), torch.sin(2 * (at["a"] - at["b"])), atol=0.05, rtol=0)


# ------------------------------------------------------------------ promises


def test_all_searches_together_keep_the_budget() -> None:
    problem = problem_of("sin(a - b)*c + d**2", dict.fromkeys("abcd", UNIT), idle=6)
    assert keeps_to(3.0, lambda: SparseEngine().search(problem, OPTIONS, run(3.0)), slack=0.5)


def test_equations_keep_to_the_limits_and_to_the_original_names() -> None:
    problem = problem_of("sin(a - b)*c + d**2", dict.fromkeys("abcd", UNIT))
    options = SearchOptions(constraints={"sin": 1}, maxsize=15, niterations=3)
    for e in SparseEngine().search(problem, options, run(SECONDS)):
        assert within_limits(e, options, ComplexityRule())
        assert set(e.variables) <= set("abcd")


def test_an_interrupt_ends_all_searches() -> None:
    calls = []

    def stop(report: Progress) -> None:
        calls.append(report.fraction)
        if len(calls) == 2:
            raise KeyboardInterrupt

    problem = problem_of("sin(a - b)*c + d**2", dict.fromkeys("abcd", UNIT))
    SparseEngine().search(problem, OPTIONS, run(SECONDS, progress=stop))
    assert len(calls) == 2


def test_progress_never_goes_back() -> None:
    reports: list[float] = []
    problem = problem_of("sin(a - b)*c + d**2", dict.fromkeys("abcd", UNIT))
    watched = run(3, progress=lambda report: reports.append(report.fraction))
    SparseEngine().search(problem, OPTIONS, watched)
    assert reports == sorted(reports)


def test_the_same_seed_gives_the_same_hints_and_leaves_the_generators_alone() -> None:
    problem = problem_of("a*b*sin(c)", dict.fromkeys("abc", SIGNED), idle=12, ask=False)
    state, legacy = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
    kept = relevant_inputs(problem, OPTIONS, 3)
    assert relevant_inputs(problem, OPTIONS, 3) == kept
    assert torch.equal(torch.get_rng_state(), state)
    assert str(np.random.get_state()) == legacy  # noqa: NPY002


def refuses(_: torch.Tensor) -> torch.Tensor:
    raise ValueError("not these points")


@pytest.mark.parametrize(
    "oracle",
    [
        refuses,
        lambda x: torch.full_like(x[:, 0], torch.nan),
        lambda x: x[:, 0].detach(),
        lambda x: torch.zeros_like(x[:, 0]) * x[:, 0],
    ],
    ids=["raises", "nan", "no gradient", "no slope"],
)
def test_an_oracle_that_has_no_answer_costs_only_the_hints(oracle) -> None:
    known = problem_of("a*b", {"a": SIGNED, "b": SIGNED}, error=0.0)
    problem = Problem.split(known.train.X, known.train.y, ["a", "b"], oracle=oracle)
    assert relevant_inputs(problem, OPTIONS) == [0, 1]
    error, _ = best(problem, searched(problem, niterations=6))
    assert error < 1e-9


def test_gradients_of_combined_inputs_follow_the_chain_rule() -> None:
    problem = problem_of("sin(a*b) + c", dict.fromkeys("abc", UNIT), error=0.0)
    table = Derivatives.of(problem)
    assert table is not None
    a, b, _ = table.X.unbind(1)
    combined = table.combined(0, 1, a * b, b, a)
    torch.testing.assert_close(combined.gradients[:, 1], torch.cos(a * b))
    torch.testing.assert_close(combined.gradients[:, 0], torch.ones_like(a))


def test_defect_is_small_where_a_relation_nearly_holds() -> None:
    left = torch.linspace(-1, 1, 100)
    assert defect(left, 1.01 * left) == pytest.approx(0.01 / 2**0.5, rel=0.02)
    assert defect(left, -left) > 1
