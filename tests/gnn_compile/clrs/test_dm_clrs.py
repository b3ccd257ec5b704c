"""What dm-clrs observes of an algorithm, we observe, to the last bit: recorded, and live where it is."""

from __future__ import annotations

import itertools
import json
import runpy
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn_compile.clrs import (
    SPECS,
    SPLITS,
    Algorithm,
    Sampler,
    Stage,
    batch_of,
    clrs30,
    needs_source,
    run,
    shape,
)

HERE = Path(__file__).parent
PROBABILITIES = (0.1, 0.3, 0.5, 0.9)
DRAWN = 2
"""How many graphs of each size from 1 to 16 dm-clrs has drawn, with the size as seed."""


class Recorded:
    """What dm-clrs observed; see make_fixtures.py."""

    def __init__(self, algorithm):
        with np.load(HERE / "fixtures" / f"{algorithm}.npz", allow_pickle=False) as file:
            self.columns = dict(file)
        self.algorithm = algorithm
        self.spec = json.loads(str(self.columns["spec"]))
        self.sizes = self.columns["sizes"].tolist()
        self.lengths = self.columns["lengths"].tolist()
        self.sources = [None if source < 0 else source for source in self.columns["sources"].tolist()]

    def values(self, name):
        """Give the values of each graph, one after another."""
        probe = SPECS[self.algorithm][name]
        column, start = self.columns[f"{probe.stage}_{name}"], 0
        for size, length in zip(self.sizes, self.lengths, strict=True):
            dimensions = (
                shape(probe, size) if probe.stage is not Stage.HINT else (length, *shape(probe, size))
            )
            end = start + int(np.prod(dimensions))
            yield column[start:end].reshape(dimensions)
            start = end
        assert start == len(column)


@pytest.fixture(params=Algorithm)
def recorded(request):
    return Recorded(request.param)


def ours(sample):
    return {**sample.inputs, **sample.hints, **sample.outputs}


def test_the_fixtures_say_where_they_are_from_and_cover_small_graphs(recorded):
    assert str(recorded.columns["version"]) == "2.0.3"
    assert set(recorded.sizes) == set(range(1, 17))
    assert len(recorded.sizes) >= 40


def test_the_spec_is_theirs(recorded):
    assert [(name, tuple(probe)) for name, probe in SPECS[recorded.algorithm].items()] == [
        (name, tuple(probe)) for name, probe in recorded.spec.items()
    ]


def test_every_value_of_every_run_is_theirs(recorded):
    matrices = recorded.values("A")
    samples = [run(recorded.algorithm, A, s) for A, s in zip(matrices, recorded.sources, strict=True)]
    assert [sample.length for sample in samples] == recorded.lengths
    for name in recorded.spec:
        for sample, values in zip(samples, recorded.values(name), strict=True):
            assert ours(sample)[name].shape == values.shape, name
            assert np.array_equal(ours(sample)[name], values), (name, sample.inputs["A"])


def test_a_seed_draws_their_graphs(recorded):
    theirs = zip(recorded.values("A"), recorded.sources, strict=True)
    for size in range(1, 17):
        graphs = Sampler(recorded.algorithm, (size,), size, probabilities=PROBABILITIES).graphs()
        for (matrix, source), (their_matrix, their_source) in itertools.islice(
            zip(graphs, theirs, strict=False), DRAWN
        ):
            assert np.array_equal(matrix, their_matrix)
            assert source == their_source


@pytest.fixture(scope="module")
def dm_clrs():
    """The functions of make_fixtures.py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(
            "clrs", reason="dm-clrs is not installed; its recorded values are compared all the same"
        )
        return runpy.run_path(str(HERE / "make_fixtures.py"))


@given(
    st.sampled_from(Algorithm), st.integers(1, 24), st.floats(0, 1), st.integers(0, 2**32 - 1), st.booleans()
)
@settings(max_examples=200, deadline=None)
def test_a_run_is_theirs_live(dm_clrs, algorithm, size, probability, seed, directed):
    rng = np.random.default_rng(seed)
    matrix = rng.random((size, size)) * (rng.random((size, size)) < probability)
    if algorithm is Algorithm.TOPOLOGICAL_SORT:
        order = rng.permutation(size)
        matrix = np.triu(matrix, k=1)[order][:, order]
    elif not directed:
        matrix = np.sqrt(matrix * matrix.T)
    source = int(rng.integers(size)) if needs_source(algorithm) else None
    sample = ours(run(algorithm, matrix, source))
    theirs = dm_clrs["observed"](algorithm, matrix, source)
    assert list(theirs) == list(SPECS[algorithm])
    for name, values in theirs.items():
        assert np.array_equal(sample[name].ravel(), values.ravel()), name


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_the_sets_of_the_benchmark_are_theirs_live(dm_clrs, algorithm, split):
    samples, size, seed = SPLITS[split]
    count = min(samples, 100)  # of 1000 for training, which are one stream
    theirs = dm_clrs["feedback"](algorithm, count, seed=seed, length=size)
    batch = batch_of(list(itertools.islice(clrs30(algorithm, split), count)))
    assert np.array_equal(batch.lengths, theirs.features.lengths)
    for values, points in (
        (batch.inputs, theirs.features.inputs),
        (batch.hints, theirs.features.hints),
        (batch.outputs, theirs.outputs),
    ):
        assert list(values) == [point.name for point in points]
        for point in points:
            assert np.array_equal(values[point.name], point.data), point.name
