"""The algorithms answer as the textbook says, whatever the graph, and refuse what has no answer."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from gnn_compile.clrs import SPECS, Algorithm, Stage, Type, needs_source, run, shape
from sandboxes.errors import AlgorithmError

WITH_SOURCE = [algorithm for algorithm in Algorithm if needs_source(algorithm)]


@st.composite
def graphs(draw, acyclic=False):
    """Weight matrices, of few different weights, so that there are many ties."""
    size = draw(st.integers(1, 9))
    matrix = draw(npst.arrays(np.float64, (size, size), elements=st.sampled_from([0, 0, 1, 2, 3])))
    if acyclic:
        order = draw(st.permutations(range(size)))
        matrix = np.triu(matrix, k=1)[order][:, order]
    return matrix


@st.composite
def cases(draw, algorithms=tuple(Algorithm)):
    algorithm = draw(st.sampled_from(algorithms))
    matrix = draw(graphs(acyclic=algorithm is Algorithm.TOPOLOGICAL_SORT))
    return algorithm, matrix, draw(st.integers(0, len(matrix) - 1)) if needs_source(algorithm) else None


def in_networkx(matrix):
    return nx.from_numpy_array(matrix, create_using=nx.DiGraph)


@given(cases())
def test_a_sample_is_what_its_spec_says(case):
    algorithm, matrix, source = case
    sample = run(algorithm, matrix, source)
    assert sample.size == len(matrix)
    observed = {Stage.INPUT: sample.inputs, Stage.HINT: sample.hints, Stage.OUTPUT: sample.outputs}
    assert sum(map(len, observed.values())) == len(SPECS[algorithm])
    for name, probe in SPECS[algorithm].items():
        values = observed[probe.stage][name]
        steps = (sample.length,) if probe.stage is Stage.HINT else ()
        assert values.shape == (*steps, *shape(probe, len(matrix)))
        assert values.dtype == (np.int64 if probe.type is Type.POINTER else np.float64)
        if probe.type is Type.POINTER:
            assert values.min() >= 0
            assert values.max() < len(matrix)
        elif probe.type is not Type.SCALAR:
            assert np.isin(values, (0, 1)).all()
        if probe.type in (Type.MASK_ONE, Type.CATEGORICAL):
            assert (values.sum(-1) == 1).all()


@given(cases())
def test_the_last_hint_is_the_output(case):
    sample = run(*case)
    for name, values in sample.outputs.items():
        assert np.array_equal(sample.hints[f"{name}_h"][-1], values)


@given(cases())
def test_a_run_leaves_the_graph_alone_and_its_hints_are_each_their_own(case):
    algorithm, matrix, source = case
    given_matrix = matrix.copy()
    sample = run(algorithm, matrix, source)
    sample.inputs["A"][:] = -1
    assert np.array_equal(matrix, given_matrix)
    for name, values in sample.hints.items():
        if SPECS[algorithm][name].type is Type.POINTER:  # nothing points anywhere before the first step
            assert np.array_equal(values[0], np.arange(len(matrix)))


@given(cases((Algorithm.BFS,)))
def test_bfs_finds_the_lowest_parent_one_step_nearer(case):
    _, matrix, source = case
    sample = run(*case)
    steps = nx.single_source_shortest_path_length(in_networkx(matrix), source)
    expected = np.arange(len(matrix))
    for node, distance in steps.items():
        nearer = [u for u in steps if steps[u] == distance - 1 and matrix[u, node]]
        expected[node] = min(nearer, default=node)
    assert sample.outputs["pi"].tolist() == expected.tolist()
    assert sample.length == max(steps.values()) + 1
    for step, reached in enumerate(sample.hints["reach_h"]):
        assert set(np.flatnonzero(reached).tolist()) == {u for u in steps if steps[u] <= step}


@given(cases((Algorithm.DFS,)))
def test_dfs_is_the_search_that_takes_the_lowest_first(case):
    _, matrix, _ = case
    sample = run(*case)
    graph = in_networkx(matrix)
    expected = np.arange(len(matrix))
    for u, v in nx.dfs_edges(graph, sort_neighbors=sorted):
        expected[v] = u
    assert sample.outputs["pi"].tolist() == expected.tolist()
    entered = sorted(range(len(matrix)), key=lambda node: sample.hints["d"][-1][node])
    left = sorted(range(len(matrix)), key=lambda node: sample.hints["f"][-1][node])
    assert entered == list(nx.dfs_preorder_nodes(graph, sort_neighbors=sorted))
    assert left == list(nx.dfs_postorder_nodes(graph, sort_neighbors=sorted))


@given(cases((Algorithm.TOPOLOGICAL_SORT,)))
def test_a_topological_order_is_that_of_leaving_reversed(case):
    _, matrix, _ = case
    sample = run(*case)
    order = [int(sample.outputs["topo_head"].argmax())]
    for _ in range(len(matrix) - 1):
        order.append(int(sample.outputs["topo"][order[-1]]))
    assert sample.outputs["topo"][order[-1]] == order[-1]
    graph = in_networkx(matrix)
    assert order == list(nx.dfs_postorder_nodes(graph, sort_neighbors=sorted))[::-1]
    place = {node: index for index, node in enumerate(order)}
    assert all(place[u] < place[v] for u, v in graph.edges)


@given(cases((Algorithm.BELLMAN_FORD, Algorithm.DIJKSTRA)))
def test_shortest_paths_are_the_shortest(case):
    algorithm, matrix, source = case
    sample = run(*case)
    expected = nx.single_source_dijkstra_path_length(in_networkx(matrix), source)
    reached = sample.hints["msk" if algorithm is Algorithm.BELLMAN_FORD else "mark"][-1]
    assert set(np.flatnonzero(reached).tolist()) == set(expected)
    distances, parents = sample.hints["d"][-1], sample.outputs["pi"]
    for node in range(len(matrix)):
        parent = parents[node]
        if node in expected and node != source:
            assert distances[node] == expected[node] == distances[parent] + matrix[parent, node]
        else:
            assert (parent, distances[node]) == (node, 0)


@given(cases((Algorithm.DIJKSTRA,)))
def test_dijkstra_takes_the_nearest_and_of_equals_the_lowest(case):
    _, matrix, source = case
    sample = run(*case)
    taken = sample.hints["u"].argmax(1).tolist()[1:]
    distances, parents = sample.hints["d"][-1], sample.outputs["pi"]
    for step, (node, follower) in enumerate(itertools.pairwise(taken)):
        waiting = sample.hints["in_queue"][step + 1], sample.hints["d"][step + 1]
        assert follower == min(np.flatnonzero(waiting[0]).tolist(), key=lambda u: (waiting[1][u], u))
        assert distances[node] <= distances[follower]
    for node in set(taken) - {source}:  # the parent is the first taken of all that would do
        would_do = [u for u in taken if matrix[u, node] and distances[u] + matrix[u, node] == distances[node]]
        assert parents[node] == would_do[0]


@given(cases((Algorithm.BELLMAN_FORD,)))
def test_bellman_ford_knows_after_k_steps_the_best_walks_of_k_edges(case):
    _, matrix, source = case
    sample = run(*case)
    lengths = np.where(matrix != 0, matrix, math.inf)
    best = np.where(np.arange(len(matrix)) == source, 0, math.inf)
    for distances, reached in zip(sample.hints["d"], sample.hints["msk"], strict=True):
        assert np.array_equal(np.where(reached == 1, distances, math.inf), best)
        best = np.minimum(best, (best[:, None] + lengths).min(0))


@given(graphs(acyclic=True), st.data())
def test_bellman_ford_takes_weights_below_zero(matrix, data):
    negative = np.where(matrix == 3, -1, matrix)
    source = data.draw(st.integers(0, len(matrix) - 1))
    sample = run(Algorithm.BELLMAN_FORD, negative, source)
    expected = nx.single_source_bellman_ford_path_length(in_networkx(negative), source)
    assert set(np.flatnonzero(sample.hints["msk"][-1]).tolist()) == set(expected)
    assert all(sample.hints["d"][-1][node] == distance for node, distance in expected.items())


CYCLE = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("algorithm", "matrix", "source", "message"),
    [
        (Algorithm.BFS, [[0, 1]], 0, r"square matrix of one node at least, not one of shape \(1, 2\)"),
        (Algorithm.DFS, np.zeros((0, 0)), None, "square matrix of one node at least"),
        (
            Algorithm.BFS,
            [[0, math.inf], [0, 0]],
            0,
            "from node 0 to node 1 is inf; 0 says that there is no edge",
        ),
        (
            Algorithm.DIJKSTRA,
            [[0, 0], [-2, 0]],
            0,
            "from node 1 to node 0 is -2.0; dijkstra takes none below 0",
        ),
        (Algorithm.BFS, CYCLE, None, "bfs needs a source from 0 to 2, not None"),
        (Algorithm.DIJKSTRA, CYCLE, 3, "dijkstra needs a source from 0 to 2, not 3"),
        (Algorithm.BELLMAN_FORD, CYCLE, -1, "needs a source from 0 to 2, not -1"),
        (Algorithm.DFS, CYCLE, 0, "dfs has no source; it was given 0"),
        (Algorithm.TOPOLOGICAL_SORT, CYCLE, None, "from node 2 to node 0 closes a cycle"),
        (Algorithm.TOPOLOGICAL_SORT, [[1]], None, "from node 0 to node 0 closes a cycle"),
        (Algorithm.BELLMAN_FORD, [[0, 1], [-2, 0]], 0, "a cycle of negative weight"),
    ],
)
def test_what_has_no_answer_is_refused(algorithm, matrix, source, message):
    with pytest.raises(AlgorithmError, match=message):
        run(algorithm, matrix, source)


@given(graphs(), st.data())
def test_a_graph_has_a_topological_order_or_a_cycle(matrix, data):
    if nx.is_directed_acyclic_graph(in_networkx(matrix)):
        run(Algorithm.TOPOLOGICAL_SORT, matrix)
    else:
        with pytest.raises(AlgorithmError, match="closes a cycle"):
            run(Algorithm.TOPOLOGICAL_SORT, matrix)
