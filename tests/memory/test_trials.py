"""What a concept is worth, and which ones a task is shown."""

from dataclasses import replace
from math import exp, lgamma

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory import Concept, RecallQuery, Statistics
from memory.trials import MOST_HARMED, shown, standing, value_of

COUNTS = st.integers(0, 40)
FARED = st.builds(Statistics, wins=COUNTS, losses=COUNTS, wins_without=COUNTS, losses_without=COUNTS)
CONCEPTS = st.lists(FARED, max_size=9).map(
    lambda fared: [Concept(f"c{n}", "", id=f"c{n}", statistics=one) for n, one in enumerate(fared)]
)


def trials(wins, losses, wins_without, losses_without):
    return Statistics(wins=wins, losses=losses, wins_without=wins_without, losses_without=losses_without)


def test_an_untried_concept_is_worth_nothing_that_one_could_be_sure_of():
    value = value_of(Statistics())
    assert value.gain == 0
    assert value.low == -value.high < -0.6
    assert standing(Statistics()) == 1


def test_a_value_is_the_difference_of_the_rates_and_its_interval_narrows():
    few, many = value_of(trials(6, 2, 2, 6)), value_of(trials(600, 200, 200, 600))
    assert few.gain == pytest.approx(0.4)
    assert many.gain == pytest.approx(0.5, abs=0.01)
    assert few.low > 0
    assert many.high - many.low < (few.high - few.low) / 5
    # Of two million differences of draws from both posteriors, 90 % are in (0.058, 0.700).
    assert (few.low, few.high) == pytest.approx((0.058, 0.700), abs=0.04)


@given(FARED)
def test_values_are_within_their_intervals_and_standings_between_nothing_and_all(fared):
    value = value_of(fared)
    assert -1 <= value.low <= value.gain <= value.high <= 1
    assert 0 <= standing(fared) <= 1


@given(FARED)
def test_a_win_never_lowers_a_standing_and_a_win_without_never_raises_it(fared):
    assert standing(replace(fared, wins=fared.wins + 1)) >= standing(fared) - 0.02
    assert standing(replace(fared, wins_without=fared.wins_without + 1)) <= standing(fared) + 0.02


def test_what_surely_harms_loses_all_standing_and_what_surely_helps_none():
    assert standing(trials(0, 6, 10, 0)) < 1e-6
    assert standing(trials(10, 0, 0, 6)) == 1
    assert standing(trials(5, 5, 5, 5)) == 1


def test_an_untried_concept_is_shown_three_times_of_four():
    times = sum(bool(shown([Concept("c", "", id="c")], f"task {number}")[0]) for number in range(4_000))
    assert times / 4_000 == pytest.approx(0.75, abs=0.03)


@given(CONCEPTS, st.text(max_size=8))
def test_concepts_are_split_in_their_order_and_always_alike(concepts, seed):
    kept, out = shown(concepts, seed)
    assert (kept, out) == shown(concepts, seed)
    assert sorted(kept + out, key=concepts.index) == concepts
    assert kept == [one for one in concepts if one in kept]
    # Beyond a half, only those are missing that the record speaks against.
    missing = [one for one in out if value_of(one.statistics).gain >= 0]
    assert len(out) <= (len(concepts) + 1) // 2 or not missing


@given(CONCEPTS, st.text(max_size=8))
def test_whether_a_concept_is_drawn_does_not_depend_on_the_others(concepts, seed):
    _, out = shown(concepts, seed)
    for one in out:
        assert shown([one], seed) == ([], [one])


def tried(concepts, tasks, name, harmful=("c0",)):
    """Try concepts on tasks that are solved unless something harmful is shown; give how often each was."""
    times = dict.fromkeys((one.id for one in concepts), 0)
    for number in range(tasks):
        kept, _ = shown(concepts, f"{name} {number}")
        solved = not any(one.id in harmful for one in kept)
        for one in kept:
            times[one.id] += 1
        concepts = [after(one, solved, with_it=one in kept) for one in concepts]
    return times


def after(concept, solved, *, with_it):
    field = ("wins" if solved else "losses") + ("" if with_it else "_without")
    fared = replace(concept.statistics, **{field: getattr(concept.statistics, field) + 1})
    return replace(concept, statistics=fared)


def probability_of_at_most(number, tasks):
    """The exact probability that a concept that always harms is shown to at most so many tasks."""

    def log_beta(a, b):
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    def is_shown(lost, won_without):  # the mean of W ** (m + 1), where W is Beta(3, 1 + n)
        return exp(log_beta(4 + won_without, 1 + lost) - log_beta(3, 1 + lost))

    probabilities = {0: 1.0}
    for task in range(tasks):
        following = {}
        for lost, probability in probabilities.items():
            chance = is_shown(lost, task - lost)
            following[lost] = following.get(lost, 0) + probability * (1 - chance)
            if lost <= number:
                following[lost + 1] = following.get(lost + 1, 0) + probability * chance
        probabilities = following
    return sum(probability for lost, probability in probabilities.items() if lost <= number)


def test_what_always_harms_is_shown_to_a_bounded_number_of_tasks():
    assert probability_of_at_most(MOST_HARMED, 2_000) > 0.99
    assert probability_of_at_most(MOST_HARMED - 3, 2_000) < 0.99  # the bound is no loose one
    harmful = [Concept("c0", "", id="c0")]
    times = [tried(harmful, 60, f"run {run}")["c0"] for run in range(200)]
    assert sum(one <= MOST_HARMED for one in times) >= 198


def test_what_always_harms_is_found_out_among_others_which_go_on_being_shown():
    concepts = [Concept(f"c{number}", "", id=f"c{number}") for number in range(4)]
    times, others = [], []
    for run in range(100):
        counted = tried(concepts, 60, f"run {run}")
        times.append(counted["c0"])
        others += [counted[f"c{number}"] for number in range(1, 4)]
    assert sum(others) / len(others) > 25
    assert sum(one <= MOST_HARMED for one in times) >= 98


def test_recall_puts_what_harms_behind_the_others_and_leaves_the_untried_in_their_order(store):
    ids = store.add([Concept(f"mirror {number}", "the same words") for number in range(4)])
    query = RecallQuery("mirror words")
    before = [one.concept.id for one in store.recall(query)]
    assert set(before) == set(ids)
    store.count(before[:1], losses=5, wins_without=5)
    weighed = store.recall(query)
    assert [one.concept.id for one in weighed] == [*before[1:], before[0]]
    assert [one.score for one in weighed] == sorted((one.score for one in weighed), reverse=True)
    assert before[0] not in [one.concept.id for one in store.recall(query, most=3)]
    store.count(before[2:3], wins=5, losses_without=5)
    assert [one.concept.id for one in store.recall(query)] == [*before[1:], before[0]]
