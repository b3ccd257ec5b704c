"""Endpoints that have too much to do: they are asked less and waited for, not given up."""

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_endpoint import ScriptedEndpoint, ask, ask_for, busy, client_of, collect, samples_of
from virtual_time import run

from hypotheses.models.chat import ModelDownError
from hypotheses.models.client import ClientConfig, ModelClient
from sandboxes.errors import ModelError


def full(**options):
    """A refusal for want of room."""
    return busy("429 too many", overloaded=True, **options)


class Shared:
    """A server with ``slots``, at which several clients have an endpoint each: it refuses what is more."""

    def __init__(self, slots, dice):
        self.slots = slots
        self.dice = dice
        self.busy = self.given = 0


class Door(ScriptedEndpoint):
    """The way of one client to a server that it shares."""

    def __init__(self, server):
        super().__init__(seconds=lambda request: server.dice.uniform(0.5, 1.5))
        self.server = server
        self.gave = 0

    async def ask(self, request):
        if self.server.busy + request.n > self.server.slots:
            raise full()
        self.server.busy += request.n
        try:
            answer = await super().ask(request)
        finally:
            self.server.busy -= request.n
        self.server.given += request.n
        self.gave += request.n
        return answer


def sampling(client, first, count):
    return [collect(client, ask_for(first=number)) for number in range(first, first + count)]


def test_an_overloaded_endpoint_is_asked_less_and_more_again_when_it_answers():
    endpoint = ScriptedEndpoint(full())
    client = client_of(endpoint, concurrency=16)

    async def main():
        first = [asyncio.create_task(one) for one in sampling(client, 0, 16)]
        await asyncio.sleep(1)
        await asyncio.sleep(0)
        assert client.limits == (pytest.approx(0.7 * 16),)
        await asyncio.gather(*first)
        await asyncio.gather(*sampling(client, 16, 200))
        assert client.limits == (16,)

    run(main())


def test_many_refusals_open_no_circuit_breaker_and_all_is_answered_in_the_end():
    endpoint = ScriptedEndpoint(*[full()] * 100, seconds=0.01)
    client = client_of(endpoint, concurrency=64, failures=3, attempts=2)

    async def main():
        answers = await asyncio.gather(*sampling(client, 0, 64))
        assert asyncio.get_running_loop().time() < 120
        return answers

    assert [samples_of(one) for one in run(main())] == [[number] for number in range(64)]


def test_what_is_refused_again_and_again_is_asked_more_and_more_rarely():
    endpoint = ScriptedEndpoint(*[full()] * 1000, seconds=0)
    client = client_of(endpoint, concurrency=4, cool_down=15)

    async def main():
        with pytest.raises(ModelDownError):
            await collect(client, ask_for())

    run(main())
    assert endpoint.times[-1] >= 100
    assert len(endpoint.times) < 25


@pytest.mark.parametrize("retry_after", [None, 0, 10])
def test_one_that_refuses_all_is_waited_for_as_long_as_patience_says(retry_after):
    """However many wait: it is not up to each to find out for itself."""
    endpoint = ScriptedEndpoint(*[full(retry_after=retry_after)] * 5000, seconds=0, name="http://h/v1")
    client = client_of(endpoint, concurrency=16, patience=120)

    async def main():
        outcomes = await asyncio.gather(*sampling(client, 0, 200), return_exceptions=True)
        return outcomes, asyncio.get_running_loop().time()

    outcomes, seconds = run(main())
    assert all(isinstance(outcome, ModelDownError) for outcome in outcomes)
    assert all("http://h/v1: 429 too many" in str(outcome) for outcome in outcomes)
    assert 100 <= seconds <= 260
    assert client.under_way == client.waiting == 0


def test_one_that_is_at_work_is_waited_for_however_long_it_refuses_more():
    endpoint = ScriptedEndpoint(1, *[full()] * 3, seconds=lambda r: 500 if r.first == 0 else 0)
    client = client_of(endpoint, concurrency=4, patience=20, attempts=2, backoff=0.1)

    async def main():
        return await asyncio.gather(*sampling(client, 0, 4), return_exceptions=True)

    assert [samples_of(one) for one in run(main())] == [[0], [1], [2], [3]]


def test_without_patience_attempts_are_all_there_is():
    endpoint = ScriptedEndpoint(*[full()] * 9, seconds=0)
    with pytest.raises(ModelError, match="asked 3 times in vain, last scripted: 429 too many"):
        ask(client_of(endpoint, attempts=3, patience=0), ask_for())
    assert len(endpoint.requests) == 3


def test_overloads_do_not_use_up_the_attempts_at_what_fails():
    endpoint = ScriptedEndpoint(*[full()] * 5, busy(), busy(), seconds=0)
    assert samples_of(ask(client_of(endpoint, attempts=3), ask_for())) == [0]


