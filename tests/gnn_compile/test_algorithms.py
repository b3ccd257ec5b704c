"""An algorithm's source: what it may say, and how it is told what it may not."""

import pytest

from gnn_compile import Bounds, Graph, compile_algorithm, load_algorithm, parse_algorithm, run_network
from sandboxes.errors import AlgorithmError

DEGREES = """
rounds = "2"
outputs = ["degree"]
step = "degree = sum(1 for u, e in incoming if u.index != index)"
[state.node]
degree = "0"
"""


def text(step="x = x", begins="0", inputs="", graph="", rounds="N", more=""):
    lines = [
        f'rounds = "{rounds}"',
        'outputs = ["x"]',
        f"step = '''\n{step}\n'''",
        more,
        inputs,
        "[state.node]",
    ]
    return "\n".join([*lines, f'x = "{begins}"', graph])


def compiled(*args, bounds=None, **kwargs):
    return compile_algorithm(parse_algorithm(text(*args, **kwargs), "mine"), bounds)


def test_one_s_own_algorithm():
    network = compile_algorithm(parse_algorithm(DEGREES, "degrees"))
    run = run_network(network, Graph.of(3, [(0, 1), (2, 1), (1, 1), (0, 2), (0, 2)]))
    assert run.outputs["degree"].tolist() == [0, 2, 2]


