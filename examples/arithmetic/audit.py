"""The audit of one question: equations from half of the answers, judged on the other half."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from symtorch import Expression, InputError, Problem, SearchOptions
from symtorch.search import search
from symtorch.symbolic.operators import Operator

from .consensus import consensus
from .measures import Interval, Measure, advantage, hits
from .poles import PoleCheck, check_poles
from .verdicts import Verdict, judge

WINSORISED = 0.02
"""Share of the answers at each end that count as no wilder than the next one."""


SUBSETS, SUBSET = 3, 50
"""How many random subsets are fitted by themselves, and their rows."""


@dataclass(frozen=True)
class Language:
    """What equations are written in.

    Args:
        names: of the variables that may occur.
        options: operators and sizes.
        engine: that searches.
    """

    names: tuple[str, ...]
    options: SearchOptions
    engine: str = "sparse"


@dataclass(frozen=True)
class Question:
    """What was asked and what was answered.

    Args:
        name: in reports.
        names: of the variables.
        table: their values, [rows, variables].
        answers: [rows].
        guesses: what might have been answered instead, [rows] each; "the right answer" is
            one of them.
        measure: of the error.
        range: variables of every question there is, [*axes, variables].
        languages: that equations are searched in.
    """

    name: str
    names: tuple[str, ...]
    table: torch.Tensor
    answers: torch.Tensor
    guesses: Mapping[str, torch.Tensor]
    measure: Measure
    range: torch.Tensor = field(repr=False)
    languages: tuple[Language, ...]

    RIGHT = "the right answer"

    @property
    def right(self) -> torch.Tensor:
        return self.guesses[self.RIGHT]

    @property
    def unary(self) -> tuple[Operator, ...]:
        """The unary operators of all languages."""
        rows = (operator for language in self.languages for operator in language.options.unary)
        return tuple(dict.fromkeys(rows))

    def rows(self, rows: torch.Tensor) -> Question:
        """Some of the rows."""
        guesses = {name: guess[rows] for name, guess in self.guesses.items()}
        return replace(self, table=self.table[rows], answers=self.answers[rows], guesses=guesses)

    def columns(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, self.table.unbind(-1), strict=True))

    def errors(self, predicted: torch.Tensor) -> torch.Tensor:
        return self.measure.errors(predicted, self.answers)

    def error(self, predicted: torch.Tensor) -> float:
        return float(self.measure.summary(self.errors(predicted)))

    def is_exact(self, equations: Sequence[Expression]) -> bool:
        """Whether one of the equations gives every answer."""
        return any(self.error(equation(self.columns())) < 1e-9 for equation in equations)


@dataclass(frozen=True)
class Effort:
    """How hard equations are looked for.

    Args:
        seconds: of each search, at most.
        rounds: how often rows are weighed anew.
    """

    seconds: float
    rounds: int = 2


@dataclass(frozen=True)
class Score:
    """How one way to answer did on the held-out rows."""

    relative: float
    absolute: float
    reproduced: float

    @classmethod
    def of(cls, predicted: torch.Tensor, question: Question) -> Score:
        off = (predicted - question.answers).abs().nan_to_num(torch.inf, torch.inf)
        relative = off / question.answers.abs().clamp(min=1)
        return cls(
            float(relative.median()),
            float(off.median()),
            float(hits(predicted, question.answers).double().mean()),
        )


@dataclass(frozen=True)
class Finding:
    """What an audit found.

    Args:
        question: its name.
        fitted: rows that equations were fitted to.
        held_out: rows that judged.
        equation: chosen among those without poles.
        scores: of the equation and its rivals, on the held-out rows.
        errors: the same under the question's own measure.
        advantage: how much lower the equation's error is than its best rival's.
        poles: of the equation.
        rejected: equations with poles that fitted better than the chosen one.
        verdict: in the end.
    """

    question: str
    fitted: int
    held_out: int
    equation: Expression
    measure: str
    scores: Mapping[str, Score]
    errors: Mapping[str, float]
    advantage: Interval
    poles: PoleCheck
    rejected: tuple[str, ...]
    verdict: Verdict

    @property
    def lawful(self) -> bool:
        """Whether the answers follow a law, be it the right one."""
        return self.verdict.kind in ("law", "right")


EQUATION = "the equation"
CONSTANT = "a constant"


def audit(
    question: Question, effort: Effort, seed: int, candidates: Sequence[Expression] = ()
) -> Finding:
    """Fit to a random half, choose there, judge on the other half.

    Args:
        question: at least 8 rows.
        effort: of the search.
        seed: of the split and the search.
        candidates: further equations to choose from.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(question.answers), generator=generator)
    half = len(order) // 2
    fitted, held_out = question.rows(order[half:]), question.rows(order[:half])
    found = list(candidates)
    if not fitted.is_exact(found):
        found += explore(fitted, effort, seed)
    equation, poles, rejected = choose(found, fitted)

    predictions = {
        EQUATION: equation(held_out.columns()),
        **held_out.guesses,
        CONSTANT: torch.full_like(held_out.answers, best_constant(fitted)),
    }
    rivals = {name: held_out.errors(p) for name, p in predictions.items()}
    errors = {name: float(question.measure.summary(e)) for name, e in rivals.items()}
    own = rivals.pop(EQUATION)
    gain = advantage(question.measure, own, [*rivals.values()], seed)
    scores = {name: Score.of(p, held_out) for name, p in predictions.items()}
    return Finding(
        question=question.name,
        fitted=len(fitted.answers),
        held_out=half,
        equation=equation,
        measure=question.measure.name,
        scores=scores,
        errors=errors,
        advantage=gain,
        poles=poles,
        rejected=rejected,
        verdict=judge(
            gain,
            scores[EQUATION].reproduced,
            {name: (errors[name], scores[name].reproduced) for name in rivals},
            Question.RIGHT,
        ),
    )


