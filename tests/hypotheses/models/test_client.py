"""The client of a language model, with endpoints that answer and fail by script, in virtual time."""

import asyncio
from contextlib import aclosing

import pytest
from scripted_endpoint import (
    MemoryStore,
    ScriptedEndpoint,
    ask,
    ask_for,
    client_of,
    collect,
    samples_of,
)
from virtual_time import run

from hypotheses.budget import Budget, Ledger
from hypotheses.models.chat import Answer, Choice, request_key
from hypotheses.models.prices import Price
from sandboxes.errors import ModelError

# What a completion says


def test_a_completion_says_what_was_asked_what_came_and_what_it_cost():
    endpoint = ScriptedEndpoint(Answer((Choice("yes", "hm", "stop", -0.5), Choice("no")), 100, 11, 40))
    client = client_of(endpoint, price=Price(1e6, 0.5e6, 2e6))
    ledger = Ledger()
    one, two = ask(client, ask_for(2, temperature=0.3), ledger)
    assert (one.kind, one.prompt, one.response, one.model) == ("hypothesis", ask_for().prompt, "yes", "m")
    assert (one.temperature, one.reasoning, one.finish, one.logprob) == (0.3, "hm", "stop", -0.5)
    assert one.key == two.key == request_key("m", ask_for(temperature=0.3))
    assert (one.prompt_tokens, one.cached_tokens) == (100, 40)
    assert (two.prompt_tokens, two.cached_tokens) == (0, 0)
    assert one.completion_tokens + two.completion_tokens == 11
    assert one.completion_tokens > two.completion_tokens > 0
    assert one.money + two.money == pytest.approx(60 * 1 + 40 * 0.5 + 11 * 2)
    assert (ledger.spent.prompt_tokens, ledger.spent.completion_tokens) == (100, 11)
    assert ledger.spent.money == one.money + two.money


@pytest.mark.parametrize(
    ("text", "reasoning", "response"),
    [
        ("<think>so</think>\n\nanswer", "so", "answer"),
        ("\n<think>\nso\n</think>answer", "so", "answer"),
        ("<think>on and on", "on and on", ""),
        ("answer", "", "answer"),
        (" a <think>b</think>", "", " a <think>b</think>"),
        ("<think></think>a</think>", "", "a</think>"),
    ],
)
def test_what_was_thought_is_kept_apart(text, reasoning, response):
    [one] = ask(client_of(ScriptedEndpoint(Answer((Choice(text),)))), ask_for())
    assert (one.reasoning, one.response) == (reasoning, response)


# Recorded, missing, asked once


def test_what_is_recorded_is_not_asked_for_again_but_charged():
    store = MemoryStore()
    endpoint = ScriptedEndpoint()
    first = ask(client_of(endpoint, store=store), ask_for(3))
    ledger = Ledger()
    again = ask(client_of(endpoint, store=store), ask_for(5), ledger)
    assert again[:3] == first
    assert samples_of(again) == [0, 1, 2, 3, 4]
    assert endpoint.asked == [0, 1, 2, 3, 4]
    assert ledger.spent.completion_tokens == 35
    assert ledger.spent.prompt_tokens == 20


def test_gaps_are_filled_and_the_order_is_that_of_the_samples():
    store = MemoryStore()
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, store=store)
    ask(client, ask_for(1, first=2))
    ask(client, ask_for(1, first=5))
    endpoint.requests.clear()
    assert samples_of(ask(client, ask_for(6, first=1))) == [1, 2, 3, 4, 5, 6]
    assert [(request.first, request.n) for request in endpoint.requests] == [(1, 1), (3, 2), (6, 1)]


def test_all_choices_of_an_answer_are_kept_in_one_call_before_any_is_given():
    store = MemoryStore()
    client = client_of(ScriptedEndpoint(), store=store)

    async def main():
        async with aclosing(client.sample(ask_for(4), Ledger())) as samples:
            async for _ in samples:
                assert [samples_of(kept) for _, kept in store.calls] == [[0, 1, 2, 3]]

    run(main())


def test_a_store_that_replays_a_run_fails_loudly():
    class Strict(MemoryStore):
        def recall(self, key, first, n):
            raise ModelError("the run has no such request: replay it with the same recipe")

    endpoint = ScriptedEndpoint()
    with pytest.raises(ModelError, match="no such request"):
        ask(client_of(endpoint, store=Strict()), ask_for())
    assert not endpoint.requests


def test_a_replayed_run_is_asked_for_no_more_than_its_budget_allowed():
    """The rest was never recorded, and a store that replays raises for what is not recorded."""
    store, asked = MemoryStore(), []
    budget = Budget(completion_tokens=25)
    live = ask(client_of(ScriptedEndpoint(), store=store), ask_for(5, max_tokens=10), Ledger(budget))

    class Strict(MemoryStore):
        def recall(self, key, first, n):
            asked.extend(range(first, first + n))
            return [store.completions[key, sample] for sample in range(first, first + n)]

    replayed = ask(client_of(ScriptedEndpoint(), store=Strict()), ask_for(5, max_tokens=10), Ledger(budget))
    assert replayed == live
    assert samples_of(live) == asked
    assert 0 < len(live) < 5


