"""The kinds of networks: what each is made of, and how far it may be from the algorithm."""

import math

import numpy as np
import pytest
from graph_strategies import edge_lists
from hypothesis import given
from hypothesis import strategies as st
from reference_evaluator import Reference

from gnn_compile import Bounds, Graph, Target, algorithm_names, compile_algorithm, run_network
from gnn_compile.units import Activation, Kind
from sandboxes.errors import AlgorithmError

NAMES = algorithm_names()
SMALL = Bounds(nodes=16, weight=16, whole=True, degree=64)
RECTIFIED = Target(steps=False)


@pytest.fixture(scope="module")
def small_networks():
    """Compile for small graphs with whole weights, each once."""
    made = {}

    def get(name, target):
        if (name, target) not in made:
            made[name, target] = compile_algorithm(name, SMALL, target)
        return made[name, target]

    return get


def off(found, expected):
    """Give by how much columns differ at most; infinities must be the same."""
    expected = np.array(expected)
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite])
    return float(np.abs(found[finite] - expected[finite]).max(initial=0.0))


def compare(network, edges, source):
    size, edges = edges
    algorithm = network.algorithm
    if algorithm.name == "topological_sort":
        edges = [(u, v, w) for u, v, w in edges if u < v]
    inputs = dict.fromkeys(algorithm.inputs_of_nodes, source % size)
    try:
        state, rounds = Reference(algorithm, size, edges, **inputs).run()
    except OverflowError:
        with pytest.raises(AlgorithmError, match="refuses this graph"):
            run_network(network, Graph.of(size, edges), **inputs)
        return
    run = run_network(network, Graph.of(size, edges), outputs=algorithm.state_of_nodes, **inputs)
    assert run.rounds == rounds
    for field, column in run.outputs.items():
        assert off(column, state[field]) <= network.error, field


@pytest.mark.parametrize("name", NAMES)
@given(edges=edge_lists(weights=st.integers(0, 9)), source=st.integers(0, 11))
def test_rectified_neurons_alone_are_exact_for_whole_weights(small_networks, name, edges, source):
    network = small_networks(name, RECTIFIED)
    for circuit in (network.encoder, network.processor, network.refusals):
        neurons = [part for part in circuit.parts if part.kind is Kind.NEURON]
        assert all(part.activation is not Activation.STEP for part in neurons)
    assert network.error == 0.0
    compare(network, edges, source)


@pytest.mark.parametrize("sharpness", [24.0, 100.0, 1000.0])
@pytest.mark.parametrize("name", NAMES)
@given(edges=edge_lists(weights=st.integers(0, 9)), source=st.integers(0, 11))
def test_softmax_is_as_near_as_was_proven(small_networks, name, sharpness, edges, source):
    network = small_networks(name, Target(sharpness=sharpness))
    assert network.error < 0.25
    compare(network, edges, source)


def test_a_softmax_errs_and_sharper_ones_err_less():
    star = Graph.of(9, [(0, v, 3) for v in range(1, 8)] + [(v, 8, v % 3) for v in range(1, 8)])
    errors, proven = [], []
    for sharpness in (12.0, 16.0, 24.0, 40.0):
        network = compile_algorithm("bellman_ford", SMALL, Target(sharpness=sharpness))
        found = run_network(network, star, source=0).outputs["d"]
        errors.append(abs(float(found[8]) - 3.0))
        proven.append(network.error)
    assert errors[0] > 0.0
    assert errors == sorted(errors, reverse=True)
    assert proven == sorted(proven, reverse=True)
    assert all(error <= bound for error, bound in zip(errors, proven, strict=True))


def test_from_some_sharpness_on_nothing_is_lost():
    network = compile_algorithm("bellman_ford", SMALL, Target(sharpness=1000.0))
    assert network.error == 0.0  # as exp(-1000) is 0 in float64


@pytest.mark.parametrize(
    ("bounds", "target", "said"),
    [
        (SMALL, Target(sharpness=2.0), r"off by 1/4 in round \d+ of 16: compile with a larger sharpness"),
        (SMALL, Target(sharpness=math.nan), "a sharpness of nan makes no sense"),
        (SMALL, Target(steps=False, sharpness=50.0), "only steps set them right"),
        (
            Bounds(nodes=16, weight=16),
            Target(sharpness=50.0),
            "numbers are compared here that need not be whole",
        ),
        (Bounds(nodes=16, weight=16), RECTIFIED, r"step, line \d .*: numbers are compared here"),
    ],
)
def test_what_a_target_cannot_is_refused(bounds, target, said):
    with pytest.raises(AlgorithmError, match=said):
        compile_algorithm("bellman_ford", bounds, target)


def test_large_bounds_are_proven_at_once():
    many = Bounds(nodes=2**18, weight=4, whole=True, degree=1000)
    network = compile_algorithm("bfs", many, Target(sharpness=64.0))
    assert 0.0 < network.error < 1e-3


def test_the_bound_is_not_less_for_more_rounds():
    errors = [
        compile_algorithm("bfs", Bounds(nodes=nodes, whole=True, degree=64), Target(sharpness=32.0)).error
        for nodes in (4, 14, 15, 16, 17, 40, 400, 4000)
    ]
    assert errors == sorted(errors)
