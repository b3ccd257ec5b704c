"""Estimators for samples and for means over tasks: pass@k, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

CONFIDENCE = 0.95
"""The share of intervals that are to hold the true value."""

RESAMPLES = 10_000
"""How many times the tasks are drawn again for an interval."""

_AT_A_TIME = 4_000_000
"""How many numbers a batch of resamples may take."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval, which says how it would vary with the choice of tasks."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """The percentile bootstrap by task: whole tasks are drawn with replacement, ``resamples`` times.

    The same ``seed`` gives the same intervals, in whatever order the tasks come. Where all tasks have the
    same value the interval is a point, as resampling them shows nothing; with few tasks it is too narrow.
    After Efron 1979. Raises ``ValueError`` for a confidence that is not between 0 and 1, or no resamples.
    """

    confidence: float = CONFIDENCE
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"Bootstrap.confidence must be between 0 and 1, not {self.confidence}")
        if self.resamples < 1:
            raise ValueError(f"Bootstrap.resamples must be at least 1, not {self.resamples}")

    def mean(self, values: Sequence[float], weights: Sequence[float] | None = None) -> Estimate:
        """Estimate a mean over tasks: the sum of ``values`` by the sum of ``weights`` (default: 1 a task).

        With the number of right queries as values and that of all queries as weights it is the accuracy over
        queries. Raises ``ValueError`` where there are no tasks, or a weight is not positive.
        """
        weights = [1.0] * len(values) if weights is None else weights
        return self._ratio(list(zip(values, weights, strict=True)), (1.0,))

    def difference(
        self, first: Sequence[float], second: Sequence[float], weights: Sequence[float] | None = None
    ) -> Estimate:
        """Estimate by how much the mean of ``second`` is above that of ``first``, on the same tasks.

        Paired: each resample has both values of a task or neither, so that what makes a task hard for both
        drops out. Raises ``ValueError`` where there are no tasks, where the numbers of tasks differ, or where
        a weight is not positive.
        """
        weights = [1.0] * len(first) if weights is None else weights
        return self._ratio(list(zip(first, second, weights, strict=True)), (-1.0, 1.0))

    def _ratio(self, rows: Sequence[tuple[float, ...]], factors: tuple[float, ...]) -> Estimate:
        import numpy as np  # noqa: PLC0415  too slow to load for those who do not score

        if not rows:
            raise ValueError("there are no tasks to take a mean over")
        if not all(row[-1] > 0 for row in rows):
            raise ValueError("every task needs a positive weight")
        # Drawing how often each distinct row occurs is the same as drawing rows, and most tasks are alike.
        distinct, counts = np.unique(np.array(rows, dtype=float), axis=0, return_counts=True)
        numerators = distinct[:, :-1] @ np.array(factors)
        weights = distinct[:, -1]
        value = float(counts @ numerators / (counts @ weights))
        ratios = np.empty(self.resamples)
        generator = np.random.default_rng(self.seed)
        for start, drawn in _draws(generator, counts, self.resamples):
            ratios[start : start + len(drawn)] = (drawn @ numerators) / (drawn @ weights)
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(ratios, (tail, 1 - tail))
        return Estimate(value, float(low), float(high))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Give the chance that of ``k`` of ``n`` samples, ``correct`` of them right, at least one is right.

    Drawn without replacement, which is the unbiased estimator of Chen et al. 2021 ("Evaluating Large Language
    Models Trained on Code", equation 1). Raises ``ValueError`` for a ``k`` that is not from 1 to ``n``, or a
    ``correct`` that is not from 0 to ``n``.
    """
    if not (0 <= correct <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} cannot be estimated from {n} samples, {correct} of them right")
    everything = comb(n, k)
    return (everything - comb(n - correct, k)) / everything  # whole numbers, so nothing is lost to rounding


def _draws(
    generator: np.random.Generator, counts: np.ndarray, resamples: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield, in batches, how often each of the distinct tasks occurs in each resample."""
    tasks = int(counts.sum())
    batch = max(1, _AT_A_TIME // len(counts))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        yield start, generator.multinomial(tasks, counts / tasks, size=size)


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Give the interval of a proportion, 95 % by default (Wilson 1927); all there is without trials."""
    if not trials:
        return 0.0, 1.0
    share, weight = successes / trials, z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z * sqrt(share * (1 - share) / trials + weight / (4 * trials)) / (1 + weight)
    return max(0.0, centre - half), min(1.0, centre + half)
