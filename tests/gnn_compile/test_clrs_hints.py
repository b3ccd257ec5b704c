"""Compiled networks go through the very steps that CLRS-30 observes."""

import itertools

import numpy as np
import pytest

from gnn_compile import Graph, run_network
from gnn_compile.clrs import Algorithm, Sampler


def graph_of(sample):
    senders, receivers = np.nonzero(sample.inputs["A"])
    return Graph.of_arrays(sample.size, senders, receivers, sample.inputs["A"][senders, receivers])


def samples(algorithm):
    return itertools.islice(Sampler(algorithm, (1, 4, 7, 16, 24), 5, probabilities=(0.1, 0.2, 0.5)), 40)


def test_breadth_first_search(networks):
    for sample in samples(Algorithm.BFS):
        source = int(sample.inputs["s"].argmax())
        run = run_network(networks("bfs"), graph_of(sample), source=source, trace=True)
        assert np.array_equal([hint["reach"] for hint in run.hints], sample.hints["reach_h"])
        assert np.array_equal([hint["pi"] for hint in run.hints], sample.hints["pi_h"])
        assert np.array_equal(run.outputs["pi"], sample.outputs["pi"])


def test_bellman_ford(networks):
    for sample in samples(Algorithm.BELLMAN_FORD):
        source = int(sample.inputs["s"].argmax())
        run = run_network(networks("bellman_ford"), graph_of(sample), source=source, trace=True)
        reached = np.isfinite([hint["d"] for hint in run.hints])
        assert np.array_equal(reached, sample.hints["msk"] > 0)
        assert np.array_equal(np.where(reached, [hint["d"] for hint in run.hints], 0.0), sample.hints["d"])
        assert np.array_equal([hint["pi"] for hint in run.hints], sample.hints["pi_h"])


@pytest.mark.parametrize(
    ("algorithm", "name"), [(Algorithm.DFS, "dfs_forest"), (Algorithm.DIJKSTRA, "dijkstra")]
)
def test_parents(networks, algorithm, name):
    for sample in samples(algorithm):
        inputs = {"source": int(sample.inputs["s"].argmax())} if name == "dijkstra" else {}
        run = run_network(networks(name), graph_of(sample), **inputs)
        assert np.array_equal(run.outputs["pi"], sample.outputs["pi"])
