"""Structure hints: smaller problems that may be the one at hand in disguise.

Inputs that do not matter are left out; and where the function itself can be differentiated, its
gradients show inputs that enter only together, factors and terms that can be split off. This is
what AI Feynman does with a network fitted for the purpose (Udrescu & Tegmark 2020, "AI Feynman: a
physics-inspired method for symbolic regression"; its 2.0 of the same year tests gradients), here
with the network that is being distilled.

Every hint is only a proposal: it is searched with a share of the budget, its equations are written
back over the original inputs, and held-out rows decide between them and those of the full problem.
"""

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...errors import InputError
from ...expression import Expression
from ...operators import Operator, operator_named
from ...tree import Call, Constant, Node, substitute
from ..constants import Refiner, refine
from ..engine import Budget, Progress, SearchRun
from ..limits import within_limits, written_with
from ..options import SearchOptions
from ..problem import Oracle, Problem, Sample

log = logging.getLogger(__name__)

Explore = Callable[[Problem, SearchOptions, SearchRun], tuple[Sequence[Expression], bool]]
"""A search without hints: its candidates, and whether it was interrupted."""

MANY_INPUTS = 8
"""Without an oracle, screening starts above this many inputs: fewer cost the engine little."""

SCREENING_ROWS = 1_000
GRADIENT_ROWS = 512
SOLVED = 1e-10
"""Relative error, root mean square over held-out rows, at which no other proposal is needed."""

CERTAIN = 2.5
"""How much more important than the luckiest shuffled column a column must be to trees."""

LEAK = 0.02
"""Influence of an input, as a share of the largest, that training alone may leave."""

SEPARATE = 0.02
"""How far a function may be from a sum or product of its parts, relative to its spread."""

PIECE_ROWS = 1024

TOLERANCE = 0.03
"""How far a relation between gradients may be off, relative to its terms. The gradients of a
network that fits to 1e-3 are good to about one percent."""