def test_work_goes_to_the_endpoint_that_has_room():
    tired = ScriptedEndpoint(*[full()] * 1000, seconds=0)
    fresh = ScriptedEndpoint(seconds=1)
    client = client_of(tired, fresh, concurrency=8)

    async def main():
        await asyncio.gather(*sampling(client, 0, 80))
        assert asyncio.get_running_loop().time() <= 15

    run(main())
    assert len(fresh.requests) == 80
    assert len(tired.requests) < 40


def test_a_request_for_several_goes_out_whole_while_the_limit_allows_and_in_parts_below():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, concurrency=6)

    async def main():
        asking = [asyncio.create_task(collect(client, ask_for(5, first))) for first in (0, 5)]
        await asyncio.sleep(0.5)
        assert (client.under_way, client.waiting) == (5, 5)
        client.set_share(2)
        await asyncio.gather(*asking)

    run(main())
    assert [(request.first, request.n) for request in endpoint.requests] == [(0, 5), (5, 2), (7, 2), (9, 1)]


def test_a_larger_share_is_used_at_once():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, concurrency=1)

    async def main():
        asking = [asyncio.create_task(one) for one in sampling(client, 0, 9)]
        await asyncio.sleep(0.5)
        client.set_share(5)
        await asyncio.sleep(0)
        assert client.under_way == 5
        await asyncio.gather(*asking)

    run(main())
    assert endpoint.most_in_flight == 5
    with pytest.raises(ValueError, match="at least one sample"):
        client.set_share(0)


def test_a_queue_at_the_server_is_told_by_name_or_index():
    client = client_of(ScriptedEndpoint(name="one"), ScriptedEndpoint(name="two"), concurrency=10)
    client.overloaded("two")
    assert client.limits == (10, 7)
    client.overloaded(0)
    assert client.limits == (7, 7)
    client.overloaded(1)  # nothing has come back since
    assert client.limits == (7, 7)
    for unknown in ("three", 2, -1):
        with pytest.raises(ValueError, match=f"m has no endpoint {unknown!r}; it has one, two"):
            client.overloaded(unknown)


@pytest.mark.parametrize(("clients", "slots_each"), [(1, 8), (2, 4), (3, 8)])
@pytest.mark.parametrize("seed", range(3))
def test_clients_that_know_nothing_of_each_other_share_a_server(clients, slots_each, seed):
    """From the first moment on, at which each asks for twice what the server can do."""
    dice = Random(seed)
    server = Shared(clients * slots_each, dice)
    doors = [Door(server) for _ in range(clients)]
    config = ClientConfig(concurrency=2 * server.slots, backoff=0.2)
    asking = [
        ModelClient("m", [door], config=config, random=Random(number)) for number, door in enumerate(doors)
    ]
    count = 60 * slots_each

    async def main():
        async def use(client):
            await asyncio.sleep(dice.random())
            return await asyncio.gather(*sampling(client, 0, count))

        tasks = [asyncio.create_task(use(client)) for client in asking]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        shares, seconds = [door.gave for door in doors], asyncio.get_running_loop().time()
        await asyncio.gather(*tasks)
        return shares, seconds

    shares, seconds = run(main())
    assert server.given == clients * count  # all of it, in the end
    assert max(shares) <= 3 * min(shares)  # nobody starves meanwhile
    assert sum(shares) / seconds >= 0.75 * server.slots


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(
        st.sampled_from([full(), full(retry_after=1), busy(), busy(retry_after=2), 1, 2]), max_size=20
    ),
    changes=st.lists(st.tuples(st.floats(0, 30), st.one_of(st.integers(1, 8), st.just("queue"))), max_size=8),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=6),
)
def test_whatever_the_share_and_whoever_is_overloaded_every_sample_comes(script, changes, sizes):
    endpoints = [ScriptedEndpoint(*script), ScriptedEndpoint()]
    client = client_of(*endpoints, concurrency=4, patience=1e6, attempts=40, failures=3)

    def change(to):
        if to == "queue":
            client.overloaded(0)
        else:
            client.set_share(to)

    async def main():
        loop = asyncio.get_running_loop()
        timers = [loop.call_at(at, change, to) for at, to in changes]
        requests = [ask_for(n, first=10 * number) for number, n in enumerate(sizes)]
        answers = await asyncio.gather(*(collect(client, request) for request in requests))
        for timer in timers:
            timer.cancel()
        return answers

    for number, (n, answer) in enumerate(zip(sizes, run(main()), strict=True)):
        assert samples_of(answer) == list(range(10 * number, 10 * number + n))
    assert (client.under_way, client.waiting) == (0, 0)
    assert all(endpoint.most_in_flight <= 8 for endpoint in endpoints)
