"""The algorithms, run on a weight matrix, with what CLRS-30 observes at every step.

``A[u, v]`` is the weight of the edge from ``u`` to ``v``; 0 says that there is none. Wherever several nodes
would do, the one with the lowest number is taken. Values are those of CLRS-30 to the last bit, which is why
numbers are added one by one, in its order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile.clrs.samples import Sample
from gnn_compile.clrs.specs import COLORS, SPECS, Algorithm, Stage, Type, names
from sandboxes.errors import AlgorithmError

Matrix = npt.NDArray[np.float64]

_TICK = 0.01
"""How much time passes when a depth-first search enters or leaves a node."""
_WHITE, _GRAY, _BLACK = range(COLORS)


def needs_source(algorithm: Algorithm) -> bool:
    """Say whether the algorithm starts at a node that is given to it."""
    return "s" in names(algorithm, Stage.INPUT)


def run(algorithm: Algorithm, matrix: npt.ArrayLike, source: int | None = None) -> Sample:
    """Run an algorithm on a graph, and give all that CLRS-30 observes.

    Raises ``AlgorithmError`` for a matrix that is not square or not finite, a source that is not there, is
    missing or is not asked for, and for graphs that the algorithm has no answer for: weights below 0 (but
    for Bellman-Ford, which refuses cycles of negative weight that the source reaches), and, for a
    topological sort, cycles.
    """
    weights = _checked(algorithm, matrix)
    size = len(weights)
    start = _checked_source(algorithm, source, size)
    trace = _Trace()
    match algorithm:
        case Algorithm.BFS:
            outputs = _bfs(weights, start, trace)
        case Algorithm.DFS:
            outputs = _dfs(weights, trace)
        case Algorithm.BELLMAN_FORD:
            outputs = _bellman_ford(weights, start, trace)
        case Algorithm.DIJKSTRA:
            outputs = _dijkstra(weights, start, trace)
        case Algorithm.TOPOLOGICAL_SORT:
            outputs = _topological_sort(weights, trace)
    inputs = {
        "pos": np.arange(size) / size,
        "s": _one_hot(start, size),
        "A": weights,
        "adj": weights + np.eye(size) != 0,
    }
    stacked = {name: np.stack(values) for name, values in trace.values.items()}
    return Sample(
        algorithm,
        _typed(algorithm, Stage.INPUT, inputs),
        _typed(algorithm, Stage.HINT, stacked),
        _typed(algorithm, Stage.OUTPUT, outputs),
        len(next(iter(stacked.values()))),
    )


@dataclass(slots=True)
class _Trace:
    """What has been observed, step by step."""

    values: dict[str, list[npt.NDArray[Any]]] = field(default_factory=dict)

    def step(self, **observed: npt.ArrayLike) -> None:
        for name, value in observed.items():
            self.values.setdefault(name, []).append(np.array(value))  # a copy: the run goes on


_Outputs = dict[str, npt.NDArray[Any]]


def _bfs(weights: Matrix, source: int, trace: _Trace) -> _Outputs:
    edges = weights != 0
    parents = np.arange(len(weights))
    reached = np.arange(len(weights)) == source
    while True:
        trace.step(reach_h=reached, pi_h=parents)
        frontier = edges & reached[:, None]
        new = frontier.any(0) & ~reached
        if not new.any():
            return {"pi": parents}
        parents[new] = frontier.argmax(0)[new]  # the first that is true
        reached |= new


def _bellman_ford(weights: Matrix, source: int, trace: _Trace) -> _Outputs:
    size = len(weights)
    edges = weights != 0
    distances = np.zeros(size)  # those of nodes that are not reached, too
    reached = np.arange(size) == source
    parents = np.arange(size)
    for _ in range(size):
        trace.step(pi_h=parents, d=distances, msk=reached)
        paths = np.where(edges & reached[:, None], distances[:, None] + weights, np.inf)
        shortest = paths.min(0)
        better = shortest < np.where(reached, distances, np.inf)
        distances[better] = shortest[better]
        parents[better] = paths.argmin(0)[better]  # the first of the least
        reached |= better
        if not better.any():
            return {"pi": parents}
    raise AlgorithmError(
        f"distances from node {source} still shrink after {size} rounds: it reaches a cycle of negative "
        "weight, so that no walk is the shortest; give weights without such a cycle"
    )


def _dijkstra(weights: Matrix, source: int, trace: _Trace) -> _Outputs:
    size = len(weights)
    distances = np.zeros(size)
    done = np.zeros(size, dtype=bool)
    queued = np.arange(size) == source
    parents = np.arange(size)
    node = source
    trace.step(pi_h=parents, d=distances, mark=done, in_queue=queued, u=_one_hot(node, size))
    while queued.any():
        # CLRS-30 leaves ties to numpy's sort, which is not stable on every processor.
        node = int(np.where(queued, distances, np.inf).argmin())
        done[node], queued[node] = True, False
        paths = distances[node] + weights[node]
        better = (weights[node] != 0) & ~done & (~queued | (paths < distances))
        parents[better], distances[better] = node, paths[better]
        queued |= better
        trace.step(pi_h=parents, d=distances, mark=done, in_queue=queued, u=_one_hot(node, size))
    return {"pi": parents}


class _Event(Enum):
    ROOT = auto()
    """A search begins at a node that none before has seen."""
    ENTERED = auto()
    FOUND = auto()
    """``found`` was seen first from ``node``, and lies on the stack."""
    LEFT = auto()


@dataclass(slots=True)
class _Search:
    """A depth-first search. Its stack is a list linked by ``below``, where the lowest points to itself."""

    edges: npt.NDArray[np.bool_]
    color: npt.NDArray[np.int64] = field(init=False)
    below: npt.NDArray[np.int64] = field(init=False)
    root: int = 0
    top: int = 0
    node: int = 0
    found: int = 0

    def __post_init__(self) -> None:
        self.color = np.zeros(len(self.edges), dtype=np.int64)
        self.below = np.arange(len(self.edges))

    def events(self) -> Iterator[_Event]:
        """Search on, and stop whenever something has happened."""
        entered = np.zeros(len(self.edges), dtype=bool)
        for root in range(len(self.edges)):
            if self.color[root] != _WHITE:
                continue
            self.root = self.top = self.node = self.found = root
            yield _Event.ROOT
            while True:
                if not entered[self.node]:
                    entered[self.node] = True
                    self.color[self.node] = _GRAY
                    yield _Event.ENTERED
                unseen = self.edges[self.node] & (self.color == _WHITE)
                if unseen.any():
                    self.found = int(unseen.argmax())
                    self.color[self.found] = _GRAY
                    self.below[self.found], self.top = self.top, self.found
                    yield _Event.FOUND
                else:
                    self.found = len(self.edges) - 1  # as far as CLRS-30 has looked
                    self.color[self.node] = _BLACK
                    yield _Event.LEFT
                    if self.below[self.node] == self.node:
                        break
                    self.top, self.below[self.node] = int(self.below[self.node]), self.node
                self.node = self.top

    def observed(self) -> dict[str, npt.NDArray[Any]]:
        """Give the hints that speak of the search itself."""
        size = len(self.edges)
        return {
            "color": np.eye(COLORS)[self.color],
            "s_prev": self.below,
            "s": _one_hot(self.root, size),
            "u": _one_hot(self.node, size),
            "v": _one_hot(self.found, size),
            "s_last": _one_hot(self.top, size),
        }


def _dfs(weights: Matrix, trace: _Trace) -> _Outputs:
    size = len(weights)
    parents = np.arange(size)
    entered, left = np.zeros(size), np.zeros(size)
    time = 0.0
    search = _Search(weights != 0)
    for event in search.events():
        if event is _Event.ENTERED:
            time += _TICK
            entered[search.node] = time
        elif event is _Event.FOUND:
            parents[search.found] = search.node
        elif event is _Event.LEFT:
            time += _TICK
            left[search.node] = time
        trace.step(pi_h=parents, d=entered, f=left, time=time, **search.observed())
    return {"pi": parents}


def _topological_sort(weights: Matrix, trace: _Trace) -> _Outputs:
    size = len(weights)
    following = np.arange(size)
    head = 0
    search = _Search(weights != 0)
    for event in search.events():
        if event is _Event.ENTERED and search.node != search.root:
            continue  # nothing that is observed has changed since it was found
        if event is _Event.LEFT:
            _check_acyclic(search)
            if search.color[head] == _BLACK:
                following[search.node] = head
            head = search.node
        trace.step(topo_h=following, topo_head_h=_one_hot(head, size), **search.observed())
    return {"topo": following, "topo_head": _one_hot(head, size)}


def _check_acyclic(search: _Search) -> None:
    """Refuse an edge from the node that is being left to one that is still on the stack, or to itself."""
    closing = search.edges[search.node] & (search.color == _GRAY)
    closing[search.node] = search.edges[search.node, search.node]
    if closing.any():
        raise AlgorithmError(
            f"the edge from node {search.node} to node {int(closing.argmax())} closes a cycle, so that the "
            "nodes have no topological order; give a graph without cycles"
        )


def _checked(algorithm: Algorithm, matrix: npt.ArrayLike) -> Matrix:
    weights = np.asarray(matrix, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or not len(weights):
        raise AlgorithmError(
            f"a graph is a square matrix of one node at least, not one of shape {weights.shape}"
        )
    if not np.isfinite(weights).all():
        u, v = np.argwhere(~np.isfinite(weights))[0]
        raise AlgorithmError(
            f"the weight from node {u} to node {v} is {weights[u, v]}; 0 says that there is no edge"
        )
    if algorithm is not Algorithm.BELLMAN_FORD and (weights < 0).any():
        u, v = np.argwhere(weights < 0)[0]
        raise AlgorithmError(
            f"the weight from node {u} to node {v} is {weights[u, v]}; {algorithm} takes none below 0"
        )
    return weights


def _checked_source(algorithm: Algorithm, source: int | None, size: int) -> int:
    if not needs_source(algorithm):
        if source is not None:
            raise AlgorithmError(f"{algorithm} has no source; it was given {source}")
        return 0
    if source is None or not 0 <= source < size:
        raise AlgorithmError(f"{algorithm} needs a source from 0 to {size - 1}, not {source}")
    return int(source)


def _one_hot(node: int, size: int) -> Matrix:
    hot = np.zeros(size)
    hot[node] = 1.0
    return hot


def _typed(
    algorithm: Algorithm, stage: Stage, values: dict[str, npt.NDArray[Any]]
) -> MappingProxyType[str, Any]:
    spec = SPECS[algorithm]
    return MappingProxyType(
        {
            name: values[name].astype(np.int64 if spec[name].type is Type.POINTER else np.float64)
            for name in names(algorithm, stage)
        }
    )
