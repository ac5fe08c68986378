"""The evolutionary engine: genetic programming in C++ by Operon, through pyoperon.

NSGA-II evolves populations for error and length at once, with Levenberg-Marquardt on the
constants of every new tree (Burlacu, Kronberger, Kommenda: "Operon C++", GECCO 2020).
What the evolution finds at each length is translated exactly and then worked over in
float64 (`constants`): simplified, fitted, pruned, rounded.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyoperon
import torch

from ....symbolic.complexity import ComplexityRule
from ....symbolic.expression import Expression
from ....symbolic.nodes import Call, Constant, Node
from ....symbolic.operators import OPERATORS
from ...engine import FORM_AND_BUDGET, Budget, Progress, SearchRun
from ...limits import keeps_constraints, written_with
from ...options import SearchOptions
from ...problem import Problem, Sample
from ...refinement import refine
from .trees import arities, scaled_column, to_tree

ROWS = 1000
"""Rows that evolution looks at; the constants are fitted to all training rows at the end."""

GENERATIONS = 25
POPULATIONS = 3
POPULATION_SIZE = 400
"""Work of a search that asks for none: 8-12 s on one core."""

_LOCAL_STEPS = 5
_EVOLUTION_SHARE = 0.7
"""Share of the budget after which evolution stops and the refinement of the finds begins."""

_SHORTENING_END = 0.88
_REFINEMENT_END = 0.93
"""Shares of the budget after which the stages of refinement stop, one fit in hand."""

_GAIN = 0.95
"""A longer tree is refined where it leaves at most this share of the error of shorter ones."""

_EXACT = 1e-11
"""Share of variance left unexplained that float32, Operon's arithmetic, cannot tell from 0."""

_WORST = 1e10
_UNLIMITED = 2**62

BestOfLength = dict[int, tuple[float, Node]]
"""The best tree of each length: error and tree over scaled columns."""


