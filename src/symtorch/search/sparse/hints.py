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
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ...expression import Expression
from ...tree import Call, Constant, Node
from ..constants import Refiner, refine
from ..engine import Budget, Progress, SearchRun
from ..limits import within_limits, written_with
from ..options import SearchOptions
from ..problem import Problem
from .pieces import Parts, separated
from .proposals import proposals
from .screening import screened, screened_by_samples
from .views import View

log = logging.getLogger(__name__)

Explore = Callable[[Problem, SearchOptions, SearchRun], tuple[Sequence[Expression], bool]]
"""A search without hints: its candidates, and whether it was interrupted."""

SOLVED = 1e-10
"""Relative error, root mean square over held-out rows, at which no other proposal is needed."""

PIECE_ROWS = 1024

LOOKING = 0.15
"""Share of the time after which no further proposals are looked for."""


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
        columns, sure = screened(self.problem, self.options, self.run.random_state)
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
            views = proposals(view, lambda: deadline.fraction() > LOOKING)
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