def test_two_who_want_the_same_sample_ask_for_it_once_and_both_pay():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint)
    ledgers = [Ledger(), Ledger()]

    async def main():
        return await asyncio.gather(
            collect(client, ask_for(3), ledgers[0]), collect(client, ask_for(3, first=1), ledgers[1])
        )

    one, two = run(main())
    assert one[1:] == two[:2]
    assert endpoint.asked == [0, 1, 2, 3]
    assert [ledger.spent.completion_tokens for ledger in ledgers] == [21, 21]


def test_cancelling_one_who_asks_does_not_cancel_the_others():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint)
    ledgers = [Ledger(), Ledger()]

    async def main():
        one = asyncio.create_task(collect(client, ask_for(3), ledgers[0]))
        two = asyncio.create_task(collect(client, ask_for(1, first=1), ledgers[1]))
        await asyncio.sleep(0.5)
        one.cancel()
        return await two

    assert samples_of(run(main())) == [1]
    assert (len(endpoint.requests), endpoint.cancelled) == (1, 0)
    # What nobody waits for any more was paid for by who asked for it.
    assert ledgers[0].spent.completion_tokens == 14
    assert ledgers[1].spent.completion_tokens == 7


def test_samples_that_nobody_wants_any_more_are_not_asked_for():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, concurrency=4)

    async def main():
        blocking = asyncio.create_task(collect(client, ask_for(4, first=100)))
        await asyncio.sleep(0.1)
        one = asyncio.create_task(collect(client, ask_for(4)))
        two = asyncio.create_task(collect(client, ask_for(1, first=1)))
        three = asyncio.create_task(collect(client, ask_for(1, first=3)))
        await asyncio.sleep(0.1)
        one.cancel()
        return await asyncio.gather(blocking, two, three)

    run(main())
    assert endpoint.asked == [100, 101, 102, 103, 1, 3]


# Closing and cancelling


@pytest.mark.parametrize("how", ["close", "cancel", "close at once"])
def test_nobody_waiting_stops_the_request_and_frees_everything(how):
    endpoint = ScriptedEndpoint(seconds=lambda request: 1 if request.first == 0 else 100)
    client = client_of(endpoint, concurrency=1)
    ledger = Ledger(Budget(completion_tokens=5000))

    async def main():
        samples = client.sample(ask_for(5), ledger)
        if how == "close at once":
            step = asyncio.ensure_future(anext(samples))
            await asyncio.sleep(0)
            step.cancel()
            await asyncio.wait({step})
            await samples.aclose()
        elif how == "close":
            await anext(samples)
            await asyncio.sleep(5)
            await samples.aclose()
        else:
            async with aclosing(samples):
                task = asyncio.ensure_future(anext(samples))
                await task
                task = asyncio.ensure_future(anext(samples))
                await asyncio.sleep(5)
                task.cancel()
                await asyncio.wait({task})
        assert endpoint.in_flight == 0
        assert endpoint.cancelled == 1
        assert ledger._under_way == 0
        assert [line.free for line in client._balancer.lines] == [1]
        assert [line.outstanding for line in client._balancer.lines] == [0]
        return await collect(client, ask_for(1), ledger)  # and it goes on working

    assert samples_of(run(main())) == [0]


def test_a_slow_reader_holds_no_reservation():
    """Who reads the first sample may ask for something else before going on to the second."""
    endpoint = ScriptedEndpoint(multiple=False)
    client = client_of(endpoint)
    ledger = Ledger(Budget(completion_tokens=60))

    async def main():
        seen = []
        async with aclosing(client.sample(ask_for(3, max_tokens=20), ledger)) as samples:
            async for one in samples:
                [other] = await collect(client, ask_for(1, first=10 + one.sample, max_tokens=20), ledger)
                seen += [one.sample, other.sample]
        return seen

    assert run(main()) == [0, 10, 1, 11, 2, 12]


def test_closing_the_client_ends_what_is_under_way_and_closes_the_endpoints():
    endpoint = ScriptedEndpoint(seconds=100)
    client = client_of(endpoint, concurrency=2)

    async def main():
        tasks = [asyncio.create_task(collect(client, ask_for(1, first=n))) for n in range(4)]
        await asyncio.sleep(1)
        await client.aclose()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, ModelError)
            assert "closed" in str(outcome)
        await client.aclose()

    run(main())
    assert endpoint.cancelled == 2
    assert endpoint.closed == 2


# Order


def test_requests_are_sent_in_the_order_in_which_they_came():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, concurrency=3)

    async def main():
        await asyncio.gather(*(collect(client, ask_for(n, first=10 * n)) for n in (2, 3, 1, 2, 1, 1)))

    run(main())
    # The three wait for all three places, though the one behind them would have fitted beside the two.
    assert [request.n for request in endpoint.requests][:3] == [2, 3, 1]
