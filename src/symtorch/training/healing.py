"""heal(): fine-tuning what stands in for blocks, and nothing else of the model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from ..errors import InputError, StateError, did_you_mean
from ..layer.layer import SymbolicLayer
from ..model.model import SymbolicModel
from ..recording.contexts import evaluating, gradients, seeded
from ..recording.recorder import Data, batches_of, call_of
from ..reduction.request import Loss

Agreement: TypeAlias = Literal["kl", "mse"]
"""How a model's output is held against the teacher's."""

PIECE = 2**22
"""Entries of logits that are compared at a time."""

HELD_OUT = 10
"""One batch of so many is held out where no other ones are handed over."""


@dataclass(frozen=True)
class HealingProgress:
    """What `heal` reports each time it looks at the held-out batches.

    Args:
        step: steps taken.
        steps: steps planned.
        loss: mean over the steps since the last report; nan before the first step.
        held_out: loss on the held-out batches now.
        best: the lowest of these so far.
    """

    step: int
    steps: int
    loss: float
    held_out: float
    best: float


@dataclass(frozen=True)
class Healing:
    """What `heal` did.

    Args:
        before: loss on the held-out batches before.
        after: and with the constants that were kept, the best ones seen.
        steps: steps taken.
        kept: the step whose constants were kept.
        trained: how many numbers were trained.
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
    """Train the symbolic constants and projections of a hybrid model; all else stays as it is.

    What the rest of the model makes of an equation's output decides how it should err: so
    its constants are tuned through the rest, which is frozen. Trained are the blocks that
    are switched to equations, with the matrices of their reductions, and every
    `SymbolicLayer` whose constants are a parameter.

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
        data: batches, passed over as often as needed: a list, a DataLoader.
        teacher: what to agree with, called as the model is; by default the model itself
            with its blocks switched back.
        loss: ``"kl"``, the divergence of the model's distribution from the teacher's, from
            logits [..., classes] (the ``logits`` of an output that has such); ``"mse"``,
            the mean squared difference of outputs; or the task's own ``loss(output,
            batch)``, and no teacher is asked.
        steps: at most.
        learning_rate: of the default optimizer, Adam, whose steps shrink to nothing along
            half a cosine: relative to the size of each tensor's entries (their root mean
            square), because constants and matrices differ in scale.
        held_out: batches to judge by, not trained on; by default one in ten of ``data``,
            whose batches are then all kept in memory.
        evaluate_every: steps between two looks at them.
        patience: looks without an improvement after which to stop.
        optimizer: ``optimizer(parameters, learning_rate)``, to use another one.
        input_of: takes a batch to the model's input.
        progress: called at every look, a `HealingProgress`.
        random_state: seed of what the model draws.

    Returns:
        The losses before and after. The constants that did best on the held-out batches
        are kept, those from before if none did better.

    Raises:
        StateError: nothing in the model is switched, or can be trained.
        InputError: data or options that cannot be used.

        On any error, and on KeyboardInterrupt, every number is as it was before the call.
    """
    _check(loss, steps, learning_rate, evaluate_every, patience)
    train, judge = _halves(data, held_out)
    blocks = [m for m in model.modules() if isinstance(m, SymbolicModel) and m.is_symbolic]
    with ExitStack() as stack:
        stack.enter_context(_trainable(blocks))
        parameters = _symbolic_parameters(model, blocks)
        stack.enter_context(_alone(model, parameters))
        kept = stack.enter_context(_Kept(parameters))
        stack.enter_context(evaluating(model))
        stack.enter_context(seeded(random_state))
        stack.enter_context(gradients(True))

        def cost(batch: Any) -> torch.Tensor:
            args, kwargs = call_of(batch if input_of is None else input_of(batch))
            if not isinstance(loss, str):
                return loss(model(*args, **kwargs), batch)
            with torch.no_grad(), ExitStack() as switched_back:
                if teacher is None:
                    for block in blocks:
                        switched_back.enter_context(block.as_block())
                target = (model if teacher is None else teacher)(*args, **kwargs)
            return _CRITERIA[loss](model(*args, **kwargs), target)

        def judged() -> float:
            with torch.no_grad():
                values = [float(cost(batch)) for batch in batches_of(judge)]
            if not values:
                raise InputError("held_out is empty: its iterator gave no batch")
            return sum(values) / len(values)

        before = best = judged()
        if not math.isfinite(before):
            raise InputError(f"the loss on the held-out batches is {before}: nothing to improve on")
        step, best_step, losses = 0, 0, list[float]()
        if progress is not None:
            progress(HealingProgress(0, steps, math.nan, before, best))
        descent = _Descent(parameters, optimizer, learning_rate, steps)
        for step, batch in enumerate(itertools.islice(_endless(train), steps), start=1):
            value = cost(batch)
            losses.append(float(value.detach()))
            descent.step(value)
            if step % evaluate_every and step < steps:
                continue
            now = judged()
            if now < best:
                best, best_step = now, step
                kept.keep()
            if progress is not None:
                progress(HealingProgress(step, steps, sum(losses) / len(losses), now, best))
            losses.clear()
            if step - best_step >= patience * evaluate_every:
                break
        kept.accept()
    return Healing(before, best, step, best_step, sum(p.numel() for p in parameters))


