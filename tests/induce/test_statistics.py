"""Estimators, against brute force, against SciPy, and against what is known to be true."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from induce.statistics import Bootstrap, pass_at_k

VALUES = st.lists(st.integers(0, 8), min_size=1, max_size=12)


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples, data):
    k = data.draw(st.integers(1, len(samples)))
    subsets = list(combinations(samples, k))
    expected = sum(map(any, subsets)) / len(subsets)
    assert pass_at_k(len(samples), sum(samples), k) == pytest.approx(expected, abs=1e-15)


@given(st.integers(1, 2_000), st.data())
def test_pass_at_k_is_the_authors_formula_for_many_samples(n, data):
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    product = 1.0 if n - correct < k else 1 - np.prod(1 - k / np.arange(n - correct + 1, n + 1))
    assert pass_at_k(n, correct, k) == pytest.approx(product, abs=1e-9)


@pytest.mark.parametrize(("n", "correct", "k"), [(5, 1, 6), (5, 6, 1), (5, -1, 1), (5, 1, 0), (0, 0, 1)])
def test_pass_at_k_of_what_was_not_sampled_is_refused(n, correct, k):
    with pytest.raises(ValueError, match=f"pass@{k} cannot be estimated from {n} samples"):
        pass_at_k(n, correct, k)


@given(VALUES)
def test_an_interval_lies_within_the_values(values):
    estimate = Bootstrap(resamples=200).mean(values)
    assert estimate.value == pytest.approx(np.mean(values))
    tolerance = 1e-12
    assert min(values) - tolerance <= estimate.low <= estimate.high <= max(values) + tolerance


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 8)), min_size=1, max_size=12), st.randoms())
def test_the_order_of_the_tasks_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    bootstrap = Bootstrap(resamples=200)
    assert bootstrap.mean(*zip(*rows, strict=True)) == bootstrap.mean(*zip(*shuffled, strict=True))


def test_a_seed_says_which_interval():
    values = list(range(40))
    first = Bootstrap(resamples=100, seed=1).mean(values)
    assert Bootstrap(resamples=100, seed=1).mean(values) == first
    assert Bootstrap(resamples=100, seed=2).mean(values) != first


def test_a_higher_confidence_is_a_wider_interval():
    values = [0, 0, 1, 1, 1, 0, 1, 0, 0, 1] * 5
    narrow, wide = (Bootstrap(confidence=confidence).mean(values) for confidence in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


@pytest.mark.parametrize("tasks", [30, 125])
def test_a_mean_has_the_interval_that_scipy_gives_it(tasks):
    generator = np.random.default_rng(tasks)
    queries = generator.integers(1, 9, tasks)
    right = generator.binomial(queries, generator.beta(0.5, 0.4, tasks))
    ours = Bootstrap(resamples=40_000).mean(right.tolist(), queries.tolist())
    theirs = by_scipy((right, queries), lambda r, q, axis: r.sum(axis) / q.sum(axis))
    assert_alike(ours, theirs)


def test_a_mean_over_more_tasks_than_fit_in_a_batch_has_too():
    values = np.random.default_rng(0).gamma(2.0, size=3_000)
    ours = Bootstrap(resamples=3_000).mean(values.tolist())
    assert_alike(ours, by_scipy((values,), lambda v, axis: v.mean(axis), resamples=3_000), share=0.1)


def test_a_difference_has_the_interval_that_scipy_gives_it():
    generator = np.random.default_rng(3)
    ease = generator.beta(0.5, 0.5, 80)
    first, second = generator.binomial(8, ease), generator.binomial(8, np.minimum(1, ease + 0.05))
    ours = Bootstrap(resamples=40_000).difference(first.tolist(), second.tolist(), [8] * 80)
    theirs = by_scipy((first, second), lambda a, b, axis: (b - a).sum(axis) / (8 * 80))
    assert_alike(ours, theirs)
    unpaired = [Bootstrap().mean(values.tolist(), [8] * 80) for values in (first, second)]
    assert ours.value == pytest.approx(unpaired[1].value - unpaired[0].value)
    assert ours.high - ours.low < unpaired[0].high - unpaired[0].low


def by_scipy(columns, statistic, resamples=40_000):
    with np.errstate(all="raise"):
        return scipy.stats.bootstrap(
            columns,
            statistic,
            paired=True,
            vectorized=True,
            n_resamples=resamples,
            batch=1_000,
            method="percentile",
            random_state=np.random.default_rng(99),
        ).confidence_interval


def assert_alike(ours, theirs, share=0.03):
    """Whether two intervals differ by no more than a share of their width, as chance makes them."""
    allowed = share * (theirs.high - theirs.low)
    assert ours.low == pytest.approx(theirs.low, abs=allowed)
    assert ours.high == pytest.approx(theirs.high, abs=allowed)


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    generator = np.random.default_rng(11)
    truth = 0.7 / (0.7 + 0.5)
    bootstrap = Bootstrap(resamples=1_000)
    held = 0
    for _ in range(500):
        right = generator.binomial(8, generator.beta(0.7, 0.5, 100))
        estimate = bootstrap.mean(right.tolist(), [8] * 100)
        held += estimate.low <= truth <= estimate.high
    assert 0.925 <= held / 500 <= 0.975


def test_intervals_hold_the_true_difference_as_often_as_they_say():
    """Of runs that fail on the same tasks, where unpaired intervals would hold it nearly always."""
    generator = np.random.default_rng(12)
    bootstrap = Bootstrap(confidence=0.8, resamples=1_000)
    held = 0
    for _ in range(500):
        hard = generator.random(100) < 0.4
        first, second = (~hard & (generator.random(100) < chance) for chance in (0.8, 0.9))
        estimate = bootstrap.difference(first.tolist(), second.tolist())
        held += estimate.low <= 0.6 * (0.9 - 0.8) <= estimate.high
    assert 0.75 <= held / 500 <= 0.85


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"confidence": 1.0}, "between 0 and 1"),
        ({"confidence": 0}, "0 and 1"),
        ({"resamples": 0}, "at least 1"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Bootstrap(**settings)


def test_what_has_no_mean_is_refused():
    with pytest.raises(ValueError, match="no tasks"):
        Bootstrap().mean([])
    with pytest.raises(ValueError, match="positive weight"):
        Bootstrap().mean([1, 2], [1, 0])
    with pytest.raises(ValueError, match="shorter"):
        Bootstrap().difference([1, 2], [1])
