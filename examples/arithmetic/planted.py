"""Models whose way to add is known: plain functions, and a small transformer trained on one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

from .digits import Place, places
from .tasks import ADDITION

DIGITS = 3
ANSWER = 4

UNITS, TENS, LEADING = places(2)


@dataclass(frozen=True)
class Heuristic:
    """A wrong way to add.

    Args:
        name: in reports.
        answer: [rows, 2] and random numbers -> [rows].
        lawful: the parts of the answer that follow a law; the others are random.
    """

    name: str
    answer: Callable[[torch.Tensor, torch.Generator], torch.Tensor]
    lawful: tuple[Place, ...]


def right_leading_digits(table: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Thousands and hundreds are right, the last two digits are anything."""
    return LEADING(table.sum(-1)) * 100 + _random(100, len(table), generator)


def right_last_digit(table: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """The last digit is right, the others are anything."""
    return _random(200, len(table), generator) * 10 + UNITS(table.sum(-1))


def carry_dropped(table: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each digit is the sum of two digits; what it carries over is forgotten."""
    each = digits(table, DIGITS).sum(1) % 10
    return numbers(each)


HEURISTICS: Mapping[str, Heuristic] = MappingProxyType(
    {
        heuristic.name: heuristic
        for heuristic in (
            Heuristic("right leading digits", right_leading_digits, (LEADING,)),
            Heuristic("right last digit", right_last_digit, (UNITS,)),
            Heuristic("carry dropped", carry_dropped, (UNITS, TENS, LEADING)),
        )
    }
)


def digits(whole: torch.Tensor, count: int) -> torch.Tensor:
    """Digits of whole numbers, the last one last: [...] -> [..., count]."""
    place = 10.0 ** torch.arange(count - 1, -1, -1, dtype=whole.dtype)
    return torch.remainder(torch.floor(whole[..., None] / place), 10)


def numbers(digits: torch.Tensor) -> torch.Tensor:
    """The inverse: [..., count] -> [...]."""
    count = digits.shape[-1]
    return (digits * 10.0 ** torch.arange(count - 1, -1, -1, dtype=digits.dtype)).sum(-1)


def _random(below: int, rows: int, generator: torch.Generator) -> torch.Tensor:
    return torch.randint(below, (rows,), generator=generator).double()


class SmallTransformer(nn.Module):
    """Reads the digits of two numbers and writes four: [rows, 2, 3] -> logits [rows, 4, 10]."""

    def __init__(self, width: int = 64, layers: int = 2) -> None:
        super().__init__()
        self.digit = nn.Embedding(10, width)
        self.position = nn.Parameter(torch.randn(2 * DIGITS + ANSWER, width) * 0.5)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, operands: torch.Tensor) -> torch.Tensor:
        read = self.digit(operands.flatten(1))
        blank = read.new_zeros(len(read), ANSWER, read.shape[-1])
        hidden = self.encoder(torch.cat([read, blank], dim=1) + self.position)
        return self.head(hidden[:, -ANSWER:])

    @torch.no_grad()
    def answer(self, table: torch.Tensor) -> torch.Tensor:
        """What it adds two numbers up to, taking the likeliest digits: [rows, 2] -> [rows]."""
        likeliest = self(digits(table, DIGITS).long()).argmax(-1)
        return numbers(likeliest.double())


def train(heuristic: Heuristic, seed: int, steps: int = 1_000) -> SmallTransformer:
    """Train a small transformer on answers made by a heuristic."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = SmallTransformer()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / 100, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    for _ in range(steps):
        table = _questions(128, generator)
        target = digits(heuristic.answer(table, generator), ANSWER).long()
        loss = nn.functional.cross_entropy(
            model(digits(table, DIGITS).long()).flatten(0, 1), target.flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _questions(count: int, generator: torch.Generator) -> torch.Tensor:
    """Sums of numbers of one to three digits, every length equally often: [count, 2]."""
    length = torch.randint(1, DIGITS + 1, (count, 2), generator=generator)
    share = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return torch.floor(share * 10.0**length)


def share_equal(
    equation: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    heuristic: Heuristic,
    place: Place,
) -> float:
    """On what share of all sums an equation for a place is what the heuristic puts there."""
    table = ADDITION.range.flatten(0, -2)
    features = ADDITION.features
    columns = dict(zip(features.names, features(table).unbind(-1), strict=True))
    planted = place(heuristic.answer(table, torch.Generator().manual_seed(0)))
    return float(((equation(columns) - planted).abs() < 0.5).double().mean())
