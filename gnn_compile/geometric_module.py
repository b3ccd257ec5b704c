"""Networks as PyTorch Geometric runs them: each stage's messages are a ``MessagePassing``."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from gnn_compile.dense import Stage
from gnn_compile.network import Network
from gnn_compile.torch_module import TorchNetwork, aggregated, layers

with warnings.catch_warnings():  # it scripts some of its classes by what PyTorch deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import MessagePassing


def to_geometric(network: Network, dtype: torch.dtype = torch.float64) -> TorchNetwork:
    """Make a module of a network that passes messages by PyTorch Geometric; see ``to_torch``."""
    return TorchNetwork(network, dtype, GeometricMessages)


class GeometricMessages(MessagePassing):
    """Computes messages and reduces them, each column by its minimum, maximum or sum."""

    def __init__(self, stage: Stage, dtype: torch.dtype) -> None:
        super().__init__(aggr=None)
        self._channels = stage.aggregations
        self.layers = layers(stage.message, dtype)

    def forward(
        self, edge_index: Tensor, nodes: Tensor, edges: Tensor, ours: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Give the messages, [edges, …], and what is made of those into each node, [nodes, channels]."""
        messages = self.edge_updater(edge_index, x=nodes, edges=edges, ours=ours)
        return messages, self.propagate(edge_index, messages=messages, size=(len(nodes), len(nodes)))

    def edge_update(self, x_j: Tensor, x_i: Tensor, edges: Tensor, ours: Tensor) -> Tensor:
        """Compute messages of sender, receiver, edge and graph."""
        values = torch.cat([x_j, x_i, edges, ours.expand(len(edges), -1)], dim=1)
        for layer in self.layers:
            values = layer(values)
        return values

    def message(self, messages: Tensor) -> Tensor:
        """Send what was computed on the edges."""
        return messages

    def aggregate(self, inputs: Tensor, index: Tensor, dim_size: int) -> Tensor:
        """Reduce each column in its own way."""
        return aggregated(self._channels, inputs, index, dim_size)
