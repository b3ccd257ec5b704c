"""Samples are drawn by a seed, of the shapes asked for, and padding changes nothing of them."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gnn_compile.clrs
from gnn_compile.clrs import Algorithm, Family, GraphKind, Sampler, batch_of, clrs30, run
from sandboxes.errors import AlgorithmError

sizes = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple)
seeds = st.integers(0, 2**32 - 1)
samplers = st.builds(Sampler, st.sampled_from(Algorithm), sizes, seeds, st.sampled_from(Family))


def same(one, other):
    return (one.algorithm, one.length) == (other.algorithm, other.length) and all(
        mine.keys() == theirs.keys()
        and all(
            np.array_equal(mine[name], theirs[name]) and mine[name].dtype == theirs[name].dtype
            for name in mine
        )
        for mine, theirs in (
            (one.inputs, other.inputs),
            (one.hints, other.hints),
            (one.outputs, other.outputs),
        )
    )


def neighbours(matrix):
    """Which pairs are linked, whichever way."""
    return {tuple(sorted(pair)) for pair in np.argwhere(matrix).tolist()}


def connected(matrix):
    return not (np.linalg.matrix_power(np.eye(len(matrix)) + (matrix + matrix.T > 0), len(matrix)) == 0).any()


@given(samplers)
def test_a_seed_gives_the_same_samples_again(sampler):
    first, again = (list(itertools.islice(sampler, 4)) for _ in range(2))
    assert all(map(same, first, again))
    assert [sample.size for sample in first] == list(itertools.islice(itertools.cycle(sampler.sizes), 4))


@pytest.mark.parametrize("family", [family for family in Family if family is not Family.COMPLETE])
def test_another_seed_gives_other_samples(family):
    drawn = {next(Sampler(Algorithm.DFS, (12,), seed, family).graphs())[0].tobytes() for seed in range(10)}
    assert len(drawn) == 10


@given(samplers, st.integers(1, 4), st.integers(0, 40))
def test_batches_are_the_samples_of_the_stream(sampler, runs, steps):
    stream = iter(sampler)
    for batch in itertools.islice(sampler.batches(runs, steps=steps), 2):
        assert len(batch) == runs
        assert all(same(batch.sample(index), next(stream)) for index in range(runs))
        assert batch.steps.shape[0] == max(steps, *batch.lengths, 0)


@given(st.sampled_from(Algorithm), sizes, seeds, st.integers(0, 12), st.integers(0, 60))
def test_padding_is_zero_and_changes_nothing(algorithm, sizes, seed, size, steps):
    samples = list(itertools.islice(Sampler(algorithm, sizes, seed), 3))
    batch = batch_of(samples, size=size, steps=steps)
    assert batch.nodes.sum(1).tolist() == [sample.size for sample in samples]
    assert batch.steps.sum(0).tolist() == [sample.length for sample in samples]
    for run_, sample in enumerate(samples):
        assert same(batch.sample(run_), sample)
    for whole, parts in (
        (batch.inputs, [sample.inputs for sample in samples]),
        (batch.hints, [sample.hints for sample in samples]),
        (batch.outputs, [sample.outputs for sample in samples]),
    ):
        for name, values in whole.items():
            inside = sum(np.count_nonzero(part[name]) for part in parts)
            assert np.count_nonzero(values) == inside  # so that all else is 0


@given(st.sampled_from(Family), st.integers(1, 12), seeds)
def test_a_directed_graph_without_cycles_has_none(family, size, seed):
    for matrix, source in itertools.islice(
        Sampler(Algorithm.TOPOLOGICAL_SORT, (size,), seed, family).graphs(), 3
    ):
        run(Algorithm.TOPOLOGICAL_SORT, matrix)  # which refuses cycles
        assert source is None


@given(
    st.sampled_from(Family),
    st.integers(1, 12),
    seeds,
    st.builds(GraphKind, st.booleans(), st.just(False), st.booleans()),
)
def test_a_graph_is_of_the_kind_asked_for(family, size, seed, kind):
    sampler = Sampler(Algorithm.BFS, (size,), seed, family, kind=kind, low=2, high=3)
    for matrix, source in itertools.islice(sampler.graphs(), 3):
        assert 0 <= source < size
        if not kind.directed:
            assert np.array_equal(matrix, matrix.T)
        weights = matrix[matrix != 0]
        assert ((weights >= 2) & (weights < 3.001)).all() if kind.weighted else (weights == 1).all()


EDGES = {
    Family.TREE: lambda n: n - 1,
    Family.PATH: lambda n: n - 1,
    Family.COMPLETE: lambda n: n * (n - 1) // 2,
    Family.BARABASI_ALBERT: lambda n: max(0, 2 * n - 3),
}


@given(st.sampled_from(sorted(EDGES)), st.sampled_from(Algorithm), st.integers(1, 20), seeds)
def test_a_family_has_its_edges_and_hangs_together(family, algorithm, size, seed):
    for matrix, _ in itertools.islice(Sampler(algorithm, (size,), seed, family).graphs(), 2):
        assert len(neighbours(matrix)) == EDGES[family](size)
        assert not np.diag(matrix).any()
        assert connected(matrix)


@given(st.integers(1, 30), seeds)
def test_a_path_is_one_and_a_grid_has_rows(size, seed):
    path = next(Sampler(Algorithm.BFS, (size,), seed, Family.PATH).graphs())[0]
    assert sorted(path.sum(0).tolist()) == ([1, 1] + [2] * (size - 2) if size > 1 else [0])
    grid = next(Sampler(Algorithm.BFS, (size,), seed, Family.GRID).graphs())[0]
    width = int(np.ceil(np.sqrt(size)))
    spots = [divmod(node, width) for node in range(size)]
    degrees = [sum(abs(r - y) + abs(c - x) == 1 for y, x in spots) for r, c in spots]
    assert sorted(grid.sum(0).tolist()) == sorted(degrees)
    assert connected(grid)


def test_numbers_and_directions_are_left_to_chance():
    paths = [next(Sampler(Algorithm.DFS, (5,), seed, Family.PATH).graphs())[0] for seed in range(100)]
    ends = {node for path in paths for node in np.flatnonzero((path + path.T).sum(0) == 1).tolist()}
    assert ends == set(range(5))
    most = [(path.sum(0).max(), path.sum(1).max()) for path in paths]  # 1 where all edges go the same way
    assert {(1, 1), (2, 1), (1, 2), (2, 2)} == set(most)


def test_the_popular_become_more_popular():
    """The largest degree grows like the root of the size; were all nodes alike, like its logarithm."""
    degrees = [
        matrix.sum(0).max()
        for matrix, _ in itertools.islice(
            Sampler(Algorithm.BFS, (100,), 1, Family.BARABASI_ALBERT).graphs(), 20
        )
    ]
    assert np.mean(degrees) > 15  # uniform links give about 11


def test_the_sets_of_the_benchmark_have_their_sizes():
    counted = {
        split: [sample.size for sample in clrs30(Algorithm.BFS, split)] for split in ("train", "val", "test")
    }
    assert counted == {"train": [16] * 1000, "val": [16] * 32, "test": [64] * 32}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": ()}, "sizes must be numbers of nodes"),
        ({"sizes": (4, 0)}, r"each 1 or more, not \(4, 0\)"),
        ({"probabilities": (0.5, 1.5)}, r"between 0 and 1, not be \(0.5, 1.5\)"),
        ({"probabilities": ()}, "probabilities must lie between 0 and 1"),
        ({"low": 2.0, "high": 1.0}, "not 2.0 and 1.0"),
        ({"low": -1.0}, "not -1.0 and 1.0"),
        ({"high": 0.0}, "not 0.0 and 0.0"),
        ({"high": float("nan")}, "not 0.0 and nan"),
        ({"seed": -1}, "a seed is a whole number from 0"),
        ({"kind": GraphKind(acyclic=True)}, "only directed graphs can be acyclic"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(AlgorithmError, match=message):
        Sampler(Algorithm.BFS, **settings)


def test_batches_of_nothing_or_of_several_algorithms_are_refused():
    with pytest.raises(AlgorithmError, match="this one is empty"):
        batch_of([])
    with pytest.raises(AlgorithmError, match="a sample at least, not 0"):
        next(Sampler(Algorithm.BFS).batches(0))
    with pytest.raises(AlgorithmError, match="one algorithm, not of bfs and dfs"):
        batch_of([run(Algorithm.BFS, [[0]], 0), run(Algorithm.DFS, [[0]])])
    with pytest.raises(AlgorithmError, match="the sets train, val, test, not 'all'"):
        clrs30(Algorithm.BFS, "all")


def test_the_package_shows_itself_as_it_is():
    assert doctest.testmod(gnn_compile.clrs).failed == 0
