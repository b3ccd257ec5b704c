"""Matrices that are a network: they give the same, to the last bit, in whatever order they are multiplied."""

import math
from collections import Counter
from functools import partial
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network_cases import ODD, cases, outcome

from gnn_compile import (
    Bounds,
    Graph,
    Target,
    algorithm_names,
    compile_algorithm,
    load_algorithm,
    parse_algorithm,
    run_network,
)
from gnn_compile.any_order import in_any_order
from gnn_compile.dense import sparse
from gnn_compile.dense_network import WHOLE_OF_FLOAT32, DenseNetwork, run_circuits
from gnn_compile.reductions import Segments, reduce
from gnn_compile.units import Activation, Kind, Place
from sandboxes.errors import AlgorithmError

NAMES = (*algorithm_names(), "odd")


@pytest.fixture(scope="session")
def both():
    """Give a network and its matrices, made once."""
    made = {}

    def get(name):
        if name not in made:
            algorithm = parse_algorithm(ODD, "odd") if name == "odd" else load_algorithm(name)
            network = compile_algorithm(algorithm)
            made[name] = network, DenseNetwork.of(network)
        return made[name]

    return get


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_matrix_products_give_what_the_network_gives(both, name, data):
    network, made = both(name)
    graph, inputs = data.draw(cases(network.algorithm))
    expected = outcome(lambda: run_network(network, graph, trace=True, **inputs))
    assert outcome(lambda: made.run(graph, trace=True, **inputs)) == expected


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_sums_may_be_added_in_any_order_and_rounded_at_any_time(both, name, data):
    network, _ = both(name)
    graph, inputs = data.draw(cases(network.algorithm))
    random = Random(data.draw(st.integers(0, 2**32)))
    computes = {
        one: partial(at_random, in_any_order(getattr(network, one)), random)
        for one in ("encoder", "processor", "refusals")
    }
    expected = outcome(lambda: run_network(network, graph, **inputs))
    assert outcome(lambda: run_circuits(network, computes, graph, inputs)) == expected


def at_random(circuit, random, graph, columns):
    """Compute a circuit, each of its sums in an order of its own, or exactly and then rounded."""
    rows = {Place.GRAPH: 1, Place.NODE: graph.size, Place.EDGE: graph.edges}
    values = []
    for part in circuit.parts:
        given = [values[one] for one in part.operands]
        match part.kind:
            case Kind.COLUMN:
                values.append(columns[part.name])
            case Kind.SENDER | Kind.RECEIVER:
                values.append(given[0][graph.senders if part.kind is Kind.SENDER else graph.receivers])
            case Kind.NEURON:
                given = [np.broadcast_to(one, rows[part.place]) for one in given]
                values.append(np.array([summed(part, random, row) for row in zip(*given, strict=True)]))
                if not given:
                    values[-1] = np.array([summed(part, random, ())])
            case _:
                pool = part.kind is Kind.POOL
                into = Segments.of(np.array([graph.size]) if pool else np.diff(graph.offsets))
                out = np.empty(len(into.degrees))
                column = np.broadcast_to(given[0], rows[Place.NODE if pool else Place.EDGE])
                reduce(part, column, into, given[1] if len(given) > 1 else None, out)
                values.append(out)
    return {name: values[number] for name, number in circuit.outputs.items()}


def summed(part, random, row):
    addends = [weight * float(value) for weight, value in zip(part.weights, row, strict=True)]
    addends.append(part.bias)
    random.shuffle(addends)
    total = math.fsum(addends) if random.random() < 0.5 else sum(addends[1:], addends[0])
    match part.activation:
        case Activation.RELU:
            return max(total, 0.0)
        case Activation.STEP:
            return float(total > 0)
    return total


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_stands_in_one_matrix(both, name):
    network, made = both(name)
    for which, circuit in made.circuits.items():
        neurons = [one for one in in_any_order(getattr(network, which)).parts if one.kind is Kind.NEURON]
        expected = Counter(weight for one in neurons for weight in one.weights)
        biases = Counter(one.bias for one in neurons)
        found, found_biases = Counter(), Counter()
        for stage in circuit.stages:
            for layer in (*stage.graph, *stage.message, *stage.update):
                for row in range(len(layer.bias)):
                    if layer.passes(row) is None:
                        found.update(layer.weights[row][layer.weights[row] != 0].tolist())
                        found_biases[layer.bias[row]] += 1
        assert found == expected
        assert found_biases == biases


