"""Compiled networks: whether they are exact, and how fast they are beside the same algorithms elsewhere.

``exactness`` compares breadth-first search (reach, distances, parents), depth-first search (parents) and
Bellman-Ford (distances, parents, refusals) with networkx on random graphs of 1 to 256 nodes: directed or not,
disconnected, with loops and parallel edges, with zero, equal, negative and fractional weights; and on sparse
graphs of 64 to 16,384 nodes. Parents are compared by the rule for ties that each algorithm states. For
Bellman-Ford networkx has another rule: so its parents are compared with those of the same rounds in plain
Python, and must be among networkx's predecessors too.

``speed`` runs Bellman-Ford from one source on sparse random graphs of 10^4, 10^5 and 10^6 edges, as a
compiled network, as the same rounds by hand in numpy, and as networkx and scipy have it.

    python benchmarks/gnn.py [exactness|speed] [--graphs 10000]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import reporting

from gnn_compile import Bounds, Graph, Network, compile_algorithm, run_network
from sandboxes.errors import AlgorithmError

LARGE = (64, 256, 1024, 16384)
EDGES = (10**4, 10**5, 10**6)
DEGREE = 8
"""Edges for each node, in the measurement of speed."""
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("exactness", "speed"))
    parser.add_argument("--graphs", type=int, default=10_000, help="random graphs to compare on")
    options = parser.parse_args()
    if options.what in (None, "exactness"):
        exactness(options.graphs)
    if options.what in (None, "speed"):
        speed()


def exactness(graphs: int) -> None:
    """Compare on many small graphs and on some large ones."""
    networks = {name: compile_algorithm(name) for name in ("bfs", "dfs", "bellman_ford")}
    small = [_small(networks, graphs)]
    reporting.print_table(f"{graphs:,} random graphs of 1 to 256 nodes: graphs that differ", small)
    large = [_large(networks, size) for size in LARGE]
    reporting.print_table("Sparse graphs: nodes that differ, and seconds", large)
    reporting.write_results("gnn_exactness", {"small": small, "large": large})


def _small(networks: dict[str, Network], graphs: int) -> dict[str, Any]:
    wrong = dict.fromkeys(("bfs", "dfs", "bellman_ford d", "bellman_ford pi", "refusals"), 0)
    kinds = dict.fromkeys(("directed", "disconnected", "loops", "parallel", "negative cycles"), 0)
    for seed in range(graphs):
        random = np.random.default_rng(seed)
        made, whole = random_graph(random)
        graph, _ = Graph.of_networkx(made)
        source = int(random.integers(len(made)))
        kinds["directed"] += made.is_directed()
        kinds["loops"] += nx.number_of_selfloops(made) > 0
        kinds["parallel"] += made.number_of_edges() > len(set(made.edges()))
        kinds["disconnected"] += len(nx.node_connected_component(made.to_undirected(), source)) < len(made)
        wrong["bfs"] += _bfs_differs(networks["bfs"], graph, made, source) > 0
        wrong["dfs"] += _dfs_differs(networks["dfs"], graph, made, source) > 0
        distances, parents, refused, cycle = _bellman_ford_differs(
            networks["bellman_ford"], graph, made, source, whole
        )
        kinds["negative cycles"] += cycle
        wrong["bellman_ford d"] += distances > 0
        wrong["bellman_ford pi"] += parents > 0
        wrong["refusals"] += refused
    return {"graphs": graphs, **kinds} | {f"wrong: {name}": count for name, count in wrong.items()}


def random_graph(random: np.random.Generator) -> tuple[nx.MultiGraph[int], bool]:
    """Draw a graph of one of networkx's kinds with parallel edges; say whether its weights are whole."""
    size = int(2 ** random.uniform(0, 8))
    edges = int(size * random.choice([0.3, 1, 2, 4]) + random.integers(3))
    kind = nx.MultiDiGraph if random.random() < 0.6 else nx.MultiGraph
    senders, receivers = random.integers(0, size, (2, edges))
    style = random.integers(5)
    if style == 0:  # all equal, so that all is ties
        weights = np.full(edges, float(random.integers(0, 3)))
    elif style == 1:  # many zeros
        weights = random.integers(0, 3, edges).astype(float)
    elif style == 2:
        weights = random.integers(0, 1000, edges).astype(float)
    elif style == 3:  # some negative, with and without negative cycles
        heights = random.integers(0, 20, size)
        weights = (random.integers(0, 10, edges) + heights[receivers] - heights[senders]).astype(float)
        weights -= random.random() < 0.3
    else:
        weights = random.random(edges)
    made = kind()
    made.add_nodes_from(range(size))
    made.add_weighted_edges_from(zip(senders.tolist(), receivers.tolist(), weights.tolist(), strict=True))
    return made, style != 4


