"""A compiled network is faithful to itself, others are less; alignment sees through another order."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks are trained with torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.optimize import linear_sum_assignment  # noqa: E402

import gnn_compile.training  # noqa: E402
from gnn_compile.clrs import Algorithm, Sampler, batch_of, clrs30, run  # noqa: E402
from gnn_compile.training import (  # noqa: E402
    COMPILED,
    Processor,
    Settings,
    Tensors,
    compiled_model,
    distance,
    initialise,
    internal,
    measure,
    perturbed,
    probe,
    traced,
)
from gnn_compile.training.alignment import assignment  # noqa: E402
from sandboxes.errors import AlgorithmError  # noqa: E402


def validation(algorithm):
    return Tensors.of(batch_of(list(clrs30(algorithm, "val"))))


@pytest.mark.parametrize("algorithm", COMPILED)
def test_a_compiled_network_is_faithful_and_a_random_one_is_not(algorithm):
    batch, compiled = validation(algorithm), compiled_model(algorithm)
    own = measure(compiled, batch, compiled)
    assert (own.external.mean, own.external.whole) == (1.0, 1.0)
    assert (own.internal.similarity, own.internal.top, own.internal.choices) == (1.0, 1.0, 1.0)
    assert own.internal.entropy == own.internal.compiled_entropy < 0.01
    for processor in Processor:
        other = measure(initialise(Settings(algorithm, processor), 0), batch, compiled)
        assert other.external.mean < 0.6
        assert other.external.whole < 0.1
        assert other.internal.similarity < 0.7
        assert other.internal.top < 0.7
        assert other.internal.choices < 0.7
    hidden = initialise(Settings(algorithm), 0)
    assert measure(hidden, batch).internal.entropy > 0.9  # it listens to all alike


@pytest.mark.parametrize("algorithm", COMPILED)
def test_without_hints_the_outputs_tell_of_every_step(algorithm):
    found = measure(compiled_model(algorithm, hints=False), validation(algorithm))
    assert found.external.by_hint == {"pi_h": 1.0}
    assert len(found.external.by_step["pi_h"]) == validation(algorithm).steps


def test_agreement_is_told_for_each_hint_and_step():
    """With its bias reversed, a decoder is wrong wherever it was right; the others stay as they are."""
    batch = validation(Algorithm.BFS)
    model = compiled_model(Algorithm.BFS)
    with torch.no_grad():
        for parameter in model.hints["reach_h"].parameters():
            parameter.neg_()
    found = measure(model, batch).external
    assert found.by_hint == {"reach_h": 0.0, "pi_h": 1.0}
    assert set(found.by_step["reach_h"]) == {0.0}
    assert found.whole == 0.0
    assert found.mean == 0.5


def test_a_choice_is_that_of_the_algorithm():
    """Attention is turned round, to the last sender that has been reached: right where there is but one."""
    model = compiled_model(Algorithm.BFS)
    with torch.no_grad():
        model.processor.score[0, 2] *= -1
    path = [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    diamond = [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
    shares = [
        measure(model, Tensors.of(batch_of([run(Algorithm.BFS, matrix, 0)]))).internal.choices
        for matrix in (path, diamond)
    ]
    assert shares == [1.0, pytest.approx(2 / 3)]


def test_where_nobody_can_choose_nothing_is_said():
    batch = Tensors.of(batch_of([run(Algorithm.BFS, [[0]], 0)]))
    model = compiled_model(Algorithm.BFS)
    with pytest.raises(AlgorithmError, match="no node has a sender to choose"):
        measure(model, batch)
    with pytest.raises(AlgorithmError, match="trace=True"):
        internal(model(validation(Algorithm.BFS)), validation(Algorithm.BFS))


def test_what_a_network_knows_can_be_read_from_it():
    batch = validation(Algorithm.BELLMAN_FORD)
    found = probe(compiled_model(Algorithm.BELLMAN_FORD), batch)
    assert all(one.score > 0.99 for one in found.values())
    assert all(one.inputs < 0.8 for one in found.values())


def test_every_kind_of_hint_can_be_probed():
    batch = Tensors.of(next(Sampler(Algorithm.DFS, (5, 7), 1).batches(12)))
    found = probe(initialise(Settings(Algorithm.DFS, hidden=16), 0), batch)
    assert set(found) == set(batch.hints)
    assert all(one.score <= 1.0 for one in found.values())
    assert found["time"].score > found["time"].inputs
    with pytest.raises(AlgorithmError, match="1 is too few"):
        probe(initialise(Settings(Algorithm.BFS), 0), Tensors.of(next(Sampler(Algorithm.BFS).batches(1))))


def rows(model, names, order):
    """Put features in another order wherever they are made."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[0] in names:
                parameter.copy_(parameter[order])


@pytest.mark.parametrize("processor", Processor)
def test_networks_in_another_order_are_no_distance_apart(processor):
    one, other = (initialise(Settings(Algorithm.BFS, processor, hidden=12), 1) for _ in range(2))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    # Gates are read by the layer after them alone.
    rows(other, {"update.gate_node", "update.gate_aggregate"}, order)
    with torch.no_grad():
        other.update.gate.weight.copy_(other.update.gate.weight[:, order])
        # So are the features of a pointer, by what reads it.
        for part in (other.outputs["pi"].own, other.outputs["pi"].other):
            part.weight.copy_(part.weight[order])
            part.bias.copy_(part.bias[order])
        other.outputs["pi"].edge.weight.copy_(other.outputs["pi"].edge.weight[order])
        other.outputs["pi"].read.weight.copy_(other.outputs["pi"].read.weight[:, order])
    batch = validation(Algorithm.BFS)
    expected, found = traced(one, batch).outputs["pi"], traced(other, batch).outputs["pi"]
    assert torch.allclose(expected, found, atol=1e-3)
    assert distance(one, other) == pytest.approx(0.0, abs=1e-6)


def test_distance_grows_with_noise():
    model = compiled_model(Algorithm.BELLMAN_FORD, 2.0**12)
    found = [distance(perturbed(model, sigma, 0), model) for sigma in (0.0, 0.001, 0.1, 1.0)]
    assert found[0] == 0.0 < found[1] < 0.01 < found[2] < found[3] < 1.0
    assert distance(initialise(model.settings, 0), model) > found[2]
    with pytest.raises(AlgorithmError, match="of the same settings"):
        distance(model, compiled_model(Algorithm.BFS))


@given(st.integers(1, 12), st.integers(0, 10**6), st.booleans())
def test_assignments_are_the_best(size, seed, ties):
    random = np.random.default_rng(seed)
    gain = random.integers(0, 3, (size, size)).astype(float) if ties else random.normal(size=(size, size))
    found = assignment(gain)
    assert sorted(found) == list(range(size))
    best = gain[linear_sum_assignment(gain, maximize=True)].sum()
    assert gain[np.arange(size), found].sum() == pytest.approx(best)


def test_the_package_shows_itself_as_it_is():
    assert doctest.testmod(gnn_compile.training).failed == 0
