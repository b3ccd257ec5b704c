"""The answers to problems about graphs: against networkx, and against what each rule for ties says."""

from __future__ import annotations

import itertools
import math
from random import Random
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from induce.tasks import load_tasks
from induce.tasks.graph_input import Graph, read_graph
from induce.tasks.graph_problems import PROBLEMS

Arc = tuple[int, int, float]


def answer(problem: str, graph: Graph) -> list[Any]:
    return PROBLEMS[problem].solve(graph)


def arcs(graph: Graph) -> list[Arc]:
    """Each edge in each direction in which it can be taken."""
    back = () if graph.directed else ((end, start, weight) for start, end, weight in graph.edges)
    return [*graph.edges, *back]


def as_networkx(graph: Graph) -> Any:
    """The lightest of parallel edges stays, as shortest paths have it."""
    made = nx.DiGraph()
    made.add_nodes_from(range(graph.nodes))
    for start, end, weight in sorted(arcs(graph), key=lambda arc: -arc[2]):
        made.add_edge(start, end, weight=weight)
    return made


@st.composite
def graphs(draw: st.DrawFn, least: int = 0, *, acyclic: bool = False) -> Graph:
    """Small graphs that shrink well, or larger ones, drawn at once, in which there are ties."""
    if draw(st.booleans()):
        nodes = draw(st.integers(1, 5))
        node = st.integers(0, nodes - 1)
        edges = draw(st.lists(st.tuples(node, node, st.integers(least, 4)), max_size=3 * nodes))
    else:
        nodes = draw(st.integers(5, 10))
        chance = Random(draw(st.integers(0, 2**32)))
        pairs = [pair for pair in itertools.product(range(nodes), repeat=2) if chance.random() * nodes < 2]
        edges = [(u, v, chance.randint(max(least, -1), 3)) for u, v in pairs]
    if acyclic:
        order = draw(st.permutations(range(nodes)))
        edges = [(order[min(u, v)], order[max(u, v)], weight) for u, v, weight in edges if u != v]
    source = None if acyclic else draw(st.integers(0, nodes - 1))
    return Graph(nodes, acyclic or draw(st.booleans()), tuple(edges), source)


TIES = {
    "the smallest of the round before, though another was found first": (
        "bfs/pi",
        Graph(6, True, ((0, 1, 1), (0, 2, 1), (1, 4, 1), (2, 3, 1), (4, 5, 1), (3, 5, 1)), 0),
        [0, 0, 0, 2, 1, 3],
    ),
    "deep before near": (
        "dfs/pi",
        Graph(4, False, ((0, 1, 1), (0, 2, 1), (0, 3, 1), (3, 1, 1)), 0),
        [0, 0, 0, 1],
    ),
    "the smallest of one round": (
        "bellman_ford/pi",
        Graph(4, True, ((0, 2, 1), (0, 1, 1), (2, 3, 1), (1, 3, 1)), 0),
        [0, 0, 0, 1],
    ),
    "an equal path of a later round changes nothing": (
        "bellman_ford/pi",
        Graph(4, True, ((3, 2, 2), (2, 1, 0), (1, 0, 0), (3, 0, 2)), 3),
        [3, 2, 3, 3],
    ),
    "what came in this round is not handed on before the next": (
        "bellman_ford/pi",
        Graph(5, True, ((0, 1, 0), (1, 2, 0), (2, 4, 2), (0, 3, 1), (3, 4, 1)), 0),
        [0, 0, 1, 0, 3],
    ),
    "the nearest settles first": (
        "dijkstra/pi",
        Graph(4, True, ((0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 3, 2)), 0),
        [0, 0, 0, 2],
    ),
    "of two at one distance the smallest settles first": (
        "dijkstra/pi",
        Graph(4, True, ((0, 2, 1), (0, 1, 1), (2, 3, 1), (1, 3, 1)), 0),
        [0, 0, 0, 1],
    ),
    "the smallest that is ready": (
        "topological_sort/position",
        Graph(4, True, ((3, 0, 1), (2, 1, 1))),
        [3, 1, 0, 2],
    ),
}


@pytest.mark.parametrize("name", TIES)
def test_a_tie(name: str):
    problem, graph, expected = TIES[name]
    assert answer(problem, graph) == expected


@settings(deadline=None)
@given(graphs())
def test_breadth_first(graph: Graph):
    lengths = nx.single_source_shortest_path_length(as_networkx(graph), graph.source)
    assert answer("bfs/d", graph) == [lengths.get(node) for node in range(graph.nodes)]
    assert answer("bfs/reach", graph) == [int(node in lengths) for node in range(graph.nodes)]
    for node, parent in enumerate(answer("bfs/pi", graph)):
        senders = [u for u, v, _ in arcs(graph) if v == node and u in lengths]
        before = [u for u in senders if node in lengths and lengths[u] == lengths[node] - 1]
        assert parent == min(before, default=node)


