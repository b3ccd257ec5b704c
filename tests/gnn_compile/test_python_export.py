"""Networks as self-contained Python: in a sandbox, with nothing but its weights, it is the network."""

import ast

import pytest
from graph_strategies import edge_lists
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnn_compile import Bounds, Graph, Target, compile_algorithm, parse_algorithm, run_network
from gnn_compile.python_export import to_python
from sandboxes import EmbeddedSandbox, Limits, Program
from sandboxes.errors import AlgorithmError


@pytest.fixture(scope="module")
def sandbox():
    with EmbeddedSandbox() as opened:
        yield opened


def told(column):
    return [None if abs(value) == float("inf") else value for value in column.tolist()]


@pytest.mark.parametrize("name", ["bellman_ford", "bfs", "components", "dfs_forest", "widest_path"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(edges=edge_lists(most=7, weights=st.integers(0, 9) | st.floats(0, 5)), directed=st.booleans())
def test_the_program_is_the_network(sandbox, networks, name, edges, directed):
    size, edges = edges
    network = networks(name)
    graph = {"nodes": size, "directed": directed, "edges": [list(edge) for edge in edges], "source": size - 1}
    inputs = dict.fromkeys(network.algorithm.inputs_of_nodes, size - 1)
    expected = run_network(network, Graph.of(size, edges, directed=directed), **inputs).outputs
    for output in network.algorithm.outputs:
        [execution] = sandbox.run(Program(to_python(network, output), "f"), [graph], Limits())
        assert execution.value == told(expected[output]), execution.error


def test_it_imports_nothing(networks):
    source = to_python(networks("dijkstra"), "d")
    assert not [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]


def test_it_refuses_as_the_network_does(sandbox, networks):
    program = Program(to_python(networks("bellman_ford"), "d"), "f")
    cycle = {"nodes": 2, "directed": True, "edges": [[0, 1, -1], [1, 0, 0]], "source": 0}
    [execution] = sandbox.run(program, [cycle], Limits())
    assert "a cycle of negative weight can be reached from the source" in execution.error


def test_what_cannot_be_written_is_refused(networks):
    with pytest.raises(AlgorithmError, match="bfs has no output width; it has reach, d, pi"):
        to_python(networks("bfs"), "width")
    soft = compile_algorithm("bfs", Bounds(nodes=16, whole=True, degree=16), Target(sharpness=100.0))
    with pytest.raises(AlgorithmError, match="not of those that average"):
        to_python(soft, "pi")
    head = 'rounds = "N"\noutputs = ["x"]\nstep = "x = heat"'
    mine = f'{head}\n[inputs.node]\nheat = "flag"\n[state.node]\nx = "0"'
    with pytest.raises(AlgorithmError, match="mine needs heat, which no graph has here"):
        to_python(compile_algorithm(parse_algorithm(mine, "mine")), "x")
