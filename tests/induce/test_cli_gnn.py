"""``induce gnn``: networks are compiled, run on graphs from files, explained and drawn."""

import io
import json
import math
import sys
import xml.etree.ElementTree as ET

import networkx as nx
import numpy as np
import pytest
from graph_strategies import edge_lists
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnn_compile import algorithm_names
from induce.graph_files import read_named_graph
from sandboxes import TaskFormatError

ROADS = "Ulm Jena 1.5\n# a remark\nJena Kiel 2 # another\nUlm Kiel 9\nBonn\n"
CITIES = ["Ulm", "Jena", "Kiel", "Bonn"]
MINE = """
title = "How far the nearest hospital is, over roads that a truck can take"
rounds = "N + 1"
outputs = ["far"]
step = "far = min(far, min(u.far + 1 for u, e in incoming if e.weight >= truck))"

[inputs.node]
hospital = "flag"
truck = "real [0, 10]"

[inputs.edge]
weight = "weight >= 0"

[state.node]
far = "0 if hospital else inf"
"""


@pytest.fixture
def roads(tmp_path):
    path = tmp_path / "roads.txt"
    path.write_text(ROADS)
    return path


@pytest.fixture
def typed(monkeypatch):
    """Put text on standard input."""

    def put(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return put


def test_a_table_of_nodes_by_their_names(roads, induce_command):
    shown = induce_command("gnn", "run", "bellman_ford", roads, "--source", "Ulm")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "node    d    pi",
        "Ulm     0   Ulm",
        "Jena  1.5   Ulm",
        "Kiel  3.5  Jena",
        "Bonn    ∞  Bonn",
    ]
    only = induce_command("gnn", "run", "bellman_ford", roads, "-s", "Kiel", "--output", "d", "--directed")
    assert only.out.splitlines() == ["node  d", "Ulm   ∞", "Jena  ∞", "Kiel  0", "Bonn  ∞"]


def test_json_is_one_object_and_nothing_else(roads, induce_command):
    result = induce_command("gnn", "run", "bellman_ford", roads, "-s", "Ulm", "--json", "--trace")
    [record] = result.records
    assert record["nodes"] == CITIES
    assert record["rounds"] == 2
    infinity = {"$float": "inf"}
    assert record["outputs"] == {"d": [0, 1.5, 3.5, infinity], "pi": ["Ulm", "Ulm", "Jena", "Bonn"]}
    assert [one["d"] for one in record["hints"]] == [
        [0, infinity, infinity, infinity],
        [0, 1.5, 9, infinity],
        [0, 1.5, 3.5, infinity],
    ]
    assert "hints" not in induce_command("gnn", "run", "bfs", roads, "-s", "Ulm", "--json").records[0]


def test_a_trace_shows_what_each_round_changed(roads, induce_command):
    shown = induce_command("gnn", "run", "bellman_ford", roads, "-s", "Ulm", "--trace").out.split("\n\n")
    assert [one.splitlines()[0] for one in shown[:3]] == [
        "before the first round",
        "round 1, what it changed",
        "round 2, what it changed",
    ]
    assert shown[2].splitlines()[1:] == ["node    d    pi", "Kiel  3.5  Jena"]


@pytest.mark.parametrize("edges", ["edges", "links"])
def test_node_link_json_in_both_spellings(edges, induce_command, typed):
    graph = nx.MultiDiGraph()
    graph.add_node(1)
    graph.add_node("1")
    graph.add_node((1, "a"))
    graph.add_edge(1, "1", weight=3)
    graph.add_edge("1", (1, "a"), weight=4)
    text = json.dumps(nx.node_link_data(graph, edges=edges))
    for name, distances in (("1", [0, 3, 7]), ('"1"', [None, 0, 4]), ('[1, "a"]', [None, None, 0])):
        typed(text)
        [record] = induce_command("gnn", "run", "dijkstra", "-", "-s", name, "--json").records
        assert record["nodes"] == [1, "1", [1, "a"]]
        assert [None if isinstance(one, dict) else one for one in record["outputs"]["d"]] == distances


def test_numbered_json_may_name_its_source(induce_command, typed):
    text = '{"nodes": 3, "directed": true, "edges": [[0, 1], [1, 2, 5]], "source": 1}'
    typed(text)
    [record] = induce_command("gnn", "run", "bfs", "-", "--json").records
    assert record["outputs"]["reach"] == [0, 1, 1]
    typed(text)
    [record] = induce_command("gnn", "run", "bfs", "-", "--json", "--source", "0").records
    assert record["outputs"]["reach"] == [1, 1, 1]
    typed(text)
    [record] = induce_command("gnn", "run", "components", "-", "--json").records
    assert record["outputs"]["label"] == [0, 0, 0]