_EXPONENTS = (1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
_STEPS = 6


def search_with_hints(
    explore: Explore, problem: Problem, options: SearchOptions, run: SearchRun
) -> list[Expression]:
    """Search the smaller problems that hints propose, then the problem itself.

    Args:
        explore: the search without hints.
        problem: the table, with its oracle where there is one.
        options: as asked for.
        run: its budget covers everything.

    Returns:
        Candidates of all searches over ``problem.names``.
    """
    return _Session(explore, problem, options, run).search()


class _Session:
    """All searches of one problem, and what they found so far."""

    def __init__(
        self, explore: Explore, problem: Problem, options: SearchOptions, run: SearchRun
    ) -> None:
        self.explore = explore
        self.problem = problem
        self.options = options
        self.run = run
        self.found: list[Expression] = []
        self.interrupted = False
        self.scale = float(
            (problem.validation.weights * problem.validation.y**2).sum()
            / problem.validation.weights.sum()
        )

    def search(self) -> list[Expression]:
        try:
            self._search()
        except KeyboardInterrupt:
            log.info("interrupted; returning the best equations so far")
        return self.found

    def _search(self) -> None:
        whole = View.of(self.problem, self.options)
        columns, sure = _screened(self.problem, self.options, self.run.random_state)
        everything = len(columns) == len(self.problem.names)
        if not everything:
            log.debug("inputs that matter: %s", [self.problem.names[i] for i in columns])
        if self.options.select_k_features is not None:
            self._with_proposals(whole.selected(columns), 1.0)
            return
        if everything:
            self._with_proposals(whole, 1.0)
            return
        self._with_proposals(whole.selected(columns), 1.0 if sure else 0.6)
        # What the best equation leaves over may show inputs that the strong ones hid.
        for _ in range(2):
            if self.done or sure or self.problem.oracle is not None:
                break
            new = [i for i in self._unexplained() if i not in columns]
            if not new:
                break
            columns = sorted([*columns, *new])
            log.debug("inputs in the residual: %s", [self.problem.names[i] for i in new])
            self._explore(whole.selected(columns), 0.7)
        if not self.done:
            self._explore(whole, 1.0)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do, or no time to do it."""
        spent = self.run.budget.left() <= 0.03 * self.run.budget.seconds
        return self.interrupted or spent or self.solved

    @property
    def solved(self) -> bool:
        """Whether an equation fits to (nearly) the last digit."""
        best = min((self._loss(expression) for expression in self.found), default=math.inf)
        return best <= max(SOLVED**2 * self.scale, self.problem.loss_floor)

    def _loss(self, expression: Expression) -> float:
        sample = self.problem.validation
        return sample.loss(self.problem.predict(expression, sample).expand(len(sample)))

    def _unexplained(self) -> list[int]:
        """Columns that tell something about the residual of the best equation."""
        if not self.found:
            return []
        best = min(self.found, key=self._loss)
        train = self.problem.train
        left = train.y - self.problem.predict(best, train)
        if not bool(torch.isfinite(left).all()):
            return []
        return screened_by_samples(train.X, left, self.run.random_state)

    def _with_proposals(self, view: View, share: float) -> None:
        """Search the proposals of a problem, then the problem itself."""
        deadline = Budget(max(share * self.run.budget.left(), 1e-3))
        views: list[View] = []
        if view.problem.oracle is not None:
            views = proposals(view)
            parts = separated(view)
            widest = min((len(v.problem.names) for v in views), default=len(view.problem.names))
            if parts is not None and parts.widest < widest:
                log.debug("pieces: %s", [piece.problem.names for piece in parts.pieces])
                self._pieces(parts, 0.4 * deadline.left())
        for number, proposal in enumerate(views):
            if self.done:
                return
            log.debug("proposal: %s", proposal.story)
            # What is left is for the simpler proposals and for the problem as it is.
            self._explore_for(proposal, (0.4 if number == 0 else 0.2) * deadline.left())
        if not self.done:
            self._explore_for(view, deadline.left())

    def _pieces(self, parts: Parts, seconds: float) -> None:
        """Search the parts of a function that is their sum or product, and put them together."""
        fronts = []
        for number, piece in enumerate(parts.pieces):
            share = Budget(max(seconds / len(parts.pieces), 1e-3))
            fronts.append(self._front(piece.problem, self._candidates(piece, share.seconds)))
            if not fronts[number]:
                return
        together = [
            functools.reduce(lambda a, b: Call(parts.operator, (a, b)), roots)
            for roots in itertools.product(*fronts)
        ]
        together = [Call(parts.operator, (r, Constant(parts.constant))) for r in together]
        # The pieces were fitted to sections of the function; the constants get all of it.
        rule = self.options.complexity_rule(self.problem.names)
        limited = [root for root in together if rule.of(root) <= 2 * self.options.maxsize]
        deadline = Budget(max(0.3 * seconds, 1e-3))
        train = self.problem.train
        refined = refine(
            limited,
            self.problem,
            train.take(torch.arange(min(len(train), PIECE_ROWS), device=train.y.device)),
            rule,
            written_with({op.name for op in (*self.options.binary, *self.options.unary)}),
            stop_shortening=lambda: deadline.fraction() > 0.6,
            stop=lambda: deadline.left() <= 0,
        )
        for equation in (*map(Expression, limited), *refined):
            self._add(equation)

    @staticmethod
    def _front(problem: Problem, candidates: Sequence[Expression]) -> list[Node]:
        """A few equations of a piece: where the front falls most steeply, and its end.

        Steepness is PySR's score, the fall of log(loss) for each unit of complexity: the law
        stands there, and the network's own errors are what the longer equations explain.
        """
        sample = problem.validation
        losses = {
            e: max(sample.loss(problem.predict(e, sample).expand(len(sample))), problem.loss_floor)
            for e in candidates
        }
        kept: list[Expression] = []
        for equation in sorted(losses, key=lambda e: (e.complexity(), losses[e])):
            if not kept or losses[equation] < 0.9 * losses[kept[-1]]:
                kept.append(equation)
        if not kept:
            return []
        # Before the first there is the constant, whose loss is the variance.
        before = [(max(float(sample.y.var()), problem.loss_floor), 1)]
        before += [(losses[e], e.complexity()) for e in kept]
        scores = {
            e: math.log(loss / losses[e]) / max(e.complexity() - size, 1)
            for e, (loss, size) in zip(kept, before, strict=False)
        }
        steepest = sorted(scores, key=lambda e: -scores[e])[:3]
        return [equation.root for equation in dict.fromkeys([*steepest, kept[-1]])]

    def _explore(self, view: View, share: float) -> None:
        self._explore_for(view, share * self.run.budget.left())

    def _explore_for(self, view: View, seconds: float) -> None:
        """Search a view and write what is found over the original inputs."""
        rule = self.options.complexity_rule(self.problem.names)
        for candidate in self._candidates(view, seconds):
            equation = view.back(candidate)
            if view.constants:
                refiner = Refiner(
                    self.problem, self.problem.train, rule, (), lambda: self.run.budget.left() <= 0
                )
                equation = Expression(refiner.fit(equation.root).root)
            self._add(equation)

    def _candidates(self, view: View, seconds: float) -> Sequence[Expression]:
        whole = self.run

        def progress(report: Progress) -> None:
            whole.progress(replace(report, fraction=whole.budget.fraction()))

        part = replace(whole, budget=Budget(max(seconds, 1e-3)), progress=progress, seeds=())
        candidates, interrupted = self.explore(view.problem, view.options, part)
        self.interrupted |= interrupted
        return candidates

    def _add(self, equation: Expression) -> None:
        rule = self.options.complexity_rule(self.problem.names)
        if within_limits(equation, self.options, rule):
            self.found.append(equation)


# -- which inputs matter ----------------------------------------------------------------------


def relevant_inputs(problem: Problem, options: SearchOptions, random_state: int = 0) -> list[int]:
    """Indices of the input columns that matter, ascending; never none.

    >>> X = torch.rand(300, 12, dtype=torch.float64)
    >>> relevant_inputs(Problem.split(X, X[:, 3] * X[:, 7]), SearchOptions())
    [3, 7]

    Args:
        problem: with an oracle its gradients are asked; without one, and with more than
            `MANY_INPUTS` inputs, the samples are.
        options: ``select_k_features`` gives exactly so many inputs, whatever there is.
        random_state: seed of the trees that look at the samples.
    """
    return _screened(problem, options, random_state)[0]


def _screened(
    problem: Problem, options: SearchOptions, random_state: int
) -> tuple[list[int], bool]:
    """Columns that matter, and whether the others surely do not."""
    count = len(problem.names)
    asked = options.select_k_features
    everything = list(range(count))
    if count == 1 or (asked is not None and asked >= count):
        return everything, True
    table = Derivatives.of(problem)
    if table is not None:
        influence = table.influence()
        if asked is not None:
            order = torch.argsort(influence, descending=True, stable=True)
            return sorted(order[:asked].tolist()), True
        return _above_the_gap(influence)
    if asked is not None:
        ranked = _ranked_by_samples(problem.train.X, problem.train.y, random_state)
        return sorted(ranked[:asked]), True
    if count <= MANY_INPUTS:
        return everything, True
    columns = screened_by_samples(problem.train.X, problem.train.y, random_state)
    return (columns, False) if columns else (everything, True)


def _above_the_gap(influence: Tensor) -> tuple[list[int], bool]:
    """Split influences [d] where they fall by the largest factor, below the first few percent.

    Trained networks leak a little gradient into every input, so that small is not enough: what is
    left out must also be far below the weakest input that is kept.
    """
    ordered, order = torch.sort(influence, descending=True, stable=True)
    share = (ordered / ordered[0].clamp_min(1e-300)).tolist()
    falls = [
        (share[i - 1] / max(share[i], 1e-12), i) for i in range(1, len(share)) if share[i] < 0.05
    ]
    everything = list(range(len(share)))
    if not falls:
        return everything, True
    fall, cut = max(falls, key=lambda pair: (pair[0], -pair[1]))
    if fall < 3:
        return everything, True
    return sorted(order[:cut].tolist()), share[cut] < LEAK


def screened_by_samples(X: Tensor, y: Tensor, random_state: int) -> list[int]:
    """Columns of ``X`` [n, d] that surely tell something about ``y`` [n], ascending.

    Two opinions are joined. Trees see any dependence, and a column counts when it is more
    important than every shuffled copy of a column (Boruta: Kursa & Rudnicki 2010, "Feature
    selection with the Boruta package"). Trees do not see a weak term beside a strong product; a
    short sum of products of two columns, chosen term by term (orthogonal matching pursuit), does.
    """
    X, y = _few_rows(X, y, random_state)
    importance, chance = _tree_importance(X, y, random_state)
    kept = {i for i in range(X.shape[1]) if importance[i] > CERTAIN * chance}
    return sorted(kept | _gains(X, y, importance).keys())


def _ranked_by_samples(X: Tensor, y: Tensor, random_state: int) -> list[int]:
    """All columns, the ones that matter most first."""
    X, y = _few_rows(X, y, random_state)
    importance, chance = _tree_importance(X, y, random_state)
    leading = torch.argsort(importance, descending=True, stable=True).tolist()
    gains = _gains(X, y, importance)
    shares = importance / importance.sum().clamp_min(1e-300)

    def merit(column: int) -> tuple[bool, float]:
        seen = column in gains or float(importance[column]) > CERTAIN * chance
        return seen, max(gains.get(column, 0.0), float(shares[column]))

    return sorted(leading, key=merit, reverse=True)


def _gains(X: Tensor, y: Tensor, importance: Tensor) -> dict[int, float]:
    """Columns that short sums of products need, with the share of the variance that they explain.

    Asked of the values, of their ranks (blind to scale), and of the size of the output: what
    enters only in a product of many odd functions still shows in how far the output goes.
    """
    leading = torch.argsort(importance, descending=True, stable=True)[:32].tolist()
    ranks = _ranks(X)
    size = (y - y.median()).abs()
    gains: dict[int, float] = {}
    for table, target in (
        (_standardised(X), y),
        (ranks, _ranks(y[:, None])[:, 0]),
        (ranks, _ranks(size[:, None])[:, 0]),
    ):
        for column, gain in _explaining(table, target, leading).items():
            gains[column] = max(gains.get(column, 0.0), gain)
    return gains


def _few_rows(X: Tensor, y: Tensor, random_state: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(random_state)
    rows = torch.randperm(len(y), generator=generator)[:SCREENING_ROWS].sort().values.to(y.device)
    return X[rows].cpu(), y[rows].cpu()


def _tree_importance(X: Tensor, y: Tensor, random_state: int) -> tuple[Tensor, float]:
    """Importance of each column [d], and the largest that chance gave to a shuffled one."""
    # scikit-learn takes a second to import, and small problems never get here.
    from sklearn.ensemble import ExtraTreesRegressor

    generator = torch.Generator().manual_seed(random_state + 1)
    shadows = torch.stack(
        [column[torch.randperm(len(column), generator=generator)] for column in X.T], dim=1
    )
    # Ranks make the trees blind to scale and to a few huge targets.
    table = torch.cat([_ranks(X), _ranks(shadows)], dim=1).numpy()
    forest = ExtraTreesRegressor(
        n_estimators=60,
        min_samples_leaf=3,
        max_features=0.5,
        n_jobs=1,
        random_state=random_state % 2**32,
    )
    forest.fit(table, _ranks(y[:, None])[:, 0].numpy())
    importance = torch.from_numpy(forest.feature_importances_)
    d = X.shape[1]
    return importance[:d], float(importance[d:].max())


def _explaining(z: Tensor, y: Tensor, leading: Sequence[int]) -> dict[int, float]:
    """Columns of ``z`` [n, d] in a short sum of products of at most two of them, with the share
    of the variance that came with each.

    Products are formed of the ``leading`` columns with each other, powers of all columns.
    """
    n, d = z.shape
    square = z**2
    terms = [z, square, z**3]
    parts: list[tuple[int, ...]] = [(i,) for _ in range(3) for i in range(d)]
    for a, i in enumerate(leading):
        for j in leading[a + 1 :]:
            terms.append(
                torch.stack([z[:, i] * z[:, j], square[:, i] * z[:, j], z[:, i] * square[:, j]], 1)
            )
            parts += [(i, j)] * 3
    table = torch.cat(terms, dim=1)
    table = table - table.mean(0)
    # Columns that are the same but for rounding must not be divided by it.
    norms = table.norm(dim=0)
    table = table / norms.clamp_min(1e-300) * (norms > 1e-9 * math.sqrt(n))
    left = y - y.mean()
    total = float(left @ left)
    gains: dict[int, float] = {}
    if not (total > 0 and math.isfinite(total)):
        return gains
    # The best of m columns of noise explains about 2 log(m)/n of the variance; twice that and a
    # margin is no chance.
    needed = min(0.5, (4 * math.log(table.shape[1]) + 10) / n)
    basis = table.new_zeros((n, 0))
    for _ in range(min(24, n // 8)):
        current = float(left @ left)
        if current <= 1e-20 * total:
            break
        correlation = (table.T @ left).abs()
        best = int(torch.argmax(correlation))
        new = table[:, best] - basis @ (basis.T @ table[:, best])
        new = new - basis @ (basis.T @ new)
        size = float(new.norm())
        if size < 1e-6:
            break
        new = new / size
        gain = float(new @ left) ** 2
        if gain < needed * current:
            break
        basis = torch.cat([basis, new[:, None]], dim=1)
        left = left - new * (new @ left)
        for column in parts[best]:
            gains[column] = gains.get(column, 0.0) + gain / total
    return gains


def _standardised(X: Tensor) -> Tensor:
    """Columns with mean 0 and spread 1; constant ones are 0."""
    centred = X - X.mean(0)
    spread = centred.abs().amax(0)
    centred = centred / torch.where(spread > 0, spread, torch.ones_like(spread))
    return centred / centred.square().mean(0).sqrt().clamp_min(1e-150)


def _ranks(X: Tensor) -> Tensor:
    """Columns replaced by the ranks of their values, -1 to 1; equal values get equal ranks."""
    ranks = [torch.searchsorted(column.sort().values, column.contiguous()) for column in X.T]
    return 2 * torch.stack(ranks, dim=1).double() / max(len(X) - 1, 1) - 1


@dataclass(frozen=True)
class Restricted:
    """An oracle over some of the columns; the others are held where they are told to be.

    >>> some = Restricted(lambda x: x[:, 0] + 10 * x[:, 1], (1,), torch.tensor([5.0, 0.0]))
    >>> some(torch.tensor([[1.0], [2.0]]))
    tensor([15., 25.])

    Args:
        oracle: [m, d] -> [m].
        columns: those that vary, in the order of the new columns.
        at: [d], where the others are held.
    """

    oracle: Oracle
    columns: tuple[int, ...]
    at: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """[m, len(columns)] -> [m], differentiable."""
        where = {column: k for k, column in enumerate(self.columns)}
        table = [
            points[:, where[i]] if i in where else self.at[i].to(points).expand(len(points))
            for i in range(len(self.at))
        ]
        return self.oracle(torch.stack(table, dim=1))


# -- gradients --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Derivatives:
    """A function at some points: ``X`` [m, d], ``values`` [m], ``gradients`` [m, d]."""

    X: Tensor
    values: Tensor
    gradients: Tensor

    @classmethod
    def of(cls, problem: Problem) -> Derivatives | None:
        """Ask the oracle at recorded rows; None where there is none or it has no answer."""
        if problem.oracle is None:
            return None
        rows = problem.train.X
        points = rows[:: max(1, math.ceil(len(rows) / GRADIENT_ROWS))].clone().requires_grad_()
        try:
            with torch.enable_grad():
                values = problem.oracle(points)
                (gradients,) = torch.autograd.grad(values.sum(), points)
        except Exception as error:  # it may be any code; without it there are only no hints
            log.debug("the oracle has no gradient: %s", error)
            return None
        finite = torch.isfinite(gradients).all(1) & torch.isfinite(values)
        if int(finite.sum()) < 16:
            return None
        points = points.detach()
        return cls(points[finite], values.detach()[finite].double(), gradients[finite].double())

    def influence(self) -> Tensor:
        """How far each input moves the output over its range, relative to the output's spread.

        The mean absolute derivative times the input's standard deviation [d]; a derivative-based
        global sensitivity measure (Sobol & Kucherenko 2009).
        """
        spread = self.values.std().clamp_min(1e-300)
        return self.gradients.abs().mean(0) * self.X.std(0) / spread

    def selected(self, columns: Sequence[int]) -> Derivatives:
        """With only some of the inputs."""
        keep = list(columns)
        return Derivatives(self.X[:, keep], self.values, self.gradients[:, keep])

    def divided(self, factor: Tensor, column: int, slope: Tensor) -> Derivatives:
        """Of ``f / factor``, where the factor [m] reads one column and has the derivative
        ``slope`` [m]."""
        # Errors of values and gradients grow by 1/factor and 1/factor^2.
        rows = _usable(factor, 0.3)
        gradients = self.gradients / factor[:, None]
        gradients[:, column] -= self.values * slope / factor**2
        return Derivatives(self.X[rows], (self.values / factor)[rows], gradients[rows])

    def reduced(self, column: int, slope: float) -> Derivatives:
        """Of ``f - slope * column``."""
        gradients = self.gradients.clone()
        gradients[:, column] -= slope
        return Derivatives(self.X, self.values - slope * self.X[:, column], gradients)

    def combined(self, i: int, j: int, u: Tensor, by_i: Tensor, by_j: Tensor) -> Derivatives:
        """Over ``u`` [m], put last, in place of two inputs; its derivatives by them are given.

        By the chain rule ``f_i = f_u u_i`` and ``f_j = f_u u_j``, in the least squares sense.
        """
        by_u = (self.gradients[:, i] * by_i + self.gradients[:, j] * by_j) / (
            by_i**2 + by_j**2
        ).clamp_min(1e-300)
        keep = [k for k in range(self.X.shape[1]) if k not in (i, j)]
        return Derivatives(
            torch.cat([self.X[:, keep], u[:, None]], dim=1),
            self.values,
            torch.cat([self.gradients[:, keep], by_u[:, None]], dim=1),
        )


def _usable(factor: Tensor, share: float = 0.05) -> Tensor:
    """Rows where a factor [n] is not below this share of its median size, nor infinite."""
    size = factor.abs()
    return (size > share * size.median()) & torch.isfinite(factor)


def defect(left: Tensor, right: Tensor) -> float:
    """How far ``left = right`` [m] is from true, relative to both; the worst tenth is forgiven.

    >>> defect(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]))
    0.0
    """
    off, size = (left - right) ** 2, left**2 + right**2
    # Near the edges of the data a network's gradient is off by more than elsewhere.
    kept = off <= torch.quantile(off, 0.9)
    total = float(size[kept].sum())
    share = math.sqrt(float(off[kept].sum()) / total) if total > 0 else math.inf
    return share if math.isfinite(share) else math.inf


# -- views of a problem -----------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """A problem in other variables, and the way back.

    Args:
        problem: the smaller problem; its oracle is kept where only inputs were left out.
        options: as asked for, in terms of the new columns.
        forms: what the new names stand for, the latest last; the empty name is the equation.
        constants: whether a form has constants that a fit may improve.
        story: what was done, for the log.
    """

    problem: Problem
    options: SearchOptions
    forms: tuple[tuple[str, Expression], ...] = ()
    constants: bool = False
    story: str = ""

    @classmethod
    def of(cls, problem: Problem, options: SearchOptions) -> View:
        """The problem as it is."""
        return cls(problem, options.replace(select_k_features=None))

    def back(self, equation: Expression) -> Expression:
        """An equation of the smaller problem over the original inputs."""
        root = equation.root
        for name, form in reversed(self.forms):
            if name == _EQUATION:
                whole = form.root
                if isinstance(whole, Call) and whole.operator.name == "*":
                    root = _product(whole.args[0], root)
                else:
                    root = substitute(whole, {name: root})
            else:
                root = substitute(root, {name: form.root})
        return Expression(root)

    def costs(self) -> list[int]:
        """What each column counts."""
        cost = self.options.complexity_of_variables
        return [cost] * len(self.problem.names) if isinstance(cost, int) else [*cost]

    def selected(self, columns: Sequence[int]) -> View:
        """With only some of the inputs; the oracle holds the others at their medians."""
        problem = self.problem.select(columns)
        if self.problem.oracle is not None:
            at = self.problem.train.X.median(0).values
            oracle = Restricted(self.problem.oracle, tuple(columns), at)
            problem = replace(problem, oracle=oracle)
        return replace(self, problem=problem, options=self._options(columns))

    def combined(self, i: int, j: int, values: Callable[[Tensor], Tensor], form: str) -> View:
        """With ``values(X)`` [n], written ``form``, in place of inputs i and j, put last."""
        problem = self.problem
        keep = [k for k in range(len(problem.names)) if k not in (i, j)]
        name = _fresh(problem.names)
        meaning = self._meaning(form, problem.names)

        def moved(sample: Sample) -> Sample:
            return replace(
                sample, X=torch.cat([sample.X[:, keep], values(sample.X)[:, None]], dim=1)
            )

        return replace(
            self,
            problem=replace(
                problem,
                train=moved(problem.train),
                validation=moved(problem.validation),
                names=(*(problem.names[k] for k in keep), name),
                oracle=None,
            ),
            options=self._options(keep, [self._size(meaning)]),
            forms=(*self.forms, (name, meaning)),
            story=f"{self.story} {name} = {form};",
        )

    def divided(self, factor: Callable[[Tensor], Tensor], form: str) -> View:
        """For the output divided by ``factor(X)`` [n], written ``form``."""

        def moved(sample: Sample) -> Sample:
            by = factor(sample.X)
            rows = _usable(by, 0.3)
            # With these weights the loss is what it was: w f^2 (y/f - g)^2 = w (y - f g)^2.
            scaled = Sample(sample.X, sample.y / by, sample.weights * by**2)
            return scaled.take(rows.nonzero().flatten())

        return self._rewritten(moved, f"({form})*{_EQUATION}", f"output / ({form})")

    def reduced(self, column: int, slope: float) -> View:
        """For the output less a linear term."""

        def moved(sample: Sample) -> Sample:
            return replace(sample, y=sample.y - slope * sample.X[:, column])

        form = f"({slope!r})*{self.problem.names[column]}"
        rewritten = self._rewritten(moved, f"{form} + {_EQUATION}", f"output - {form}")
        return replace(rewritten, constants=True)

    def _rewritten(self, moved: Callable[[Sample], Sample], form: str, story: str) -> View:
        problem = self.problem
        meaning = self._meaning(form, (*problem.names, _EQUATION))
        return replace(
            self,
            problem=replace(
                problem,
                train=moved(problem.train),
                validation=moved(problem.validation),
                oracle=None,
            ),
            forms=(*self.forms, (_EQUATION, meaning)),
            options=self.options.replace(
                maxsize=max(1, self.options.maxsize - self._size(meaning) + 1)
            ),
            story=f"{self.story} {story};",
        )

    def _meaning(self, form: str, names: Sequence[str]) -> Expression:
        """A form as an expression.

        Raises:
            InputError: it needs operators that were not asked for.
        """
        meaning = Expression.parse(form, names, self.options.custom)
        rule = self.options.complexity_rule(self.problem.names)
        if not within_limits(meaning, self.options, rule):
            raise InputError(f"the options do not allow {form}")
        return meaning

    def _size(self, form: Expression) -> int:
        rule = self.options.complexity_rule(self.problem.names)
        return rule.of(form)

    def _options(self, keep: Sequence[int], new: Sequence[int] = ()) -> SearchOptions:
        costs = self.costs()
        return self.options.replace(complexity_of_variables=(*(costs[i] for i in keep), *new))


def _product(factor: Node, root: Node) -> Node:
    """A product, as a quotient where that is shorter: equations that are too long are lost before
    anyone simplifies them."""
    for above, below in ((factor, root), (root, factor)):
        if isinstance(below, Call) and (
            below.operator.name == "inv"
            or (below.operator.name == "/" and below.args[0] == Constant(1.0))
        ):
            return Call(operator_named("/"), (above, below.args[-1]))
    return Call(operator_named("*"), (factor, root))


_EQUATION = "equation_"


def _fresh(names: Sequence[str]) -> str:
    """A name for a new column that no column has.

    >>> _fresh(["x", "u0"])
    'u1'
    """
    return next(name for k in range(len(names) + 1) if (name := f"u{k}") not in names)


# -- proposals --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Move:
    """One step towards a smaller problem: how badly it fits, and the two sides after it."""

    defect: float
    make: Callable[[View], View]
    derivatives: Derivatives


def proposals(view: View) -> list[View]:
    """Smaller problems that the oracle's gradients propose, the smallest first.

    >>> X = torch.rand(300, 2, dtype=torch.float64) + 1
    >>> problem = Problem.split(X, torch.sin(X[:, 0] - X[:, 1]), ["a", "b"],
    ...                         oracle=lambda x: torch.sin(x[:, 0] - x[:, 1]))
    >>> [p.story for p in proposals(View.of(problem, SearchOptions()))]
    [' u0 = a - b;']
    """
    table = Derivatives.of(view.problem)
    chain: list[View] = []
    for _ in range(_STEPS):
        if table is None or len(view.problem.names) < 2:
            break
        made: View | None = None
        for move in _moves(view, table):
            try:
                made = move.make(view)
            except InputError:
                continue  # an operator that the form needs is not among those asked for
            if _healthy(made):
                view, table = made, move.derivatives
                chain.append(view)
                break
            made = None
        if made is None:
            break
    # The steps in between are cheap to derive but dear to search: the last, and the first.
    return [chain[-1], chain[0]] if len(chain) > 2 else chain[-1:]


def _healthy(view: View) -> bool:
    """Whether enough is left of the problem to search it."""
    samples = (view.problem.train, view.problem.validation)
    y = view.problem.train.y
    return (
        view.options.maxsize > 1
        and all(
            len(sample) >= 2
            and bool(torch.isfinite(sample.X).all() & torch.isfinite(sample.y).all())
            for sample in samples
        )
        and bool(y.max() - y.min() > 1e-9 * y.abs().max())
    )


def _moves(view: View, table: Derivatives) -> Iterator[_Move]:
    """Steps that the gradients allow, the simplest kind first, of one kind the surest first."""
    kinds = (
        (TOLERANCE, (*_factors(view, table), *_linear_terms(view, table))),
        (TOLERANCE, _pairs(view, table, lambda view: view)),
        # A derivative of a quotient has the errors of two.
        (1.6 * TOLERANCE, _pairs_behind_a_factor(view, table)),
    )
    for limit, moves in kinds:
        good = [move for move in moves if move.defect < limit]
        # Below a tenth of what is allowed, only rounding decides, so the first one does.
        yield from sorted(good, key=lambda move: max(move.defect, 0.1 * TOLERANCE))


def _pairs_behind_a_factor(view: View, table: Derivatives) -> Iterator[_Move]:
    """``f = x h`` or ``f = h/x`` where two inputs enter h together: ``dx`` times a function of the
    distance alone."""
    for k, name in enumerate(view.problem.names):
        x = table.X[:, k]
        if bool((x == 0).any()):
            continue
        for power, form in ((1.0, name), (-1.0, f"1/{name}")):
            inner = table.divided(x**power, k, power * x ** (power - 1))

            def first(view: View, k: int = k, power: float = power, form: str = form) -> View:
                return view.divided(lambda X: X[:, k] ** power, form)

            yield from _pairs(view, inner, first)


def _factors(view: View, table: Derivatives) -> Iterator[_Move]:
    """``f = x^p h(others)``: then ``x f_x = p f``."""
    for k, name in enumerate(view.problem.names):
        x = table.X[:, k]
        for power in _EXPONENTS:
            off = defect(x * table.gradients[:, k], power * table.values)
            form = _power(name, power, view.options)
            if off >= TOLERANCE or form is None or (power % 1 and not bool((x > 0).all())):
                continue

            def make(view: View, k: int = k, power: float = power, form: str = form) -> View:
                return _without(view.divided(lambda X: X[:, k] ** power, form), k)

            with_factor = table.divided(x**power, k, power * x ** (power - 1))
            yield _Move(off, make, with_factor.selected(_others(view, k)))


def _linear_terms(view: View, table: Derivatives) -> Iterator[_Move]:
    """``f = c x + h(others)``: then ``f_x = c``."""
    for k in range(len(view.problem.names)):
        slopes = table.gradients[:, k]
        c = float(slopes.median())
        off = defect(slopes, torch.full_like(slopes, c))

        def make(view: View, k: int = k, c: float = c) -> View:
            return _without(view.reduced(k, c), k)

        yield _Move(off, make, table.reduced(k, c).selected(_others(view, k)))


def _pairs(view: View, table: Derivatives, first: Callable[[View], View]) -> Iterator[_Move]:
    """Two inputs that enter together: as ``x + c y``, ``x^c y`` or ``x^2 + c y^2``.

    A function of u(x, y) and others has ``f_x u_y = f_y u_x``.
    """
    names = view.problem.names
    for i in range(len(names)):
        for j in range(i):
            x, y = table.X[:, j], table.X[:, i]
            fx, fy = table.gradients[:, j], table.gradients[:, i]
            a, b = names[j], names[i]
            one = torch.ones_like(x)
            kinds: list[tuple[Tensor, Tensor, str, Callable[..., Tensor], Tensor, Tensor]] = []
            for c in (1.0, -1.0):
                sign = "+" if c > 0 else "-"
                kinds.append(
                    (c * fx, fy, f"{a} {sign} {b}", lambda x, y, c=c: x + c * y, one, c * one)
                )
            square_a, square_b = (_power(name, 2.0, view.options) for name in (a, b))
            kinds.append((x * fx, y * fy, f"{a}*{b}", lambda x, y: x * y, y, x))
            kinds.append((-x * fx, y * fy, f"{a}/{b}", lambda x, y: x / y, 1 / y, -x / y**2))
            kinds.append(
                (
                    y * fx,
                    x * fy,
                    f"{square_a} + {square_b}",
                    lambda x, y: x**2 + y**2,
                    2 * x,
                    2 * y,
                )
            )
            for left, right, form, values, by_x, by_y in kinds:
                off = defect(left, right)
                u = values(x, y)
                if off >= 2 * TOLERANCE or not bool(torch.isfinite(u).all()):
                    continue
                # A quotient by something that passes through zero is no better variable.
                if form == f"{a}/{b}" and not bool(_usable(y).all()):
                    continue

                def make(
                    view: View,
                    i: int = i,
                    j: int = j,
                    values: Callable[..., Tensor] = values,
                    form: str = form,
                ) -> View:
                    return first(view).combined(j, i, lambda X: values(X[:, j], X[:, i]), form)

                yield _Move(off, make, table.combined(j, i, u, by_x, by_y))


# -- pieces -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """A function that is the sum or the product of functions of separate inputs.

    Args:
        operator: that joins them.
        pieces: a problem for each group of inputs, the others held at a reference point.
        constant: joins the pieces as one more part and makes up for counting the value at
            the reference point several times.
    """

    operator: Operator
    pieces: tuple[View, ...]
    constant: float

    @property
    def widest(self) -> int:
        """Inputs of the largest piece."""
        return max(len(piece.problem.names) for piece in self.pieces)


def separated(view: View) -> Parts | None:
    """The parts of a problem that falls into a sum or a product, by its oracle.

    Two inputs do not act together where ``f(x, y) - f(x, b) - f(a, y) + f(a, b)`` vanishes (their
    mixed second derivative would, but networks have noisy ones); for a product
    ``f(x, y) f(a, b) - f(x, b) f(a, y)`` does. AI Feynman makes the same test.

    >>> X = torch.rand(300, 3, dtype=torch.float64) + 1
    >>> law = lambda x: x[:, 0] * x[:, 1] + torch.sin(x[:, 2])
    >>> problem = Problem.split(X, law(X), ["a", "b", "c"], oracle=law)
    >>> parts = separated(View.of(problem, SearchOptions()))
    >>> parts.operator.name, [piece.problem.names for piece in parts.pieces]
    ('+', [('a', 'b'), ('c',)])
    """
    problem, oracle = view.problem, view.problem.oracle
    d = len(problem.names)
    if oracle is None or d < 2:
        return None
    X = problem.train.X[:: max(1, len(problem.train) // GRADIENT_ROWS)]
    allowed = {operator.name for operator in view.options.binary}
    try:
        with torch.no_grad():
            values = oracle(X).double()
            # A product says nothing at its zeros: the reference has a value well away from 0.
            order = torch.argsort(values.abs(), stable=True)
            at = X[order[int(0.8 * len(order))]]
            for name in ("+", "*"):
                if name not in allowed:
                    continue
                groups = _groups(oracle, X, at, values, name)
                if groups is not None and len(groups) > 1:
                    return _parts(view, oracle, at, groups, name)
    except Exception as error:
        log.debug("the oracle has no answer: %s", error)
    return None


def _groups(
    oracle: Oracle, X: Tensor, at: Tensor, values: Tensor, name: str
) -> list[list[int]] | None:
    """Inputs that act together, group by group; None where values are not finite."""
    d = X.shape[1]
    spread = values.std()
    reference = oracle(at[None])[0].double()

    def held(*columns: int) -> Tensor:
        table = X.clone()
        table[:, list(columns)] = at[list(columns)]
        return oracle(table).double()

    single = [held(i) for i in range(d)]
    group = list(range(d))
    for i in range(d):
        for j in range(i):
            both = held(i, j)
            if name == "+":
                off = (values - single[i] - single[j] + both) / spread
            else:
                off = (values * both - single[i] * single[j]) / (spread * reference.abs())
            if not bool(torch.isfinite(off).all()):
                return None
            kept = off.abs() <= torch.quantile(off.abs(), 0.9)
            if float(off[kept].square().mean().sqrt()) > SEPARATE:
                group = [group[j] if g == group[i] else g for g in group]
    return [[k for k in range(d) if group[k] == g] for g in dict.fromkeys(group)]


def _parts(
    view: View, oracle: Oracle, at: Tensor, groups: Sequence[Sequence[int]], name: str
) -> Parts | None:
    problem = view.problem
    value = float(oracle(at[None])[0])
    pieces = []
    for columns in groups:
        alone = Restricted(oracle, tuple(columns), at)

        def asked(sample: Sample, alone: Oracle = alone, keep: Sequence[int] = columns) -> Sample:
            table = sample.X[:, list(keep)]
            return Sample(table, alone(table).double(), sample.weights)

        part = replace(
            problem,
            train=asked(problem.train),
            validation=asked(problem.validation),
            names=tuple(problem.names[i] for i in columns),
            oracle=None,
        )
        piece = View(part, view._options(columns))
        if not _healthy(piece):
            return None
        pieces.append(piece)
    again = len(pieces) - 1
    constant = -again * value if name == "+" else value**-again
    return Parts(operator_named(name), tuple(pieces), constant)


def _without(view: View, column: int) -> View:
    return view.selected(_others(view, column))


def _others(view: View, column: int) -> list[int]:
    return [k for k in range(len(view.problem.names)) if k != column]


def _power(name: str, power: float, options: SearchOptions) -> str | None:
    """How a power of a column is written with the operators at hand; None if it cannot be."""
    allowed = {operator.name for operator in (*options.binary, *options.unary)}
    if abs(power) == 2:
        text = f"square({name})" if "square" in allowed else f"({name}*{name})"
    elif abs(power) == 0.5:
        if "sqrt" not in allowed:
            return None
        text = f"sqrt({name})"
    else:
        text = name
    return text if power > 0 else f"1/{text}"
