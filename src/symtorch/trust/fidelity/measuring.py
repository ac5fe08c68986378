"""Measuring what a fidelity card shows."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from ...errors import InputError
from ...recording import Recording
from ...recording.contexts import gradients as autograd
from ...recording.contexts import seeded
from ...recording.features import Features
from ...recording.query import BlockOracle, BlockQuery
from ...search.problem import Problem, Sample
from ...symbolic.expression import Expression
from ..box import Box
from ..domain import Poles, find_poles
from .agreement import (
    Agreement,
    Function,
    Surrogates,
    gradient_agreement,
    linear_surrogate,
)
from .card import FidelityCard, Loss
from .constants import ConstantInterval, intervals_of
from .equation import Equation
from .terms import terms_of
from .warnings import warnings_of, wrong_regions

ASKED = 4_096
"""Points of a box at which the block is asked: the largest error of a smooth function of a few
inputs is then known to a few per cent."""

WIDENING = 0.2
"""Share of each column's range by which the widened box exceeds the recorded one on both sides."""


def fidelity(
    expression: Expression,
    block: nn.Module,
    recording: Recording,
    *,
    dim: int = 0,
    features: Features | None = None,
    complexity: int | None = None,
    validation_fraction: float = 0.25,
    random_state: int = 0,
    seconds: float = 5.0,
    stability: float | None = None,
    loss: Loss | None = None,
) -> FidelityCard:
    """How far an equation may be trusted in the place of one output of a block.

    >>> import torch
    >>> from symtorch import record
    >>> net = nn.Sequential(nn.Linear(2, 1))
    >>> net[0].weight.data, net[0].bias.data = torch.tensor([[2.0, -1.0]]), torch.tensor([0.5])
    >>> recording = record(net, "0", torch.rand(400, 2))["0"]
    >>> card = fidelity(Expression.parse("2*x0 - x1 + 0.5"), net[0], recording)
    >>> round(card.places["widened box"].r2, 6), card.constants[0].determined
    (1.0, True)

    Args:
        expression: the equation.
        block: the original.
        recording: of it. The rows are split as `distill` splits them.
        dim: output that the equation stands for.
        features: the equation's variables as functions of the columns; the columns by default.
        complexity: to show; counted in nodes by default.
        validation_fraction: as `distill` had it.
        random_state: as `distill` had it.
        seconds: to look for poles, over both boxes.
        stability: share of repeated searches that came back with this form.
        loss: of the whole model with the block and with the equation.

    Raises:
        InputError: no such output, or variables that the columns do not have.
    """
    _check(expression, recording, dim, features)
    features = features or Features.plan(recording.names, None, None)
    equation = Equation(expression, features)
    with autograd(False), seeded(random_state):
        split = Problem.split(
            recording.inputs,
            recording.outputs[:, dim],
            validation_fraction=validation_fraction,
            random_state=random_state,
        )
        recorded, widened = (
            replace(Box.around(recording, margin), names=features.columns)
            for margin in (0.0, WIDENING)
        )
        places = {
            "recorded": _on_rows(equation, split.train),
            "held out": _on_rows(equation, split.validation),
        }
        asked = _query(block, recording, dim)
        regions: list[str] = []
        slopes = float("nan")
        if asked is not None:
            for place, box in (("inside the box", recorded), ("widened box", widened)):
                found = Agreement.of(equation, asked, box.sample(ASKED, random_state))
                if found is not None:
                    places[place] = found
            regions = wrong_regions(equation, asked, recording.inputs.double(), features.columns)
            slopes = gradient_agreement(equation, asked, split.validation.X)
        surrogates = _surrogates(split)
        constants = _constants(equation, split.train)
        poles = {
            "recorded box": _poles(equation, recorded, seconds / 2),
            "widened box": _poles(equation, widened, seconds / 2),
        }
    warnings = tuple(warnings_of(places, surrogates, constants, slopes, regions, poles))
    return FidelityCard(
        block_name=recording.block_name,
        dim=dim,
        equation=expression.pretty(),
        complexity=expression.complexity() if complexity is None else complexity,
        names=features.columns,
        recorded=tuple(zip(recorded.lower, recorded.upper, strict=True)),
        places=places,
        surrogates=surrogates,
        gradients=slopes,
        terms=terms_of(expression, equation.variables(split.validation.X)),
        constants=constants,
        poles=poles,
        stability=stability,
        loss=loss,
        warnings=warnings,
    )


def _check(
    expression: Expression, recording: Recording, dim: int, features: Features | None
) -> None:
    width = recording.outputs.shape[1]
    if not 0 <= dim < width:
        raise InputError(
            f"block '{recording.block_name}' has outputs 0-{width - 1}; asked for output {dim}"
        )
    known = recording.names if features is None else features.names
    unknown = [name for name in expression.variables if name not in known]
    if unknown:
        raise InputError(
            f"'{expression.pretty()}' uses {unknown}, which block '{recording.block_name}' does "
            f"not have; its variables: {[*known]}"
        )


def _on_rows(equation: Equation, sample: Sample) -> Agreement:
    found = Agreement.of(equation, lambda _: sample.y, sample.X)
    assert found is not None  # recordings with values that are not finite are refused by the split
    return found


def _query(block: nn.Module, recording: Recording, dim: int) -> Function | None:
    """The block at new points; None where it cannot be asked."""
    try:
        return BlockOracle(BlockQuery.of(block, recording), dim)
    except InputError:
        return None


def _surrogates(split: Problem) -> Surrogates:
    held = split.validation
    line = linear_surrogate(split.train.X, split.train.y)

    def left(values: Tensor) -> float:
        return float((values - held.y).square().mean().sqrt())

    return Surrogates(left(split.train.y.mean().expand_as(held.y)), left(line(held.X)))


def _poles(equation: Equation, box: Box, seconds: float) -> Poles | None:
    expression = equation.over_columns()
    return None if expression is None else find_poles(expression, box, budget=seconds)


def _constants(equation: Equation, train: Sample) -> tuple[ConstantInterval, ...]:
    residual = equation(train.X) - train.y
    return intervals_of(equation.expression, equation.variables(train.X), residual, train.X)
