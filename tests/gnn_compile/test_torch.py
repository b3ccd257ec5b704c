"""PyTorch modules that are a network: the same outputs, by weights that can be trained."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_cases import ODD, cases, outcome

from gnn_compile import (
    Bounds,
    Graph,
    algorithm_names,
    compile_algorithm,
    load_algorithm,
    parse_algorithm,
    run_network,
)
from gnn_compile.dense_network import DenseNetwork
from gnn_compile.runtime import Run
from sandboxes.errors import AlgorithmError

torch = pytest.importorskip("torch", reason="needs the extra gnn")
pytest.importorskip("torch_geometric", reason="needs the extra gnn")

from gnn_compile.geometric_module import to_geometric  # noqa: E402
from gnn_compile.torch_module import to_torch  # noqa: E402

torch.set_num_threads(1)  # small matrices wait for the threads of others longest

NAMES = (*algorithm_names(), "odd")
SMALL = Bounds(nodes=64, weight=1000, whole=True)


@pytest.fixture(scope="session")
def modules():
    """Give a network and its modules, made once."""
    made = {}

    def get(name, bounds=None, dtype=torch.float64):
        if (name, bounds) not in made:
            algorithm = parse_algorithm(ODD, "odd") if name == "odd" else load_algorithm(name)
            network = compile_algorithm(algorithm, bounds)
            made[name, bounds] = network, [to_torch(network, dtype), to_geometric(network, dtype)]
        return made[name, bounds]

    return get


def ran(module, graph, inputs, order=None):
    """Run a module on a graph whose edges are listed in some order."""
    order = np.arange(graph.edges) if order is None else order
    edges = torch.tensor(np.array([graph.senders, graph.receivers])[:, order])
    given = {
        name: one if isinstance(one, int) else torch.tensor(one, dtype=torch.float64)
        for name, one in inputs.items()
    }
    with torch.no_grad():
        return Run(module(edges, torch.tensor(graph.weights[order]), graph.size, **given), 0)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_modules_give_what_the_network_gives(modules, name, data):
    network, made = modules(name)
    graph, inputs = data.draw(cases(network.algorithm))
    order = np.array(data.draw(st.permutations(range(graph.edges))), dtype=np.int64)
    expected = outcome(lambda: Run(run_network(network, graph, **inputs).outputs, 0))
    for module in made:
        assert outcome(lambda module=module: ran(module, graph, inputs, order)) == expected


@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra", "bfs"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_float32_gives_the_same_of_small_whole_numbers(modules, name, data):
    network, made = modules(name, SMALL, torch.float32)
    graph, inputs = data.draw(cases(network.algorithm, whole=True))
    expected = outcome(lambda: Run(run_network(network, graph, **inputs).outputs, 0))
    for module in made:
        assert outcome(lambda module=module: ran(module, graph, inputs)) == expected


@pytest.mark.parametrize("weights", [[0.1, 0.2, 0.3], [1e6, 1e-3, 0.7]])
def test_float32_adds_as_float32_does(weights):
    network = compile_algorithm("bellman_ford", Bounds(nodes=64))
    path = Graph.of(4, [(u, u + 1, weight) for u, weight in enumerate(weights)])
    found = ran(to_torch(network, torch.float32), path, {"source": 0}).outputs["d"]
    expected = np.cumsum(np.array([0.0, *weights], dtype=np.float32), dtype=np.float32)
    assert found.tolist() == expected.tolist()
    assert found.tolist() != np.cumsum([0.0, *weights]).tolist()


def test_a_dtype_that_is_too_small_is_refused():
    network = compile_algorithm("bellman_ford", Bounds(nodes=2**12, weight=2**20, whole=True))
    with pytest.raises(AlgorithmError, match=r"may reach the whole number .* 16,777,216 only"):
        to_torch(network, torch.float32)
    with pytest.raises(AlgorithmError, match=r"not of torch\.float16"):
        to_torch(network, torch.float16)


@pytest.mark.parametrize("make", [to_torch, to_geometric])
def test_parameters_are_the_matrices(make):
    network = compile_algorithm("bellman_ford")
    module = make(network)
    given, found = DenseNetwork.of(network).matrices, module.dense().matrices
    assert [one.tobytes() for one in found.values()] == [one.tobytes() for one in given.values()]
    assert sum(one.numel() for one in module.parameters()) == sum(one.size for one in given.values())
    assert module.network() is network
    with torch.no_grad():
        module.encoder.stages[0].update.layers[0].bias += 1.0
    assert [one.tobytes() for one in found.values()] == [one.tobytes() for one in given.values()]


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_changed_weights_are_those_of_its_network(data):
    network = compile_algorithm("bellman_ford")
    graph, inputs = data.draw(cases(network.algorithm))
    module = to_torch(network)
    with torch.no_grad():
        module.encoder.stages[0].update.layers[-1].bias += data.draw(st.integers(-2, 2))
    expected = outcome(lambda: Run(run_network(module.network(), graph, **inputs).outputs, 0))
    assert outcome(lambda: ran(module, graph, inputs)) == expected


def test_state_dicts_of_both_kinds_are_the_same():
    network = compile_algorithm("bfs")
    one, other = to_torch(network).state_dict(), to_geometric(network).state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("make", [to_torch, to_geometric])
def test_distances_have_gradients(make):
    """The derivative of a shortest path's length by a weight is 1 where the path uses that edge."""
    module = make(compile_algorithm("bellman_ford"))
    edges = torch.tensor([[0, 0, 2, 1], [1, 2, 1, 3]])
    weights = torch.tensor([5.0, 1.0, 2.0, 1.0], dtype=torch.float64, requires_grad=True)
    module(edges, weights, 4, source=0)["d"][3].backward()
    assert weights.grad.tolist() == [0.0, 1.0, 1.0, 1.0]
    touched = [one.grad for name, one in module.named_parameters() if "message" in name]
    assert any(one is not None and bool((one != 0).any()) for one in touched)


