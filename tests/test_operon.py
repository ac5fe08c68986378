"""The operon engine: exact translation, laws recovered, budgets kept, same seed same front."""

from __future__ import annotations

import math

import numpy as np
import pyoperon
import pytest
import torch
from helpers import keeps_to

from symtorch.errors import InputError
from symtorch.search import Budget, Problem, Progress, SearchOptions, SearchRun, search
from symtorch.search.engines.operon import engine as engine_module
from symtorch.search.engines.operon.engine import OperonEngine
from symtorch.search.engines.operon.trees import NODE_TYPES, arities, to_tree
from symtorch.symbolic.complexity import ComplexityRule
from symtorch.symbolic.expression import Expression
from symtorch.symbolic.nodes import Variable
from symtorch.symbolic.operators import OPERATORS

SHORT = {"niterations": 12, "populations": 1}
PATIENT = SearchOptions(timeout_in_seconds=900)
"""The default work, and more time than it takes on any machine."""


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def table(rows: int, columns: int, seed: int, low: float = -2.0, high: float = 2.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    unit = torch.rand(rows, columns, generator=generator, dtype=torch.float64)
    return low + (high - low) * unit


def noisy_law(seed: int, noise: float = 0.05) -> Problem:
    X = table(800, 5, seed)
    y = X[:, 0] ** 2 + 3 * torch.sin(X[:, 4]) - 4
    generator = torch.Generator().manual_seed(seed + 100)
    y = y + noise * y.std() * torch.randn(len(y), generator=generator, dtype=torch.float64)
    return Problem.split(X, y, random_state=seed)


def assert_is(found: Expression, law: str, X: torch.Tensor, names: list[str], rtol: float) -> None:
    columns = {name: X[:, i] for i, name in enumerate(names)}
    expected = Expression.parse(law)(columns)
    error = (found(columns) - expected).square().mean() / expected.var()
    assert float(error) < rtol**2, found.pretty()


# -- translation ------------------------------------------------------------------------------


def operon_dataset(X: np.ndarray):
    data = pyoperon.Dataset(np.asfortranarray(X))
    return data, sorted(data.Variables, key=lambda variable: variable.Index)


def random_trees(names: list[str], count: int, seed: int):
    X = np.random.default_rng(seed).uniform(0.2, 0.9, (50, 3)).astype(np.float32).astype(float)
    data, variables = operon_dataset(X)
    problem = pyoperon.Problem(data)
    kinds = arities(OPERATORS[name] for name in names)
    leaves = [pyoperon.NodeType.Constant, pyoperon.NodeType.Variable]
    problem.ConfigurePrimitiveSet(sum(int(kind) for kind in [*kinds, *leaves]))
    primitives = problem.PrimitiveSet
    for kind, (least, most) in kinds.items():
        primitives.SetMinMaxArity(pyoperon.Node(kind), least, most)
    hashes = [variable.Hash for variable in variables]
    creator = pyoperon.BalancedTreeCreator(primitives, hashes, 0.0)
    constants = pyoperon.NormalCoefficientInitializer()
    constants.ParameterizeDistribution(0, 1)
    random = pyoperon.RandomGenerator(seed)
    columns = {key: Variable(f"x{i}") for i, key in enumerate(hashes)}
    arrays = {f"x{i}": X[:, i] for i in range(3)}
    for number in range(count):
        tree = creator(random, 1 + number % 15, 1, 8)
        constants(random, tree)
        ours = Expression(to_tree(tree.Nodes, columns))
        yield tree, ours, pyoperon.Evaluate(tree, data, pyoperon.Range(0, 50)), ours(arrays)


@pytest.mark.parametrize(
    "names",
    [
        ["+", "-", "neg", "*", "/", "inv"],
        ["+", "*", "sin", "cos", "square", "atan", "tanh", "abs"],
        ["-", "*", "max", "min", "cbrt", "exp", "sinh", "cosh"],
        ["+", "/", "log", "sqrt", "log1p", "asin", "acos", "^", "tan"],
    ],
)
def test_random_trees_evaluate_as_in_operons_own_interpreter(names):
    compared = 0
    for _, ours, theirs, value in random_trees(names, 150, seed=3):
        # Operon computes in float32; where a tree multiplies its rounding errors, the
        # comparison says nothing.
        exact = np.isfinite(theirs) & np.isfinite(value) & (np.abs(value) < 1e3)
        scale = np.abs(value[exact]).max(initial=1e-3)
        close = np.abs(theirs[exact] - value[exact]) <= 2e-5 * scale
        assert close.mean() > 0.9 if close.size else True, str(ours)
        compared += close.sum()
    assert compared > 2000


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_each_operator_evaluates_as_operons_node(name):
    X = np.random.default_rng(0).uniform(0.1, 0.9, (20, 2)).astype(np.float32).astype(float)
    data, variables = operon_dataset(X)
    kind, arity, _ = NODE_TYPES[name]
    leaves = []
    for variable, weight in zip(variables[:arity], (0.5, 1.5), strict=False):
        leaf = pyoperon.Node(pyoperon.NodeType.Variable, variable.Hash)
        leaf.Value = weight
        leaves.append(leaf)
    call = pyoperon.Node(kind)
    call.Arity = arity
    tree = pyoperon.Tree([*leaves, call]).UpdateNodes()
    columns = {variable.Hash: Variable(f"x{i}") for i, variable in enumerate(variables)}
    ours = Expression(to_tree(tree.Nodes, columns))({"x0": X[:, 0], "x1": X[:, 1]})
    # Operon's float32 functions are good to a few units in the last place.
    np.testing.assert_allclose(
        pyoperon.Evaluate(tree, data, pyoperon.Range(0, 20)), ours, rtol=1e-6, atol=1e-7
    )


def test_operons_nodes_with_three_arguments_are_chains():
    X = np.random.default_rng(0).uniform(0.1, 0.9, (20, 3)).astype(np.float32).astype(float)
    data, variables = operon_dataset(X)
    columns = {variable.Hash: Variable(f"x{i}") for i, variable in enumerate(variables)}
    leaves = [pyoperon.Node(pyoperon.NodeType.Variable, v.Hash) for v in variables]
    for leaf in leaves:
        leaf.Value = 1.0
    for kind in ("Add", "Sub", "Mul", "Div"):
        call = pyoperon.Node(getattr(pyoperon.NodeType, kind))
        call.Arity = 3
        tree = pyoperon.Tree([*leaves, call]).UpdateNodes()
        ours = Expression(to_tree(tree.Nodes, columns))({f"x{i}": X[:, i] for i in range(3)})
        theirs = pyoperon.Evaluate(tree, data, pyoperon.Range(0, 20))
        np.testing.assert_allclose(theirs, ours, rtol=2e-6)


def test_functions_with_a_factor_are_refused():
    call = pyoperon.Node(pyoperon.NodeType.Sin)
    call.Value = 2.0
    with pytest.raises(InputError, match="has a factor 2"):
        to_tree([pyoperon.Node.Constant(1.0), call], {})


def test_protected_nodes_are_refused():
    with pytest.raises(InputError, match="no row in the operator table"):
        to_tree([pyoperon.Node.Constant(1.0), pyoperon.Node.Constant(2.0), pyoperon.Node.Aq()], {})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"unary_operators": ["sigmoid", "sin"]}, "has no 'sigmoid'.*engine='pysr'.*'?sin"),
        ({"unary_operators": ["f(x) = exp(-x^2)"]}, "has no 'f'"),
        ({"binary_operators": ["+"], "unary_operators": ["cube"]}, "'cube' needs '\\*' as well"),
    ],
)
def test_operators_that_operon_lacks_are_named(params, message):
    problem = noisy_law(0)
    with pytest.raises(InputError, match=message):
        search(problem, SearchOptions.from_params(params), engine="operon")


