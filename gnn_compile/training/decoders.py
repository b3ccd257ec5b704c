"""What is read from the features of nodes and pairs, for each type of probe as CLRS-30 decodes it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnn_compile.clrs import COLORS, Location, Probe, Type
from gnn_compile.training.processors import FAR


def decoder(probe: Probe, hidden: int, edge: int) -> nn.Module:
    """Make a decoder for a probe of nodes or of the graph."""
    if probe.type is Type.POINTER:
        return Pointers(hidden, edge)
    if probe.location is Location.GRAPH:
        return OfTheGraph(hidden)
    match probe.type:
        case Type.CATEGORICAL:
            return OfNodes(hidden, COLORS)
        case Type.MASK_ONE:
            return OneOfNodes(hidden)
        case _:
            return OfNodes(hidden, 1)


class OfNodes(nn.Module):
    """Some numbers for each node: [runs, nodes], or [runs, nodes, categories]."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(3 * hidden, width)

    def forward(self, nodes: Tensor, edges: Tensor, exists: Tensor) -> Tensor:  # noqa: ARG002
        """Read them."""
        found: Tensor = self.read(nodes)
        return found if found.shape[-1] > 1 else found[..., 0]


class OneOfNodes(OfNodes):
    """The logits of all nodes, of which one is meant: [runs, nodes]."""

    def __init__(self, hidden: int) -> None:
        super().__init__(hidden, 1)

    def forward(self, nodes: Tensor, edges: Tensor, exists: Tensor) -> Tensor:
        """Read them; it is never one that there is not."""
        return super().forward(nodes, edges, exists).masked_fill(~exists, FAR)


class OfTheGraph(nn.Module):
    """A number for the graph, [runs], read from the largest of each feature of its nodes."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.read = nn.Linear(3 * hidden, 1)

    def forward(self, nodes: Tensor, edges: Tensor, exists: Tensor) -> Tensor:  # noqa: ARG002
        """Read it."""
        found: Tensor = self.read(nodes.masked_fill(~exists[..., None], FAR).amax(dim=1))
        return found[..., 0]


class Pointers(nn.Module):
    """The logits of all nodes that a node might point to: [runs, nodes, nodes].

    They are read from ``max(own, other + edge)``, feature by feature.
    """

    def __init__(self, hidden: int, edge: int) -> None:
        super().__init__()
        self.own = nn.Linear(3 * hidden, hidden)
        self.other = nn.Linear(3 * hidden, hidden)
        self.edge = nn.Linear(edge, hidden, bias=False)
        self.read = nn.Linear(hidden, 1)

    def forward(self, nodes: Tensor, edges: Tensor, exists: Tensor) -> Tensor:
        """Read them; it is never one that there is not."""
        others = self.other(nodes)[:, None] + self.edge(edges)
        found: Tensor = self.read(torch.maximum(self.own(nodes)[:, :, None], others))
        return found[..., 0].masked_fill(~exists[:, None], FAR)
