"""certify(): how far an equation may be from its block over a box, proved."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TypeAlias, get_args

import torch
from torch import nn

from ..errors import InputError, StateError, UnsupportedTypeError
from ..recording.contexts import gradients
from ..symbolic.expression import Expression
from .asking import Asked, ask
from .box import Box, BoxLike
from .certificate import Arithmetic, Certificate
from .networks import Network, trace
from .proving import Task, proved, sampled
from .taylor import Basis

Equations: TypeAlias = Expression | str | Mapping[int, Expression | str]

MAX_COLUMNS = 6
"""Halving a box in seven columns takes 128 boxes, and accuracy in each many of these."""

MAX_WORK = 2e7
"""Multiplications for one subbox, 50 ms on a core: beyond it hardly any could be bounded."""

SAMPLES = 4096
"""Points at which block and equation are called before anything is proved."""

AGREEMENT = 10.0
"""How many square roots of the rounding error a block may be from what was read in it."""


def certify(
    block: nn.Module,
    equation: Equations,
    box: BoxLike,
    *,
    tolerance: float = 0.1,
    budget: float = 60.0,
    max_boxes: int | None = None,
    arithmetic: Arithmetic = "real",
    order: int = 2,
    seed: int = 0,
) -> Certificate:
    """Bound max ``abs(block - equation)`` over a box from below and from above.

    >>> block = nn.Linear(2, 1)
    >>> with torch.no_grad():
    ...     block.weight.copy_(torch.tensor([[2.0, 1.0]])); block.bias.fill_(0.5)
    Parameter containing:
    ...
    >>> certificate = certify(block, "2*x + y", {"x": (-1, 1), "y": (0, 3)})
    >>> certificate.proved, round(certificate.lower, 9), round(certificate.upper, 9)
    (True, 0.5, 0.5)

    Both become Taylor models of second order over subboxes, so that what they share cancels
    in the difference; the subboxes with the highest bounds are cut until all are within
    ``tolerance`` (branch and bound). All rounding is accounted for. The block is read, not run,
    for the proof: in eval mode, with the weights it has now. Its own answers at `SAMPLES`
    points of the box must agree with what was read.

    More than six columns or a very wide block cannot be proved in reasonable time. For
    them, and with a budget of 0, the certificate is a sample: `Certificate.proved` is False
    and there is no upper bound.

    Args:
        block: takes one tensor [rows, columns], gives [rows, outputs] or [rows].
        equation: for a block of one output, or one by output, ``{0: "x*y", 2: "x"}``.
        box: a range for each column in order, ``{"x": (-1, 1), "y": (0, 3)}``, or a `Box`.
        tolerance: how far the upper bound may be above the lower one, as a share of it.
        budget: seconds. A certificate is right whenever it stops, only less tight.
        max_boxes: stop after so many subboxes as well, the same on each machine.
        arithmetic: ``"float32"`` adds what executing the block in float32 on a CPU may be
            off by to the upper bounds.
        order: 0 for interval arithmetic alone, 1 for first-order forms, 2 for the best.
        seed: of the sampled points; no global generator is touched.

    Raises:
        InputError: a box with infinite bounds, an unknown variable or output, a block that
            raises or is not finite somewhere in the box, a negative budget.
        UnsupportedTypeError: a block with a part that is not understood, with its name and
            what is.
        StateError: torch flushes subnormal numbers to 0.
    """
    started = time.monotonic()
    box = Box.of(box)
    _check_numbers(tolerance, budget, order, arithmetic)
    # On the CPU whatever the default device is, and without a graph of gradients.
    with torch.device("cpu"), gradients(False):
        _check_subnormal_numbers()
        asked = ask(block, box.sample(SAMPLES, seed), box)
        equations = _equations(equation, asked.outputs.shape[1], box)
        limit = math.inf if max_boxes is None else max_boxes
        task = Task(equations, box, tolerance, arithmetic, order, started, budget, limit)
        why = "" if budget else "A budget of 0 s leaves no time for a proof."
        why = why or _too_many_columns(box)
        if why:
            return sampled(task, block, asked, why, seed)
        network = trace(block, len(box.names))
        _check_network(network, asked, block)
        why = _too_wide(network, order)
        return sampled(task, block, asked, why, seed) if why else proved(task, network, asked)


def _check_numbers(tolerance: float, budget: float, order: int, arithmetic: str) -> None:
    if not 0 < tolerance < math.inf:
        raise InputError(f"tolerance must be positive, 0.1 for 10 %; got {tolerance}")
    if not budget >= 0:
        raise InputError(f"budget must be 0 or more seconds; got {budget}")
    if order not in (0, 1, 2):
        raise InputError(f"order must be 0, 1 or 2; got {order}")
    if arithmetic not in get_args(Arithmetic):
        raise InputError(f"arithmetic must be 'real' or 'float32'; got {arithmetic!r}")


def _check_subnormal_numbers() -> None:
    if float(torch.tensor(5e-324, dtype=torch.float64) * 1.0) == 0.0:
        raise StateError(
            "torch flushes subnormal numbers to 0, so that its rounding is not IEEE's; call "
            "torch.set_flush_denormal(False) first"
        )


def _equations(given: Equations, outputs: int, box: Box) -> dict[int, Expression]:
    """The equations by output, checked."""
    if not isinstance(given, Mapping):
        if outputs != 1:
            raise InputError(
                f"the block has {outputs} outputs; give an equation by output, "
                f"{{0: {str(given)!r}}}"
            )
        given = {0: given}
    if not given:
        raise InputError("no equation given; give one by output, {0: 'x*y'}")
    equations = {}
    for dim, text in given.items():
        if not 0 <= dim < outputs:
            raise InputError(f"the block has outputs 0 to {outputs - 1}; got an equation for {dim}")
        expression = Expression.parse(text, box.names) if isinstance(text, str) else text
        unknown = [name for name in expression.variables if name not in box.names]
        if unknown:
            raise InputError(
                f"'{expression.pretty()}' has variables {unknown} that the box does not have: "
                f"{[*box.names]}"
            )
        equations[dim] = expression
    return equations


def _check_network(network: Network, asked: Asked, block: nn.Module) -> None:
    """That the block does what torch.fx read, hooks and all."""
    read = network.over(asked.points, asked.points, order=0).range.middle
    read = read.reshape(len(asked.points), -1)
    largest = float(asked.outputs.abs().max()) + 1e-30
    if read.shape != asked.outputs.shape:
        raise UnsupportedTypeError(
            f"{type(block).__name__} gives {asked.outputs.shape[1]} outputs, but torch.fx reads "
            f"{read.shape[1]} in it; a hook or a wrapped method may change what it does"
        )
    away = (read - asked.outputs).abs().amax(1)
    if float(away.max()) > AGREEMENT * math.sqrt(torch.finfo(asked.dtype).eps) * largest:
        worst = int(away.argmax())
        raise UnsupportedTypeError(
            f"{type(block).__name__} gives {asked.outputs[worst].tolist()} at "
            f"{asked.points[worst].tolist()}, but torch.fx reads {read[worst].tolist()} in it; a "
            f"hook or a wrapped method may change what it does"
        )


def _too_many_columns(box: Box) -> str:
    # A column of no width takes no cutting.
    columns = sum(low < high for low, high in zip(box.lower, box.upper, strict=True))
    if columns <= MAX_COLUMNS:
        return ""
    return f"A box in {columns} columns has too many parts for a proof; {MAX_COLUMNS} can be done."


def _too_wide(network: Network, order: int) -> str:
    work = network.work * Basis(network.inputs, order).size
    if work <= MAX_WORK:
        return ""
    return (
        f"The block takes {work:.1g} multiplications for a subbox, too many for a proof; "
        f"{MAX_WORK:.0g} can be done."
    )
