"""What a concept is worth: tasks that it was shown to, against those that it was held out from.

A task is solved or not, with a concept and without it, so each of the two rates of solving has a Beta
posterior. Concepts are judged with a uniform prior on both rates: one task solved and one not are imagined
on each side, so an untried concept is worth nothing, and nothing is held against it. They are tried with
more hope: two further tasks are imagined to have been solved with the concept, so an untried one is shown
three times of four.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from memory.concept import Concept, Statistics

CONFIDENCE = 0.9
"""The share of intervals that are to hold the true value."""

HOPE = 2
"""How many tasks more are imagined to have been solved with a concept when it is decided whether to try
it."""

DOUBT = 0.25
"""A concept keeps its rank until it is less probable than this that it helps."""

MOST_HARMED = 7
"""To how many tasks, but for one time in a hundred, a concept is shown that makes fail whatever it is shown
to and would be solved without it: the exact distribution for a concept alone says 0.998, and one recalled
with others that do no harm is shown no more often. Where several do such harm, they are shown until all
happen to be held out."""

_NORMAL = NormalDist()
_HALF_WIDTH = _NORMAL.inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True, slots=True)
class Value:
    """How much larger the share of tasks solved is with a concept than without it, and a 90 % interval."""

    gain: float
    low: float
    high: float


def value_of(statistics: Statistics) -> Value:
    """Judge a concept: the means of both posteriors, and the normal distribution with their variances."""
    gain, deviation = _difference(statistics)
    margin = _HALF_WIDTH * deviation
    return Value(gain, max(-1.0, gain - margin), min(1.0, gain + margin))


def standing(statistics: Statistics) -> float:
    """Give what recall multiplies scores with: 1 for the untried, towards 0 for what surely harms."""
    return min(1.0, _helps(statistics) / DOUBT)


def shown(concepts: Sequence[Concept], seed: str) -> tuple[list[Concept], list[Concept]]:
    """Split recalled concepts, in their order, into those to show for a task and those to hold out from it.

    By Thompson sampling: of each concept, rates of solving with it and without it are drawn from their
    posteriors, and it is held out where the draw with it is the smaller one. So what helps is held out ever
    more seldom, and what harms shown ever more seldom. At most half of the concepts, rounded up, are held
    out, the least valuable ones, save that those which the record speaks against may all be. The same seed,
    say the task's name, gives the same split as long as the counters are the same.
    """
    gains = [value_of(concept.statistics).gain for concept in concepts]
    doubted = [index for index, concept in enumerate(concepts) if not _is_drawn(concept, seed)]
    out = {index for index in doubted if gains[index] < 0}
    # The others are spared where too many would be missing, the most valuable first.
    spare = max(0, (len(concepts) + 1) // 2 - len(out))
    out |= set(sorted(set(doubted) - out, key=lambda index: (gains[index], -index))[:spare])
    return (
        [concept for index, concept in enumerate(concepts) if index not in out],
        [concept for index, concept in enumerate(concepts) if index in out],
    )


def _is_drawn(concept: Concept, seed: str) -> bool:
    content = "\0".join([seed, concept.id or concept.name]).encode("utf-8", "surrogatepass")
    draw = random.Random(hashlib.sha256(content).digest())  # noqa: S311  no secret
    fared = concept.statistics
    with_it = draw.betavariate(1 + HOPE + fared.wins, 1 + fared.losses)
    return with_it >= draw.betavariate(1 + fared.wins_without, 1 + fared.losses_without)


def _helps(statistics: Statistics) -> float:
    """Give the probability that a concept's rate of solving is larger than the rate without it."""
    gain, deviation = _difference(statistics)
    return _NORMAL.cdf(gain / deviation)


def _difference(statistics: Statistics) -> tuple[float, float]:
    mean, variance = _beta(1 + statistics.wins, 1 + statistics.losses)
    mean_without, variance_without = _beta(1 + statistics.wins_without, 1 + statistics.losses_without)
    return mean - mean_without, math.sqrt(variance + variance_without)


def _beta(solved: int, failed: int) -> tuple[float, float]:
    number = solved + failed
    return solved / number, solved * failed / number**2 / (number + 1)
