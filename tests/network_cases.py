"""Graphs and inputs for networks, and what it means that two runs are the same."""

import numpy as np
from graph_strategies import edge_lists
from hypothesis import strategies as st

from gnn_compile import Graph
from sandboxes.errors import AlgorithmError

WEIGHTS = (st.integers(-2, 9), st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.7]), st.floats(-10, 1e6))

ODD = '''
rounds = "3"
outputs = ["x", "count", "largest", "z"]
step = """
near = min(u.a + e.weight + e.weight + a for u, e in incoming)
there = near if near < inf else 0
x = 0.1 * a + 0.7 * there - 0.3 * index + (a - a) + e_of_graph
count = sum(1 for u, e in incoming) + sum(1 for v in nodes) - sum(u.index for u, e in incoming)
least = min(-abs(v.x) for v in nodes)
largest = -least if least < inf else 0
z = max(max(u.x - e.weight - largest for u, e in incoming), 0.1 * x - 0.3)
first = min(v.a for v in nodes if v.index == 0)
e_of_graph = first if first < inf else 0
"""
[inputs.node]
a = "real [-W, W]"
[inputs.edge]
weight = "weight"
[state.node]
x = "0.1"
count = "0"
largest = "0"
z = "index"
[state.graph]
e_of_graph = "0"
'''
"""An algorithm of sums that no library algorithm has."""


@st.composite
def cases(draw, algorithm, whole=False):
    """Give a graph of up to 40 nodes, and an algorithm's inputs."""
    weights = WEIGHTS[0] if whole else draw(st.sampled_from(WEIGHTS))
    if algorithm.inputs_of_edges.get("weight") == "weight >= 0":
        weights = weights.map(abs)
    if draw(st.booleans()):
        graph = Graph.of(*draw(edge_lists(most=8, weights=weights)))
    else:
        random = np.random.default_rng(draw(st.integers(0, 2**32)))
        size = draw(st.integers(1, 40))
        ends = random.integers(0, size, (2, random.integers(0, 3 * size + 1)))
        some = np.array(draw(st.lists(weights, min_size=1, max_size=9)), dtype=np.float64)
        graph = Graph.of_arrays(size, *ends, random.choice(some, ends.shape[1]))
    values = st.lists(weights, min_size=graph.size, max_size=graph.size)
    inputs = {
        name: draw(st.integers(0, graph.size - 1) if domain == "flag" else values)
        for name, domain in algorithm.inputs_of_nodes.items()
    }
    return graph, inputs


def outcome(run):
    """Give what a run gives, or how it refuses the graph."""
    try:
        found = run()
    except AlgorithmError as error:
        return str(error)
    columns = {name: np.asarray(column).tolist() for name, column in found.outputs.items()}
    hints = [{name: column.tolist() for name, column in one.items()} for one in found.hints]
    return columns, found.rounds, hints
