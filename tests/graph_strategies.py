"""Graphs of all kinds, by Hypothesis."""

from hypothesis import strategies as st


@st.composite
def edge_lists(draw, most=12, weights=None):
    """Give a number of nodes and edges, with loops, parallel edges, and nodes that have none."""
    size = draw(st.integers(1, most))
    nodes = st.integers(0, size - 1)
    weights = st.integers(-4, 9) if weights is None else weights
    return size, draw(st.lists(st.tuples(nodes, nodes, weights), max_size=3 * size))
