"""Whose request is next."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.remote.budget import MemoryBudget
from sandboxes.remote.turns import TooManyError, Turns


def granted(turns):
    return [turn.granted.done() for turn in turns]


def test_clients_alternate_however_much_one_of_them_asks():
    async def scenario():
        line = Turns(servers=1, in_flight=1, waiting=300, waiting_in_all=300)
        many = [line.ask("many") for _ in range(200)]
        one = line.ask("one")
        assert granted([*many[:2], one]) == [True, False, False]
        line.leave(many[0])
        line.leave(many[1])
        assert granted([one, many[2]]) == [True, False]

    asyncio.run(scenario())


def test_a_client_has_its_share_while_servers_are_free():
    async def scenario():
        line = Turns(servers=3, in_flight=2, waiting=5, waiting_in_all=5)
        alice = [line.ask("alice") for _ in range(3)]
        bob = line.ask("bob")
        assert granted([*alice, bob]) == [True, True, False, True]
        line.free_server(alice[0])  # its results are still on the way
        assert not alice[2].granted.done()
        line.leave(alice[0])
        assert alice[2].granted.done()

    asyncio.run(scenario())


def test_a_line_that_is_too_long_turns_away():
    async def scenario():
        line = Turns(servers=1, in_flight=1, waiting=2, waiting_in_all=3)
        first = [line.ask("alice") for _ in range(3)]
        with pytest.raises(TooManyError):
            line.ask("alice")
        line.ask("bob")
        with pytest.raises(TooManyError):
            line.ask("carol")
        assert line.waiting == 3
        line.leave(first[1])
        line.ask("carol")

    asyncio.run(scenario())


@given(
    servers=st.integers(1, 4),
    in_flight=st.integers(1, 4),
    steps=st.lists(st.tuples(st.sampled_from(["ask", "free", "leave"]), st.integers(0, 30)), max_size=80),
)
def test_no_turn_is_lost_or_given_twice(servers, in_flight, steps):
    async def scenario():
        line = Turns(servers, in_flight, waiting=4, waiting_in_all=8)
        turns = []
        for step, number in steps:
            if step == "ask":
                try:
                    turns.append(line.ask("abc"[number % 3]))
                except TooManyError:
                    continue
            elif turns:
                turn = turns[number % len(turns)]
                if step == "free":
                    line.free_server(turn)
                else:
                    line.leave(turn)
                    turns.remove(turn)
            lent = sum(turn.holds_server for turn in turns)
            running = [sum(turn.holds_client and turn.client == name for turn in turns) for name in "abc"]
            waiting = [turn for turn in turns if not turn.granted.done()]
            assert lent <= servers
            assert max(running) <= in_flight
            assert line.waiting == len(waiting) <= 8
            if lent < servers:  # whoever waits nonetheless has its share already
                assert all(running["abc".index(turn.client)] == in_flight for turn in waiting)
        while turns:  # nobody waits for ever
            line.leave(next(turn for turn in turns if turn.granted.done()))
            turns = [turn for turn in turns if turn.holds_client or not turn.granted.done()]
        assert line.waiting == 0

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 60))))
def test_a_client_has_half_of_the_memory_at_most(takes):
    budget, taken = MemoryBudget(100), {"a": 0, "b": 0}
    for client, count in takes:
        fits = taken[client] + count <= 50
        assert budget.take(client, count) == fits
        taken[client] += count if fits else 0
    for client, count in taken.items():
        budget.give(client, count)
    assert budget.take("a", 50)
    assert budget.take("b", 50)
    assert not budget.take("c", 1)
