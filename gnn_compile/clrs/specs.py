"""What CLRS-30 observes of each algorithm: the names, and what each holds."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple


class Algorithm(StrEnum):
    """The algorithms whose runs can be sampled."""

    BFS = "bfs"
    DFS = "dfs"
    BELLMAN_FORD = "bellman_ford"
    DIJKSTRA = "dijkstra"
    TOPOLOGICAL_SORT = "topological_sort"


class Stage(StrEnum):
    """When something is observed: before the run, after it, or at every step."""

    INPUT = "input"
    OUTPUT = "output"
    HINT = "hint"


class Location(StrEnum):
    """What has such a value: each node, each pair of nodes (sender, receiver), or the graph."""

    NODE = "node"
    EDGE = "edge"
    GRAPH = "graph"


class Type(StrEnum):
    """What the value means."""

    SCALAR = "scalar"
    CATEGORICAL = "categorical"
    """One-hot along a last axis, of so many entries as there are categories."""
    MASK = "mask"
    """0 or 1."""
    MASK_ONE = "mask_one"
    """1 at one node, 0 at all others."""
    POINTER = "pointer"
    """The number of a node; at the one that has nowhere to point, its own."""


class Probe(NamedTuple):
    """What one name stands for."""

    stage: Stage
    location: Location
    type: Type


Spec = Mapping[str, Probe]

COLORS = 3
"""The categories of ``color``, the only categorical here: not yet seen, on the stack, left."""

_GRAPH = {
    "pos": Probe(Stage.INPUT, Location.NODE, Type.SCALAR),
    "A": Probe(Stage.INPUT, Location.EDGE, Type.SCALAR),
    "adj": Probe(Stage.INPUT, Location.EDGE, Type.MASK),
}
_GRAPH_WITH_SOURCE = {
    "pos": _GRAPH["pos"],
    "s": Probe(Stage.INPUT, Location.NODE, Type.MASK_ONE),
    "A": _GRAPH["A"],
    "adj": _GRAPH["adj"],
}
_PARENTS = {
    "pi": Probe(Stage.OUTPUT, Location.NODE, Type.POINTER),
    "pi_h": Probe(Stage.HINT, Location.NODE, Type.POINTER),
}
_STACK = {
    "s_prev": Probe(Stage.HINT, Location.NODE, Type.POINTER),
    "s": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
    "u": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
    "v": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
    "s_last": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
}
_COLOR = Probe(Stage.HINT, Location.NODE, Type.CATEGORICAL)
_NODE_SCALAR = Probe(Stage.HINT, Location.NODE, Type.SCALAR)
_NODE_MASK = Probe(Stage.HINT, Location.NODE, Type.MASK)

SPECS: Mapping[Algorithm, Spec] = MappingProxyType(
    {
        Algorithm.BFS: MappingProxyType(
            {
                **_GRAPH_WITH_SOURCE,
                "pi": _PARENTS["pi"],
                "reach_h": _NODE_MASK,
                "pi_h": _PARENTS["pi_h"],
            }
        ),
        Algorithm.DFS: MappingProxyType(
            {
                **_GRAPH,
                **_PARENTS,
                "color": _COLOR,
                "d": _NODE_SCALAR,
                "f": _NODE_SCALAR,
                **_STACK,
                "time": Probe(Stage.HINT, Location.GRAPH, Type.SCALAR),
            }
        ),
        Algorithm.BELLMAN_FORD: MappingProxyType(
            {**_GRAPH_WITH_SOURCE, **_PARENTS, "d": _NODE_SCALAR, "msk": _NODE_MASK}
        ),
        Algorithm.DIJKSTRA: MappingProxyType(
            {
                **_GRAPH_WITH_SOURCE,
                **_PARENTS,
                "d": _NODE_SCALAR,
                "mark": _NODE_MASK,
                "in_queue": _NODE_MASK,
                "u": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
            }
        ),
        Algorithm.TOPOLOGICAL_SORT: MappingProxyType(
            {
                **_GRAPH,
                "topo": Probe(Stage.OUTPUT, Location.NODE, Type.POINTER),
                "topo_head": Probe(Stage.OUTPUT, Location.NODE, Type.MASK_ONE),
                "topo_h": Probe(Stage.HINT, Location.NODE, Type.POINTER),
                "topo_head_h": Probe(Stage.HINT, Location.NODE, Type.MASK_ONE),
                "color": _COLOR,
                **_STACK,
            }
        ),
    }
)
"""Names in the order in which CLRS-30 lists them."""


def names(algorithm: Algorithm, stage: Stage) -> tuple[str, ...]:
    """Give what is observed at a stage, in order."""
    return tuple(name for name, probe in SPECS[algorithm].items() if probe.stage is stage)


def shape(probe: Probe, size: int) -> tuple[int, ...]:
    """Give the shape of a value in a graph of so many nodes: at one step, for a hint."""
    of_place = {Location.NODE: (size,), Location.EDGE: (size, size), Location.GRAPH: ()}[probe.location]
    return (*of_place, COLORS) if probe.type is Type.CATEGORICAL else of_place
