"""The same network as a `MessagePassing` layer of PyTorch Geometric."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.nn import MessagePassing


class MessagePassingForces(MessagePassing):
    """Edge network as message, sum as aggregation, node network as update.

    Args:
        edge: called with receivers and senders, two tensors [edges, 6].
        node: called with states [nodes, 6] and summed messages [nodes, width].
    """

    def __init__(self, edge: nn.Module, node: nn.Module) -> None:
        super().__init__(aggr="add")
        self.edge = edge
        self.node = node

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Accelerations [nodes, 2] from states [nodes, 6] and edges [2, edges]."""
        return self.node(x, self.propagate(edge_index, x=x))

    def message(self, x_i: Tensor, x_j: Tensor) -> Tensor:
        return self.edge(x_i, x_j)