class _Descent:
    """Steps of an optimizer down a loss, ever smaller ones."""

    def __init__(
        self,
        parameters: list[nn.Parameter],
        optimizer: Callable[[list[nn.Parameter], float], torch.optim.Optimizer] | None,
        learning_rate: float,
        steps: int,
    ) -> None:
        self._parameters = parameters
        if optimizer is not None:
            self._optimizer = optimizer(parameters, learning_rate)
        else:
            groups = [{"params": [p], "lr": learning_rate * _size(p)} for p in parameters]
            self._optimizer = torch.optim.Adam(groups, betas=(0.9, 0.95))
        self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, steps)

    def step(self, value: torch.Tensor) -> None:
        slopes = torch.autograd.grad(value, self._parameters, allow_unused=True)
        # One batch in which an equation comes near a pole must not undo all the others.
        finite = all(slope is None or bool(slope.isfinite().all()) for slope in slopes)
        if finite:
            for parameter, slope in zip(self._parameters, slopes, strict=True):
                parameter.grad = slope
            self._optimizer.step()
            self._optimizer.zero_grad()
        self._schedule.step()


def _size(parameter: torch.Tensor) -> float:
    """Root mean square of its entries, or 1 where there is none to speak of."""
    size = float(parameter.detach().double().square().mean().sqrt())
    return size if size > 1e-8 else 1.0


class _Kept:
    """The best numbers so far, put back at the end; those from before, unless accepted.

    Args:
        parameters: whose numbers.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._parameters = parameters
        self._before = [p.detach().clone() for p in parameters]
        self._best = self._before
        self._accepted = False

    def keep(self) -> None:
        """The numbers as they are now are the best."""
        self._best = [p.detach().clone() for p in self._parameters]

    def accept(self) -> None:
        """The best ones are to stay."""
        self._accepted = True

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *_: object) -> None:
        numbers = self._best if self._accepted else self._before
        with torch.no_grad():
            for parameter, value in zip(self._parameters, numbers, strict=True):
                parameter.copy_(value)


@contextmanager
def _trainable(blocks: Sequence[SymbolicModel]) -> Iterator[None]:
    """Switched blocks with constants to train; where they were frozen, they are again after."""
    switches = [(b, b.switch) for b in blocks if b.switch and not b.switch.trainable_constants]
    try:
        for block, switch in switches:
            block.switch_to_symbolic(
                switch.chosen, trainable_constants=True, compile=switch.compiled
            )
        yield
    finally:
        for block, switch in switches:
            block.switch_to_symbolic(switch.chosen, compile=switch.compiled)


def _symbolic_parameters(model: nn.Module, blocks: Sequence[SymbolicModel]) -> list[nn.Parameter]:
    """Constants and projections, each once.

    Raises:
        StateError: there are none.
    """
    found: dict[int, nn.Parameter] = {}
    parts: list[nn.Module] = [m for m in model.modules() if isinstance(m, SymbolicLayer)]
    parts += [block.reduction for block in blocks if block.reduction is not None]
    for part in parts:
        found |= {id(p): p for p in part.parameters() if p.numel()}
    if not found:
        names = [m.block_name for m in model.modules() if isinstance(m, SymbolicModel)]
        raise StateError(
            f"nothing to heal in {type(model).__name__}: no block is switched to equations with "
            f"constants (wrapped are {names}); call switch_to_symbolic() first"
        )
    return list(found.values())


@contextmanager
def _alone(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Only these require gradients inside; flags and gradients as before after."""
    everything = {id(p): p for p in (*model.parameters(), *parameters)}.values()
    before = [(p, p.requires_grad, p.grad) for p in everything]
    try:
        for p in everything:
            p.requires_grad_(False)
        for p in parameters:
            p.requires_grad_(True)
        yield
    finally:
        for p, flag, slope in before:
            p.requires_grad_(flag)
            p.grad = slope


