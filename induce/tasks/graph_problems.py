"""The problems about graphs, each with its answer in plain Python and one rule for every tie."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from induce.tasks.graph_input import Graph

Number = int | float
Kind = Literal["number", "node", "flag", "position"]

_RETURNS = {"number": "list[Any]", "node": "list[int]", "flag": "list[int]", "position": "list[int]"}


class UnanswerableGraphError(ValueError):
    """A graph for which a problem has no answer; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An algorithm and one of its outputs: a list with a value for each node.

    ``kind`` says what a value is: a number or ``None``, a node, 0 or 1, or a place in an order.
    """

    name: str
    rule: str
    """What is asked, in words, ties included."""
    kind: Kind
    solve: Callable[[Graph], list[Any]]
    """Raises ``UnanswerableGraphError``."""
    check: Callable[[Graph], object] = lambda _: None
    """Raises ``UnanswerableGraphError`` where that shows without looking for the answer."""
    has_source: bool = True
    weighted: bool = False
    acyclic: bool = False

    @property
    def returns(self) -> str:
        """The annotation of the answer."""
        return _RETURNS[self.kind]


def _source(graph: Graph) -> int:
    if graph.source is None:
        raise UnanswerableGraphError("the graph has no source to start from; give it one")
    return graph.source


def _bfs(graph: Graph) -> tuple[list[int], list[int | None]]:
    """Give the parents and the distances in edges.

    A parent is the smallest of the nodes of the round before that have an edge to the node.
    """
    source = _source(graph)
    arcs = graph.arcs()
    parents = list(range(graph.nodes))
    distances: list[int | None] = [None] * graph.nodes
    distances[source] = 0
    reached = [source]
    rounds = 0
    while reached:
        rounds += 1
        found = []
        for node in sorted(reached):
            for end, _ in arcs[node]:
                if distances[end] is None:
                    distances[end] = rounds
                    parents[end] = node
                    found.append(end)
        reached = found
    return parents, distances


def _dfs(graph: Graph) -> list[int]:
    """Give the parents, visiting neighbours in order of their numbers."""
    source = _source(graph)
    arcs = graph.arcs()
    parents = list(range(graph.nodes))
    seen = {source}
    path = [(source, iter(arcs[source]))]
    while path:
        node, leaving = path[-1]
        for end, _ in leaving:
            if end not in seen:
                seen.add(end)
                parents[end] = node
                path.append((end, iter(arcs[end])))
                break
        else:
            path.pop()
    return parents


def _bellman_ford(graph: Graph) -> tuple[list[int], list[Number | None]]:
    """Give the parents and the distances, improving all nodes at once, round by round.

    A parent is the smallest of the nodes by which the distance was last made smaller.
    """
    arcs = graph.arcs()
    parents = list(range(graph.nodes))
    distances: list[Number | None] = [None] * graph.nodes
    distances[_source(graph)] = 0
    for _ in range(graph.nodes):
        before = list(distances)
        for node, distance in enumerate(before):
            if distance is None:
                continue
            for end, weight in arcs[node]:
                known = distances[end]
                if known is None or distance + weight < known:
                    distances[end] = distance + weight
                    parents[end] = node
        if distances == before:
            return parents, distances
    raise UnanswerableGraphError(
        "a cycle of negative weight can be reached, so there are no shortest paths; make its weights larger"
    )


def _check_not_negative(graph: Graph) -> None:
    for start, end, weight in graph.edges:
        if weight < 0:
            raise UnanswerableGraphError(
                f"the edge from {start} to {end} weighs {weight}, and Dijkstra's algorithm takes weights "
                "from 0 on; ask for bellman_ford"
            )


def _dijkstra(graph: Graph) -> tuple[list[int], list[Number | None]]:
    """Give the parents and the distances, settling nodes by distance, then by number.

    A parent is the node that was the first to give the shortest distance.
    """
    _check_not_negative(graph)
    source = _source(graph)
    arcs = graph.arcs()
    parents = list(range(graph.nodes))
    distances: list[Number | None] = [None] * graph.nodes
    distances[source] = 0
    settled: set[int] = set()
    waiting: list[tuple[Number, int]] = [(0, source)]
    while waiting:
        distance, node = heapq.heappop(waiting)
        if node in settled:
            continue
        settled.add(node)
        for end, weight in arcs[node]:
            known = distances[end]
            if known is None or distance + weight < known:
                distances[end] = distance + weight
                parents[end] = node
                heapq.heappush(waiting, (distance + weight, end))
    return parents, distances


def _widths(graph: Graph) -> list[Number | None]:
    """Give the largest weight that some path from the source has at its smallest edge."""
    source = _source(graph)
    arcs = graph.arcs()
    widths: list[Number | None] = [None] * graph.nodes
    settled = {source}
    waiting = [(-weight, end) for end, weight in arcs[source]]
    heapq.heapify(waiting)
    while waiting:
        negated, node = heapq.heappop(waiting)
        if node in settled:
            continue
        settled.add(node)
        widths[node] = -negated
        for end, weight in arcs[node]:
            if end not in settled:
                heapq.heappush(waiting, (max(negated, -weight), end))
    return widths


def _components(graph: Graph) -> list[int]:
    """Give the smallest node of each node's component, whichever way the edges go."""
    labels = list(range(graph.nodes))

    def root(node: int) -> int:
        while labels[node] != node:
            labels[node] = labels[labels[node]]
            node = labels[node]
        return node

    for start, end, _ in graph.edges:
        one, other = root(start), root(end)
        labels[max(one, other)] = min(one, other)
    return [root(node) for node in range(graph.nodes)]


