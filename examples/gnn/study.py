"""One law from simulation to equations: what is measured on the way."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from symtorch import wrap

from .distillation import Effort, distill
from .extrapolation import SETTINGS, Errors, errors
from .gauge import centred, reduced
from .laws import Verdict, judge, span_the_plane
from .messages import Messages, explained
from .networks import Forces
from .simulation import LAWS, Data, Law
from .training import VARIANTS, network, train, tune

DISTILLED = ("bottleneck", "pruning", "l1")
"""Variants for which equations are searched; messages wider than two are reduced first."""

EXTRAPOLATED = "bottleneck"
"""The variant whose equations are compared with the network in and out of range."""

TESTED = 5_000
"""Snapshots of held-out simulations that the figures are taken on."""


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Args:
        simulations: of each law; a fifth is held out.
        steps: of training.
        effort: of the search for each message.
        sees_receiver_mass: whether the edge network sees m_i, see `EdgeNetwork`.
        seed: of everything.
        folder: where trained networks are kept for another run; None keeps none.
        extrapolates: whether network and equations are compared in and out of range.
    """

    simulations: int = 10_000
    steps: int = 60_000
    effort: Effort = field(default_factory=Effort)
    sees_receiver_mass: bool = False
    seed: int = 0
    folder: Path | None = None
    extrapolates: bool = True

    def file(self, law: str, variant: str) -> Path | None:
        """Where a trained network is kept."""
        gauge = "seen" if self.sees_receiver_mass else "hidden"
        name = f"{law}-{variant}-{gauge}-{self.simulations}-{self.steps}-{self.seed}.pt"
        return None if self.folder is None else self.folder / name


@dataclass(frozen=True)
class Fit:
    """Whether messages are a linear map of a target: the lower R^2 of two messages.

    Args:
        target: "F" or "F/m_i".
        all_rows: on all pairs of the snapshots that passed the cut on accelerations.
        trimmed: on those further apart than the law's ``nearest``.
    """

    target: str
    all_rows: float
    trimmed: float


@dataclass
class Found:
    """Equations of a network's two messages.

    Args:
        equations: what `get_best` chose.
        verdicts: of `judge`, one each.
        seconds: for both.
    """

    equations: list[str]
    verdicts: list[Verdict]
    seconds: float

    @property
    def right(self) -> bool:
        """Whether both are the law, in one gauge, and together tell the force."""
        return (
            all(verdict.right for verdict in self.verdicts)
            and len({verdict.gauge for verdict in self.verdicts}) == 1
            and span_the_plane(self.verdicts)
        )


@dataclass
class Result:
    """What one variant of a network for one law came to."""

    law: str
    variant: str
    training_seconds: float
    test_error: float
    live: int
    rank: int
    share_of_two: float
    fits: list[Fit]
    principal_fits: list[Fit]
    found: Found | None = None
    errors: dict[str, dict[str, Errors]] = field(default_factory=dict)
    sample: dict[str, Any] = field(default_factory=dict)

    def best_fit(self, *, principal: bool = False) -> Fit:
        """The gauge that the messages took."""
        return max(self.principal_fits if principal else self.fits, key=lambda fit: fit.trimmed)

    def to_json(self) -> dict[str, Any]:
        """For a JSON file."""
        values = {k: v for k, v in asdict(self).items() if k not in ("errors", "sample")}
        if self.found is not None:
            values["found"]["right"] = self.found.right
        values["errors"] = {
            setting: {
                who: {"one_step": e.one_step, "roll_out": e.roll_out.tolist()[::20]}
                for who, e in both.items()
            }
            for setting, both in self.errors.items()
        }
        return values


def study(name: str, variants: list[str], plan: Plan) -> list[Result]:
    """Simulate a law, train variants, fit their messages and distill them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the matrices are too small to share
    try:
        law = LAWS[name]
        data = Data.of(law, plan.simulations, plan.seed)
        return [_study(law, variant, data, plan) for variant in variants]
    finally:
        torch.set_num_threads(threads)


def _study(law: Law, variant: str, data: Data, plan: Plan) -> Result:
    forces, seconds = trained(law, variant, data, plan)
    states = data.test.states[:TESTED]
    with torch.no_grad():
        wrong = forces(states) - data.test.accelerations[:TESTED]
    everything = Messages.of(forces, law, states)
    trimmed = everything.trimmed(law.nearest)
    result = Result(
        law.name,
        variant,
        seconds,
        float(wrong.abs().mean()),
        everything.live,
        trimmed.rank,
        trimmed.share_of_two,
        _fits(everything, trimmed, "widest"),
        _fits(everything, trimmed, "principal"),
    )
    result.sample = _sample(trimmed, result.best_fit())
    if variant not in DISTILLED:
        return result
    if everything.live > 2:
        forces = reduced(forces, data.train.states[:TESTED])
        wrap(forces, "edge")
    begun = time.perf_counter()
    fronts = distill(forces, data.train.states, plan.effort, plan.seed)
    best = [front.get_best().expression for front in fronts.values()]
    result.found = Found(
        [equation.pretty() for equation in best],
        [judge(law, equation.sympy()) for equation in best],
        time.perf_counter() - begun,
    )
    if plan.extrapolates and variant == EXTRAPOLATED:
        result.errors = _extrapolated(forces, law, data, plan.seed)
    return result


def _extrapolated(forces: Forces, law: Law, data: Data, seed: int) -> dict[str, dict[str, Errors]]:
    """Errors by setting and by who predicts."""
    found: dict[str, dict[str, Errors]] = {setting.name: {} for setting in SETTINGS}

    def measure(who: str) -> None:
        predictor = centred(forces, data.train.states[:TESTED])
        for setting in SETTINGS:
            found[setting.name][who] = errors(predictor, law, setting, seed)

    measure("network")
    forces.edge.switch_to_symbolic(trainable_constants=True)
    measure("equations")
    tune(forces, data.train, seed)
    measure("tuned")
    return found


def trained(law: Law, variant: str, data: Data, plan: Plan) -> tuple[Forces, float]:
    """A network and the seconds that its training took, read from the plan's folder if there."""
    file = plan.file(law.name, variant)
    if file is not None and file.exists():
        kept = torch.load(file, weights_only=True)
        forces = network(VARIANTS[variant], plan.sees_receiver_mass)
        forces.load_state_dict(kept["state"])
        return forces.eval(), kept["seconds"]
    begun = time.perf_counter()
    forces = train(VARIANTS[variant], data.train, plan.steps, plan.sees_receiver_mass, plan.seed)
    seconds = time.perf_counter() - begun
    if file is not None:
        torch.save({"state": forces.state_dict(), "seconds": seconds}, file)
    return forces, seconds


def _fits(everything: Messages, trimmed: Messages, which: str) -> list[Fit]:
    def lowest(messages: Messages) -> dict[str, float]:
        values = messages.widest() if which == "widest" else messages.principal()
        return {
            target: min(explained(values, force)) for target, force in messages.targets().items()
        }

    whole, part = lowest(everything), lowest(trimmed)
    return [Fit(target, whole[target], part[target]) for target in whole]


def _sample(messages: Messages, fit: Fit) -> dict[str, Any]:
    """Some messages and the nearest linear map of the force, for the figure."""
    values, force = messages.widest(), messages.targets()[fit.target]
    columns = torch.cat([force, torch.ones_like(force[:, :1])], dim=1)
    map_of_force = columns @ torch.linalg.lstsq(columns, values).solution
    return {"message": values[:300, 0].tolist(), "force": map_of_force[:300, 0].tolist()}