def test_options_it_cannot_follow_are_refused():
    with pytest.raises(InputError, match=r"'operon' cannot honour 'batching'.*pysr"):
        search(noisy_law(0), SearchOptions(batching=True), engine="operon")


def test_parsimony_which_people_bring_with_them_is_taken_with_a_warning():
    options = SearchOptions(parsimony=0.1, niterations=1, populations=1)
    with pytest.warns(UserWarning, match="engine 'operon' ignores 'parsimony'"):
        search(noisy_law(0), options, engine="operon")


# -- laws -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1])
def test_noisy_law_is_found_with_default_options(seed):
    front = search(noisy_law(seed), PATIENT, engine="operon", random_state=seed)
    best = front.get_best()
    assert best.complexity <= 11, str(front)
    names = [f"x{i}" for i in range(5)]
    assert_is(best.expression, "x0**2 + 3*sin(x4) - 4", table(500, 5, 77), names, rtol=0.03)


LAWS = {
    "spring": ("2*(1 - 1/r)*dx", ["dx", "dy", "r"], 0.3, 2.0),
    "lorenz": ("x*(28 - z) - y", ["x", "y", "z"], -10.0, 40.0),
    "heat": ("exp(-1.97*t)*sin(pi*x)", ["t", "x"], 0.0, 1.0),
}


@pytest.mark.parametrize("name", LAWS)
def test_exact_law_is_found_with_default_options(name):
    law, names, low, high = LAWS[name]
    X = table(500, len(names), 1, low, high)
    y = Expression.parse(law)({column: X[:, i] for i, column in enumerate(names)})
    front = search(Problem.split(X, y, names), PATIENT, engine="operon")
    best = front.get_best()
    assert best.validation_loss <= 1e-20 * float(y.var()), str(front)
    assert best.complexity <= 11


@pytest.mark.parametrize(("x_scale", "y_scale"), [(1e30, 1e-30), (1e-30, 1e30), (1.0, 1e30)])
def test_scales_do_not_matter(x_scale, y_scale):
    X = table(300, 2, 0)
    y = (2.5 * X[:, 0] * X[:, 1] - 1) * y_scale
    options = SearchOptions(**SHORT)
    best = search(Problem.split(X * x_scale, y), options, engine="operon").get_best()
    assert best.validation_loss <= 1e-20 * y_scale**2
    assert best.complexity == 7