def _positions(graph: Graph) -> list[int]:
    """Give each node's place in the topological order that is the smallest as a list."""
    arcs = graph.arcs()
    entering = [0] * graph.nodes
    for leaving in arcs:
        for end, _ in leaving:
            entering[end] += 1
    ready = [node for node, count in enumerate(entering) if count == 0]
    positions = [-1] * graph.nodes
    place = 0
    while ready:
        node = heapq.heappop(ready)
        positions[node] = place
        place += 1
        for end, _ in arcs[node]:
            entering[end] -= 1
            if entering[end] == 0:
                heapq.heappush(ready, end)
    if place < graph.nodes:
        raise UnanswerableGraphError(
            "the graph has a cycle (an edge that is not directed is one), so there is no topological order; "
            "take edges away until there is none"
        )
    return positions


_OWN = "The source and nodes that cannot be reached have themselves."
_SHORTEST = (
    "For each node the smallest sum of weights on a path from the source to it; None where there is none."
)

PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "bfs/reach",
            "For each node 1 if there is a path from the source to it, else 0.",
            "flag",
            lambda graph: [int(distance is not None) for distance in _bfs(graph)[1]],
        ),
        Problem(
            "bfs/pi",
            "For each node its parent in a breadth-first search from the source: of the nodes reached one "
            "round earlier that have an edge to it, the smallest. " + _OWN,
            "node",
            lambda graph: _bfs(graph)[0],
        ),
        Problem(
            "bfs/d",
            "For each node the smallest number of edges on a path from the source to it; None where there "
            "is none.",
            "number",
            lambda graph: _bfs(graph)[1],
        ),
        Problem(
            "dfs/pi",
            "For each node its parent in a depth-first search from the source that visits neighbours in "
            "order of their numbers. " + _OWN,
            "node",
            _dfs,
        ),
        Problem(
            "bellman_ford/d",
            _SHORTEST,
            "number",
            lambda graph: _bellman_ford(graph)[1],
            weighted=True,
        ),
        Problem(
            "bellman_ford/pi",
            "For each node its parent on a shortest path from the source, by Bellman-Ford's algorithm "
            "with rounds that improve all nodes at once: the smallest of the nodes by which its distance "
            "was last made smaller. " + _OWN,
            "node",
            lambda graph: _bellman_ford(graph)[0],
            weighted=True,
        ),
        Problem(
            "dijkstra/d",
            _SHORTEST,
            "number",
            lambda graph: _dijkstra(graph)[1],
            _check_not_negative,
            weighted=True,
        ),
        Problem(
            "dijkstra/pi",
            "For each node its parent on a shortest path from the source, by Dijkstra's algorithm, which "
            "settles nodes by distance, then by number: the node that was the first to give it its "
            "shortest distance. " + _OWN,
            "node",
            lambda graph: _dijkstra(graph)[0],
            _check_not_negative,
            weighted=True,
        ),
        Problem(
            "widest_path/width",
            "For each node the largest weight that some path from the source to it has at its smallest "
            "edge; None where there is no path, and for the source.",
            "number",
            _widths,
            weighted=True,
        ),
        Problem(
            "components/label",
            "For each node the smallest node that it is connected with, whichever way the edges go.",
            "node",
            _components,
            has_source=False,
        ),
        Problem(
            "topological_sort/position",
            "For each node its place, from 0, in an order in which every edge goes forward: of these "
            "orders the smallest as a list of nodes.",
            "position",
            _positions,
            _positions,
            has_source=False,
            acyclic=True,
        ),
    )
}
"""By name: the algorithm, a slash, and the output."""