class OperonEngine:
    """Genetic programming with pyoperon.

    One thread, one seed per population: a search that ends before its timeout gives the
    same equations on every run. ``niterations`` counts generations of each population.

    >>> from symtorch.search import SearchOptions, search
    >>> X = torch.rand(200, 2, dtype=torch.float64) * 4 + 1
    >>> problem = Problem.split(X, X[:, 0] / X[:, 1] + 0.5)
    >>> front = search(problem, SearchOptions(niterations=8, populations=1), engine="operon")
    >>> front.get_best().expression.pretty()
    'x0/x1 + 0.5'
    """

    name = "operon"
    honours = FORM_AND_BUDGET | {"populations", "population_size"}

    def require(self) -> None:
        """pyoperon is a dependency of this package: it is there."""

    def search(
        self, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> Sequence[Expression]:
        """Find candidate equations over ``problem.names``.

        Raises:
            InputError: operators that Operon lacks.
        """
        arities([*options.binary, *options.unary])
        rule = options.complexity_rule(problem.names)
        problem = _on_cpu(problem)
        found: list[Expression] = [*run.seeds]
        with run.until_interrupted():
            rows = _evolution_rows(problem.train, run.random_state)
            bests = _evolve(problem, rows, options, rule, run)
            found.extend(_raw(bests, problem))
            if run.interrupted:
                return found
            # One at a time, so that what there is survives Ctrl-C.
            for expression in _refine(bests, problem, rows, options, rule, run):
                found.append(expression)
        return found


@dataclass(frozen=True)
class _Scaled:
    """The table as Operon sees it: float32, columns near 1, target near unit spread.

    Powers of two leave the digits alone, so that folding a scale back is exact.
    """

    table: Any
    names: tuple[str, ...]
    x_scales: Mapping[str, float]
    y_scale: float
    y_shift: float

    @classmethod
    def of(cls, problem: Problem, rows: Sample) -> _Scaled:
        x_scales = {
            name: _near_one(float(rows.X[:, i].square().mean().sqrt()))
            for i, name in enumerate(problem.names)
        }
        y_shift = float(rows.y.mean())
        y_scale = _power_of_two(float((rows.y - y_shift).square().mean().sqrt()))
        X = rows.X / rows.X.new_tensor([x_scales[name] for name in problem.names])
        y = (rows.y - y_shift) / y_scale
        table = np.asfortranarray(torch.column_stack([X, y]).numpy())
        return cls(table, problem.names, x_scales, y_scale, y_shift)


class _Population:
    """One population under evolution, a generation at a time.

    The C++ objects point at each other without keeping each other alive; they all have to
    live as long as this one.
    """

    def __init__(
        self, scaled: _Scaled, options: SearchOptions, rule: ComplexityRule, seed: int
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
        size = options.population_size or POPULATION_SIZE
        # Operon counts a variable with its factor as one node, this package as three: a
        # tree of the full length would almost never come out small enough.
        length = max(3, round(0.75 * options.maxsize))
        depth = options.maxdepth or 10
        creator = pyoperon.BalancedTreeCreator(primitives, problem.InputHashes, 0.0)
        constants = pyoperon.NormalCoefficientInitializer()
        constants.ParameterizeDistribution(0, 1)
        trees = pyoperon.UniformLengthTreeInitializer(creator)
        trees.ParameterizeDistribution(1, min(10, length))
        trees.MinDepth, trees.MaxDepth = 1, depth
        dispatch = pyoperon.DispatchTable()
        error = pyoperon.Evaluator(problem, dispatch, pyoperon.MSE(), True)
        objectives = _objectives(problem, error, hashes, options, rule)
        evaluator = pyoperon.MultiEvaluator(problem)
        for objective in objectives:
            objective.Budget = _UNLIMITED
            evaluator.Add(objective)
        evaluator.Budget = error.Budget = _UNLIMITED
        compare = pyoperon.CrowdedComparison()
        selectors = [pyoperon.TournamentSelector(compare) for _ in range(2)]
        for selector in selectors:
            selector.TournamentSize = 5
        crossover = pyoperon.SubtreeCrossover(0.9, depth, length)
        mutation, parts = _mutation(primitives, problem, creator, constants, depth, length)
        steps = pyoperon.LMOptimizer(dispatch, problem, _LOCAL_STEPS, 0)
        local = pyoperon.CoefficientOptimizer(steps)
        offspring = pyoperon.BasicOffspringGenerator(
            evaluator, crossover, mutation, *selectors, local
        )
        reinserter = pyoperon.KeepBestReinserter(compare)
        sorter = pyoperon.RankSorter()
        config = pyoperon.GeneticAlgorithmConfig(
            generations=1,
            max_evaluations=_UNLIMITED,
            local_iterations=_LOCAL_STEPS,
            population_size=size,
            pool_size=size,
            p_crossover=1.0,
            p_mutation=0.25,
            p_local=1.0,
            p_lamarck=1.0,
            epsilon=0.0,
            seed=seed,
            max_time=_UNLIMITED,
        )
        self._algorithm = pyoperon.NSGA2Algorithm(
            config, problem, trees, constants, offspring, reinserter, sorter
        )
        self._random = pyoperon.RandomGenerator(seed)
        self._keeps = partial(keeps_constraints, options=options, rule=rule)
        self._started = False
        self._alive = (
            data, problem, primitives, creator, constants, trees, dispatch, error, objectives,
            evaluator, compare, selectors, crossover, mutation, parts, steps, local, offspring,
            reinserter, sorter, config,
        )  # fmt: skip

    def step(self, best_of_length: BestOfLength) -> None:
        """Evolve one generation and put the best tree of each length into the best_of_length."""
        # A run of one generation, warm-started, is exactly one more generation; it
        # returns to Python in between, for the clock, the progress and Ctrl-C.
        self._algorithm.Run(self._random, None, 1, self._started)
        self._algorithm.IsFitted = self._started = True
        for individual in self._algorithm.BestFront:
            tree = individual.Genotype
            error = individual.GetFitness(0)
            if error < best_of_length.get(tree.Length, (_WORST, None))[0]:
                root = to_tree(tree.Nodes, self.columns)
                if self._keeps(root):
                    best_of_length[tree.Length] = error, root


_COUNTING = frozenset(
    {"complexity_of_operators", "complexity_of_constants", "complexity_of_variables"}
)


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
            return [_WORST]
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


def _evolve(
    problem: Problem,
    rows: Sample,
    options: SearchOptions,
    rule: ComplexityRule,
    run: SearchRun,
) -> list[BestOfLength]:
    """Evolve the populations one after another; the best of each length for each that was begun."""
    scaled = _Scaled.of(problem, rows)
    populations = options.populations or POPULATIONS
    generations = options.niterations or GENERATIONS
    bests: list[BestOfLength] = []
    slowest = 0.0
    with run.until_interrupted():
        for number in range(populations):
            population = _Population(scaled, options, rule, _seed(run.random_state, number))
            bests.append({})
            for generation in range(generations):
                if _no_time_for_another(run.budget, slowest):
                    return bests
                begun = time.monotonic()
                population.step(bests[-1])
                slowest = max(slowest, time.monotonic() - begun)
                errors = [error for best_of_length in bests for error, _ in best_of_length.values()]
                best = min(errors, default=_WORST)
                done = (number * generations + generation + 1) / (populations * generations)
                run.progress(
                    Progress(
                        max(_EVOLUTION_SHARE * done, run.budget.fraction()),
                        best * scaled.y_scale**2,
                        f"population {number + 1}, generation {generation + 1}",
                    )
                )
                run.found(lambda: [*run.seeds, *_raw(bests, problem)])
                if best < _EXACT:
                    return bests
    return bests


def _no_time_for_another(budget: Budget, slowest: float) -> bool:
    """Whether a generation like the slowest so far would run into the refinement's time."""
    first = slowest == 0.0
    return not first and budget.fraction() + slowest / budget.seconds > _EVOLUTION_SHARE


def _raw(bests: Sequence[BestOfLength], problem: Problem) -> Iterator[Expression]:
    """The finds as they are, with scale and offset fitted."""
    for best_of_length in bests:
        for _, root in best_of_length.values():
            yield Expression(_anchored(root, problem))


def _refine(
    bests: Sequence[BestOfLength],
    problem: Problem,
    rows: Sample,
    options: SearchOptions,
    rule: ComplexityRule,
    run: SearchRun,
) -> Iterator[Expression]:
    """The finds worth it, worked over, simplest first."""
    finds = [root for best_of_length in bests for root in _worth_refining(best_of_length)]

    def report(share: float, loss: float) -> None:
        done = _EVOLUTION_SHARE + (1 - _EVOLUTION_SHARE) * share
        run.progress(Progress(max(done, run.budget.fraction()), loss, "fitting constants"))

    return refine(
        [*(seed.root for seed in run.seeds), *(_anchored(root, problem) for root in finds)],
        problem,
        rows,
        rule,
        written_with({operator.name for operator in (*options.binary, *options.unary)}),
        run,
        shortening_end=_SHORTENING_END,
        end=_REFINEMENT_END,
        progress=report,
    )


def _worth_refining(best_of_length: BestOfLength) -> Iterator[Node]:
    """The lengths that gain over all shorter ones, and the most accurate one."""
    lowest = math.inf
    last = min((error for error, _ in best_of_length.values()), default=0.0)
    for _, (error, root) in sorted(best_of_length.items(), key=lambda item: item[0]):
        if error < _GAIN * lowest or (error == last and error < lowest):
            lowest = error
            yield root


def _anchored(root: Node, problem: Problem) -> Node:
    """``a*root + b`` with the a and b of least squares."""
    train = problem.train
    columns = {name: train.X[:, i] for i, name in enumerate(problem.names)}
    values = Expression(root)(columns)
    if not bool(torch.isfinite(values).all()):
        return root
    total = train.weights.sum()
    center = (train.weights * values).sum() / total
    offset = (train.weights * train.y).sum() / total
    spread = (train.weights * (values - center) ** 2).sum()
    if float(spread) <= 0:
        return Constant(float(offset))
    slope = float((train.weights * (values - center) * (train.y - offset)).sum() / spread)
    scaled = Call(OPERATORS["*"], (Constant(slope), root))
    return Call(OPERATORS["+"], (scaled, Constant(float(offset - slope * center))))


def _evolution_rows(train: Sample, random_state: int) -> Sample:
    """At most `ROWS` rows, drawn by weight where weights differ."""
    generator = torch.Generator().manual_seed(random_state)
    if bool((train.weights == train.weights[0]).all()):
        if len(train) <= ROWS:
            return train
        return train.take(torch.randperm(len(train), generator=generator)[:ROWS].sort().values)
    drawn = torch.multinomial(train.weights, ROWS, replacement=True, generator=generator)
    return train.take(drawn.sort().values)


def _seed(random_state: int, population: int) -> int:
    return int(np.random.SeedSequence([random_state, population]).generate_state(1)[0])


def _power_of_two(value: float) -> float:
    return 2.0 ** round(math.log2(value)) if value > 0 else 1.0


def _near_one(value: float) -> float:
    """A scale for a column: 1 as long as Operon's constants can cope without."""
    return 1.0 if 1 / 16 <= value <= 16 else _power_of_two(value)


def _on_cpu(problem: Problem) -> Problem:
    def move(sample: Sample) -> Sample:
        return Sample(sample.X.cpu(), sample.y.cpu(), sample.weights.cpu())

    return replace(problem, train=move(problem.train), validation=move(problem.validation))