@settings(deadline=None)
@given(graphs())
def test_depth_first(graph: Graph):
    parents = nx.dfs_predecessors(as_networkx(graph), graph.source, sort_neighbors=sorted)
    assert answer("dfs/pi", graph) == [parents.get(node, node) for node in range(graph.nodes)]


@settings(deadline=None)
@given(graphs())
def test_shortest_distances(graph: Graph):
    lengths = nx.single_source_dijkstra_path_length(as_networkx(graph), graph.source)
    expected = [lengths.get(node) for node in range(graph.nodes)]
    assert answer("dijkstra/d", graph) == answer("bellman_ford/d", graph) == expected


@settings(deadline=None)
@given(graphs(least=1))
def test_dijkstra_takes_the_first_settled_of_the_nodes_on_shortest_paths(graph: Graph):
    distances = answer("dijkstra/d", graph)
    for node, parent in enumerate(answer("dijkstra/pi", graph)):
        on_path = [
            (distances[u], u)
            for u, v, weight in arcs(graph)
            if v == node and distances[u] is not None and distances[u] + weight == distances[node]
        ]
        assert parent == min(on_path, default=(0, node))[1]


@settings(deadline=None)
@given(graphs(least=-4))
def test_bellman_ford_with_any_weights(graph: Graph):
    made = as_networkx(graph)
    reachable = made.subgraph({graph.source} | nx.descendants(made, graph.source)).copy()
    if nx.negative_edge_cycle(reachable):
        with pytest.raises(ValueError, match="a cycle of negative weight"):
            answer("bellman_ford/d", graph)
        return
    lengths = nx.single_source_bellman_ford_path_length(reachable, graph.source)
    assert answer("bellman_ford/d", graph) == [lengths.get(node) for node in range(graph.nodes)]
    assert answer("bellman_ford/pi", graph) == parents_by_rounds(graph)


def parents_by_rounds(graph: Graph) -> list[int]:
    """By the lightest walks of so many edges at most, one table a round."""
    rounds = [[0 if node == graph.source else math.inf for node in range(graph.nodes)]]
    for _ in range(graph.nodes):
        now = rounds[-1]
        steps = [
            [now[u] + weight for u, v, weight in arcs(graph) if v == node] for node in range(graph.nodes)
        ]
        rounds.append([min([now[node], *steps[node]]) for node in range(graph.nodes)])
    parents = list(range(graph.nodes))
    for node in range(graph.nodes):
        for before, after in itertools.pairwise(rounds):
            if after[node] < before[node]:
                parents[node] = min(
                    u for u, v, weight in arcs(graph) if v == node and before[u] + weight == after[node]
                )
    return parents


@settings(deadline=None)
@given(graphs(least=-4))
def test_a_path_is_as_wide_as_its_narrowest_edge(graph: Graph):
    expected: list[int | None] = [None] * graph.nodes
    for width in range(-4, 5):
        wide = nx.DiGraph([(u, v) for u, v, weight in arcs(graph) if weight >= width])
        wide.add_node(graph.source)
        for node in nx.descendants(wide, graph.source):
            expected[node] = width
    assert answer("widest_path/width", graph) == expected


@settings(deadline=None)
@given(graphs())
def test_components(graph: Graph):
    expected = list(range(graph.nodes))
    for component in nx.weakly_connected_components(as_networkx(graph)):
        for node in component:
            expected[node] = min(component)
    assert answer("components/label", graph) == expected


@settings(deadline=None)
@given(graphs(acyclic=True))
def test_topological_order(graph: Graph):
    order = list(nx.lexicographical_topological_sort(as_networkx(graph)))
    assert answer("topological_sort/position", graph) == [order.index(node) for node in range(graph.nodes)]


@settings(deadline=None)
@given(graphs(least=-4), st.sampled_from(sorted(PROBLEMS)), st.booleans())
def test_the_order_of_edges_does_not_matter(graph: Graph, name: str, both_ways: bool):
    turned = tuple((v, u, w) for u, v, w in graph.edges) if not graph.directed and both_ways else graph.edges
    other = Graph(graph.nodes, graph.directed, turned[::-1], graph.source)
    assert outcome(name, graph) == outcome(name, other)


def outcome(name: str, graph: Graph) -> list[Any] | str:
    try:
        return answer(name, graph)
    except ValueError as error:
        return type(error).__name__


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 12), st.integers(0, 2**63 - 1), st.sampled_from(sorted(PROBLEMS)))
def test_what_is_drawn_can_be_answered(size: int, seed: int, name: str):
    problem = PROBLEMS[name]
    [labelled] = load_tasks(f"graph:{name}?size={size}&seed={seed}&tasks=1").labelled()
    task, answers = labelled.task, labelled.answers
    pairs = [(one.input, one.output) for one in task.examples]
    for value, output in [*pairs, *((task.queries[index], found) for index, found in answers.items())]:
        graph = read_graph(value, "here", has_source=problem.has_source)
        assert (graph.nodes, problem.solve(graph)) == (size, output)
        assert len({tuple(edge[:2]) for edge in graph.edges}) == len(graph.edges)
