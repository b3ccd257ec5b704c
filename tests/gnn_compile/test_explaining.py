"""An explanation's figures are those of the network that it explains."""

import json

import pytest

from gnn_compile import Bounds, Target, algorithm_names, compile_algorithm, load_algorithm, parse_algorithm
from gnn_compile.explaining import explain
from gnn_compile.node_fields import node_fields
from gnn_compile.storing import load_network, save_network

SUMS = """
rounds = "N"
outputs = ["x"]
step = \"\"\"
inner = sum(u.index for u, e in incoming)
outer = sum(v.inner for v in nodes)
x = min(x, inner - outer)
\"\"\"

[state.node]
x = "index"
"""


@pytest.mark.parametrize("name", algorithm_names())
def test_every_part_came_from_one_line(name, networks):
    network = networks(name)
    explanation = explain(network)
    made = sorted(number for line in explanation.lines for number in line.parts)
    assert made == [number for number, one in enumerate(network.processor.parts) if one.kind != "column"]
    assert [line.text for line in explanation.lines] == [one.text for one in network.algorithm.step]
    neurons = sum(line.neurons for line in explanation.lines)
    assert neurons == sum(count for one in explanation.neurons.values() for count in one.values())
    reductions = sum(line.reductions for line in explanation.lines)
    assert reductions == explanation.aggregations + explanation.pools


@pytest.mark.parametrize("name", algorithm_names())
def test_the_parameters_are_those_of_the_file(name, networks, tmp_path):
    save_network(networks(name), tmp_path / "net.json")
    record = json.loads((tmp_path / "net.json").read_text())
    parts = [part for one in ("encoder", "processor", "refusals") for part in record[one]["parts"]]
    explanation = explain(networks(name))
    weights = [weight for part in parts for weight in part.get("weights", ())]
    assert explanation.weights == len(weights) - weights.count(0.0)
    assert explanation.biases == sum(1 for part in parts if part.get("bias"))
    assert explanation.dense_parameters >= explanation.weights


def test_a_small_network_in_full():
    bounds = Bounds(nodes=8, weight=1, whole=True, degree=4)
    explanation = explain(compile_algorithm(parse_algorithm(SUMS, "sums"), bounds))
    assert (explanation.state_width, explanation.message_width) == (1, 1)
    assert (explanation.passes, explanation.aggregations, explanation.pools) == (1, 1, 1)
    # x - relu(x - (inner - outer)), of which the difference becomes part of both sums.
    assert explanation.neurons == {"node": {"identity": 1, "relu": 1}}
    assert explanation.depth == 2
    assert (explanation.weights, explanation.biases) == (5, 0)
    # Of indices up to 7, inner adds 4, and outer 8 times as much, from which x may be taken.
    assert explanation.ranges == {"x": "whole numbers -224 … 7"}
    assert explanation.largest == 224 + 7
    assert [(line.neurons, line.reductions) for line in explanation.lines] == [(0, 1), (0, 1), (2, 0)]


def test_it_says_what_it_is_exact_for(networks):
    floats = " ".join(explain(networks("bellman_ford")).exact)
    assert "65,536 nodes with up to 1,048,576 edges" in floats
    assert "below 2^53" in floats
    assert "added in the order of the source" in floats
    assert "infinity is the number 2^120" in floats
    whole = explain(compile_algorithm("bellman_ford", Bounds(nodes=10, weight=3, whole=True)))
    assert "added in the order" not in " ".join(whole.exact)
    assert whole.error == 0
    alike = " ".join(explain(networks("components")).exact)
    assert "infinity" not in alike


def test_a_softmax_is_explained_by_its_bound():
    bounds = Bounds(nodes=16, weight=9, whole=True)
    network = compile_algorithm("bellman_ford", bounds, Target(sharpness=64))
    explanation = explain(network)
    assert 0 < explanation.error == network.error < 0.25
    assert f"less than {network.error:.2g}" in " ".join(explanation.exact)
    assert explanation.lines


def test_nothing_is_claimed_of_changed_weights(networks, tmp_path):
    path = tmp_path / "net.json"
    save_network(networks("bfs"), path)
    path.write_text(path.read_text().replace('"activation": "step"', '"activation": "identity"', 1))
    explanation = explain(load_network(path).network)
    assert not explanation.known
    assert explanation.lines == ()
    assert set(explanation.ranges.values()) == {"0 or 1", "not known"}
    assert "not known" in " ".join(explanation.exact)
    record = json.loads(json.dumps(explanation.as_dict(), allow_nan=False))
    assert record["largest"] is None


def test_as_dict_is_plain_data(networks):
    record = json.loads(json.dumps(explain(networks("dijkstra")).as_dict(), allow_nan=False))
    assert record["algorithm"] == "dijkstra"
    assert record["lines"][0]["text"].startswith("nearest = ")
    assert record["largest"] == explain(networks("dijkstra")).largest


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        *((name, {"pi"}) for name in ("bfs", "bellman_ford", "dijkstra", "dfs", "dfs_forest", "widest_path")),
        ("components", {"label"}),
        ("topological_sort", set()),
        ("reachability", set()),
    ],
)
def test_which_fields_hold_nodes(name, fields):
    assert node_fields(load_algorithm(name)) == fields


@pytest.mark.parametrize(
    ("begins", "step", "holds"),
    [
        ("inf", "x = min(x, min(u.index for u, e in incoming))", True),
        ("-inf", "x = index if x < 0 else x", True),
        ("index", "x = y\ny = x", True),
        ("index", "x = y\ny = round", False),
        ("index", "x = x + 1", False),
        ("index", "x = x if x < 3 else 0", False),
        ("index", "x = sum(u.index for u, e in incoming)", False),
        ("index", "x = -index", False),
        ("0", "x = index", False),
        ("goal", "x = goal", True),
        ("flagged", "x = x", False),
        ("inf", "x = x", False),
    ],
)
def test_a_field_holds_nodes_where_all_that_it_becomes_is_a_node(begins, step, holds):
    more = 'y = "index"\n' if "y =" in step else ""
    text = f'rounds = "N"\noutputs = ["x"]\nstep = """\n{step}\n"""\n[state.node]\nx = "{begins}"\n{more}'
    inputs = '[inputs.node]\ngoal = "index"\nflagged = "flag"\n'
    assert ("x" in node_fields(parse_algorithm(text + inputs, "mine"))) is holds
