"""Which hypothesis deserves the next program."""

from __future__ import annotations

import hashlib
from typing import Literal

import numpy as np

Allocation = Literal["fixed", "bandit"]
"""``fixed``: every hypothesis gets the same number of programs; ``bandit``: the same number in all, but those
hypotheses get more of them whose programs came nearer to the examples."""


class ThompsonSampling:
    """A bandit whose arms are hypotheses and whose rewards are fractions of examples satisfied.

    Beta-Bernoulli Thompson sampling (Chapelle and Li 2011), with a fractional reward counted as that
    fraction of a success. The same ``seed`` and rewards give the same choices.
    """

    def __init__(self, arms: int, seed: str) -> None:
        if arms < 1:
            raise ValueError(f"a bandit needs at least one arm, not {arms}")
        self._successes = np.ones(arms)
        self._failures = np.ones(arms)
        digest = hashlib.sha256(seed.encode()).digest()
        self._random = np.random.default_rng(int.from_bytes(digest[:8], "big"))

    def choose(self, pulls: int) -> list[int]:
        """Say which arms to pull next, ``pulls`` of them, as a count for each arm."""
        counts = [0] * len(self._successes)
        for _ in range(pulls):
            counts[int(np.argmax(self._random.beta(self._successes, self._failures)))] += 1
        return counts

    def learn(self, arm: int, reward: float) -> None:
        """Take note of what a pull of ``arm`` gave, from 0 to 1."""
        self._successes[arm] += reward
        self._failures[arm] += 1 - reward