@pytest.mark.parametrize("name", NAMES)
def test_circuits_can_be_read_from_matrices(both, name):
    network, made = both(name)
    for which, circuit in made.circuits.items():
        before, after = in_any_order(getattr(network, which)), sparse(circuit)
        assert signature(after) == signature(before)
        assert after.outputs.keys() == before.outputs.keys()


def signature(circuit):
    """Say which parts there are."""
    return Counter(
        (
            *(one.kind, one.place, tuple(sorted(one.weights)), one.bias, one.activation, one.default),
            *(one.name, one.reduction, len(one.operands)),
        )
        for one in circuit.parts
    )


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_changed_weights_are_what_is_run(both, name, data):
    network, made = both(name)
    graph, inputs = data.draw(cases(network.algorithm))
    matrices = {one: matrix * 1.5 if "encoder" in one else matrix for one, matrix in made.matrices.items()}
    changed = made.with_matrices(matrices)
    assert changed.changed
    assert not made.with_matrices(made.matrices).changed
    assert made.with_matrices(made.matrices).sparse() is network
    expected = outcome(lambda: changed.run(graph, **inputs))
    assert outcome(lambda: run_network(changed.sparse(), graph, **inputs)) == expected
    assert outcome(lambda: DenseNetwork.of(changed.sparse()).run(graph, **inputs)) == expected


@pytest.mark.parametrize("name", ["bellman_ford", "dijkstra", "widest_path", "bfs", "dfs"])
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_float32_is_enough_for_small_whole_numbers(name, data):
    network = compile_algorithm(name, SMALL)
    made = DenseNetwork.of(network, WHOLE_OF_FLOAT32)
    graph, inputs = data.draw(cases(network.algorithm, whole=True))
    expected = outcome(lambda: run_network(network, graph, **inputs))
    assert outcome(lambda: made.run(graph, dtype=np.float32, **inputs)) == expected


SMALL = Bounds(nodes=64, weight=1000, whole=True)


def test_what_a_float_does_not_hold_is_refused():
    with pytest.raises(AlgorithmError, match=r"bellman_ford may reach .* all up to 16,777,216 only"):
        DenseNetwork.of(
            compile_algorithm("bellman_ford", Bounds(nodes=2**16, weight=2**9, whole=True)), 2**24
        )
    soft = compile_algorithm("bfs", Bounds(nodes=8, degree=8), Target(sharpness=64.0))
    with pytest.raises(AlgorithmError, match="averages its messages by a softmax"):
        DenseNetwork.of(soft)


@pytest.mark.parametrize("name", algorithm_names())
def test_stages_are_few(both, name):
    """As deep as the longest way from messages to messages, which no algorithm of the library has often."""
    _, made = both(name)
    assert len(made.processor.stages) <= 4
    assert len(made.encoder.stages) == 1


def test_a_single_node_without_edges():
    network = compile_algorithm("bellman_ford")
    run = DenseNetwork.of(network).run(Graph.of(1, []), source=0)
    assert (run.outputs["d"].tolist(), run.outputs["pi"].tolist(), run.rounds) == ([0.0], [0.0], 0)


def test_an_unknown_output_is_named():
    made = DenseNetwork.of(compile_algorithm("bfs"))
    with pytest.raises(AlgorithmError, match="bfs has no output width; it has"):
        made.run(Graph.of(1, []), outputs=["width"], source=0)