def test_several_sources(roads, induce_command):
    arguments = ["gnn", "run", "reachability", roads, "--json", "-s", "Bonn", "-s", "Ulm"]
    assert induce_command(*arguments).records[0]["outputs"]["reach"] == [1, 1, 1, 1]


def test_whole_numbers_are_in_their_order(induce_command, typed):
    typed("10 2\n2 0\n10 -1\n")
    [record] = induce_command("gnn", "run", "dfs", "-", "-s", "10", "--json").records
    assert record["nodes"] == [-1, 0, 2, 10]
    assert record["outputs"]["pi"] == [10, 2, 10, 10]


@given(graph=edge_lists(most=8), directed=st.booleans(), data=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_networkx_writes_is_read(tmp_path, graph, directed, data):
    made = nx.MultiDiGraph() if directed else nx.MultiGraph()
    made.add_weighted_edges_from(graph[1])
    if not made:
        return
    path = tmp_path / "graph.txt"
    if data:
        nx.write_edgelist(made, path)
    else:
        nx.write_weighted_edgelist(made, path)
    named = read_named_graph(str(path), directed=directed)
    assert list(named.names) == sorted(made)
    ends = zip(named.graph.senders, named.graph.receivers, named.graph.weights, strict=True)
    found = sorted((named.names[u], named.names[v], weight) for u, v, weight in ends)
    wanted = [(u, v, weight) for u, v, weight in made.edges(data="weight")]
    wanted += [] if directed else [(v, u, weight) for u, v, weight in wanted if u != v]
    assert found == sorted(wanted)


def test_an_algorithm_of_one_s_own(tmp_path, induce_command):
    mine = tmp_path / "mine.toml"
    mine.write_text(MINE)
    graph = nx.Graph()
    graph.add_nodes_from("abcd", truck=3)
    graph.add_weighted_edges_from([("a", "b", 5), ("b", "c", 2), ("c", "d", 9)])
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    needs = induce_command("gnn", "run", mine, path)
    assert needs.code == 1
    assert "mine needs hospital: name a node by --input hospital=NODE" in needs.err
    shown = induce_command("gnn", "run", mine, path, "--input", "hospital=a")
    assert shown.out.splitlines() == ["node  far", "a       0", "b       1", "c       ∞", "d       ∞"]
    both = induce_command("gnn", "run", mine, path, "--input", "hospital=a", "--input", "hospital=d")
    assert both.out.splitlines() == ["node  far", "a       0", "b       1", "c       1", "d       0"]
    assert induce_command("gnn", "run", mine, path, "--input", "hospital").code == 2


def test_what_is_compiled_can_be_run_explained_and_drawn(tmp_path, roads, induce_command):
    net, svg = tmp_path / "net.json", tmp_path / "net.svg"
    compiled = induce_command("gnn", "compile", "bellman_ford", "-o", net, "--nodes", 10, "--weight", 9)
    assert compiled.code == 0
    assert "exact: graphs of up to 10 nodes" in compiled.out
    named = induce_command("gnn", "run", "bellman_ford", roads, "-s", "Ulm")
    assert induce_command("gnn", "run", net, roads, "-s", "Ulm").out == named.out
    explained = induce_command("gnn", "explain", net, "--svg", svg)
    assert "by = min(" in explained.out
    assert "2 neurons, 1 reduction" in explained.out
    assert ET.fromstring(svg.read_text()).tag.endswith("svg")
    [record] = induce_command("gnn", "explain", net, "--json").records
    assert record["verified"] is True
    assert record["rounds"] == "N"
    assert induce_command("gnn", "draw", net).out == svg.read_text()
    assert induce_command("gnn", "draw", net, "--rounds", 2, "-o", svg).code == 0
    assert "pi after round 2" in svg.read_text()
    less = induce_command("gnn", "draw", net, "--output", "d").out
    assert "pi after" not in less
    assert "d after round 1" in less


def test_compile_takes_targets(tmp_path, roads, induce_command):
    net = tmp_path / "net.json"
    base = ["gnn", "compile", "bellman_ford", "-o", net, "--nodes", 8, "--weight", 9, "--whole", "--json"]
    assert "step" not in str(induce_command(*base, "--no-steps").records[0]["neurons"])
    [soft] = induce_command(*base, "--sharpness", 64).records
    assert 0 < soft["error"] < 0.25
    roads.write_text("a b 3\nb c 4\na c 9\n")
    shown = induce_command("gnn", "run", net, roads, "-s", "a").out
    assert shown.splitlines() == ["node  d  pi", "a     0   a", "b     3   a", "c     7   b"]
    refused = induce_command("gnn", "compile", "bellman_ford", "-o", net, "--no-steps")
    assert refused.code == 1
    assert "numbers are compared here that need not be whole" in refused.err
    assert induce_command("gnn", "compile", "bfs", "-o", tmp_path / "net.pkl").code == 2
    assert induce_command("gnn", "compile", "bfs", "-o", net, "--nodes", 0).code == 2


def test_changed_weights_are_remarked_on(tmp_path, roads, induce_command):
    net = tmp_path / "net.json"
    induce_command("gnn", "compile", "components", "-o", net)
    net.write_text(net.read_text().replace('"reduction": "min"', '"reduction": "max"'))
    changed = induce_command("gnn", "run", net, roads)
    assert changed.out.splitlines()[1:] == ["Ulm    Kiel", "Jena   Kiel", "Kiel   Kiel", "Bonn      ∞"]
    assert "changed since they were saved, are not what compiling components gives" in changed.err
    assert induce_command("gnn", "explain", net, "--json").records[0]["verified"] is False


def test_the_library_is_listed(induce_command):
    shown = induce_command("gnn", "list").out
    records = induce_command("gnn", "list", "--json").records
    assert [one["name"] for one in records] == list(algorithm_names())
    assert all(one["name"] in shown and one["title"] and one["outputs"] for one in records)


@pytest.mark.parametrize("command", ["list", "compile", "run", "explain", "draw"])
def test_every_command_has_an_example(command, induce_command):
    assert f"induce gnn {command}" in induce_command("gnn", command, "--help").out


BAD = [
    ("", "the graph has no nodes"),
    ("# nothing\n\n", "the graph has no nodes"),
    (
        "a b\nb c far\n",
        "roads.txt:2: expected an edge as `u v` or `u v weight`, and 'far' is no finite number",
    ),
    ("a b nan\n", "roads.txt:1: expected an edge"),
    ("a b inf\n", "roads.txt:1: expected an edge"),
    ("a b 1 2\n", "'1 2' is no finite number"),
    ("a b {'weight': __import__('os')}\n", "is no finite number"),
    (f"a b {{'weight': {'(' * 300}\n", "is no finite number"),
    ("a b 9007199254740993\n", "a float64 does not hold the weight 9007199254740993 exactly"),
    (b"\x80\x81\n", "roads.txt:1: expected UTF-8 text"),
    ("[1, 2]", "expected a graph as an object"),
    ("{", "not JSON"),
    ("[" * 100_000, "nested too deeply"),
    ('{"nodes": 0, "directed": true, "edges": []}', "the graph has no nodes"),
    ('{"nodes": 2, "directed": true, "edges": [[0, 2]]}', "edges[0]: there is no node 2"),
    (
        '{"nodes": 2, "directed": true, "edges": [[0, 1, NaN]]}',
        "edges[0]: the weight nan is no finite number",
    ),
    ('{"nodes": 2, "directed": true, "edges": [[0, 1, 1%s]]}' % ("0" * 400), "does not hold the weight"),
    ('{"nodes": 1000000000000000, "directed": true, "edges": []}', "more than 16,777,216 nodes"),
    ('{"nodes": [{"id": "a"}, {"id": "a"}], "edges": []}', "is that of nodes[0] too"),
    ('{"nodes": 1, "directed": true, "edges": [], "source": 4}', "source: there is no node 4"),
    ("a b 1e25\n", "weight"),
]


@pytest.mark.parametrize(("content", "message"), BAD, ids=[one[1] for one in BAD])
def test_bad_graphs_are_refused_in_one_line(content, message, roads, induce_command):
    roads.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = induce_command("gnn", "run", "bellman_ford", roads, "-s", "a")
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert len(result.err.strip().splitlines()) == 1


def test_what_is_not_there_is_said_so(tmp_path, roads, induce_command):
    for arguments, message in [
        (["nothing", roads, "-s", "Ulm"], "there is no algorithm 'nothing'; there are bellman_ford"),
        ([tmp_path / "net.json", roads, "-s", "Ulm"], "net.json cannot be read"),
        ([tmp_path / "mine.toml", roads, "-s", "Ulm"], "mine.toml cannot be read"),
        (["bfs", tmp_path / "no.txt", "-s", "Ulm"], "no.txt: cannot be read"),
        (["bfs", roads], "bfs needs source: name a node by --source NODE"),
        (["bfs", roads, "-s", "Rome"], "there is no node 'Rome' in the graph; its nodes are 'Ulm'"),
        (["bfs", roads, "-s", "0"], "there is no node '0'"),
        (["components", roads, "-s", "Ulm"], "components has no input source"),
        (["bfs", roads, "-s", "Ulm", "--output", "far"], "bfs has no output far"),
    ]:
        result = induce_command("gnn", "run", *arguments)
        assert (result.code, result.out) == (1, "")
        assert message in result.err
    assert "has no far" in induce_command("gnn", "draw", "bfs", "--output", "far").err
    assert "cannot be written" in induce_command("gnn", "draw", "bfs", "-o", tmp_path / "no" / "x.svg").err
    assert "itself" in directed_json(tmp_path, induce_command).err


def directed_json(tmp_path, induce_command):
    path = tmp_path / "graph.json"
    path.write_text('{"nodes": 1, "directed": true, "edges": []}')
    return induce_command("gnn", "run", "bfs", path, "-s", "0", "--undirected")


def test_the_bounds_of_a_saved_network_hold(tmp_path, roads, induce_command):
    net = tmp_path / "net.json"
    induce_command("gnn", "compile", "bfs", "-o", net, "--nodes", 3)
    result = induce_command("gnn", "run", net, roads, "-s", "Ulm")
    assert "the graph has 4 nodes, and this network is exact up to 3" in result.err


@given(graph=edge_lists(most=6, weights=st.integers(0, 9) | st.floats(0, 9)), directed=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_distances_are_networkx_s(tmp_path, induce_command, graph, directed):
    size, edges = graph
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"nodes": size, "directed": directed, "edges": edges, "source": 0}))
    [record] = induce_command("gnn", "run", "dijkstra", path, "--json", "--output", "d").records
    made = nx.MultiDiGraph() if directed else nx.MultiGraph()
    made.add_nodes_from(range(size))
    made.add_weighted_edges_from(edges)
    lengths = nx.single_source_dijkstra_path_length(made, 0)
    found = [math.inf if isinstance(one, dict) else one for one in record["outputs"]["d"]]
    assert found == [lengths.get(node, math.inf) for node in range(size)]


