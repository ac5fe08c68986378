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

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from .....symbolic.expression import Expression
from .....symbolic.nodes import Call, Constant, Node
from .....symbolic.operators import Operator
from ....engine import Budget, Progress, SearchRun
from ....limits import within_limits, written_with
from ....options import SearchOptions
from ....problem import Problem
from ....refinement import Refiner, refine
from .proposals import proposals
from .screening import screened, screened_by_samples, strongest
from .separability import Choice, Parts, joined, separated
from .variants import Variant

log = logging.getLogger(__name__)

Explore = Callable[[Problem, SearchOptions, SearchRun], Sequence[Expression]]
"""A search without hints."""

SOLVED = 1e-10
"""Relative error, root mean square over held-out rows, at which no other proposal is needed."""

PIECE_ROWS = 1024

LOOKING = 0.15
"""Share of the time after which no further proposals are looked for."""

MOST_SEARCHED = 24
"""Inputs that are searched at once, the strongest: the libraries hold what two or three of them do
together, and no readable equation holds more."""


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
        self.found: dict[Expression, float] = {}
        self.scale = float(
            (problem.validation.weights * problem.validation.y**2).sum()
            / problem.validation.weights.sum()
        )

    def search(self) -> list[Expression]:
        with self.run.until_interrupted():
            self._search()
        return list(self.found)

    def _search(self) -> None:
        whole = Variant.of(self.problem, self.options)
        columns, sure = screened(self.problem, self.options, self.run.random_state)
        if len(columns) > MOST_SEARCHED and self.options.select_k_features is None:
            columns = strongest(self.problem, MOST_SEARCHED, self.run.random_state)
            sure = True
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
            new = new[: max(0, MOST_SEARCHED - len(columns))]
            if not new:
                break
            columns = sorted([*columns, *new])
            log.debug("inputs in the residual: %s", [self.problem.names[i] for i in new])
            self._explore(whole.selected(columns), 0.7)
        if not self.done and len(self.problem.names) <= MOST_SEARCHED:
            self._explore(whole, 1.0)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do, or no time to do it."""
        spent = self.run.budget.left() <= 0.03 * self.run.budget.seconds
        return self.run.interrupted or spent or self.solved

    @property
    def solved(self) -> bool:
        """Whether an equation fits to (nearly) the last digit."""
        best = min(self.found.values(), default=math.inf)
        return best <= max(SOLVED**2 * self.scale, self.problem.loss_floor)

    def _loss(self, expression: Expression) -> float:
        sample = self.problem.validation
        return sample.loss(self.problem.predict(expression, sample).expand(len(sample)))

    def _unexplained(self) -> list[int]:
        """Columns that tell something about the residual of the best equation."""
        if not self.found:
            return []
        best = min(self.found, key=self.found.__getitem__)
        train = self.problem.train
        left = train.y - self.problem.predict(best, train)
        if not bool(torch.isfinite(left).all()):
            return []
        return screened_by_samples(train.X, left, self.run.random_state)

    def _with_proposals(self, variant: Variant, share: float) -> None:
        """Search the proposals of a problem, then the problem itself."""
        deadline = Budget(max(share * self.run.budget.left(), 1e-3))
        variants: list[Variant] = []
        if variant.problem.oracle is not None:
            variants = proposals(variant, lambda: deadline.fraction() > LOOKING)
            parts = separated(variant, lambda: deadline.fraction() > 2 * LOOKING)
            widest = min(
                (len(v.problem.names) for v in variants), default=len(variant.problem.names)
            )
            if parts is not None and parts.widest < widest:
                log.debug("pieces: %s", [piece.problem.names for piece in parts.pieces])
                self._pieces(parts, 0.4 * deadline.left())
        for number, proposal in enumerate(variants):
            if self.done:
                return
            log.debug("proposal: %s", proposal.story)
            # What is left is for the simpler proposals and for the problem as it is.
            self._explore_for(proposal, (0.4 if number == 0 else 0.2) * deadline.left())
        if not self.done:
            self._explore_for(variant, deadline.left())

    def _pieces(self, parts: Parts, seconds: float) -> None:
        """Search the parts of a function that is their sum or product, and put them together."""
        whole = Budget(max(seconds, 1e-3))
        fronts = []
        for number, piece in enumerate(parts.pieces):
            if self.done:
                return
            share = whole.left() / (len(parts.pieces) - number)
            candidates = self._candidates(piece, share)
            fronts.append(self._choices(piece.problem, candidates, parts.operator))
        # The pieces were fitted to sections of the function; the constants get all of it.
        rule = self.options.complexity_rule(self.problem.names)
        together: list[Node] = []
        for choice in joined(fronts, parts.operator, 2 * self.options.maxsize):
            if choice.root is None:
                continue
            root, constant = choice.root, parts.joining(choice)
            # A constant far below what the pieces leave over is rounding, not worth two nodes.
            if (constant - parts.neutral) ** 2 > 0.1 * choice.error:
                root = Call(parts.operator, (root, Constant(constant)))
            together.append(root)
        together.sort(key=lambda root: rule.of(root) > self.options.maxsize)
        train = self.problem.train
        refined = refine(
            together,
            self.problem,
            train.take(torch.arange(min(len(train), PIECE_ROWS), device=train.y.device)),
            rule,
            _operators(self.options),
            replace(self.run, budget=Budget(max(0.3 * seconds, 1e-3))),
            shortening_end=0.6,
            end=1.0,
        )
        for equation in (*map(Expression, together), *refined):
            self._add(equation)

    def _choices(
        self, problem: Problem, candidates: Sequence[Expression], operator: Operator
    ) -> list[Choice]:
        """The constant and a few equations of a piece: where the front falls most steeply, and
        its end.

        Steepness is PySR's score, the fall of log(loss) for each unit of complexity: the law
        stands there, and the network's own errors are what the longer equations explain.
        """
        rule = self.options.complexity_rule(problem.names)
        sample = problem.validation
        scale = 1.0
        if operator.name == "*":
            scale = max(float(sample.y.square().mean()), 1e-300)
        losses = {
            e: max(sample.loss(problem.predict(e, sample).expand(len(sample))), problem.loss_floor)
            for e in candidates
        }
        mean = float(problem.train.y.mean())
        # Before the first there is the constant, whose loss is the variance.
        variance = max(float(sample.y.var(correction=0)), problem.loss_floor)
        choices = [Choice(None, mean, 0, variance / scale)]
        kept: list[Expression] = []
        for equation in sorted(losses, key=lambda e: (rule.of(e), losses[e])):
            if not kept or losses[equation] < 0.9 * losses[kept[-1]]:
                kept.append(equation)
        before = [(variance, 1)]
        before += [(losses[e], rule.of(e)) for e in kept]
        scores = {
            e: math.log(loss / losses[e]) / max(rule.of(e) - size, 1)
            for e, (loss, size) in zip(kept, before, strict=False)
        }
        steepest = sorted(scores, key=lambda e: -scores[e])[:3]
        written = Refiner(problem, sample, rule, _operators(self.options))
        return choices + [
            Choice.of(written.open(e.root), operator, rule.of, losses[e] / scale)
            for e in dict.fromkeys([*steepest, *kept[-1:]])
        ]

    def _explore(self, variant: Variant, share: float) -> None:
        self._explore_for(variant, share * self.run.budget.left())

    def _explore_for(self, variant: Variant, seconds: float) -> None:
        """Search a variant and write what is found over the original inputs."""
        rule = self.options.complexity_rule(self.problem.names)
        for candidate in self._candidates(variant, seconds):
            equation = variant.back(candidate)
            if variant.constants:
                refiner = Refiner(
                    self.problem, self.problem.train, rule, (), lambda: self.run.budget.left() <= 0
                )
                equation = Expression(refiner.fit(equation.root).root)
            self._add(equation)

    def _candidates(self, variant: Variant, seconds: float) -> Sequence[Expression]:
        whole = self.run

        def progress(report: Progress) -> None:
            whole.progress(replace(report, fraction=whole.budget.fraction()))

        def found(candidates: Callable[[], Sequence[Expression]]) -> None:
            whole.found(lambda: [*self.found, *map(variant.back, candidates())])

        part = replace(
            whole,
            budget=Budget(max(seconds, 1e-3)),
            progress=progress,
            found=found,
            seeds=(),
        )
        return self.explore(variant.problem, variant.options, part)

    def _add(self, equation: Expression) -> None:
        rule = self.options.complexity_rule(self.problem.names)
        if (
            equation not in self.found
            and rule.of(equation) <= self.options.maxsize
            and within_limits(equation, self.options, rule)
        ):
            self.found[equation] = self._loss(equation)


def _operators(options: SearchOptions) -> set[str]:
    return written_with({operator.name for operator in (*options.binary, *options.unary)})
