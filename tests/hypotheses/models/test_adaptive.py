"""How many samples may be under way: less after an overload, more while all goes well, fair among many."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypotheses.models.adaptive import CUT, AdaptiveLimit


def full_round(limit):
    """Have as much answered as may be under way."""
    room = limit.room
    for _ in range(room):
        limit.answered(limit.cuts, 1, room)


MOST = st.integers(1, 1000)
EVENTS = st.one_of(
    st.tuples(st.just("answered"), st.integers(0, 5), st.integers(1, 64), st.integers(1, 2000)),
    st.tuples(st.just("refused"), st.integers(0, 5)),
    st.tuples(st.just("queue")),
    st.tuples(st.just("most"), MOST),
)


@given(MOST, st.lists(EVENTS, max_size=80))
def test_whatever_happens_it_is_between_one_and_the_most(most, events):
    limit = AdaptiveLimit(most)
    assert limit.value == limit.room == most
    for kind, *more in events:
        match kind:
            case "answered":
                ago, samples, under_way = more
                limit.answered(limit.cuts - ago, samples, under_way)
            case "refused":
                limit.overloaded(limit.cuts - more[0])
            case "queue":
                limit.overloaded()
            case "most":
                [most] = more
                limit.set_most(most)
        assert 1 <= limit.value <= limit.most == most
        assert limit.value - 1 < limit.room <= limit.value + 1e-6


@given(MOST, st.integers(1, 30))
def test_after_a_cut_it_is_soon_the_most_again(most, cuts):
    limit = AdaptiveLimit(most)
    limit.overloaded(limit.cuts)
    rounds = 0
    while limit.value < most:
        full_round(limit)
        rounds += 1
    assert rounds <= 12
    for _ in range(cuts):
        limit.overloaded(limit.cuts)
    for _ in range(24):  # from nothing, perhaps
        full_round(limit)
    assert limit.value == most


@given(MOST, st.integers(1, 100))
def test_a_round_that_is_refused_cuts_once(most, refused):
    limit = AdaptiveLimit(most)
    begun = limit.cuts
    assert [limit.overloaded(begun) for _ in range(refused)] == [True] + [False] * (refused - 1)
    assert limit.value == max(1, CUT * most)
    limit.answered(begun, most, most)  # of the time before, too
    assert limit.value == max(1, CUT * most)


@given(MOST)
def test_a_queue_that_stays_cuts_again_only_once_something_newer_came_back(most):
    limit = AdaptiveLimit(most)
    begun = limit.cuts
    assert limit.overloaded()
    assert not limit.overloaded()
    limit.answered(begun, 1, most)
    assert not limit.overloaded()
    limit.answered(limit.cuts, 1, most)
    assert limit.overloaded()


@given(st.integers(2, 1000), st.data())
def test_what_the_limit_does_not_hold_back_does_not_raise_it(most, data):
    limit = AdaptiveLimit(most)
    limit.overloaded()
    before = limit.value
    limit.answered(limit.cuts, 1, data.draw(st.integers(0, (limit.room - 1) // 2)))
    assert limit.value == before
    limit.answered(limit.cuts, 1, limit.room)
    assert limit.value > before


@given(MOST, MOST, st.integers(0, 10))
def test_another_most_leaves_the_limit_the_same_share_of_it(most, other, cuts):
    limit = AdaptiveLimit(most)
    for _ in range(cuts):
        limit.overloaded(limit.cuts)
    before = limit.value
    limit.set_most(other)
    assert limit.value == pytest.approx(max(1, before / most * other))
    limit.set_most(most)
    assert limit.value == before


def test_less_than_one_is_refused():
    with pytest.raises(ValueError, match="at least one sample must be allowed at an endpoint, not 0"):
        AdaptiveLimit(4).set_most(0)


@dataclass
class Shared:
    """A server with so many slots, which refuses what is more, whosever it is."""

    slots: int
    limits: list[AdaptiveLimit]
    dice: Random

    def round(self):
        """Have every client ask for all that it may, in any order; give how much that was of each."""
        asked = [limit.room for limit in self.limits]
        requests = [(limit, limit.cuts, limit.room) for limit in self.limits for _ in range(limit.room)]
        self.dice.shuffle(requests)
        for number, (limit, begun, under_way) in enumerate(requests):
            if number < self.slots:
                limit.answered(begun, 1, under_way)
            else:
                limit.overloaded(begun)
        return asked


@given(
    st.integers(1, 12),  # clients
    st.integers(8, 40),  # slots for each
    st.lists(st.integers(0, 12), min_size=12, max_size=12),  # how often each was cut before
    st.integers(0, 1000),
)
def test_clients_of_one_server_share_it_fairly_and_use_it(clients, slots_each, cuts, seed):
    slots = clients * slots_each
    limits = [AdaptiveLimit(min(slots, 4 * slots_each)) for _ in range(clients)]
    for limit, count in zip(limits, cuts, strict=False):
        for _ in range(count):
            limit.overloaded(limit.cuts)
    server = Shared(slots, limits, Random(seed))
    for _ in range(100):
        server.round()
    rounds = [server.round() for _ in range(200)]
    together = [sum(asked) for asked in rounds]
    assert 0.6 * slots <= sum(together) / len(together) <= 1.3 * slots
    shares = [sum(asked) / len(rounds) for asked in zip(*rounds, strict=True)]
    assert max(shares) <= 2 * min(shares)
