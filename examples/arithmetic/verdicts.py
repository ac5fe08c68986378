"""Whether there is a law, in words that say so when there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .measures import Interval

ENOUGH = 0.5
"""A law gives at least this share of the held-out answers to the nearest whole number."""

Kind: TypeAlias = Literal["law", "right", "trend", "none"]


@dataclass(frozen=True)
class Verdict:
    """One of four, and why.

    ``law``: the equation beats every rival and gives at least half of the answers.
    ``right``: it does not, and at least half of the answers are the right ones.
    ``trend``: the equation beats every rival, but gives less than half. No law.
    ``none``: neither. No law.
    """

    kind: Kind
    text: str

    def __str__(self) -> str:
        return self.text


def judge(
    advantage: Interval, reproduced: float, rivals: Mapping[str, tuple[float, float]], right: str
) -> Verdict:
    """The verdict on an equation.

    >>> rivals = {"the right answer": (0.6, 0.1), "a constant": (0.5, 0.2)}
    >>> print(judge(Interval(0.1, -0.02, 0.2), 0.1, rivals, "the right answer"))
    no law: no better than a constant on held-out answers, by 0.1 [-0.02, 0.2]

    Args:
        advantage: how much lower its error is than its best rival's, on held-out rows.
        reproduced: share of the held-out answers that it gives.
        rivals: error and share of each.
        right: the rival that is the right answer.
    """
    best = min(rivals, key=lambda name: rivals[name][0])
    if advantage.low > 0:
        better = f"better than {best} on held-out answers, by {advantage}"
        if reproduced >= ENOUGH:
            return Verdict("law", f"law: {better}; gives {_percent(reproduced)} of them")
        return Verdict("trend", f"no law, a trend: {better}, but gives {_percent(reproduced)}")
    share = rivals[right][1]
    if best == right and share >= ENOUGH:
        return Verdict("right", f"the right answer, {_percent(share)} of the time")
    return Verdict("none", f"no law: no better than {best} on held-out answers, by {advantage}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
