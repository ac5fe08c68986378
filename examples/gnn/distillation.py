"""From the messages of a trained network to equations, by way of PyTorch Geometric."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symtorch import Front, Recording

from .laws import VARIABLES
from .message_passing import MessagePassingForces
from .messages import distance
from .networks import Forces, all_edges

SYSTEMS, ROWS = 1_000, 5_000
"""Systems that are run while recording, and pairs that are kept of them."""

NEAREST = 0.2
"""Pairs closer than this have no weight: the network saw few of them."""

TRANSFORMS = dict(
    zip(
        VARIABLES,
        (
            "x_j_0 - x_i_0",
            "x_j_1 - x_i_1",
            "sqrt((x_j_0 - x_i_0)**2 + (x_j_1 - x_i_1)**2)",
            *("x_i_5", "x_j_5"),
            *("x_i_4", "x_j_4"),
        ),
        strict=True,
    )
)
"""The variables of a force law, from the columns of receiver ``x_i`` and sender ``x_j``."""


def graph_of(states: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes [systems * particles, 6] and edges [2, ...] of all pairs within each system."""
    systems, particles, _ = states.shape
    receivers, senders = all_edges(particles)
    edges = torch.stack([senders, receivers])
    first = particles * torch.arange(systems)
    return states.flatten(0, 1), (edges[:, None] + first[:, None]).flatten(1)


@dataclass(frozen=True)
class Effort:
    """How much is searched for a message: generations and individuals of each population.

    ``seconds`` ends a search early on a slow machine; one that ends before is the same on
    every run.
    """

    generations: int = 60
    individuals: int = 1_000
    seconds: float = 150.0


def distill(forces: Forces, states: Tensor, effort: Effort, seed: int) -> dict[int, Front]:
    """A front for each message of a network with two.

    Args:
        forces: trained; its edge network is wrapped, and holds the fronts after.
        states: [systems, particles, 6], seen in training.
        effort: of the search.
        seed: of the sample and the search.
    """
    layer = MessagePassingForces(forces.edge, forces.node)
    graph = graph_of(states[:SYSTEMS])
    recording = forces.edge.record(graph, parent_model=layer, max_samples=ROWS, random_state=seed)
    pruned = forces.edge.symbolic_state.pruning is not None
    dims = forces.edge.get_active_dimensions() if pruned else [0, 1]
    return forces.edge.distill(
        recording,
        dims,
        variable_transforms=TRANSFORMS,
        weights=_weights(recording),
        # Five terms with free coefficients, as the spring has, are found by evolution rather
        # than among the sums that the sparse engine lists.
        engine="operon",
        sr_params={
            # Arithmetic. With sin or exp at hand, 20 sin(x / 20) is as good as x.
            "unary_operators": ["square"],
            "niterations": effort.generations,
            "population_size": effort.individuals,
            "timeout_in_seconds": effort.seconds * len(dims),
        },
        random_state=seed,
    )


def _weights(recording: Recording) -> Tensor:
    """Weights of pairs, so that errors count in relation to the size of a message.

    Forces span decades. By squares alone, the few nearest pairs would be all that matters,
    and in those opposite charges meet: that equal ones repel would be a detail.
    """
    x_i, x_j = recording.inputs.split(6, dim=1)
    messages = recording.outputs
    size = (messages - messages.median(0).values).square().sum(1)
    far = distance(x_i, x_j) > NEAREST
    return far / (size.median() + size)
