"""Graphs from files, with the names that their nodes have there."""

from __future__ import annotations

import ast
import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gnn_compile import Graph
from induce.tasks.graph_input import read_graph
from induce.tasks.jsontext import LARGEST_FILE, parse_json, read_bytes
from induce.tasks.messages import one_line, shorten
from sandboxes import TaskFormatError

MOST = 2**24
"""So many nodes, and edges, a file may have."""

_LONGEST_NUMBER = 400


@dataclass(frozen=True, slots=True, eq=False)
class NamedGraph:
    """A graph, and what a file says of its nodes."""

    graph: Graph
    names: Sequence[Any]
    """By number; data as JSON has it."""
    source: int | None = None
    """The node to start from, where the file says so."""
    attributes: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What else the file says of every node in numbers: by name, a value for each node."""

    def number(self, text: str) -> int:
        """Give the number of the node that is called so: as JSON, or else as plain text.

        Raises ``TaskFormatError`` where there is none.
        """
        for wanted in _readings(text):
            if isinstance(self.names, range):
                if type(wanted) is int and wanted in self.names:
                    return wanted
                continue
            for number, name in enumerate(self.names):
                if type(name) is type(wanted) and name == wanted:
                    return number
        some = ", ".join(shorten(one) for one in self.names[:5]) + (", …" if len(self.names) > 5 else "")
        raise TaskFormatError(f"there is no node {shorten(text)} in the graph; its nodes are {some}")


def read_named_graph(path: str, *, directed: bool | None = None) -> NamedGraph:
    """Read a graph from a file, or from standard input by the name ``-``.

    JSON is ``{"nodes": n, "directed": …, "edges": [[u, v, weight], …]}`` or what ``networkx.node_link_data``
    gives; anything else is a list of edges, ``u v`` or ``u v weight`` a line, as networkx writes and reads
    it, undirected unless ``directed``. Names that are all whole numbers are numbers, in their order; other
    names come in the order in which the file has them.

    Raises ``TaskFormatError`` that names the file, and the line or the place in it.
    """
    place = Path("standard input" if path == "-" else path)
    content = _standard_input() if path == "-" else read_bytes(place)
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start not in (b"{", b"["):
        return _edge_list(content, place, directed=bool(directed))
    value = parse_json(content, place)
    if directed is not None and isinstance(value, dict):
        said = value.get("directed", False)
        if said is not directed:
            raise TaskFormatError(
                f'{place}: the file says "directed": {json.dumps(said)} itself; change it there'
            )
    return _json_graph(value, str(place))


def _readings(text: str) -> Iterator[Any]:
    with contextlib.suppress(ValueError, RecursionError):
        yield json.loads(text)
    yield text


def _standard_input() -> bytes:
    content = sys.stdin.buffer.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise TaskFormatError(f"standard input has more than {LARGEST_FILE // 2**20} MiB")
    return content


def _json_graph(value: Any, where: str) -> NamedGraph:
    read = read_graph(value, where, has_source=isinstance(value, dict) and "source" in value)
    _check_size(read.nodes, len(read.edges), where)
    edges = [
        (u, v, _exact(weight, f"{where}, edges[{index}]")) for index, (u, v, weight) in enumerate(read.edges)
    ]
    graph = Graph.of(read.nodes, edges, directed=read.directed)
    if not isinstance(value["nodes"], list):
        return NamedGraph(graph, range(read.nodes), read.source)
    names = [node["id"] for node in value["nodes"]]
    return NamedGraph(graph, names, read.source, dict(_attributes(value["nodes"])))


def _attributes(nodes: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    for name in nodes[0]:
        values: list[Any] = [node.get(name) for node in nodes]
        if name != "id" and all(isinstance(one, (bool, int, float)) for one in values):
            try:
                yield name, [float(one) for one in values]
            except OverflowError:
                continue


def _edge_list(content: bytes, path: Path, *, directed: bool) -> NamedGraph:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise TaskFormatError(
            f"{path}:{line}: expected UTF-8 text, or JSON; is this a binary file?"
        ) from None
    numbers: dict[str, int] = {}
    edges: list[tuple[int, int, float]] = []
    for place, row in enumerate(text.split("\n"), start=1):
        fields = row.partition("#")[0].split(maxsplit=2)
        ends = [numbers.setdefault(name, len(numbers)) for name in fields[:2]]
        if len(ends) == 2:
            weight = _weight(fields[2].strip(), f"{path}:{place}") if len(fields) > 2 else 1.0
            edges.append((ends[0], ends[1], weight))
        if len(edges) > MOST or len(numbers) > MOST:
            break
    if not numbers:
        raise TaskFormatError(f"{path}: the graph has no nodes; a line `u v` is an edge, a line `u` a node")
    _check_size(len(numbers), len(edges), str(path))
    names: list[Any] = list(numbers)
    if all(_whole(one) for one in names):
        names = sorted(map(int, names))
        order = {number: place for place, number in enumerate(names)}
        moved = [order[int(name)] for name in numbers]
        edges = [(moved[u], moved[v], weight) for u, v, weight in edges]
    return NamedGraph(Graph.of(len(names), edges, directed=directed), names)


def _weight(text: str, where: str) -> float:
    """Read what follows the two ends of an edge: a number, or networkx's ``{'weight': 3}``."""
    value: Any = text
    try:
        if text.startswith("{") and len(text) <= _LONGEST_NUMBER:
            data = ast.literal_eval(text)
            value = data.get("weight", 1) if isinstance(data, dict) else text
        else:
            value = int(text) if _whole(text) else float(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        pass
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TaskFormatError(
            f"{where}: expected an edge as `u v` or `u v weight`, and {one_line(text, 40)!r} is no finite "
            "number"
        )
    return _exact(value, where)


def _exact(weight: float, where: str) -> float:
    try:
        number = float(weight)
    except OverflowError:
        number = math.inf
    if number != weight:
        raise TaskFormatError(f"{where}: a float64 does not hold the weight {shorten(weight)} exactly")
    return number


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18 and str(int(text)) == text


def _check_size(nodes: int, edges: int, where: str) -> None:
    if nodes > MOST or edges > MOST:
        raise TaskFormatError(
            f"{where}: the graph has more than {MOST:,} nodes or edges; a program can give larger ones to "
            "gnn_compile.Graph.of_arrays"
        )