def test_it_can_be_a_file(tmp_path):
    path = tmp_path / "degrees.toml"
    path.write_text(DEGREES)
    assert load_algorithm(path).name == "degrees"
    assert load_algorithm(path).text == DEGREES


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (
            "x = index * x",
            r"mine: step, line 1 \(x = index \* x\): 'index \* x' is the product of two values",
        ),
        ("x = index / 3", "'index / 3' is not among the exact operations, which are .* / by a power of two"),
        ("x = index % 2", "'index % 2' is not among the exact operations"),
        ("x = index ** 2", "is not among the exact operations"),
        ("x = sqrt(x)", r"sqrt\(…\) is not among the exact operations"),
        ("x = open('/etc/passwd')", r"open\(…\) is not among the exact operations"),
        ("x = x.__class__", "x is no node or edge here"),
        ("x = (lambda: 1)()", "is not among the exact operations"),
        ("x = 'text'", "is not among the exact operations"),
        ("x = index and 1", "'index' is no flag but whole numbers 0 … 65,535: compare it with something"),
        ("x = y", "nothing is called y here"),
        ("x = weight", "nothing is called weight here"),
        ("x = min(u.z for u, e in incoming)", "nodes have no z"),
        ("x = min(e.length for u, e in incoming)", "edges have no length; their fields are: none"),
        ("x = min(u.x for u in incoming)", "a generator goes over `u, e in incoming` or `v in nodes`"),
        ("x = min(v.x for v in range(3))", "a generator goes over `u, e in incoming` or `v in nodes`"),
        ("x = min(x for v in nodes)", "whose x is meant over all nodes"),
        (
            "x = min(u for u, e in incoming)",
            "u is a node or an edge: say which of its fields, such as u.index",
        ),
        (
            "x = min(max(v.x for v in nodes) for u, e in incoming)",
            r"max\(…\) stands within another generator; give it a line of its own",
        ),
        ("x = inf - inf", "two values that may both be infinite is no number"),
        ("x = 2 * min(u.x for u, e in incoming)", "2 times a value that may be infinite is no number"),
        (
            "x = sum(u.x / 2 for u, e in incoming)",
            "a sum over edges or nodes is exact of whole, finite numbers",
        ),
        ("x = nan", "nothing is called nan here"),
        ("x = x is index", "Is is no comparison of numbers"),
    ],
)
def test_what_is_not_exact_is_refused_by_line_and_reason(step, said):
    begins = "index / 2" if "x / 2" in step else "index"
    with pytest.raises(AlgorithmError, match=said):
        compiled(step, begins)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"step": "x = x + x", "begins": "1"}, "mine: (state.x grows without a bound|.*beyond 2)"),
        ({"inputs": '[inputs.node]\ny = "real"'}, r"inputs.node.y is 'real' without bounds"),
        ({"inputs": '[inputs.node]\ny = "complex"'}, "inputs.node.y is 'complex', which is no domain"),
        ({"inputs": '[inputs.node]\ny = "whole [3, 1]"'}, r"inputs.node.y is 'whole \[3, 1\]'"),
        ({"inputs": '[inputs.node]\ny = "whole [0, Q]"'}, "inputs.node.y: 'Q' must be a number"),
        ({"inputs": '[inputs.node]\nindex = "flag"'}, "a field cannot be called 'index'"),
        ({"inputs": '[inputs.edge]\nx = "flag"'}, "the field x is there twice"),
        ({"graph": '[state.graph]\nz = "0"'}, "no round ever changes z"),
        ({"graph": '[state.graph]\nz = "index"', "step": "x = x\nz = z"}, "state.graph.z: it is the graph's"),
        ({"graph": '[state.graph]\nz = "0"', "step": "x = x\nz = index"}, "z is the graph's, and this has"),
        ({"rounds": "0"}, "rounds: '0' gives none"),
        ({"rounds": "M"}, "rounds: 'M' must be a number, made of numbers and N"),
        ({"rounds": "9**9**9**9"}, "rounds: .* must be a number"),
        ({"step": "x = "}, "mine: step: invalid syntax"),
        ({"step": "import os"}, "'import os' is no assignment"),
        ({"step": "index = 1\nx = x"}, "index is given and cannot be assigned"),
        ({"begins": "x"}, "state.node.x: nothing is called x here"),
        ({"begins": "1 +"}, r"state.node.x: '1 \+' is no expression"),
        ({"more": "colour = 1"}, "colour: Extra inputs are not permitted"),
        ({"more": "]"}, "mine is no TOML"),
        ({"begins": "index", "more": "[refused]\n'x + 1' = 'no'"}, "refused.'x [+] 1' is no condition"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(changed, said):
    with pytest.raises(AlgorithmError, match=said):
        compiled(**changed)


def test_expressions_may_not_be_endlessly_deep():
    with pytest.raises(AlgorithmError):
        compiled("x = " + "-" * 100_000 + "x")
    with pytest.raises(AlgorithmError):
        compiled("x = " + "(" * 5000 + "x" + ")" * 5000)


def test_bounds_are_kept_and_named():
    network = compile_algorithm("bellman_ford", Bounds(nodes=3, weight=10, whole=True))
    graph = [(0, 1, 5), (1, 2, 2)]
    assert run_network(network, Graph.of(3, graph), source=0).outputs["d"].tolist() == [0, 5, 7]
    with pytest.raises(AlgorithmError, match="the graph has 4 nodes, and this network is exact up to 3"):
        run_network(network, Graph.of(4, graph), source=0)
    with pytest.raises(AlgorithmError, match=r"weight of edge 1 is 11, .* exact for whole numbers -10 … 10"):
        run_network(network, Graph.of(3, [*graph, (0, 2, 11)]), source=0)
    with pytest.raises(AlgorithmError, match=r"weight of edge 0 is 0\.5"):
        run_network(network, Graph.of(3, [(0, 1, 0.5)]), source=0)
    with pytest.raises(AlgorithmError, match=r"weight of edge 0 is -1, .* exact for numbers 0 …"):
        run_network(compile_algorithm("dijkstra"), Graph.of(2, [(0, 1, -1)]), source=0)
    with pytest.raises(AlgorithmError, match=r"beyond 2\^53"):
        compile_algorithm("bellman_ford", Bounds(nodes=2**16, weight=2.0**40, whole=True))
    with pytest.raises(AlgorithmError, match="makes no sense"):
        compile_algorithm("bellman_ford", Bounds(nodes=0))


def test_degrees_are_bounded_only_where_they_are_summed():
    network = compile_algorithm(parse_algorithm(DEGREES, "degrees"), Bounds(degree=2))
    with pytest.raises(AlgorithmError, match="3 edges go into one node, and this network is exact up to 2"):
        run_network(network, Graph.of(2, [(0, 1)] * 3))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "bfs needs source: the number of a node, or a value for each"),
        ({"source": 5}, "source is 5, and there are the nodes 0 to 2 only"),
        ({"source": -1}, "source is -1, and there are"),
        ({"source": 0.5}, "source is 0.5, and there are"),
        ({"source": [1, 0]}, "source must have a value for each of the 3 nodes"),
        ({"source": [2, 0, 0]}, "source of node 0 is 2, and this network of bfs is exact for 0 or 1"),
        ({"source": [1, 0, float("nan")]}, "source of node 2 is nan"),
        ({"source": "first"}, "source must be numbers"),
        ({"source": 0, "target": 1}, "bfs has no input target"),
    ],
)
def test_inputs_are_checked(networks, inputs, said):
    with pytest.raises(AlgorithmError, match=said):
        run_network(networks("bfs"), Graph.of(3, [(0, 1)]), **inputs)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Graph.of(0, []), "a graph needs a node at least"),
        (lambda: Graph.of(2, [(0, 2)]), "edge 0 has the receiver 2, and there are the nodes 0 to 1 only"),
        (lambda: Graph.of(2, [(-1, 0)]), "edge 0 has the sender -1"),
        (lambda: Graph.of(2, [(0, 1, float("nan"))]), r"edge 0 \(0 to 1\) has the weight nan"),
        (lambda: Graph.of(2, [(0, 1, 1), (0, 1, float("inf"))]), r"edge 1 \(0 to 1\) has the weight inf"),
        (lambda: Graph.of_arrays(2, [0, 1], [1], [1.0]), "columns of one length"),
        (lambda: Graph.of_arrays(2, [0.5], [1], [1.0]), "the sender of an edge must be the number of a node"),
    ],
)
def test_bad_graphs_are_refused(make, said):
    with pytest.raises(AlgorithmError, match=said):
        make()


def test_there_is_no_such_algorithm(tmp_path):
    with pytest.raises(AlgorithmError, match="there is no algorithm 'a_star'; there are bellman_ford, bfs"):
        load_algorithm("a_star")
    with pytest.raises(AlgorithmError, match="cannot be read"):
        load_algorithm(tmp_path / "none.toml")


@pytest.mark.parametrize("weight", [0.1, 1 / 3, 1e-9, 12345.678, 0.0])
def test_bounds_need_not_be_round(weight):
    network = compile_algorithm("bellman_ford", Bounds(nodes=300, weight=weight))
    assert network.domains["d"].high >= 299 * weight
    path = Graph.of(300, [(node, node + 1, weight) for node in range(299)])
    d = run_network(network, path, source=0).outputs["d"]
    assert all(value in network.domains["d"] for value in d)
