"""A graph as a program takes it, read from the two ways in which files write one."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from induce.tasks.messages import shorten
from sandboxes import TaskFormatError
from sandboxes.values import NotDataError, canonical

_KEYS = frozenset({"nodes", "directed", "edges", "source"})
_NODE_LINK_KEYS = _KEYS | {"links", "multigraph", "graph"}


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes ``0 … nodes - 1`` and edges ``(from, to, weight)``, loops and parallel edges included.

    In a graph that is not directed an edge goes both ways.
    """

    nodes: int
    directed: bool
    edges: tuple[tuple[int, int, int | float], ...]
    source: int | None = None

    def value(self) -> dict[str, Any]:
        """Give what a program takes: all weights written out, and ``source`` where the problem has one."""
        value: dict[str, Any] = {
            "nodes": self.nodes,
            "directed": self.directed,
            "edges": [list(edge) for edge in self.edges],
        }
        return value if self.source is None else value | {"source": self.source}

    def arcs(self) -> list[list[tuple[int, int | float]]]:
        """Give for each node where its edges lead and their weights, in order of the nodes they lead to."""
        arcs: list[list[tuple[int, int | float]]] = [[] for _ in range(self.nodes)]
        for start, end, weight in self.edges:
            arcs[start].append((end, weight))
            if not self.directed and start != end:
                arcs[end].append((start, weight))
        return [sorted(leaving) for leaving in arcs]


def read_graph(value: Any, where: str, *, has_source: bool) -> Graph:
    """Read ``{"nodes": 3, "directed": true, "edges": [[0, 1, 5], [1, 2]], "source": 0}``, or node-link JSON.

    An edge without a weight weighs 1. Node-link JSON is what ``networkx.node_link_data`` gives: its nodes,
    whose ids may be any data, are numbered in their order and their ids then forgotten; ``source`` is an id;
    attributes other than ``weight`` are passed over.

    Raises ``TaskFormatError``, starting with ``where``, that names what does not fit.
    """
    if not isinstance(value, dict):
        raise TaskFormatError(f"{where}: expected a graph as an object, not {shorten(value)}")
    node_link = isinstance(value.get("nodes"), list)
    for key in value:
        if key not in (_NODE_LINK_KEYS if node_link else _KEYS):
            raise TaskFormatError(
                f"{where}: unknown field {shorten(key)} in a graph; "
                f"the known ones are {', '.join(sorted(_NODE_LINK_KEYS if node_link else _KEYS))}"
            )
    if has_source and "source" not in value:
        raise TaskFormatError(f'{where}: this problem starts from a node; name it under "source"')
    if not has_source and "source" in value:
        raise TaskFormatError(f'{where}: this problem starts from no node; leave out "source"')
    return _node_link(value, where) if node_link else _numbered(value, where)


def _numbered(value: dict[str, Any], where: str) -> Graph:
    nodes = value.get("nodes")
    if type(nodes) is not int:
        raise TaskFormatError(
            f'{where}: expected the number of nodes, or a list of them, under "nodes", not {shorten(nodes)}'
        )
    _check_size(nodes, where)
    directed = _truth(value, "directed", where)
    edges = []
    for index, edge in enumerate(_list(value, "edges", where)):
        place = f"{where}, edges[{index}]"
        if not isinstance(edge, list) or len(edge) not in (2, 3):
            raise TaskFormatError(f"{place}: expected [from, to] or [from, to, weight], not {shorten(edge)}")
        start, end = (_node(end, nodes, place) for end in edge[:2])
        edges.append((start, end, _weight(edge[2] if len(edge) == 3 else 1, place)))
    source = _node(value["source"], nodes, f"{where}, source") if "source" in value else None
    return Graph(nodes, directed, tuple(edges), source)


def _node_link(value: dict[str, Any], where: str) -> Graph:
    nodes = value["nodes"]
    _check_size(len(nodes), where)
    numbers = _numbers(nodes, where)
    directed = _truth({"directed": False} | value, "directed", where)
    if ("edges" in value) == ("links" in value):
        raise TaskFormatError(f'{where}: expected the edges under either "edges" or "links"')
    key = "edges" if "edges" in value else "links"
    edges = []
    for index, edge in enumerate(_list(value, key, where)):
        place = f"{where}, {key}[{index}]"
        if not isinstance(edge, dict) or not {"source", "target"} <= edge.keys():
            raise TaskFormatError(
                f'{place}: expected an object with "source" and "target", not {shorten(edge)}'
            )
        start, end = (_number(edge[side], numbers, place) for side in ("source", "target"))
        edges.append((start, end, _weight(edge.get("weight", 1), place)))
    source = _number(value["source"], numbers, f"{where}, source") if "source" in value else None
    return Graph(len(nodes), directed, tuple(edges), source)


def _numbers(nodes: Iterable[Any], where: str) -> dict[str, int]:
    """Number nodes in their order, by their ids as text, for an id may be a list."""
    numbers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        place = f"{where}, nodes[{index}]"
        if not isinstance(node, dict) or "id" not in node:
            raise TaskFormatError(f'{place}: expected an object with "id", not {shorten(node)}')
        text = _text(node["id"], place)
        if text in numbers:
            raise TaskFormatError(
                f"{place}: the id {shorten(node['id'])} is that of nodes[{numbers[text]}] too; "
                "give each node an id of its own"
            )
        numbers[text] = index
    return numbers


def _number(id: Any, numbers: dict[str, int], where: str) -> int:  # noqa: A002 - networkx's word
    number = numbers.get(_text(id, where))
    if number is None:
        raise TaskFormatError(f'{where}: there is no node with the id {shorten(id)}; add it under "nodes"')
    return number


def _text(id: Any, where: str) -> str:  # noqa: A002 - networkx's word
    try:
        return canonical(id)
    except NotDataError as error:
        raise TaskFormatError(f"{where}: {error}") from None


def _check_size(nodes: int, where: str) -> None:
    if nodes < 1:
        raise TaskFormatError(f"{where}: the graph has no nodes; give it at least one")


def _list(value: dict[str, Any], key: str, where: str) -> list[Any]:
    found = value.get(key)
    if not isinstance(found, list):
        raise TaskFormatError(f'{where}: expected a list of edges under "{key}", not {shorten(found)}')
    return found


def _truth(value: dict[str, Any], key: str, where: str) -> bool:
    found = value.get(key)
    if not isinstance(found, bool):
        raise TaskFormatError(f'{where}: expected true or false under "{key}", not {shorten(found)}')
    return found


def _node(value: Any, nodes: int, where: str) -> int:
    if type(value) is not int or not 0 <= value < nodes:
        raise TaskFormatError(
            f"{where}: there is no node {shorten(value)}; the nodes are the integers 0 to {nodes - 1}"
        )
    return value


def _weight(value: Any, where: str) -> int | float:
    if type(value) not in (int, float) or (type(value) is float and not math.isfinite(value)):
        raise TaskFormatError(
            f"{where}: the weight {shorten(value)} is no finite number; leave out edges that are not there"
        )
    weight: int | float = value
    return weight
