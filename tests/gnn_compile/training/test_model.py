"""Networks have the shapes of their probes, and see neither padding nor what is not linked."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="networks are trained with torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from gnn_compile.clrs import SPECS, Algorithm, Sampler, Stage, batch_of, names, run, shape  # noqa: E402
from gnn_compile.training import Processor, Settings, Tensors, initialise, loss, traced  # noqa: E402
from sandboxes.errors import AlgorithmError  # noqa: E402

algorithms = st.sampled_from(Algorithm)
processors = st.sampled_from(Processor)
sizes = st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 1000)


def drawn(algorithm, sizes, seed, runs=3):
    return list(itertools.islice(Sampler(algorithm, sizes, seed), runs))


@given(algorithms, processors, st.booleans(), sizes, seeds)
@settings(max_examples=50)
def test_predictions_have_the_shapes_of_what_is_predicted(algorithm, processor, hints, sizes, seed):
    batch = Tensors.of(batch_of(drawn(algorithm, sizes, seed)))
    model = initialise(Settings(algorithm, processor, hidden=8, heads=2, hints=hints), seed)
    found = traced(model, batch)
    assert set(found.hints) == set(names(algorithm, Stage.HINT) if hints else ())
    for name, logits in (*found.outputs.items(), *found.hints.items()):
        probe = SPECS[algorithm][name]
        expected = (len(batch), *shape(probe, batch.size))
        if probe.type == "pointer":
            expected = (*expected, batch.size)
        assert logits.shape == ((batch.steps, *expected) if name in found.hints else expected)
        assert torch.isfinite(logits).all()
    assert found.trace.hidden.shape == (batch.steps, 3, batch.size, 8)
    shares = found.trace.attention
    assert torch.allclose(shares.sum(-1), torch.ones(()), atol=1e-5)
    if processor is not Processor.MPNN:
        assert not shares.masked_fill(batch.linked, 0.0).any()
    assert torch.isfinite(loss(found, batch))


@given(algorithms, processors, sizes, seeds, st.integers(8, 10), st.integers(0, 30))
@settings(max_examples=50)
def test_padding_changes_nothing(algorithm, processor, sizes, seed, size, steps):
    """A run alone gives what it gives among larger and longer ones."""
    samples = drawn(algorithm, sizes, seed)
    model = initialise(Settings(algorithm, processor, hidden=8), seed).double()
    with torch.no_grad():
        together = model(Tensors.of(batch_of(samples, size=size, steps=steps), torch.float64))
        for number, sample in enumerate(samples):
            alone = model(Tensors.of(batch_of([sample]), torch.float64))
            for name, logits in alone.outputs.items():
                inside = tuple(slice(length) for length in logits.shape[1:])
                assert torch.allclose(together.outputs[name][(number, *inside)], logits[0], atol=1e-9)
            for name, logits in alone.hints.items():
                there = logits[: sample.length - 1, 0]
                inside = tuple(slice(length) for length in there.shape[1:])
                others = together.hints[name][(slice(len(there)), number, *inside)]
                assert torch.allclose(others, there, atol=1e-9)


@given(st.sampled_from([Processor.GATV2, Processor.PGN]), seeds)
def test_messages_go_along_edges_alone(processor, seed):
    """Of two graphs that differ in edges into the last node, the others see nothing in the first step."""
    linked = [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    other = [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    model = initialise(Settings(Algorithm.BFS, processor, hidden=32, hints=False), seed)
    hidden = [
        traced(model, Tensors.of(batch_of([run(Algorithm.BFS, matrix, 1)]))).trace.hidden[0, 0]
        for matrix in (linked, other)
    ]
    assert torch.equal(hidden[0][1], hidden[1][1])
    assert not torch.equal(hidden[0][2], hidden[1][2])


@given(seeds)
def test_forced_networks_read_the_truth(seed):
    """Whatever they predict, then, they read the same, so that another decoder changes no other hint."""
    batch = Tensors.of(batch_of(drawn(Algorithm.BELLMAN_FORD, (6,), seed)))
    model = initialise(Settings(Algorithm.BELLMAN_FORD, hidden=8), seed)
    before, free = model(batch, forcing=1.0), model(batch)
    with torch.no_grad():
        model.hints["d"].read.bias += 3.0
    after, freed = model(batch, forcing=1.0), model(batch)
    assert torch.equal(before.hints["pi_h"], after.hints["pi_h"])
    if batch.steps > 1:
        assert not torch.equal(free.hints["pi_h"], freed.hints["pi_h"])


def test_a_seed_gives_the_same_weights_and_leaves_other_chance_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, again, other = (initialise(Settings(Algorithm.DFS, hidden=8), seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), again.parameters(), strict=True))
    assert not torch.equal(one.encoder.weight, other.encoder.weight)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Settings(Algorithm.BFS, hidden=0), "0 hidden features do not make 1 heads"),
        (lambda: Settings(Algorithm.BFS, hidden=9, heads=2), "that the number of heads divides"),
        (
            lambda: initialise(Settings(Algorithm.BFS, hidden=4), 0)(
                Tensors.of(batch_of([run(Algorithm.DFS, [[0]])]))
            ),
            "a network for bfs was given runs of dfs",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(AlgorithmError, match=message):
        make()
