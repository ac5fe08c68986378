"""Lines whose inputs share factors: ``0.7*(x1 + x2 - x5) + 0.2*(x3 + x4) + 1``.

An input with a factor of its own takes four nodes, one that joins others takes two, so that
thirty nodes hold thirteen inputs instead of seven. Where many inputs count about alike, that is
the better line, and the more robust one (R. M. Dawes, "The robust beauty of improper linear
models in decision making", American Psychologist 34, 1979).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ...symbolic.nodes import Call, Node, Variable
from ...symbolic.operators import OPERATORS
from ..engines.local.frame import Frame
from ..engines.local.terms import Term

Array = npt.NDArray[np.float64]

JOINING, OPENING = 2, 4
"""Nodes that an input takes in a group that there is, and in one of its own."""

COLLINEAR = 1e-9
"""Share of its power that a sum must keep beside the other groups."""


@dataclass
class _Group:
    """Inputs of one factor: their names with signs, and their sum [rows]."""

    members: list[tuple[str, int]]
    total: Array = field(repr=False)


def shared_lines(frame: Frame, most_nodes: int) -> Iterator[Node]:
    """Lines that grow by one input at a time, the one that gains most for its nodes.

    Args:
        frame: the rows.
        most_nodes: of an equation.
    """
    names = dict(frame.varying())
    positions = np.array(list(names), dtype=int)
    if not len(positions):
        return
    columns = frame.deviations(frame.table[:, positions])
    free = np.ones(len(positions), dtype=bool)
    groups: list[_Group] = []
    nodes = 1
    while free.any():
        step = _best_step(columns, frame.target, groups, free)
        if step is None:
            return
        group, column, sign = step
        nodes += OPENING if group is None else JOINING
        if nodes > most_nodes:
            return
        free[column] = False
        member = (names[int(positions[column])], sign)
        if group is None:
            groups.append(_Group([member], sign * columns[:, column]))
        else:
            groups[group].members.append(member)
            groups[group].total = groups[group].total + sign * columns[:, column]
        yield _written(frame, groups)


def _best_step(
    columns: Array, target: Array, groups: list[_Group], free: npt.NDArray[np.bool_]
) -> tuple[int | None, int, int] | None:
    """The group to join (None: a new one), the column and its sign, by gain over nodes."""
    best: tuple[float, tuple[int | None, int, int]] | None = None
    before = _explained(np.column_stack([g.total for g in groups]), target) if groups else 0.0

    def consider(gains: Array, group: int | None, sign: int, cost: int) -> None:
        nonlocal best
        gains = np.where(free & np.isfinite(gains), gains, 0.0)
        column = int(gains.argmax())
        worth = float(gains[column]) / cost
        if worth > 0 and (best is None or worth > best[0]):
            best = worth, (group, column, sign)

    everything = np.column_stack([g.total for g in groups]) if groups else columns[:, :0]
    left, beside = _beside(everything, target, columns)
    power = np.square(beside).sum(axis=0)
    new = power > COLLINEAR * np.square(columns).sum(axis=0)
    with np.errstate(all="ignore"):
        consider(np.where(new, np.square(left @ beside) / power, 0.0), None, 1, OPENING)
        for number, group in enumerate(groups):
            others = np.delete(everything, number, axis=1)
            left, beside = _beside(others, target, np.column_stack([group.total, columns]))
            total, added = beside[:, 0], beside[:, 1:]
            rest = _explained(others, target) if others.shape[1] else 0.0
            for sign in (1, -1):
                product = left @ total + sign * (left @ added)
                power = total @ total + np.square(added).sum(axis=0) + 2 * sign * (total @ added)
                gains = rest + np.square(product) / power - before
                consider(np.where(power > 0, gains, 0.0), number, sign, JOINING)
    return None if best is None else best[1]


def _beside(basis: Array, target: Array, columns: Array) -> tuple[Array, Array]:
    """Target and columns without what the basis says of them."""
    if not basis.shape[1]:
        return target, columns
    orthonormal = np.linalg.qr(basis)[0]
    return (
        target - orthonormal @ (orthonormal.T @ target),
        columns - orthonormal @ (orthonormal.T @ columns),
    )


def _explained(basis: Array, target: Array) -> float:
    """Squared target that a basis explains."""
    return float(np.square(np.linalg.qr(basis)[0].T @ target).sum())


def _written(frame: Frame, groups: list[_Group]) -> Node:
    """The line with fitted factors, one a group."""
    terms = []
    for group in groups:
        # The first of a group stands without a sign in front of it.
        first = group.members[0][1]
        tree: Node = Variable(group.members[0][0])
        for name, sign in group.members[1:]:
            tree = Call(OPERATORS["+" if sign == first else "-"], (tree, Variable(name)))
        terms.append(Term(tree, (0,)))
    return frame.equation(terms)
