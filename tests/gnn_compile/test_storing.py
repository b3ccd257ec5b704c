"""Networks come back from files as they were saved; a file's claims are not believed but seen."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnn_compile import (
    Bounds,
    Graph,
    Target,
    algorithm_names,
    compile_algorithm,
    parse_algorithm,
    run_network,
)
from gnn_compile.dense_network import DenseNetwork
from gnn_compile.storing import load_network, save_network
from sandboxes.errors import AlgorithmError

TARGETS = [Target(), Target(steps=False), Target(sharpness=256)]
SMALL = Bounds(nodes=16, weight=9, whole=True, degree=100)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.json"


def changed(path, *change):
    """Change a value in a saved network, at a path of keys; the last is the value."""
    *keys, last, value = change
    record = json.loads(path.read_text())
    inner = record
    for key in keys:
        inner = inner[key]
    inner[last] = value(inner[last]) if callable(value) else value
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", algorithm_names())
def test_what_is_saved_comes_back(name, target, path):
    network = compile_algorithm(name, SMALL, target)
    digest = save_network(network, path)
    loaded = load_network(path)
    assert (loaded.verified, loaded.unchanged) == (True, True)
    back = loaded.network
    assert back.algorithm.text == network.algorithm.text
    assert (back.bounds, back.target, back.error) == (network.bounds, network.target, network.error)
    for circuit in ("encoder", "processor", "refusals"):
        assert getattr(back, circuit) == getattr(network, circuit)
    assert save_network(back, path) == digest


@given(weight=st.floats(0, 2.0**60), nodes=st.integers(1, 2**20), whole=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_weights_come_back_to_the_last_bit(path, weight, nodes, whole):
    bounds = Bounds(nodes=nodes, weight=weight, whole=whole)
    try:
        network = compile_algorithm("widest_path", bounds)
    except AlgorithmError:
        return
    save_network(network, path)
    assert load_network(path).verified
    parts = json.loads(path.read_text())["processor"]["parts"]
    assert [one["weights"] for one in parts if one["kind"] == "neuron"] == [
        list(one.weights) for one in network.processor.parts if one.kind == "neuron"
    ]


def test_the_file_is_the_same_each_time_and_has_no_remains_beside_it(path, networks):
    save_network(networks("bfs"), path)
    first = path.read_bytes()
    save_network(networks("bfs"), path)
    assert path.read_bytes() == first
    assert [one.name for one in path.parent.iterdir()] == ["net.json"]


def test_changed_weights_are_run_as_they_are_and_said_to_be_changed(path, networks):
    save_network(networks("bellman_ford"), path)
    numbers = [number for number, one in enumerate(networks("bellman_ford").processor.parts) if one.weights]
    changed(path, "processor", "parts", numbers[0], "weights", [2.0, 1.0])
    loaded = load_network(path)
    assert (loaded.verified, loaded.unchanged) == (False, False)
    run = run_network(loaded.network, Graph.of(3, [(0, 1, 5), (1, 2, 1)]), source=0)
    assert run.outputs["d"].tolist() == [0, 5, 11]


@pytest.mark.parametrize("weight", [-2.0, -0.5, 0.0, 1.0])
@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra", "dfs"])
def test_changed_weights_are_computed_everywhere(path, networks, name, weight):
    """Gates may open where they never did: nothing is left out that a matrix product would compute."""
    graph = Graph.of(12, [(node, node + 1, 2) for node in range(11)])
    parts = networks(name).processor.parts
    for number in [number for number, one in enumerate(parts) if one.weights == (-1.0,)]:
        save_network(networks(name), path)
        changed(path, "processor", "parts", number, "weights", [weight])
        network = load_network(path).network

        def outcome(run):
            try:
                found = run(graph, source=0)
            except AlgorithmError as error:
                return str(error)
            return {field: column.tolist() for field, column in found.outputs.items()}, found.rounds

        assert outcome(partial(run_network, network)) == outcome(DenseNetwork.of(network).run)


def test_another_algorithm_with_the_same_weights_is_said_to_be_changed(path, networks):
    save_network(networks("bfs"), path)
    changed(path, "algorithm", lambda text: text.replace("ties = ", "ties = 'none' # "))
    loaded = load_network(path)
    assert (loaded.verified, loaded.unchanged) == (True, False)


BELLMAN_FORD = [
    (("encoder", "parts", 0, "kind", "eval"), "encoder.parts.0"),
    (("processor", "parts", 0, "place", "node"), "is called 'weight' of the node"),
    (("processor", "parts", 1, "name", "secret"), "is called 'secret' of the node"),
    (("processor", "parts", 5, "weights", [math.nan, 1.0]), "finite number"),
    (("processor", "parts", 5, "weights", [math.inf, 1.0]), "finite number"),
    (("processor", "parts", 5, "weights", [1e300, 1.0]), "less than or equal to"),
    (("processor", "parts", 5, "weights", ["1.0", 1.0]), "valid number"),
    (("processor", "parts", 5, "weights", [1.0]), "2 operands and 1 weights"),
    (("processor", "parts", 5, "operands", [4, 5]), "reads part 5, which does not come before it"),
    (("processor", "parts", 5, "operands", [4, -1]), "greater than or equal to 0"),
    (("processor", "parts", 5, "operands", [4, 2]), "reads nodes and edges at once"),
    (("processor", "parts", 5, "place", "node"), "stands at the node"),
    (("processor", "parts", 5, "activation", "sine"), "'identity', 'relu' or 'step'"),
    (("processor", "parts", 4, "operands", [0]), "does not copy one value of the nodes"),
    (("processor", "parts", 6, "operands", [2, 5]), "does not reduce one value of the edges"),
    (("processor", "parts", 6, "operands", []), "does not reduce one value of the edges"),
    (("processor", "outputs", {"d": 6}), "the algorithm has d, pi"),
    (("processor", "outputs", {"d": 6, "pi": 999}), "999, which is not there"),
    (("processor", "outputs", {"d": 5, "pi": 16}), "is a value of each edge"),
    (("refusals", "outputs", {"more": 0}), "the algorithm has none"),
    (("target", "steps", False), "is a step, and the target has none"),
    (("bounds", "nodes", 0), "bounds.nodes"),
    (("version", 2), "version"),
    (("format", "pickle"), "format"),
    (("error", 0.5), "error"),
    (("more", 1), "more"),
    (("algorithm", "rounds ="), "is no TOML"),
    (("algorithm", 'rounds = "N"'), "Field required"),
]


@pytest.mark.parametrize(("change", "message"), BELLMAN_FORD, ids=[one[1] for one in BELLMAN_FORD])
def test_what_does_not_fit_together_is_refused(change, message, path, networks):
    save_network(networks("bellman_ford"), path)
    record = json.loads(path.read_text())
    if len(change) == 2 and change[0] == "more":
        path.write_text(json.dumps({**record, "more": 1}))
    else:
        changed(path, *change)
    with pytest.raises(AlgorithmError) as refused:
        load_network(path)
    assert message in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'{"a": 1}'])
def test_what_is_no_network_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(AlgorithmError, match="is no network"):
        load_network(path)


def test_files_that_cannot_be_read_or_written_are_said_so(tmp_path, networks):
    with pytest.raises(AlgorithmError, match="cannot be read: No such file"):
        load_network(tmp_path / "net.json")
    with pytest.raises(AlgorithmError, match="cannot be read: Is a directory"):
        load_network(tmp_path)
    with pytest.raises(AlgorithmError, match="cannot be written: No such file"):
        save_network(networks("bfs"), tmp_path / "nowhere" / "net.json")
    with pytest.raises(AlgorithmError, match="is no file that could be replaced"):
        save_network(networks("bfs"), tmp_path)
    with pytest.raises(AlgorithmError, match="was reduced to d, and files hold whole ones"):
        save_network(networks("bellman_ford").only(["d"]), tmp_path / "net.json")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 40)
    | st.floats()
    | st.sampled_from(["node", "edge", "d", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "d"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_changed_it_loads_or_is_refused(path, networks, data):
    save_network(networks("topological_sort"), path)
    record = json.loads(path.read_text())
    for _ in range(data.draw(st.integers(1, 3))):
        inner = record
        while True:
            keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if not isinstance(inner[key], (dict, list)) or data.draw(st.integers(0, 9)) == 0:
                inner[key] = data.draw(JSON)
                break
            inner = inner[key]
    path.write_text(json.dumps(record))
    try:
        loaded = load_network(path)
        run = run_network(loaded.network, Graph.of(3, [(0, 1), (1, 2)]))
    except AlgorithmError:
        return
    if loaded.verified:
        assert np.array_equal(run.outputs["position"], [0, 1, 2])


def test_the_source_goes_with_the_weights(path):
    step = "x = max(x, max(u.x for u, e in incoming))"
    text = f'rounds = "N"\noutputs = ["x"]\nstep = "{step}"\n[state.node]\nx = "index"\n'
    save_network(compile_algorithm(parse_algorithm(text, "mine")), path)
    loaded = load_network(path)
    assert loaded.network.algorithm.name == "mine"
    assert loaded.network.algorithm.text == text
    assert run_network(loaded.network, Graph.of(3, [(2, 0)])).outputs["x"].tolist() == [2, 1, 2]