def test_translated_form_is_simplified_and_rounded():
    X = table(200, 3, 0)
    front = search(Problem.split(X, X[:, 0] + X[:, 1]), SearchOptions(**SHORT), engine="operon")
    assert str(front[-1].expression) in ("x0 + x1", "x1 + x0")
    assert front[-1].complexity == 3


def test_cube_is_written_as_cube():
    X = table(200, 1, 0)
    params = {"binary_operators": ["+", "*"], "unary_operators": ["cube"], **SHORT}
    front = search(
        Problem.split(X, X[:, 0] ** 3 + 1), SearchOptions.from_params(params), engine="operon"
    )
    assert str(front.get_best().expression) == "cube(x0) + 1"


def test_weights_decide_which_rows_count():
    X = table(600, 1, 0)
    wrong = torch.arange(600) % 3 == 0
    y = torch.where(wrong, 5 * X[:, 0], X[:, 0] ** 2)
    problem = Problem.split(X, y, weights=(~wrong).double())
    best = search(problem, SearchOptions(**SHORT), engine="operon").get_best()
    assert str(best.expression) in ("square(x0)", "x0*x0")


def test_seeds_are_candidates():
    law = Expression.parse("x0/(1 + exp(x1*1.7))")
    X = table(300, 2, 0)
    problem = Problem.split(X, law({"x0": X[:, 0], "x1": X[:, 1]}))
    start = Expression.parse("0.9*x0/(1 + exp(x1*1.5))")
    run = SearchRun(0, Budget(900), seeds=[start])
    options = SearchOptions(niterations=1, populations=1, population_size=20)
    found = OperonEngine().search(problem, options, run)
    losses = [problem.train.loss(problem.predict(e, problem.train)) for e in found]
    assert min(losses) < 1e-20


# -- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits",
    [
        {"constraints": {"sin": 1}},
        {"nested_constraints": {"sin": {"sin": 0, "cos": 0}}},
        {"complexity_of_operators": {"sin": 3}},
        {"complexity_of_variables": (1, 1, 1, 1, 4)},
    ],
)
def test_limits_are_followed_during_evolution(limits):
    front = search(noisy_law(0), SearchOptions(**SHORT, **limits), engine="operon")
    law = Expression.parse("x0**2 + 3*sin(x4) - 4")
    X = table(500, 5, 9)
    columns = {f"x{i}": X[:, i] for i in range(5)}
    best = front.get_best().expression(columns)
    assert float((best - law(columns)).square().mean()) < 0.01


@pytest.mark.parametrize("maxsize", [1, 3, 7])
def test_maxsize_is_kept(maxsize):
    front = search(noisy_law(0), SearchOptions(maxsize=maxsize, **SHORT), engine="operon")
    assert max(front.complexities) <= maxsize


@pytest.mark.parametrize("seconds", [1.0, 3.0, 6.0])
def test_timeout_is_kept_within_a_tenth(seconds):
    problem = noisy_law(0)
    options = SearchOptions(timeout_in_seconds=seconds, niterations=10_000)
    assert keeps_to(seconds, lambda: search(problem, options, engine="operon"))


def test_same_seed_gives_the_same_front_and_another_seed_other_candidates():
    options = SearchOptions(niterations=6, populations=2, population_size=200)
    problem = noisy_law(0)
    first, again, other = (
        OperonEngine().search(problem, options, SearchRun(seed, Budget(60))) for seed in (0, 0, 1)
    )
    assert [*first] == [*again]
    assert [*first] != [*other]


def test_global_random_state_is_left_alone():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    search(noisy_law(0), SearchOptions(niterations=2, populations=1), engine="operon")
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()  # noqa: NPY002


def test_progress_rises_and_reports_a_falling_loss():
    seen: list[Progress] = []
    search(noisy_law(0), SearchOptions(**SHORT), engine="operon", progress=seen.append)
    fractions = [report.fraction for report in seen]
    assert fractions == sorted(fractions)
    assert 0 < fractions[0] < fractions[-1] <= 1
    assert all(math.isfinite(report.best_loss) for report in seen)


@pytest.mark.parametrize("at", ["generation 8", "fitting constants"])
def test_interrupt_returns_what_was_found(at):
    def interrupt(report: Progress) -> None:
        if at in report.message:
            raise KeyboardInterrupt

    front = search(noisy_law(0), SearchOptions(**SHORT), engine="operon", progress=interrupt)
    assert len(front) > 2


def test_many_rows_are_searched_on_few_and_fitted_on_all():
    X = table(20_000, 2, 0)
    y = 1.2345678 * X[:, 0] + X[:, 1] ** 2
    front = search(Problem.split(X, y), SearchOptions(**SHORT), engine="operon")
    assert front.get_best().validation_loss < 1e-20
    assert engine_module.ROWS < 15_000


def test_rule_counts_as_the_options_say():
    options = SearchOptions(complexity_of_operators={"sin": 3}, **SHORT)
    front = search(noisy_law(0), options, engine="operon")
    rule = ComplexityRule(operators={"sin": 3})
    assert [rule.of(row.expression) for row in front] == front.complexities
