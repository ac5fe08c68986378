"""One population of Operon's trees: the C++ objects, and what a generation leaves."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyoperon

from ....symbolic.complexity import ComplexityRule
from ....symbolic.nodes import Node
from ...limits import keeps_constraints
from ...options import SearchOptions
from .scaling import ScaledTable
from .trees import arities, scaled_column, to_tree

POPULATION_SIZE = 400

BestOfLength = dict[int, tuple[float, Node]]
"""The best tree of each length: error and tree over scaled columns."""

_LOCAL_STEPS = 5
"""Of Levenberg-Marquardt on each new tree."""

_LENGTH_SHARE = 0.75
"""Operon counts a variable with its factor as one node, this package as three: a tree of the full
length would almost never come out small enough."""

_DEPTH = 10
_FIRST_LENGTH = 10
"""Longest tree to start from."""

_TOURNAMENT = 5
_MUTATED = 0.25
_CROSSOVER_INSIDE = 0.9
"""Share of crossovers that swap inner nodes, not leaves."""

WORST = 1e10
"""Error of trees that break a constraint."""

_UNLIMITED = 2**62


class Population:
    """One population under evolution, a generation at a time.

    The C++ objects point at each other without keeping each other alive; they all have to
    live as long as this one.
    """

    def __init__(
        self, scaled: ScaledTable, options: SearchOptions, rule: ComplexityRule, seed: int
    ) -> None:
        data = pyoperon.Dataset(scaled.table)
        *inputs, target = sorted(data.Variables, key=lambda variable: variable.Index)
        hashes = {name: variable.Hash for name, variable in zip(scaled.names, inputs, strict=True)}
        self.columns = {
            hashes[name]: scaled_column(name, 1.0 / scaled.x_scales[name]) for name in scaled.names
        }
        problem = pyoperon.Problem(data)
        problem.TrainingRange = pyoperon.Range(0, data.Rows)
        problem.TestRange = pyoperon.Range(data.Rows - 1, data.Rows)
        problem.Target = target
        problem.InputHashes = list(hashes.values())
        primitives = _primitives(problem, options)
        length = max(3, round(_LENGTH_SHARE * options.maxsize))
        depth = options.maxdepth or _DEPTH
        creator = pyoperon.BalancedTreeCreator(primitives, problem.InputHashes, 0.0)
        constants = pyoperon.NormalCoefficientInitializer()
        constants.ParameterizeDistribution(0, 1)
        trees = pyoperon.UniformLengthTreeInitializer(creator)
        trees.ParameterizeDistribution(1, min(_FIRST_LENGTH, length))
        trees.MinDepth, trees.MaxDepth = 1, depth
        dispatch = pyoperon.DispatchTable()
        evaluator, objectives = _evaluator(problem, dispatch, hashes, options, rule)
        compare = pyoperon.CrowdedComparison()
        selectors = [pyoperon.TournamentSelector(compare) for _ in range(2)]
        for selector in selectors:
            selector.TournamentSize = _TOURNAMENT
        crossover = pyoperon.SubtreeCrossover(_CROSSOVER_INSIDE, depth, length)
        mutation, parts = _mutation(primitives, problem, creator, constants, depth, length)
        steps = pyoperon.LMOptimizer(dispatch, problem, _LOCAL_STEPS, 0)
        local = pyoperon.CoefficientOptimizer(steps)
        offspring = pyoperon.BasicOffspringGenerator(
            evaluator, crossover, mutation, *selectors, local
        )
        reinserter, sorter = pyoperon.KeepBestReinserter(compare), pyoperon.RankSorter()
        config = _config(options.population_size or POPULATION_SIZE, seed)
        self._algorithm = pyoperon.NSGA2Algorithm(
            config, problem, trees, constants, offspring, reinserter, sorter
        )
        self._random = pyoperon.RandomGenerator(seed)
        self._keeps = partial(keeps_constraints, options=options, rule=rule)
        self._started = False
        self._alive = (
            data, problem, primitives, creator, constants, trees, dispatch, objectives,
            evaluator, compare, selectors, crossover, mutation, parts, steps, local, offspring,
            reinserter, sorter, config,
        )  # fmt: skip

    def step(self, best_of_length: BestOfLength) -> None:
        """Evolve one generation and put the best tree of each length into the dictionary."""
        # A run of one generation, warm-started, is exactly one more generation; it
        # returns to Python in between, for the clock, the progress and Ctrl-C.
        self._algorithm.Run(self._random, None, 1, self._started)
        self._algorithm.IsFitted = self._started = True
        for individual in self._algorithm.BestFront:
            tree = individual.Genotype
            error = individual.GetFitness(0)
            if error < best_of_length.get(tree.Length, (WORST, None))[0]:
                root = to_tree(tree.Nodes, self.columns)
                if self._keeps(root):
                    best_of_length[tree.Length] = error, root


_COUNTING = frozenset(
    {"complexity_of_operators", "complexity_of_constants", "complexity_of_variables"}
)


def _config(size: int, seed: int) -> Any:
    """One generation at a time, without limits of its own: the budget is kept outside."""
    return pyoperon.GeneticAlgorithmConfig(
        generations=1,
        max_evaluations=_UNLIMITED,
        local_iterations=_LOCAL_STEPS,
        population_size=size,
        pool_size=size,
        p_crossover=1.0,
        p_mutation=_MUTATED,
        p_local=1.0,
        p_lamarck=1.0,
        epsilon=0.0,
        seed=seed,
        max_time=_UNLIMITED,
    )


def _evaluator(
    problem: Any,
    dispatch: Any,
    hashes: Mapping[str, int],
    options: SearchOptions,
    rule: ComplexityRule,
) -> tuple[Any, list[Any]]:
    """What judges a tree, and its parts."""
    error = pyoperon.Evaluator(problem, dispatch, pyoperon.MSE(), True)
    objectives = _objectives(problem, error, hashes, options, rule)
    evaluator = pyoperon.MultiEvaluator(problem)
    for objective in objectives:
        objective.Budget = _UNLIMITED
        evaluator.Add(objective)
    evaluator.Budget = error.Budget = _UNLIMITED
    return evaluator, [error, *objectives]


def _objectives(
    problem: Any,
    error: Any,
    hashes: Mapping[str, int],
    options: SearchOptions,
    rule: ComplexityRule,
) -> list[Any]:
    """Error and size; counted and constrained in Python only where the options ask for it."""
    columns = {key: scaled_column(name, 1.0) for name, key in hashes.items()}

    # These capture no population: C++ holds them where the garbage collector cannot see.
    def bare(individual: Any) -> Node:
        # Without factors, so as small as rounding could make it.
        return to_tree(individual.Genotype.Nodes, columns, weights=False)

    def count(_: Any, individual: Any) -> list[float]:
        return [float(rule.of(bare(individual)))]

    def judge(random: Any, individual: Any) -> list[float]:
        if not keeps_constraints(bare(individual), options, rule):
            return [WORST]
        return list(error(random, individual))

    size = pyoperon.LengthEvaluator(problem)
    if options.changed() & _COUNTING:
        size = pyoperon.UserDefinedEvaluator(problem, count)
    if options.constraints or options.nested_constraints:
        return [pyoperon.UserDefinedEvaluator(problem, judge), size]
    return [error, size]


def _primitives(problem: Any, options: SearchOptions) -> Any:
    allowed = arities([*options.binary, *options.unary])
    kinds = [*allowed, pyoperon.NodeType.Constant, pyoperon.NodeType.Variable]
    problem.ConfigurePrimitiveSet(sum(int(kind) for kind in kinds))
    primitives = problem.PrimitiveSet
    for kind, (least, most) in allowed.items():
        primitives.SetMinMaxArity(pyoperon.Node(kind), least, most)
    return primitives


def _mutation(
    primitives: Any, problem: Any, creator: Any, constants: Any, depth: int, length: int
) -> tuple[Any, list[Any]]:
    one, many = pyoperon.NormalOnePointMutation(), pyoperon.NormalMultiPointMutation()
    one.ParameterizeDistribution(0, 1)
    many.ParameterizeDistribution(0, 1)
    parts = [
        one,
        many,
        pyoperon.ChangeVariableMutation(problem.InputHashes),
        pyoperon.ChangeFunctionMutation(primitives),
        pyoperon.InsertSubtreeMutation(creator, constants, depth, length),
        pyoperon.ReplaceSubtreeMutation(creator, constants, depth, length),
        pyoperon.RemoveSubtreeMutation(primitives),
    ]
    mutation = pyoperon.MultiMutation()
    for part in parts:
        mutation.Add(part, 1.0)
    return mutation, parts
