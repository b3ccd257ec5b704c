"""The bandit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.allocation import ThompsonSampling


@given(arms=st.integers(1, 20), pulls=st.integers(0, 50), seed=st.text(max_size=5))
def test_all_pulls_are_given_out_and_the_same_again(arms, pulls, seed):
    first, second = (ThompsonSampling(arms, seed).choose(pulls) for _ in range(2))
    assert first == second
    assert sum(first) == pulls
    assert len(first) == arms


def test_the_better_arm_gets_most():
    bandit = ThompsonSampling(3, "seed")
    totals = [0, 0, 0]
    for _ in range(200):
        for arm, pulls in enumerate(bandit.choose(1)):
            for _ in range(pulls):
                totals[arm] += 1
                bandit.learn(arm, (0.1, 0.9, 0.2)[arm])
    assert totals[1] > 150


def test_a_bandit_without_arms_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        ThompsonSampling(0, "")