def _bfs_differs(network: Network, graph: Graph, made: nx.MultiGraph[int], source: int) -> int:
    found = run_network(network, graph, source=source).outputs
    lengths = nx.single_source_shortest_path_length(made, source)
    d = [lengths.get(node, math.inf) for node in made]
    pi = list(made)
    for v in range(graph.size):
        before = graph.senders[graph.offsets[v] : graph.offsets[v + 1]].tolist()
        if 0 < d[v] < math.inf:
            pi[v] = min(u for u in before if d[u] == d[v] - 1)
    reach = [node in lengths for node in made]
    expected = (("d", d), ("pi", pi), ("reach", reach))
    return sum(int(np.sum(found[name] != np.array(column, dtype=float))) for name, column in expected)


def _dfs_differs(network: Network, graph: Graph, made: nx.MultiGraph[int], source: int) -> int:
    found = run_network(network, graph, source=source).outputs["pi"]
    expected = list(range(len(made)))
    for u, v in nx.dfs_edges(made, source, sort_neighbors=lambda nodes: iter(sorted(nodes))):
        expected[v] = u
    return int(np.sum(found != np.array(expected)))


def _bellman_ford_differs(
    network: Network, graph: Graph, made: nx.MultiGraph[int], source: int, whole: bool
) -> tuple[int, int, int, int]:
    """Give how many distances and parents differ, whether the refusal does, and whether there is a cycle."""
    # For networkx refuses negative loops, too, that no path leads to.
    reached = made.subgraph({source, *nx.descendants(made, source)})
    try:
        before, lengths = nx.bellman_ford_predecessor_and_distance(reached, source)
        cycle = False
    except nx.NetworkXUnbounded:
        cycle = True
    try:
        found = run_network(network, graph, source=source).outputs
    except AlgorithmError:
        return 0, 0, int(not cycle), int(cycle)
    if cycle:
        return 0, 0, 1, 1
    d, pi = rounds_in_python(graph, source)
    distances = int(np.sum(found["d"] != np.array(d)))
    for node in range(graph.size):
        length = lengths.get(node, math.inf)
        alike = d[node] == length if whole else math.isclose(d[node], length, rel_tol=1e-12, abs_tol=1e-12)
        distances += not alike
    parents = int(np.sum(found["pi"] != np.array(pi)))
    if whole:
        parents += sum(pi[node] != node and pi[node] not in before[node] for node in range(graph.size))
    return distances, parents, 0, 0


def rounds_in_python(graph: Graph, source: int) -> tuple[list[float], list[int]]:
    """Do Bellman-Ford by rounds: the smallest sender that makes a distance least in a round is the parent."""
    d = [math.inf] * graph.size
    d[source] = 0.0
    pi = list(range(graph.size))
    edges = list(zip(graph.senders.tolist(), graph.receivers.tolist(), graph.weights.tolist(), strict=True))
    while True:
        before = list(d)
        for u, v, weight in edges:  # by receiver, then by sender
            if before[u] + weight < d[v]:
                d[v], pi[v] = before[u] + weight, u
        if d == before:
            return d, pi


def _large(networks: dict[str, Network], size: int) -> dict[str, Any]:
    random = np.random.default_rng(size)
    senders, receivers = random.integers(0, size, (2, 4 * size))
    weights = random.integers(0, 100, 4 * size)
    graph = Graph.of_arrays(size, senders, receivers, weights)
    made = graph.to_networkx()
    row: dict[str, Any] = {"nodes": size, "edges": graph.edges}
    for name, differs in (("bfs", _bfs_differs), ("dfs", _dfs_differs)):
        seconds, run = _timed(lambda name=name: run_network(networks[name], graph, source=0))
        row |= {f"{name}: wrong": differs(networks[name], graph, made, 0), f"{name}: rounds": run.rounds}
        row[f"{name}, s"] = round(seconds, 3)
    seconds, run = _timed(lambda: run_network(networks["bellman_ford"], graph, source=0))
    distances, parents, _, _ = _bellman_ford_differs(networks["bellman_ford"], graph, made, 0, True)
    row |= {"bellman_ford: wrong": distances + parents, "bellman_ford: rounds": run.rounds}
    return row | {"bellman_ford, s": round(seconds, 3)}


