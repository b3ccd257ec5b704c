"""A compiled network is its algorithm: the same state after the same rounds, to the last bit."""

import math

import networkx as nx
import numpy as np
import pytest
from graph_strategies import edge_lists
from hypothesis import example, given
from hypothesis import strategies as st
from reference_evaluator import Reference

from gnn_compile import Graph, algorithm_names, load_algorithm, run_network
from sandboxes.errors import AlgorithmError

FLOATS = st.floats(-1e6, 1e6, allow_subnormal=True)
NAMES = algorithm_names()


def test_the_library_has_what_it_promises():
    assert {"bfs", "dfs", "bellman_ford", "dijkstra", "components", "widest_path"} <= set(NAMES)
    assert {"topological_sort", "reachability", "dfs_forest"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_it_does_what_the_source_says(networks, name, data):
    algorithm = load_algorithm(name)
    weights = data.draw(st.sampled_from([st.integers(-4, 9), FLOATS, st.sampled_from([0.1, 0.2, 0.3, 0.6])]))
    if algorithm.inputs_of_edges.get("weight") == "weight >= 0":
        weights = weights.map(abs)
    size, edges = data.draw(edge_lists(weights=weights))
    inputs = dict.fromkeys(algorithm.inputs_of_nodes, data.draw(st.integers(0, size - 1)))
    graph = Graph.of(size, edges)
    try:
        state, rounds = Reference(algorithm, size, edges, **inputs).run()
    except OverflowError:
        with pytest.raises(AlgorithmError, match="refuses this graph: a cycle of negative weight"):
            run_network(networks(name), graph, **inputs)
        return
    if name == "topological_sort" and math.inf in state["position"]:
        with pytest.raises(AlgorithmError, match="refuses this graph: there is a cycle"):
            run_network(networks(name), graph, **inputs)
        return
    run = run_network(networks(name), graph, outputs=algorithm.state_of_nodes, **inputs)
    assert run.rounds == rounds
    for field, column in run.outputs.items():
        assert column.tolist() == state[field], field


@pytest.mark.parametrize("name", NAMES)
@given(edges=edge_lists(most=8, weights=st.integers(0, 9)), data=st.data())
def test_hints_are_the_state_after_each_round(networks, name, edges, data):
    size, edges = edges
    algorithm = load_algorithm(name)
    inputs = dict.fromkeys(algorithm.inputs_of_nodes, data.draw(st.integers(0, size - 1)))
    if name == "topological_sort":
        edges = [(u, v, w) for u, v, w in edges if u < v]
    run = run_network(networks(name), Graph.of(size, edges), trace=True, **inputs)
    assert len(run.hints) == run.rounds + 1
    for output, column in run.outputs.items():
        assert np.array_equal(run.hints[-1][output], column)
    reference = Reference(algorithm, size, edges, **inputs)
    for field in algorithm.hints:
        assert run.hints[0][field].tolist() == reference.state()[field]


def test_what_is_not_asked_for_is_left_out(networks):
    whole = networks("bellman_ford")
    assert set(whole.only(["d"]).state) == {"d"}
    assert len(whole.only(["d"]).processor.parts) < len(whole.processor.parts) / 2
    graph = Graph.of(3, [(0, 1, 5), (0, 2, 1), (2, 1, 2)])
    assert set(run_network(whole, graph, source=0, outputs=["d"]).outputs) == {"d"}


@st.composite
def nx_graphs(draw, **kinds):
    """Give a graph of networkx's, of any of its four kinds."""
    size, edges = draw(edge_lists(most=20, **kinds))
    made = draw(st.sampled_from([nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph]))()
    made.add_nodes_from(range(size))
    made.add_weighted_edges_from(edges)
    return made


@given(graph=nx_graphs(), data=st.data())
def test_breadth_first_search_is_networkx_s(networks, graph, data):
    source = data.draw(st.sampled_from(list(graph)))
    run = run_network(networks("bfs"), Graph.of_networkx(graph)[0], source=source)
    lengths = nx.single_source_shortest_path_length(graph, source)
    before = graph.predecessors if graph.is_directed() else graph.neighbors
    for node in graph:
        length = lengths.get(node, math.inf)
        parents = [u for u in before(node) if lengths.get(u, math.inf) + 1 == length < math.inf]
        assert run.outputs["reach"][node] == (node in lengths)
        assert run.outputs["d"][node] == length
        assert run.outputs["pi"][node] == min(parents, default=node)


@given(graph=nx_graphs(), data=st.data())
def test_depth_first_search_is_networkx_s(networks, graph, data):
    ordered = nx.MultiDiGraph() if graph.is_directed() else nx.MultiGraph()
    ordered.add_nodes_from(graph)
    ordered.add_edges_from(sorted(tuple(sorted(e)) if not graph.is_directed() else e for e in graph.edges()))
    source = data.draw(st.sampled_from(list(graph)))
    there = Graph.of_networkx(graph)[0]

    def neighbours(nodes):
        return iter(sorted(nodes))

    expected = {v: u for u, v in nx.dfs_edges(ordered, source, sort_neighbors=neighbours)}
    found = run_network(networks("dfs"), there, source=source).outputs["pi"]
    assert found.tolist() == [expected.get(node, node) for node in graph]
    forest = {v: u for u, v in nx.dfs_edges(ordered, sort_neighbors=neighbours)}
    found = run_network(networks("dfs_forest"), there).outputs["pi"]
    assert found.tolist() == [forest.get(node, node) for node in graph]


@given(graph=nx_graphs(weights=st.integers(-2, 9) | st.floats(-1.0, 50.0)), data=st.data())
def test_bellman_ford_is_networkx_s(networks, graph, data):
    source = data.draw(st.sampled_from(list(graph)))
    there, _ = Graph.of_networkx(graph)
    reached = graph.subgraph({source, *nx.descendants(graph, source)})
    try:  # on what is reached, for networkx refuses negative loops, too, that no path leads to
        lengths = nx.single_source_bellman_ford_path_length(reached, source)
    except nx.NetworkXUnbounded:
        with pytest.raises(AlgorithmError, match="a cycle of negative weight can be reached from the source"):
            run_network(networks("bellman_ford"), there, source=source)
        return
    run = run_network(networks("bellman_ford"), there, source=source)
    d, pi = run.outputs["d"].tolist(), run.outputs["pi"].astype(int).tolist()
    for node in graph:
        assert d[node] == pytest.approx(lengths.get(node, math.inf), rel=1e-12, abs=1e-12)
        if all(isinstance(w, int) for _, _, w in graph.edges.data("weight")):
            assert d[node] == lengths.get(node, math.inf)
        if pi[node] != node:  # then that edge is tight
            edges = range(there.offsets[node], there.offsets[node + 1])
            assert d[node] in [d[pi[node]] + there.weights[e] for e in edges if there.senders[e] == pi[node]]
        else:
            assert node == source or node not in lengths


@given(graph=nx_graphs(weights=st.integers(0, 9)), data=st.data())
def test_dijkstra_is_networkx_s(networks, graph, data):
    source = data.draw(st.sampled_from(list(graph)))
    lengths = nx.single_source_dijkstra_path_length(graph, source)
    found = run_network(networks("dijkstra"), Graph.of_networkx(graph)[0], source=source).outputs["d"]
    assert found.tolist() == [lengths.get(node, math.inf) for node in graph]


@given(graph=nx_graphs())
def test_components_are_networkx_s(networks, graph):
    components = (nx.weakly_connected_components if graph.is_directed() else nx.connected_components)(graph)
    smallest = {node: min(component) for component in components for node in component}
    found = run_network(networks("components"), Graph.of_networkx(graph)[0]).outputs["label"]
    assert found.tolist() == [smallest[node] for node in graph]


@given(graph=nx_graphs())
def test_topological_order_is_networkx_s(networks, graph):
    directed = nx.MultiDiGraph([(u, v) for u, v in graph.edges() if u < v])
    directed.add_nodes_from(sorted(graph))
    order = list(nx.lexicographical_topological_sort(directed))
    numbered = Graph.of(len(order), list(directed.edges()))
    found = run_network(networks("topological_sort"), numbered).outputs["position"]
    assert np.argsort(found).tolist() == order


@given(graph=nx_graphs(weights=st.integers(-5, 9)), data=st.data())
def test_widest_paths_are_the_edges_of_a_greatest_spanning_tree(networks, graph, data):
    simple = nx.Graph()
    simple.add_nodes_from(graph)
    for u, v, weight in graph.edges.data("weight"):
        if u != v and weight > simple.edges.get((u, v), {"weight": -math.inf})["weight"]:
            simple.add_edge(u, v, weight=weight)
    tree = nx.maximum_spanning_tree(simple)
    source = data.draw(st.sampled_from(list(graph)))
    there = Graph.of(len(graph), list(simple.edges.data("weight")), directed=False)
    found = run_network(networks("widest_path"), there, source=source).outputs["width"]
    for node in graph:
        if node == source:
            assert found[node] == math.inf
        elif nx.has_path(tree, source, node):
            path = nx.shortest_path(tree, source, node)
            assert found[node] == min(tree.edges[edge]["weight"] for edge in nx.utils.pairwise(path))
        else:
            assert found[node] == -math.inf


@example(weights=[0.1] * 10)
@given(weights=st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_floats_are_added_from_the_source_on_and_never_otherwise(networks, weights):
    path = Graph.of(len(weights) + 1, [(i, i + 1, w) for i, w in enumerate(weights)])
    found = run_network(networks("bellman_ford"), path, source=0).outputs["d"]
    expected = [0.0]
    for weight in weights:
        expected.append(expected[-1] + weight)
    assert found.tolist() == expected


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_large_graphs_as_well(networks, size):
    random = np.random.default_rng(size)
    senders, receivers = random.integers(0, size, (2, 4 * size))
    graph = Graph.of_arrays(size, senders, receivers, random.integers(1, 100, 4 * size))
    lengths = nx.single_source_bellman_ford_path_length(graph.to_networkx(), 0)
    found = run_network(networks("bellman_ford"), graph, source=0).outputs["d"]
    assert found.tolist() == [lengths.get(node, math.inf) for node in range(size)]
    reached = nx.single_source_shortest_path_length(graph.to_networkx(), 0)
    found = run_network(networks("bfs"), graph, source=0).outputs["d"]
    assert found.tolist() == [reached.get(node, math.inf) for node in range(size)]


def test_the_expression_graph_is_networkx_s_to_look_at(networks):
    circuit = networks("bellman_ford").processor
    graph = circuit.to_networkx()
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.graph["outputs"].keys() == {"d", "pi"}
    assert all(nx.descendants(graph, node) or node in circuit.outputs.values() for node in graph)
    assert [graph.nodes[n]["reduction"] for n in graph if graph.nodes[n]["kind"] == "aggregate"] == [
        "min",
        "min",
    ]
