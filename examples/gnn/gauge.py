"""Other messages that tell the same: without their constant, or fewer of them.

The node network undoes any linear map of the messages, so a map may be put behind the edge
network and its inverse before the node network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .messages import principal_directions
from .networks import Forces, pairs


class GaugedEdge(nn.Module):
    """Messages of another edge network less an offset, along some directions."""

    offset: Tensor
    directions: Tensor

    def __init__(self, edge: nn.Module, offset: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.edge = edge
        self.register_buffer("offset", offset)
        self.register_buffer("directions", directions)

    def forward(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return (self.edge(x_i, x_j) - self.offset) @ self.directions


class GaugedNode(nn.Module):
    """A node network that gets its sum of messages back from that of `GaugedEdge`."""

    total: Tensor
    directions: Tensor

    def __init__(self, node: nn.Module, total: Tensor, directions: Tensor) -> None:
        super().__init__()
        self.node = node
        self.register_buffer("total", total)
        self.register_buffer("directions", directions)

    def forward(self, x: Tensor, messages: Tensor) -> Tensor:
        return self.node(x, self.total + messages @ self.directions.T)


def centred(forces: Forces, states: Tensor) -> Forces:
    """A network without a constant in its messages.

    It tells the node network how many senders there are, which in training was always the
    same; with more of them, a sum with constants is off.

    Args:
        forces: trained; its parts are used, not copied.
        states: [systems, particles, 6], to find the constant on, with as many particles as in
            training.
    """
    messages = _messages(forces, states)
    return _gauged(forces, states, messages, torch.eye(messages.shape[1]))


def reduced(forces: Forces, states: Tensor) -> Forces:
    """A network with two principal components in place of its messages; otherwise `centred`."""
    messages = _messages(forces, states)
    return _gauged(forces, states, messages, principal_directions(messages))


def _messages(forces: Forces, states: Tensor) -> Tensor:
    with torch.no_grad():
        return forces.edge(*pairs(states)).flatten(0, 1)


def _gauged(forces: Forces, states: Tensor, messages: Tensor, directions: Tensor) -> Forces:
    # No direction in space is special: seen from the other side a force is its opposite, and
    # messages lie symmetrically around their constant. The median minds no near-collisions.
    constant = messages.median(0).values
    senders = states.shape[1] - 1
    return Forces(
        GaugedEdge(forces.edge, constant, directions),
        GaugedNode(forces.node, senders * constant, directions),
    ).eval()