def _logits(output: Any) -> torch.Tensor:
    values = getattr(output, "logits", output)
    if not isinstance(values, torch.Tensor):
        raise InputError(
            f"heal compares a model's outputs, tensors or objects with .logits; got "
            f"{type(output).__name__}: give loss(output, batch), or wrap the model in one "
            f"that returns a tensor"
        )
    return values


def _divergence(output: Any, target: Any) -> torch.Tensor:
    """Kullback-Leibler divergence from the teacher, in nats, mean over all rows."""
    ours, theirs = (_logits(o).flatten(0, -2) for o in (output, target))
    rows, classes = ours.shape
    # In pieces that stay in the cache: a vocabulary's tables fill hundreds of MiB each.
    size = max(1, PIECE // classes)
    total = ours.new_zeros((), dtype=torch.float32)
    for start in range(0, rows, size):
        ln_q, ln_p = (t[start : start + size].float().log_softmax(-1) for t in (ours, theirs))
        total = total + nn.functional.kl_div(ln_q, ln_p, reduction="sum", log_target=True)
    return total / rows


def _difference(output: Any, target: Any) -> torch.Tensor:
    return nn.functional.mse_loss(_logits(output), _logits(target))


_CRITERIA: dict[str, Callable[[Any, Any], torch.Tensor]] = {
    "kl": _divergence,
    "mse": _difference,
}


def _check(
    loss: Agreement | Loss, steps: int, learning_rate: float, evaluate_every: int, patience: int
) -> None:
    if not callable(loss) and loss not in _CRITERIA:
        hint = did_you_mean(str(loss), _CRITERIA)
        raise InputError(
            f"loss must be {', '.join(map(repr, _CRITERIA))} or a function; got {loss!r}{hint}"
        )
    counts = {"steps": steps, "evaluate_every": evaluate_every, "patience": patience}
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} must be at least 1; got {value}")
    if not learning_rate > 0:
        raise InputError(f"learning_rate must be positive; got {learning_rate}")


def _halves(data: Data, held_out: Data | None) -> tuple[Data, Data]:
    if held_out is not None:
        return data, held_out
    batches = list(batches_of(data))
    if len(batches) < 2:
        raise InputError(
            f"heal judges on batches held out, and data has {len(batches)}; give smaller "
            f"batches, or held_out"
        )
    judge = batches[HELD_OUT - 1 :: HELD_OUT] or batches[-1:]
    return [b for b in batches if not any(b is held for held in judge)], judge


def _endless(data: Data) -> Iterator[Any]:
    """The batches of data over and over."""
    while True:
        count = 0
        for batch in batches_of(data):
            count += 1
            yield batch
        if not count:
            raise InputError(
                "no batch to train on: the data is empty, or an iterator that gives its "
                "batches only once; hand over a list or a DataLoader"
            )