def test_so_many_rounds_as_one_asks_for():
    network = compile_algorithm("bellman_ford")
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    for rounds in range(4):
        found = to_torch(network)(edges, torch.ones(3), 4, source=0, rounds=rounds)["d"].tolist()
        assert found == [float(one) if one <= rounds else np.inf for one in range(4)]


def test_graphs_that_make_no_sense_are_refused_with_reasons():
    module = to_torch(compile_algorithm("bellman_ford", Bounds(nodes=3, weight=10)))
    edges = torch.tensor([[0, 1], [1, 0]])
    for ends, weights, size, source, said in (
        (edges, [-1.0, -1.0], 2, 0, "refuses this graph: a cycle of negative weight"),
        (edges, [1.0, 11.0], 2, 0, "weight of edge . is 11"),
        (edges, [1.0, np.nan], 2, 0, "has the weight nan"),
        (edges, [1.0, 1.0], 1, 0, "has the sender 1"),
        (edges, [1.0, 1.0], 4, 0, "the graph has 4 nodes"),
        (edges, [1.0, 1.0], 2, 2, "source is 2"),
        (edges[0], [1.0, 1.0], 2, 0, r"edge_index must have senders and receivers, \[2, edges\], not \[2\]"),
    ):
        with pytest.raises(AlgorithmError, match=said):
            module(ends, torch.tensor(weights, dtype=torch.float64), size, source=source)
    with pytest.raises(AlgorithmError, match="needs source"):
        module(edges, None, 2)
    with pytest.raises(AlgorithmError, match="has no output reach"):
        module(edges, None, 2, source=0, outputs=["reach"])


def test_torch_is_not_imported_unless_it_is_asked_for():
    code = "import sys, gnn_compile, gnn_compile.dense_network; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