def explore(question: Question, effort: Effort, seed: int) -> list[Expression]:
    """Equations from searches that wild answers do not lead astray.

    Three beginnings: the short form that most rows agree with, and, unless what follows from
    it is exact, least squares on winsorised answers and on a few random subsets. Of these some
    hold hardly a wild answer, so that their equations are near what most rows follow (the
    resampling of Rousseeuw and Leroy, "Robust Regression and Outlier Detection", 1987).
    """
    start = consensus(question.columns(), question.answers, question.measure, question.unary, seed)
    found = [start, *reweighted(start, question, effort, seed)]
    if question.is_exact(found):
        return found
    ends = torch.tensor([WINSORISED, 1 - WINSORISED], dtype=torch.float64)
    tame = question.answers.clamp(*torch.quantile(question.answers, ends))
    beginnings = [
        *((question, tame, weights) for weights in question.measure.first_weights(tame)),
        *((part, part.answers, torch.ones_like(part.answers)) for part in subsets(question, seed)),
    ]
    plain = [
        equation
        for part, answers, weights in beginnings
        for equation in fronts(part, answers, weights, effort, seed)
    ]
    best = simplest(plain, question)
    return [*found, *plain, *reweighted(best, question, effort, seed)]


def subsets(question: Question, seed: int) -> Iterator[Question]:
    """Random rows of a question; none where there are hardly more rows than that."""
    count = len(question.answers)
    if count < 2 * SUBSET:
        return
    generator = torch.Generator().manual_seed(seed)
    for _ in range(SUBSETS):
        yield question.rows(torch.randperm(count, generator=generator)[:SUBSET])


def reweighted(
    best: Expression, question: Question, effort: Effort, seed: int
) -> Iterator[Expression]:
    """Searches in which a row counts by how well the best equation so far explains it."""
    for _ in range(effort.rounds):
        weights = question.measure.weights(best(question.columns()), question.answers)
        found = fronts(question, question.answers, weights, effort, seed)
        yield from found
        before, best = best, simplest([best, *found], question)
        if best == before:
            return


def fronts(
    question: Question, answers: torch.Tensor, weights: torch.Tensor, effort: Effort, seed: int
) -> list[Expression]:
    """The fronts of weighted searches; nothing where too few rows have a weight."""
    try:
        problem = Problem.split(
            question.table, answers, question.names, weights=weights, random_state=seed
        )
    except InputError:
        return []
    found = []
    for language in question.languages:
        part = problem.select([question.names.index(name) for name in language.names])
        options = language.options.replace(timeout_in_seconds=effort.seconds)
        front = search(part, options, engine=language.engine, random_state=seed)
        found += [row.expression for row in front]
    return found


def simplest(equations: Sequence[Expression], question: Question) -> Expression:
    """The simplest of those within one standard error of the lowest error.

    The rule of Breiman et al., "Classification and Regression Trees", 1984.
    """
    columns = question.columns()
    rows = {equation: question.errors(equation(columns)) for equation in equations}
    errors = {equation: float(question.measure.summary(each)) for equation, each in rows.items()}
    best = min(errors, key=errors.__getitem__)
    limit = errors[best] + float(rows[best].std()) / len(question.answers) ** 0.5
    return min(
        (equation for equation, error in errors.items() if error <= limit),
        key=lambda equation: (equation.complexity(), errors[equation]),
    )


def choose(
    equations: Sequence[Expression], question: Question
) -> tuple[Expression, PoleCheck, tuple[str, ...]]:
    """The simplest of the best without poles; those passed over for their poles."""
    left, rejected = list(dict.fromkeys(equations)), []
    largest = float(question.right.abs().max())
    while True:
        best = simplest(left, question)
        poles = check_poles(best, question.names, question.range, largest)
        if poles.passed or len(left) == 1:
            return best, poles, tuple(rejected)
        rejected.append(f"{best.pretty()}: {poles}")
        left.remove(best)


def best_constant(question: Question) -> float:
    """The answer that, always given, has the lowest error."""
    values = question.answers.unique()
    errors = question.measure.summary(question.measure.errors(values[:, None], question.answers))
    return float(values[int(errors.argmin())])