def speed() -> None:
    """Measure side by side: in each of some turns everybody runs once, and the medians are compared."""
    rows = [row for edges in EDGES for row in _speed(edges)]
    reporting.print_table("Bellman-Ford from one source", rows)
    reporting.write_results("gnn_speed", {"degree": DEGREE, "repeats": REPEATS, "rows": rows})


def _speed(edges: int) -> list[dict[str, Any]]:
    from scipy.sparse import csr_array  # noqa: PLC0415 - a peer
    from scipy.sparse.csgraph import bellman_ford, breadth_first_order, dijkstra  # noqa: PLC0415

    size = edges // DEGREE
    random = np.random.default_rng(edges)
    senders, receivers = random.integers(0, size, (2, edges))
    key = np.unique(senders * size + receivers)  # for scipy adds up parallel edges
    senders, receivers = key // size, key % size
    weights = random.random(len(key)) * 10 + 0.001
    graph = Graph.of_arrays(size, senders, receivers, weights)
    network = compile_algorithm("bellman_ford", Bounds(nodes=max(2**16, size)))
    breadth = compile_algorithm("bfs", Bounds(nodes=max(2**16, size)))
    matrix = csr_array((weights, (senders, receivers)), shape=(size, size))
    made = graph.to_networkx() if edges <= 10**5 else None
    ways: dict[str, Callable[[], Any]] = {
        "rounds by hand": lambda: by_hand(graph, 0),
        "rounds by hand, with parents": lambda: by_hand_with_parents(graph, 0),
        "compiled, distances": lambda: run_network(network, graph, source=0, outputs=["d"]),
        "compiled, with parents": lambda: run_network(network, graph, source=0),
        "compiled bfs": lambda: run_network(breadth, graph, source=0),
        "scipy dijkstra": lambda: dijkstra(matrix, indices=0),
        "scipy breadth_first_order": lambda: breadth_first_order(matrix, 0),
    }
    if made is not None:
        ways["networkx bellman_ford"] = lambda: nx.single_source_bellman_ford_path_length(made, 0)
    if edges <= 10**4:
        ways["scipy bellman_ford"] = lambda: bellman_ford(matrix, indices=0)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            seconds[name].append(_timed(way)[0])
    expected = dijkstra(matrix, indices=0)
    found = run_network(network, graph, source=0)
    assert np.allclose(found.outputs["d"], expected, rtol=1e-12, atol=0)
    assert np.array_equal(found.outputs["d"], by_hand(graph, 0))
    assert np.array_equal(found.outputs["pi"], by_hand_with_parents(graph, 0)[1])
    typical = {name: statistics.median(measured) for name, measured in seconds.items()}
    ours, base = typical["compiled, distances"], typical["rounds by hand"]
    return [
        {
            "edges": len(key),
            "way": name,
            "ms": round(1e3 * one, 2),
            "to by hand": round(one / base, 2),
            "to compiled": round(one / ours, 2),
            "rounds": found.rounds,
        }
        for name, one in typical.items()
    ]


def by_hand(graph: Graph, source: int) -> np.ndarray[Any, Any]:
    """Do the same rounds as somebody would write them: the least over edges sorted by target."""
    receiving = np.flatnonzero(np.diff(graph.offsets))
    starts = graph.offsets[receiving]
    d = np.full(graph.size, np.inf)
    d[source] = 0.0
    while True:
        best = np.minimum.reduceat(d[graph.senders] + graph.weights, starts)
        after = d.copy()
        after[receiving] = np.minimum(d[receiving], best)
        if np.array_equal(after, d):
            return d
        d = after


def by_hand_with_parents(graph: Graph, source: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Do the same with parents, the smallest sender among the least."""
    receiving = np.flatnonzero(np.diff(graph.offsets))
    starts, degrees = graph.offsets[receiving], np.diff(graph.offsets)[receiving]
    d = np.full(graph.size, np.inf)
    d[source] = 0.0
    pi = np.arange(graph.size)
    while True:
        candidates = d[graph.senders] + graph.weights
        best = np.minimum.reduceat(candidates, starts)
        by = np.minimum.reduceat(
            np.where(candidates == np.repeat(best, degrees), graph.senders, graph.size), starts
        )
        better = best < d[receiving]
        if not better.any():
            return d, pi
        d, pi = d.copy(), pi.copy()
        d[receiving[better]] = best[better]
        pi[receiving[better]] = by[better]


def _timed(way: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.perf_counter()
    result = way()
    return time.perf_counter() - begun, result


if __name__ == "__main__":
    main()
