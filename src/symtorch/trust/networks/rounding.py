"""How far the execution of a network in float32 may be from real arithmetic.

A forward error analysis over subboxes: each step passes the error of its arguments on, by
its slope, and adds its own rounding. It holds for a CPU with float32 accumulation, without
autocast, as torch has it by default; sums may be in any order.
"""

from __future__ import annotations

from functools import singledispatch

import torch

from ...errors import InputError, UnsupportedTypeError
from ..intervals import ACTIVATIONS, RULES, Interval
from ..intervals.elementary import ULPS
from ..taylor import TaylorModel
from .steps import Affine, Columns, Concatenation, Function, Leaky, Scale, Softplus, Step
from .tracing import Network

UNIT = 2.0**-24
"""Relative error of one rounding to float32."""

UNDERFLOW = 2.0**-120
"""Above all that a float32 step loses among the subnormal numbers."""

FEW = 2 * ULPS * UNIT
"""`ULPS` units in the last place, each twice `UNIT`: an elementary function or a few products."""

Error = torch.Tensor
"""[boxes, functions], a bound of |computed - exact|."""


def rounding_margin(network: Network, lower: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
    """Bound |float32 execution - exact value| over boxes, [boxes, columns] corners each.

    >>> from torch import nn
    >>> from .tracing import trace
    >>> network = trace(nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 2)), 1)
    >>> low, high = torch.zeros(8, 1).double(), torch.ones(8, 1).double()
    >>> margin = rounding_margin(network, low, high)       # by output
    >>> margin.shape, bool((0 < margin).all() & (margin < 1e-5).all())
    (torch.Size([2]), True)

    Raises:
        InputError: torch is set to multiply float32 matrices at lower precision.
        UnsupportedTypeError: a step of unknown float32 error.
    """
    if torch.get_float32_matmul_precision() != "highest":
        raise InputError(
            f"float32 matrix products are set to '{torch.get_float32_matmul_precision()}' "
            f"precision; a margin is known for torch.set_float32_matmul_precision('highest')"
        )
    values = [network.input_over(lower, upper, order=1)]
    errors = [torch.zeros_like(lower)]
    for placed in network.steps:
        args = [values[source] for source in placed.sources]
        value = placed.step(*args)
        error = passed_on(placed.step, args, [errors[source] for source in placed.sources], value)
        values.append(value)
        # Bounds of bounds, in float64: their own rounding is far below one part in 1e6.
        errors.append(error * (1 + 1e-6) + UNDERFLOW)
    return errors[network.output].amax(0)


@singledispatch
def passed_on(
    step: Step, args: list[TaylorModel], errors: list[Error], value: TaylorModel
) -> Error:
    """The error of a step's value, given those of its arguments."""
    raise UnsupportedTypeError(
        f"the float32 error of {type(step).__name__} is not known; use arithmetic='real'"
    )


@passed_on.register
def _(step: Affine, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    weight = step.weight.abs().T
    seen = args[0].range.magnitude + errors[0]
    terms = step.weight.shape[1] + 2
    return errors[0] @ weight + 1.01 * terms * UNIT * (seen @ weight + step.bias.abs())


@passed_on.register
def _(step: Scale, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    seen = args[0].range.magnitude + errors[0]
    return step.by.abs() * errors[0] + FEW * (step.by.abs() * seen + step.shift.abs())


@passed_on.register
def _(step: Function, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    own = FEW * (value.range.magnitude + args[0].range.magnitude * (step.name == "gelu"))
    if step.name in ("+", "-", "max", "min"):
        return errors[0] + errors[1] + FEW * (value.range.magnitude + errors[0] + errors[1])
    if step.name == "*":
        a, b = (arg.range.magnitude for arg in args)
        return (a * errors[1] + b * errors[0] + errors[0] * errors[1]) * (1 + FEW) + own
    if step.name in ("abs", "neg", "relu"):
        return errors[0]
    rule = ACTIVATIONS.get(step.name) or RULES[step.name]
    if rule.first is None or len(args) != 1:
        raise UnsupportedTypeError(
            f"the float32 error of '{step.name}' is not known; use arithmetic='real'"
        )
    around = args[0].range
    slope = rule.first(Interval(around.lower - errors[0], around.upper + errors[0])).magnitude
    return slope * errors[0] * (1 + FEW) + own


@passed_on.register
def _(step: Leaky, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    return max(1.0, abs(step.slope)) * errors[0] + FEW * (value.range.magnitude + errors[0])


@passed_on.register
def _(step: Softplus, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    # Above the threshold the two forms differ by the jump, whichever side rounding takes.
    jump = 2 * torch.exp(torch.tensor(-step.threshold)).double() / step.beta
    return errors[0] + FEW * (value.range.magnitude + errors[0]) + jump


@passed_on.register
def _(step: Columns, args: list[TaylorModel], errors: list[Error], value: TaylorModel) -> Error:
    return errors[0][..., [*step.which]]


@passed_on.register
def _(
    step: Concatenation, args: list[TaylorModel], errors: list[Error], value: TaylorModel
) -> Error:
    return torch.cat(errors, -1)
