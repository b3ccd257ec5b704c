"""One step of a network: what nodes send each other, and what becomes of them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_SLOPE = 0.2
FAR = -1e9
"""What a choice that there is not scores."""
_SHUT = -3.0
"""Where gates begin, as in CLRS-30: nodes keep what they are."""


class Processor(StrEnum):
    """How messages are made and reduced."""

    GATV2 = "gatv2"
    """Attention (Brody et al. 2022) over the neighbours."""
    PGN = "pgn"
    """The maximum of each feature over the neighbours."""
    MPNN = "mpnn"
    """The same over all nodes, which CLRS-30 calls so."""


class Received(NamedTuple):
    """What nodes have received in a step."""

    aggregate: Tensor
    """[runs, nodes, hidden]"""
    attention: Tensor
    """[runs, receivers, senders], whom it came from: shares that add up to 1"""


class Attention(nn.Module):
    """Graph attention whose score is ``a · LeakyReLU(W [receiver, sender, edge])``, after GATv2.

    GATv2 carries the sender's features alone. Then what depends on the edge, such as ``d + weight`` of
    Bellman-Ford, could reach the receiver only through the one scalar of the score, which has to say who is
    chosen: "Mind The Gap" names that bottleneck. Here, what is carried is a linear map of sender *and* edge,
    so that the score says who, and the value says what.
    """

    def __init__(self, hidden: int, edge: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.receiver = nn.Linear(2 * hidden, hidden)
        self.sender = nn.Linear(2 * hidden, hidden, bias=False)
        self.edge = nn.Linear(edge, hidden, bias=False)
        self.score = nn.Parameter(torch.empty(heads, hidden // heads))
        self.value = nn.Linear(2 * hidden, hidden)
        self.edge_value = nn.Linear(edge, hidden, bias=False)
        nn.init.normal_(self.score, std=math.sqrt(heads / hidden))

    def forward(self, nodes: Tensor, edges: Tensor, linked: Tensor) -> Received:
        """Score each sender for each receiver, and average what they send by the softmax of it."""
        runs, size, _ = nodes.shape
        pairs = self.receiver(nodes)[:, :, None] + self.sender(nodes)[:, None] + self.edge(edges)
        pairs = functional.leaky_relu(pairs, _SLOPE).view(runs, size, size, self._heads, -1)
        scores = torch.einsum("brshd,hd->bhrs", pairs, self.score)
        shares = torch.softmax(scores.masked_fill(~linked[:, None], -torch.inf), dim=-1)
        values = self.value(nodes).view(runs, size, self._heads, -1)
        carried = torch.einsum("bhrs,bshd->brhd", shares, values)
        # A map of averages is the average of what is mapped, and edges have few features.
        averages = torch.einsum("bhrs,brsp->brhp", shares, edges)
        weights = self.edge_value.weight.view(self._heads, -1, edges.shape[-1])
        carried = carried + torch.einsum("brhp,hdp->brhd", averages, weights)
        return Received(carried.flatten(2), shares.mean(1))


class Maximum(nn.Module):
    """Messages of two layers, as in CLRS-30's MPNN and PGN, of which the largest of each feature is kept.

    In the place of attention it gives, for each receiver, the share of features that each sender decides.
    """

    def __init__(self, hidden: int, edge: int) -> None:
        super().__init__()
        self.receiver = nn.Linear(2 * hidden, hidden)
        self.sender = nn.Linear(2 * hidden, hidden, bias=False)
        self.edge = nn.Linear(edge, hidden, bias=False)
        self.message = nn.Linear(hidden, hidden)

    def forward(self, nodes: Tensor, edges: Tensor, linked: Tensor) -> Received:
        """Make a message for each pair, and take their maximum."""
        pairs = self.receiver(nodes)[:, :, None] + self.sender(nodes)[:, None] + self.edge(edges)
        messages = self.message(torch.relu(pairs)).masked_fill(~linked[..., None], FAR)
        aggregate, deciding = messages.max(dim=2)
        shares = nodes.new_zeros(linked.shape)
        shares.scatter_add_(2, deciding, shares.new_full((), 1 / deciding.shape[-1]).expand(deciding.shape))
        return Received(aggregate, shares)


class Update(nn.Module):
    """What becomes of a node: a gate decides, for each feature, whether the new one replaces the old.

    The gate is that of CLRS-30's gated processors (Ibarz et al. 2022). There is no normalisation of layers:
    a network whose weights are set keeps distances as they are.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.node = nn.Linear(2 * hidden, hidden)
        self.aggregate = nn.Linear(hidden, hidden, bias=False)
        self.gate_node = nn.Linear(2 * hidden, hidden)
        self.gate_aggregate = nn.Linear(hidden, hidden, bias=False)
        self.gate = nn.Linear(hidden, hidden)
        nn.init.constant_(self.gate.bias, _SHUT)

    def forward(self, nodes: Tensor, hidden: Tensor, aggregate: Tensor) -> Tensor:
        """Give the hidden features after the step."""
        new = torch.relu(self.node(nodes) + self.aggregate(aggregate))
        gate = torch.sigmoid(self.gate(torch.relu(self.gate_node(nodes) + self.gate_aggregate(aggregate))))
        return gate * new + (1.0 - gate) * hidden
