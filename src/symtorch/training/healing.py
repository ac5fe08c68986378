"""heal(): fine-tuning the equations that replace blocks, with the rest of the model frozen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import InputError, did_you_mean
from ..model.model import SymbolicModel
from ..recording.batches import Data, batches_of, check_repeatable, hold_out
from ..recording.contexts import evaluating, gradients, seeded
from ..recording.running import Runner
from ..reduction.request import Loss
from .agreement import CRITERIA, Agreement
from .descent import Descent, Kept
from .hybrid import alone, symbolic_parameters, trainable

HELD_OUT = 10
"""Every tenth batch is held out if the user gives no held-out batches."""


@dataclass(frozen=True)
class HealingProgress:
    """What `heal` reports at each evaluation on the held-out batches.

    Args:
        step: steps taken.
        steps: steps planned.
        loss: mean over the steps since the last report; nan before the first step.
        held_out: current loss on the held-out batches.
        best: the lowest held-out loss so far.
    """

    step: int
    steps: int
    loss: float
    held_out: float
    best: float


@dataclass(frozen=True)
class Healing:
    """The result of `heal`.

    Args:
        before: loss on the held-out batches before training.
        after: loss on them with the parameters that were kept, the best ones seen.
        steps: steps taken.
        kept: the step whose parameters were kept.
        trained: number of trained parameter entries.
    """

    before: float
    after: float
    steps: int
    kept: int
    trained: int


def heal(
    model: nn.Module,
    data: Data,
    *,
    teacher: Callable[..., Any] | None = None,
    loss: Agreement | Loss = "kl",
    steps: int = 200,
    learning_rate: float = 0.005,
    held_out: Data | None = None,
    evaluate_every: int = 20,
    patience: int = 3,
    optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] | None = None,
    input_of: Callable[[Any], Any] | None = None,
    progress: Callable[[HealingProgress], None] | None = None,
    random_state: int = 0,
) -> Healing:
    """Train the symbolic constants and projections of a hybrid model, and nothing else.

    How much an equation's errors matter depends on the rest of the model, so its constants
    are tuned by gradients through the rest, which is frozen. This trains all blocks that are
    switched to equations, with the matrices of their reductions, and every `SymbolicLayer`
    whose constants are a parameter. (The training loop is written out here, inside the
    contexts that restore the model on an error.)

    >>> net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> block = net[1] = SymbolicModel(net[1], "tanh")
    >>> x = torch.randn(400, 2)
    >>> params = {"unary_operators": ["square"], "niterations": 3, "maxsize": 7}
    >>> _ = block.distill(x, parent_model=net, sr_params=params)
    >>> block.switch_to_symbolic()
    >>> result = heal(net, list(x.split(40)), loss="mse", steps=20)
    >>> result.after <= result.before
    True

    Args:
        model: a model with switched blocks; in eval mode while it is healed.
        data: batches, passed over as often as needed: a list or a DataLoader. An iterator gives
            its batches only once, and training ends with them.
        teacher: a function called as the model is, whose output is the target; by default the
            model itself with its blocks switched back.
        loss: ``"kl"``, the divergence of the model's distribution from the teacher's, from
            logits [..., classes] (an output's ``logits``, if it has them); ``"mse"``, the mean
            squared difference of outputs; or the task's own ``loss(output, batch)``, which
            needs no teacher.
        steps: largest number of optimizer steps.
        learning_rate: of the first step, annealed to 0 along half a cosine. For the default
            optimizer, Adam, it is relative to the size of each tensor's entries (their root mean
            square), because constants and matrices differ in scale.
        held_out: batches to judge by; by default every tenth of ``data``, which then takes no
            part in training, and all batches are kept in memory.
        evaluate_every: steps between two evaluations on them.
        patience: evaluations without an improvement after which training stops.
        optimizer: ``optimizer(parameters, learning_rate)``, in place of Adam.
        input_of: takes a batch to the model's input.
        progress: called with a `HealingProgress` at every evaluation.
        random_state: seed of the model's random draws.

    Returns:
        The losses before and after. The parameters that did best on the held-out batches are
        kept, which are the original ones if none did better.

    Raises:
        StateError: nothing in the model is switched, or can be trained.
        InputError: data or options that cannot be used.

        On any error, and on KeyboardInterrupt, every parameter is as it was before the call.
    """
    _check(loss, steps, learning_rate, evaluate_every, patience)
    train, judge = _split(data, held_out)
    blocks = [m for m in model.modules() if isinstance(m, SymbolicModel) and m.is_symbolic]
    cost = _Cost(Runner(model, input_of), loss, teacher, blocks)
    with ExitStack() as stack:
        stack.enter_context(trainable(blocks))
        parameters = symbolic_parameters(model, blocks)
        stack.enter_context(alone(model, parameters))
        kept = stack.enter_context(Kept(parameters))
        stack.enter_context(evaluating(model))
        stack.enter_context(seeded(random_state))
        stack.enter_context(gradients(True))
        before = best = cost.mean(judge)
        if not math.isfinite(before):
            raise InputError(f"the loss on the held-out batches is {before}: nothing to improve on")
        step, best_step, losses = 0, 0, list[float]()
        if progress is not None:
            progress(HealingProgress(0, steps, math.nan, before, best))

        def evaluate() -> None:
            nonlocal best, best_step
            current = cost.mean(judge)
            if current < best:
                best, best_step = current, step
                kept.keep()
            if progress is not None:
                progress(HealingProgress(step, steps, sum(losses) / len(losses), current, best))
            losses.clear()

        descent = Descent(parameters, optimizer, learning_rate, steps)
        for step, batch in enumerate(itertools.islice(_endless(train), steps), start=1):
            value = cost(batch)
            losses.append(float(value.detach()))
            descent.step(value)
            if step % evaluate_every == 0:
                evaluate()
                if step - best_step >= patience * evaluate_every:
                    break
        if losses:
            evaluate()
        kept.accept()
    return Healing(before, best, step, best_step, sum(p.numel() for p in parameters))


@dataclass(frozen=True)
class _Cost:
    """The loss of a batch.

    Args:
        runner: calls the model.
        loss: the task's own, or how to compare with the teacher.
        teacher: the model with its blocks switched back if None.
        blocks: the switched ones.
    """

    runner: Runner
    loss: Agreement | Loss
    teacher: Callable[..., Any] | None
    blocks: Sequence[SymbolicModel]

    def __call__(self, batch: Any) -> torch.Tensor:
        args, kwargs = self.runner.arguments(batch)
        if not isinstance(self.loss, str):
            return self.loss(self.runner.call(*args, **kwargs), batch)
        with torch.no_grad(), ExitStack() as switched_back:
            if self.teacher is None:
                for block in self.blocks:
                    switched_back.enter_context(block.as_block())
                target = self.runner.call(*args, **kwargs)
            else:
                target = self.teacher(*args, **kwargs)
        return CRITERIA[self.loss](self.runner.call(*args, **kwargs), target)

    def mean(self, batches: Data) -> float:
        """Mean loss over batches."""
        with torch.no_grad():
            values = [float(self(batch)) for batch in batches_of(batches)]
        if not values:
            raise InputError("held_out is empty: its iterator gave no batch")
        return sum(values) / len(values)


def _check(
    loss: Agreement | Loss, steps: int, learning_rate: float, evaluate_every: int, patience: int
) -> None:
    if not callable(loss) and loss not in CRITERIA:
        hint = did_you_mean(str(loss), CRITERIA)
        raise InputError(
            f"loss must be {', '.join(map(repr, CRITERIA))} or a function; got {loss!r}{hint}"
        )
    counts = {"steps": steps, "evaluate_every": evaluate_every, "patience": patience}
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1; got {value}")
    if not learning_rate > 0:
        raise InputError(f"learning_rate must be positive; got {learning_rate}")


def _split(data: Data, held_out: Data | None) -> tuple[Data, Data]:
    if held_out is not None:
        check_repeatable(held_out, "heal judges on held_out again and again")
        return data, held_out
    batches = list(batches_of(data))
    if len(batches) < 2:
        raise InputError(
            f"heal judges on batches held out, and data has {len(batches)}; give smaller "
            f"batches, or held_out"
        )
    return hold_out(batches, min(HELD_OUT, len(batches)))


def _endless(data: Data) -> Iterator[Any]:
    """The batches of data over and over; those of an iterator only once."""
    batch = _NONE
    while True:
        for batch in batches_of(data):
            yield batch
        if batch is _NONE:
            raise InputError(
                "no batch to train on: the data is empty, or an iterator that was passed over "
                "before and gives its batches only once; hand over a list or a DataLoader"
            )
        if isinstance(data, Iterator):
            return


_NONE = object()
