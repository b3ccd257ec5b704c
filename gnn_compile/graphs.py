"""Graphs as networks take them: the edges in compressed sparse rows, by receiver."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sandboxes.errors import AlgorithmError

if TYPE_CHECKING:
    import networkx as nx

Index = npt.NDArray[np.int64]
Column = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A directed multigraph of nodes ``0 … size - 1``; an undirected edge is two.

    Edges are sorted by receiver, then by sender, then as they were given: those into ``v`` are
    ``offsets[v]:offsets[v + 1]``.
    """

    size: int
    senders: Index
    """[edges]"""
    receivers: Index
    """[edges]"""
    offsets: Index
    """[size + 1]"""
    weights: Column
    """[edges]"""
    directed: bool = True

    @classmethod
    def of(
        cls,
        size: int,
        edges: Iterable[tuple[int, int] | tuple[int, int, float]],
        *,
        directed: bool = True,
    ) -> Graph:
        """Make a graph of edges ``(sender, receiver)`` or ``(sender, receiver, weight)``; a weight is 1 else.

        Raises ``AlgorithmError`` for no nodes, an edge to a node that is not there, or a weight that is no
        finite number.
        """
        rows = list(edges)
        senders = np.array([row[0] for row in rows], dtype=np.int64)
        receivers = np.array([row[1] for row in rows], dtype=np.int64)
        weights = np.array([row[2] if len(row) > 2 else 1.0 for row in rows], dtype=np.float64)
        return cls.of_arrays(size, senders, receivers, weights, directed=directed)

    @classmethod
    def of_arrays(
        cls,
        size: int,
        senders: npt.ArrayLike,
        receivers: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        directed: bool = True,
    ) -> Graph:
        """Make a graph of three columns, each [edges]; see ``of``."""
        sent, received = np.asarray(senders), np.asarray(receivers)
        weight = np.ones(len(sent)) if weights is None else np.asarray(weights)
        if not (sent.ndim == received.ndim == weight.ndim == 1 and len(sent) == len(received) == len(weight)):
            raise AlgorithmError(
                f"senders, receivers and weights must be columns of one length, not of shapes {sent.shape}, "
                f"{received.shape} and {weight.shape}"
            )
        _check(size, sent, received, weight)
        sent, received = sent.astype(np.int64), received.astype(np.int64)
        weight = weight.astype(np.float64)
        if not directed:
            loops = sent == received  # which would otherwise be there twice
            sent, received = np.r_[sent, received[~loops]], np.r_[received, sent[~loops]]
            weight = np.r_[weight, weight[~loops]]
        order = np.lexsort((sent, received))
        received = received[order]
        return cls(
            int(size),
            sent[order],
            received,
            np.searchsorted(received, np.arange(size + 1)).astype(np.int64),
            weight[order],
            directed,
        )

    @classmethod
    def of_networkx(cls, graph: nx.Graph[Any], weight: str = "weight") -> tuple[Graph, dict[Hashable, int]]:
        """Make a graph of networkx's, of any of its four kinds; also give the number of each of its nodes.

        Nodes are numbered as the graph lists them. An edge without the attribute ``weight`` weighs 1.
        """
        numbers = {node: number for number, node in enumerate(graph.nodes)}
        edges = [
            (numbers[u], numbers[v], _number(data.get(weight, 1.0), u, v))
            for u, v, data in graph.edges(data=True)
        ]
        return cls.of(len(numbers), edges, directed=graph.is_directed()), numbers

    def to_networkx(self) -> nx.MultiDiGraph[int]:
        """Give networkx's form, with a weight on each edge; an undirected edge is two."""
        import networkx as nx  # noqa: PLC0415 - takes a tenth of a second

        graph: nx.MultiDiGraph[int] = nx.MultiDiGraph()
        graph.add_nodes_from(range(self.size))
        columns = (self.senders.tolist(), self.receivers.tolist(), self.weights.tolist())
        graph.add_weighted_edges_from(zip(*columns, strict=True))
        return graph

    def both_ways(self) -> Graph:
        """Give the graph with each edge in both directions, as connectivity asks for."""
        if not self.directed:
            return self
        return Graph.of_arrays(self.size, self.senders, self.receivers, self.weights, directed=False)

    @property
    def edges(self) -> int:
        return len(self.senders)

    @property
    def features(self) -> Mapping[str, Column]:
        """What an algorithm may ask of an edge, each [edges]."""
        return {"weight": self.weights}


def _check(
    size: int, senders: npt.NDArray[Any], receivers: npt.NDArray[Any], weights: npt.NDArray[Any]
) -> None:
    if size < 1:
        raise AlgorithmError("a graph needs a node at least; this one is empty")
    for name, ends in (("sender", senders), ("receiver", receivers)):
        if not np.issubdtype(ends.dtype, np.integer) and len(ends):
            raise AlgorithmError(f"the {name} of an edge must be the number of a node, not {ends.dtype}")
        if len(ends) and (ends.min() < 0 or ends.max() >= size):
            edge = int(np.argmax((ends < 0) | (ends >= size)))
            raise AlgorithmError(
                f"edge {edge} has the {name} {ends[edge]}, and there are the nodes 0 to {size - 1} only"
            )
    if len(weights) and not np.all(np.isfinite(weights.astype(np.float64))):
        edge = int(np.argmax(~np.isfinite(weights.astype(np.float64))))
        raise AlgorithmError(
            f"edge {edge} ({senders[edge]} to {receivers[edge]}) has the weight {weights[edge]}; "
            "a weight must be a finite number: leave out edges that are not there"
        )


def _number(weight: object, u: object, v: object) -> float:
    if isinstance(weight, bool) or not isinstance(weight, (int, float, np.integer, np.floating)):
        raise AlgorithmError(f"the edge from {u!r} to {v!r} has the weight {weight!r}, which is no number")
    number = float(weight)
    if isinstance(weight, int) and math.isfinite(number) and int(number) != weight:
        raise AlgorithmError(
            f"the edge from {u!r} to {v!r} has the weight {weight}, which a float64 does not hold exactly"
        )
    return number
