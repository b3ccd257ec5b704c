"""Networks whose weights are set give what the algorithm gives, after every step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="networks are trained with torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from gnn_compile.clrs import Algorithm, Family, Sampler, batch_of, clrs30, run  # noqa: E402
from gnn_compile.training import COMPILED, Tensors, compiled_model, measure, perturbed  # noqa: E402
from sandboxes.errors import AlgorithmError  # noqa: E402


def tensors(samples, dtype=torch.float32):
    return Tensors.of(batch_of(list(samples)), dtype)


def exact(model, batch):
    found = measure(model, batch)
    return (found.accuracy, found.external.whole) == (1.0, 1.0)


@pytest.mark.parametrize("hints", [True, False])
@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("algorithm", COMPILED)
def test_all_of_the_benchmark_is_right_at_16_and_at_64_nodes(algorithm, split, hints):
    assert exact(compiled_model(algorithm, hints=hints), tensors(clrs30(algorithm, split)))


@given(st.sampled_from(COMPILED), st.sampled_from(Family), st.integers(1, 12), st.integers(0, 10**6))
def test_all_graphs_whose_offers_differ_are_right(algorithm, family, size, seed):
    """Paths, trees and grids have fewer edges than the benchmark's graphs, and more steps."""
    model = compiled_model(algorithm, 2.0**30, hidden=4).double()
    samples = itertools.islice(Sampler(algorithm, (size,), seed, family), 3)
    batch = tensors(samples, torch.float64)
    if batch.size > 1 and (batch.linked.sum(-1) > 1).any() and batch.running.any():
        assert exact(model, batch)


@given(st.integers(2, 16), st.integers(0, 10**6))
def test_of_equal_distances_the_first_sender_is_the_parent(size, seed):
    """Weights are whole, so that there are ties; a parent's is the smallest number, as in the algorithm."""
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 4, (size, size))
    matrix = np.maximum(matrix, 1 - np.eye(size, dtype=int))
    sample = run(Algorithm.BELLMAN_FORD, matrix, 0)
    assert exact(compiled_model(Algorithm.BELLMAN_FORD), tensors([sample]))


def test_the_softer_the_attention_the_fewer_are_right():
    batch = tensors(clrs30(Algorithm.BELLMAN_FORD, "test"))
    found = [measure(compiled_model(Algorithm.BELLMAN_FORD, 2.0**power), batch) for power in (4, 10, 24)]
    assert found[0].accuracy < found[1].accuracy < found[2].accuracy == 1.0
    assert found[0].internal.entropy > found[1].internal.entropy > found[2].internal.entropy


@pytest.mark.parametrize("algorithm", COMPILED)
def test_other_features_change_nothing(algorithm):
    """A wider network is the same one, with features that nobody reads."""
    batch = tensors(clrs30(algorithm, "val"))
    narrow, wide = (compiled_model(algorithm, hidden=width)(batch) for width in (4, 64))
    for name in narrow.outputs:
        assert torch.allclose(narrow.outputs[name], wide.outputs[name], rtol=1e-4, atol=1e-3)


def test_noise_is_as_large_as_asked_for():
    model = compiled_model(Algorithm.BFS)
    assert all(
        torch.equal(one, other)
        for one, other in zip(model.parameters(), perturbed(model, 0.0, 1).parameters(), strict=True)
    )
    steps = [
        float((perturbed(model, sigma, 1).encoder.weight - model.encoder.weight).detach().norm())
        for sigma in (0.1, 0.2)
    ]
    assert steps[1] == pytest.approx(2 * steps[0], rel=1e-4)
    assert steps[0] > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: compiled_model(Algorithm.DFS), "dfs cannot be compiled into this architecture"),
        (lambda: compiled_model(Algorithm.BFS, hidden=3), "needs 4 hidden features, not 3"),
        (lambda: compiled_model(Algorithm.BFS, 0.5), "a number of 1 or more, not 0.5"),
        (lambda: compiled_model(Algorithm.BFS, float("nan")), "not nan"),
    ],
)
def test_what_cannot_be_compiled_is_refused(make, message):
    with pytest.raises(AlgorithmError, match=message):
        make()
