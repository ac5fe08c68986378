"""One task put to one model: its questions, its answers, and the audits of both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from symtorch import Expression, SearchOptions

from .audit import Effort, Finding, Language, Question, audit
from .language_model import LanguageModel
from .measures import BoundedRelative, ShareMissed, hits
from .tasks import Task, read

SMOOTH = SearchOptions(unary_operators=("inv", "square", "exp"), maxsize=20)
"""Equations without digits; roots and logarithms are singular at 0, which is asked for."""

Answers = Callable[[Task, torch.Tensor], list[float | None]]
"""Answers to questions [rows, columns]; None where there was none that could be read."""


@dataclass(frozen=True)
class Study:
    """What came of one task.

    Args:
        task: its name.
        prompts: asked.
        failures: answers that were no number.
        exact: share of the answers that were right, to the nearest whole number.
        table: the questions that were answered, [rows, columns].
        answers: [rows].
        right: [rows].
        whole: the audit of the answers.
        parts: the audits of their digits.
    """

    task: str
    prompts: int
    failures: int
    exact: float
    table: torch.Tensor
    answers: torch.Tensor
    right: torch.Tensor
    whole: Finding
    parts: tuple[Finding, ...]

    def to_json(self) -> dict[str, Any]:
        """Everything but the rows."""
        return {
            "task": self.task,
            "prompts": self.prompts,
            "parse failures": self.failures,
            "share exact": self.exact,
            "answer": finding_to_json(self.whole),
            "parts": [finding_to_json(part) for part in self.parts],
        }


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding, its equation exact and rounded."""
    return {
        **asdict(finding),
        "equation": str(finding.equation),
        "rounded": finding.equation.pretty(),
        "poles": finding.poles.to_json(),
    }


def study(task: Task, model: Answers, prompts: int, effort: Effort, seed: int) -> Study:
    """Ask, read, and audit: digit by digit where the task has digits, and as a whole.

    The parts' equations, put together, are a candidate for the whole.
    """
    table = task.draw(prompts, seed)
    given = model(task, table)
    readable = torch.tensor([answer is not None for answer in given])
    table = table[readable]
    answers = torch.tensor([a for a in given if a is not None], dtype=torch.float64)
    right = task.right(table)
    features = task.features
    whole = Question(
        name=task.name,
        names=features.names,
        table=features(table),
        answers=answers,
        guesses={Question.RIGHT: right, "leading digits only": task.lazy(table)},
        measure=BoundedRelative(),
        range=features(task.range.flatten(0, -2)).unflatten(0, task.range.shape[:-1]),
        languages=(
            Language(features.names, SearchOptions(unary_operators=task.unary, maxsize=20)),
            Language(task.plain, SMOOTH, engine="operon"),
        ),
    )
    parts = tuple(audit(part, effort, seed) for part in _parts(task, whole))
    return Study(
        task=task.name,
        prompts=len(given),
        failures=len(given) - len(answers),
        exact=float(hits(answers, right).double().sum() / len(given)),
        table=table,
        answers=answers,
        right=right,
        whole=audit(whole, effort, seed, _composed(task, parts)),
        parts=parts,
    )


def _parts(task: Task, whole: Question) -> list[Question]:
    language = Language(
        whole.names, SearchOptions(("+", "-", "*"), unary_operators=task.unary, maxsize=12)
    )
    return [
        Question(
            name=f"{task.name}, {place.name}",
            names=whole.names,
            table=whole.table,
            answers=place(whole.answers),
            guesses={Question.RIGHT: place(whole.right)},
            measure=ShareMissed(),
            range=whole.range,
            languages=(language,),
        )
        for place in task.places
    ]


def _composed(task: Task, parts: tuple[Finding, ...]) -> list[Expression]:
    """The whole answer from the equations of its parts."""
    if not parts or not all(part.lawful for part in parts):
        return []
    terms = (
        f"{place.unit}*({part.equation})" for place, part in zip(task.places, parts, strict=True)
    )
    operators = {op.name: op for part in parts for op in part.equation.operators if op.definition}
    return [Expression.parse(" + ".join(terms), operators=operators)]


def language_model(model: LanguageModel, kept: Path | None) -> Answers:
    """A language model as something that answers tasks.

    Args:
        model: to ask.
        kept: file to keep its texts in, by prompt, for another run.
    """
    texts: dict[str, str] = {}
    if kept is not None and kept.exists():
        texts = json.loads(kept.read_text())

    def answers(task: Task, table: torch.Tensor) -> list[float | None]:
        prompts = [task.prompt(question) for question in table.tolist()]
        new = [prompt for prompt in prompts if prompt not in texts]
        texts.update(zip(new, model.complete(new), strict=True))
        if kept is not None:
            kept.write_text(json.dumps(texts, indent=0))
        return [read(texts[prompt]) for prompt in prompts]

    return answers
