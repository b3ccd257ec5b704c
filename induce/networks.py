"""Networks as the command line names them, and what they give, by the names that nodes have in files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gnn_compile import Bounds, Graph, Network, Run, compile_algorithm, load_algorithm, run_network
from gnn_compile.node_fields import node_fields
from gnn_compile.storing import Loaded, load_network
from induce.graph_files import NamedGraph
from induce.tasks.messages import visible
from sandboxes.errors import AlgorithmError

Columns = Mapping[str, Sequence[Any]]
"""Fields by name, a value for each node; where that is a node, its name."""


def open_network(name: str, graph: Graph | None = None) -> Loaded:
    """Load a network from a file ``*.json``, or compile an algorithm, the library's or of a file ``*.toml``.

    What is compiled is exact for this very graph, else within the usual bounds.
    """
    if name.endswith(".json"):
        return load_network(name)
    algorithm = load_algorithm(name)
    if graph is None:
        return Loaded(compile_algorithm(algorithm), verified=True, unchanged=True)
    bounds = _bounds(graph.both_ways() if algorithm.both_ways else graph)
    return Loaded(compile_algorithm(algorithm, bounds), verified=True, unchanged=True)


def run_on(
    network: Network,
    named: NamedGraph,
    *,
    inputs: Mapping[str, Sequence[str]],
    outputs: Sequence[str] | None,
    trace: bool,
) -> Run:
    """Run a network on a graph from a file.

    ``inputs`` names the nodes whose flags are 1. Other inputs are taken from what the file says of the nodes.
    """
    algorithm = network.algorithm
    given: dict[str, int | Sequence[float] | npt.NDArray[np.float64]] = {}
    for name in algorithm.inputs_of_nodes:
        if name in inputs:
            continue
        if name == "source" and named.source is not None:
            given[name] = named.source
        elif name in named.attributes:
            given[name] = named.attributes[name]
        else:
            how = "--source NODE" if name == "source" else f"--input {name}=NODE"
            raise AlgorithmError(
                f"{algorithm.name} needs {name}: name a node by {how}, or have it in node-link JSON as a "
                "number of each node"
            )
    for name, nodes in inputs.items():
        flags = np.zeros(named.graph.size)
        flags[[named.number(one) for one in nodes]] = 1.0
        given[name] = flags
    return run_network(network, named.graph, outputs=outputs, trace=trace, **given)


def told(network: Network, named: NamedGraph, columns: Mapping[str, npt.NDArray[np.float64]]) -> Columns:
    """Give what a network gave as plain values: whole numbers as such, nodes by their names."""
    nodes = node_fields(network.algorithm)
    found = {}
    for field, column in columns.items():
        if network.error and network.domains[field].whole:
            column = np.rint(column)  # noqa: PLW2901 - exact again
        values: list[Any] = [int(one) if one.is_integer() else one for one in column.tolist()]
        if field in nodes:
            size = named.graph.size
            values = [named.names[one] if isinstance(one, int) and 0 <= one < size else one for one in values]
        found[field] = values
    return found


def aligned(names: Iterable[Any], columns: Columns, of: Iterable[int] | None = None) -> list[str]:
    """Make a table of nodes and their values, a line each, of all nodes or of some."""
    names = list(names)
    rows = list(range(len(names)) if of is None else of)
    cells = [["node", *(written(names[row]) for row in rows)]]
    cells += [[field, *(written(values[row]) for row in rows)] for field, values in columns.items()]
    widths = [max(map(len, column)) for column in cells]
    lines = []
    for row in zip(*cells, strict=True):
        first, *rest = (
            cell.ljust(width) if not place else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]))
    return lines


def written(value: Any) -> str:
    """Write a name or a value, ∞ for what is infinite."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, float) and math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return visible(json.dumps(value, ensure_ascii=False))


def changed(before: Columns, after: Columns) -> list[int]:
    """Give the nodes of which a field has changed."""
    pairs = [(before[field], after[field]) for field in after]
    count = len(next(iter(after.values()), ()))
    return [row for row in range(count) if any(one[row] != other[row] for one, other in pairs)]


def _bounds(graph: Graph) -> Bounds:
    weights = np.abs(graph.weights)
    heaviest, whole = float(weights.max(initial=1.0)), bool((weights == np.floor(weights)).all())
    return Bounds(
        nodes=graph.size,
        # Sums of powers of two are exact, as the compiler needs them to see how far fields grow.
        weight=heaviest if whole else 2.0 ** math.ceil(math.log2(heaviest)),
        whole=whole,
        degree=int(np.diff(graph.offsets).max()),
    )
