"""What is asked: prompts, right answers, and what a lazy model might say instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from symtorch.recording.features import Features, Transform

from .digits import OPERATORS, Place, digit_variables, lead, places

Function = Callable[[torch.Tensor], torch.Tensor]
"""[rows, columns] -> [rows]."""

LONGEST = 12
"""Bits of the longest string whose ones are to be counted."""

_ANSWER = re.compile(r"\s*(-?\d[\d,]*(?:\.\d+)?)(?=[^\d,])(?!\.\d|\.\Z)(?!\s*[-+*/=]\s*\d)")


@dataclass(frozen=True)
class Task:
    """One kind of question.

    Args:
        name: in reports and on the command line.
        columns: what a question is made of.
        range: every question there is, [*axes, columns]; neighbours along an axis are
            neighbours in it.
        shots: questions that stand answered in the prompt, and are never asked.
        write: a question as text, up to where the answer begins.
        right: the right answers.
        lazy: the same from the leading digits of the operands only.
        variables: of the equations, as functions of the columns.
        plain: those of them that equations without digits are written in.
        unary: operators of the search beside ``+ - * /``.
        places: the parts of an answer that are audited by themselves.
        bins: a question's kind, of which all are drawn equally often: [rows] of whole
            numbers; None draws uniformly.
    """

    name: str
    columns: tuple[str, ...]
    range: torch.Tensor
    shots: Sequence[tuple[float, ...]]
    write: Callable[[Sequence[float]], str]
    right: Function
    lazy: Function
    variables: Mapping[str, Transform]
    plain: tuple[str, ...]
    unary: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()
    bins: Function | None = None

    @property
    def features(self) -> Features:
        """The variables of the equations."""
        return Features.plan(self.columns, transforms=self.variables)

    def draw(self, count: int, seed: int) -> torch.Tensor:
        """Different questions at random: [count, columns], fewer where there are no more."""
        every = self.range.flatten(0, -2)
        shown = torch.tensor(self.shots, dtype=every.dtype)
        every = every[~(every[:, None] == shown).all(-1).any(-1)]
        kinds = torch.zeros(len(every)) if self.bins is None else self.bins(every)
        _, kind, sizes = kinds.unique(return_inverse=True, return_counts=True)
        generator = torch.Generator().manual_seed(seed)
        count = min(count, len(every))
        drawn = torch.multinomial((1 / sizes)[kind].double(), count, generator=generator)
        return every[drawn]

    def prompt(self, question: Sequence[float]) -> str:
        """A question after the answered ones."""
        answers = self.right(torch.tensor(self.shots, dtype=torch.float64)).tolist()
        shown = [
            f"{self.write(shot)} {answer:g}\n"
            for shot, answer in zip(self.shots, answers, strict=True)
        ]
        return "".join([*shown, self.write(question)])


def read(text: str) -> float | None:
    """The number that an answer begins with, or None.

    >>> read(" 1,265.\\n"), read(" 98.6 degrees"), read(" 100 + 10"), read(" 31415"), read(" x")
    (1265.0, 98.6, None, None, None)

    A number that the end cuts off is none, nor is the first of a sum.
    """
    found = _ANSWER.match(text)
    return float(found[1].replace(",", "")) if found else None


def numbers_up_to(*largest: int) -> torch.Tensor:
    """All tuples of whole numbers up to these: [largest[0] + 1, ..., columns]."""
    axes = [torch.arange(most + 1, dtype=torch.float64) for most in largest]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def lengths(table: torch.Tensor) -> torch.Tensor:
    """How many digits each operand has, as one number a row."""
    each = 1 + (table >= 10).double() + (table >= 100).double()
    return (each * 10 ** torch.arange(table.shape[1])).sum(-1)


def bit_strings() -> torch.Tensor:
    """Every bit string of 4 to `LONGEST` bits as value and length."""
    rows = [(value, n) for n in range(4, LONGEST + 1) for value in range(2**n)]
    return torch.tensor(rows, dtype=torch.float64)


def bits(table: torch.Tensor) -> torch.Tensor:
    """The bits of value and length, first one first, zeros after the last one: [rows, LONGEST]."""
    place = table[:, 1:] - 1 - torch.arange(LONGEST)
    shifted = torch.remainder(torch.floor(table[:, :1] / 2.0**place), 2)
    return torch.where(place >= 0, shifted, 0.0)


def ones(table: torch.Tensor) -> torch.Tensor:
    return bits(table).sum(-1)


def first_half(table: torch.Tensor) -> torch.Tensor:
    within = torch.arange(LONGEST) < table[:, 1:] / 2
    return (bits(table) * within).sum(-1)


def changes(table: torch.Tensor) -> torch.Tensor:
    """How often neighbouring bits differ."""
    string = bits(table)
    inside = torch.arange(1, LONGEST) < table[:, 1:]
    return ((string[:, 1:] != string[:, :-1]) & inside).double().sum(-1)


def operands(symbol: str) -> Callable[[Sequence[float]], str]:
    return lambda question: f"{question[0]:.0f} {symbol} {question[1]:.0f} ="


def of_two_numbers(
    name: str,
    symbol: str,
    operation: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    shots: Sequence[Sequence[float]],
    judged: int,
) -> Task:
    """A task ``a symbol b =`` on numbers of one to three digits.

    Args:
        name: of the task.
        symbol: of the operation in a prompt.
        operation: what is right.
        shots: the examples in a prompt.
        judged: how many places of the answer are judged one by one.
    """
    return Task(
        name=name,
        columns=("a", "b"),
        range=numbers_up_to(999, 999),
        shots=shots,
        write=operands(symbol),
        right=lambda table: operation(table[:, 0], table[:, 1]),
        lazy=lambda table: operation(lead(table[:, 0]), lead(table[:, 1])),
        variables=digit_variables(("a", "b")),
        plain=("a", "b"),
        unary=OPERATORS,
        places=places(judged),
        bins=lengths,
    )


ADDITION = of_two_numbers(
    "addition", "+", torch.add, ((15, 27), (130, 8), (462, 391), (6, 3)), judged=2
)

MULTIPLICATION = of_two_numbers(
    "multiplication", "*", torch.mul, ((4, 12), (130, 8), (46, 91), (6, 3)), judged=4
)

TEMPERATURE = Task(
    name="temperature",
    columns=("c",),
    range=numbers_up_to(999),
    shots=((10,), (25,), (150,), (0,)),
    write=lambda question: f"{question[0]:.0f} degrees Celsius in Fahrenheit is",
    right=lambda table: 1.8 * table[:, 0] + 32,
    lazy=lambda table: 1.8 * lead(table[:, 0]) + 32,
    variables=digit_variables(("c",)),
    plain=("c",),
    unary=OPERATORS,
)

ONES = Task(
    name="ones",
    columns=("value", "length"),
    range=bit_strings(),
    shots=((0b0110, 4), (0b10111, 5), (0b1000000, 7), (0b111011011, 9)),
    write=lambda question: f"The number of ones in {int(question[0]):0{int(question[1])}b} is",
    right=ones,
    lazy=first_half,
    variables={
        "ones": ones,
        "length": "length",
        "first_half": first_half,
        "changes": changes,
        "value": "value",
    },
    plain=("ones", "length"),
    unary=("floor",),
    bins=lambda table: table[:, 1],
)

TASKS: Mapping[str, Task] = {
    task.name: task for task in (ADDITION, MULTIPLICATION, TEMPERATURE, ONES)
}