def test_names_cannot_command_the_terminal(induce_command, typed):
    typed('{"nodes": [{"id": "\\u001b[31mred"}], "directed": true, "edges": []}')
    shown = induce_command("gnn", "run", "components", "-")
    assert "\x1b" not in shown.out
    assert "\\x1b[31mred" in shown.out


def test_a_file_too_large_to_be_a_graph_is_refused(monkeypatch, roads):
    monkeypatch.setattr("induce.graph_files.MOST", 3)
    with pytest.raises(TaskFormatError, match="more than 3 nodes or edges"):
        read_named_graph(str(roads))


def test_export(tmp_path, induce_command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = induce_command("gnn", "export", "bfs", "-o", "hops.py", "--output", "d")
    assert (said.code, said.out.strip()) == (0, "hops.py: bfs")
    assert "def f(graph):" in (tmp_path / "hops.py").read_text()
    assert induce_command("gnn", "export", "bfs", "-o", "bfs.npz").code == 0
    with np.load(tmp_path / "bfs.npz", allow_pickle=False) as matrices:
        assert any(name.startswith("processor.") for name in matrices)
    pytest.importorskip("onnx")
    assert induce_command("gnn", "export", "bfs", "-o", "bfs.onnx").code == 0
    assert (tmp_path / "bfs.onnx").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-o", "bfs.txt"), 2, "must end in .py, .onnx or .npz"),
        (("-o", "bfs.npz", "--output", "d"), 2, "only a program has one output"),
        (("-o", "bfs.py", "--output", "width"), 1, "bfs has no output width"),
        (("-o", "none/bfs.py"), 1, "cannot be written"),
        (("-o", "none/bfs.npz"), 1, "cannot be written"),
    ],
)
def test_export_says_what_it_cannot(tmp_path, induce_command, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    result = induce_command("gnn", "export", "bfs", *arguments)
    assert result.code == code
    assert said in " ".join(result.err.replace("│", " ").split())
