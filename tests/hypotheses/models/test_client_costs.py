"""What the client's requests cost: budgets, completions that were cut off, and our own time."""

import asyncio
import gc
import time
import weakref

import pytest
from scripted_endpoint import (
    MemoryStore,
    ScriptedEndpoint,
    answer,
    ask,
    ask_for,
    client_of,
    collect,
    refusal,
    samples_of,
)
from virtual_time import run

from hypotheses.budget import Budget, Ledger
from hypotheses.models.chat import PART, Answer, Choice, Message
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.prices import Price
from sandboxes.errors import ModelError

# Budgets


def test_what_the_budget_does_not_grant_is_not_asked_for():
    endpoint = ScriptedEndpoint()  # 7 tokens a sample
    ledger = Ledger(Budget(completion_tokens=40))
    completions = ask(client_of(endpoint), ask_for(9, max_tokens=10), ledger)
    # Four at first; these leave 12 for one more, and that leaves 5.
    assert [(request.first, request.n) for request in endpoint.requests] == [(0, 4), (4, 1)]
    assert samples_of(completions) == [0, 1, 2, 3, 4]
    assert ledger.refused == "completion tokens"


def test_a_budget_without_room_for_anything_asks_for_nothing():
    endpoint = ScriptedEndpoint()
    ledger = Ledger(Budget(tokens=20))
    assert ask(client_of(endpoint), ask_for(), ledger) == []
    assert not endpoint.requests
    assert ledger.refused == "tokens"


def test_singles_pay_for_the_prompt_each_and_are_reserved_so():
    endpoint = ScriptedEndpoint(multiple=False)  # each: 10 for the prompt and 7
    client = ModelClient("m", [endpoint], count_tokens=lambda text: 1)  # with the roles: 18
    ledger = Ledger(Budget(tokens=100))
    completions = ask(client, ask_for(9, max_tokens=10), ledger)
    assert ledger.spent.prompt_tokens == 10 * len(completions)
    assert 100 - 17 < ledger.spent.prompt_tokens + ledger.spent.completion_tokens + 28 - 17 <= 100 + 11
    assert ledger.refused == "tokens"


def test_time_that_is_up_stops_what_is_under_way():
    endpoint = ScriptedEndpoint(seconds=lambda request: 1 if request.first < 2 else 60, multiple=False)

    async def main():
        ledger = Ledger(Budget(seconds=5), clock=asyncio.get_running_loop().time)
        completions = await collect(client_of(endpoint), ask_for(4), ledger)
        assert asyncio.get_running_loop().time() == 5
        return completions, ledger

    completions, ledger = run(main())
    assert samples_of(completions) == [0, 1]
    assert ledger.refused == "seconds"
    assert endpoint.cancelled == 2


def test_a_limit_of_money_needs_a_price():
    endpoint = ScriptedEndpoint()
    with pytest.raises(ModelError, match="what m charges is not known"):
        ask(client_of(endpoint), ask_for(), Ledger(Budget(money=1.0)))
    ledger = Ledger(Budget(money=0.0015))
    client = client_of(endpoint, price=Price(1.0, 1.0, 50.0))
    assert len(ask(client, ask_for(9, max_tokens=10), ledger)) == 3
    assert ledger.refused == "money"
    assert ledger.spent.money <= 0.0015


# Completions that were cut off


def cut(text="begun", **options):
    return Answer((Choice(text, finish="length"),), 10, 7, **options)


def test_a_completion_that_was_cut_off_is_continued():
    store = MemoryStore()
    endpoint = ScriptedEndpoint(
        cut("<think>well"), cut("</think>\nx = "), Answer((Choice("1", finish="stop", logprob=-2.0),), 20, 1),
        can_continue=True,
    )  # fmt: skip
    ledger = Ledger()
    [one] = ask(client_of(endpoint, store=store), ask_for(), ledger)
    assert (one.reasoning, one.response, one.finish, one.kind) == ("well", "x = 1", "stop", "hypothesis")
    assert (one.prompt_tokens, one.completion_tokens) == (40, 15)
    assert (ledger.spent.prompt_tokens, ledger.spent.completion_tokens) == (40, 15)
    assert [request.messages[-1].content for request in endpoint.requests[1:]] == [
        "<think>well", "<think>well</think>\nx = "
    ]  # fmt: skip
    assert store.recall(one.key, 0, 1) == [one]
    assert [kept.kind for _, completions in store.calls for kept in completions] == [
        PART, PART, PART, "hypothesis"
    ]  # fmt: skip


def test_only_the_one_that_was_cut_off_is_continued():
    both = Answer((Choice("whole", finish="stop"), Choice("begun", finish="length")), 10, 20)
    endpoint = ScriptedEndpoint(both, Answer((Choice(" and done", finish="stop"),)), can_continue=True)
    store = MemoryStore()
    completions = ask(client_of(endpoint, store=store), ask_for(2))
    assert [one.response for one in completions] == ["whole", "begun and done"]
    assert samples_of(completions) == [0, 1]
    assert [len(kept) for _, kept in store.calls] == [2, 1, 1]
    again = ask(client_of(endpoint, store=store), ask_for(2))
    assert again == completions
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize("killed_after", [1, 2, 3, 4])
def test_a_kill_between_the_parts_pays_nothing_twice(killed_after):
    class Killed(MemoryStore):
        def keep(self, request, completions):
            if len(self.calls) == killed_after:
                raise KeyError("killed")
            super().keep(request, completions)

    store = Killed()
    endpoint = ScriptedEndpoint(cut("a"), cut("b"), Answer((Choice("c", finish="stop"),)), can_continue=True)
    try:
        ask(client_of(endpoint, store=store), ask_for())
    except KeyError:
        pass
    else:
        assert killed_after == 4
    survivor = MemoryStore()
    survivor.completions = store.completions
    lost = 3 - min(3, killed_after)
    endpoint.script = [cut("b"), Answer((Choice("c", finish="stop"),))][2 - lost :] if lost else []
    asked = len(endpoint.requests)
    [one] = ask(client_of(endpoint, store=survivor), ask_for())
    assert one.response == "abc"
    assert len(endpoint.requests) - asked == lost


@pytest.mark.parametrize("options", [{}, {"can_continue": True, "schema": "{}"}, {"truncation": "retry"}])
def test_where_it_cannot_be_continued_it_is_asked_again_with_more_room(options):
    sampling = {"schema": options.pop("schema", "")}
    config = {"truncation": options.pop("truncation", "continue")}
    endpoint = ScriptedEndpoint(
        cut("beg"), cut("begun"), Answer((Choice("whole", finish="stop"),), 10, 30), **options
    )
    ledger = Ledger()
    [one] = ask(client_of(endpoint, **config), ask_for(first=3, max_tokens=100, seed=5, **sampling), ledger)
    assert (one.response, one.finish, one.sample) == ("whole", "stop", 3)
    assert [request.sampling.max_tokens for request in endpoint.requests] == [100, 200, 400]
    assert {request.sampling.seed for request in endpoint.requests} == {8}
    assert one.completion_tokens == ledger.spent.completion_tokens == 44


def test_thinking_that_was_cut_off_apart_from_any_text_is_asked_again():
    thinking = Answer((Choice("", reasoning="on and on", finish="length"),))
    endpoint = ScriptedEndpoint(thinking, Answer((Choice("x", "short", "stop"),)), can_continue=True)
    [one] = ask(client_of(endpoint), ask_for(max_tokens=100))
    assert (one.reasoning, one.response) == ("short", "x")
    assert [request.sampling.max_tokens for request in endpoint.requests] == [100, 200]


def test_room_grows_up_to_a_limit():
    endpoint = ScriptedEndpoint(*[cut()] * 9)
    [one] = ask(client_of(endpoint, max_retry_tokens=150, continuations=5), ask_for(max_tokens=100))
    assert [request.sampling.max_tokens for request in endpoint.requests] == [100, 150]
    assert one.finish == "length"


def test_what_is_still_cut_off_in_the_end_says_so_and_is_not_begun_again():
    store = MemoryStore()
    endpoint = ScriptedEndpoint(cut("<think>a"), cut("b"), cut("c"), can_continue=True)
    [one] = ask(client_of(endpoint, store=store), ask_for())
    assert (one.reasoning, one.response, one.finish) == ("abc", "", "length")
    assert ask(client_of(endpoint, store=store), ask_for()) == [one]
    assert len(endpoint.requests) == 3


def test_cut_off_completions_can_be_kept_as_they_are():
    store = MemoryStore()
    endpoint = ScriptedEndpoint(cut(), can_continue=True)
    [one] = ask(client_of(endpoint, store=store, truncation="keep"), ask_for())
    assert (one.response, one.finish, one.kind) == ("begun", "length", "hypothesis")
    assert len(endpoint.requests) == 1
    assert store.recall(one.key, 0, 1) == [one]


def test_no_room_to_go_on_leaves_it_cut_off():
    endpoint = ScriptedEndpoint(cut(), refusal("too long", overflow=True), can_continue=True)
    [one] = ask(client_of(endpoint), ask_for())
    assert (one.response, one.finish) == ("begun", "length")


def test_no_budget_to_go_on_leaves_it_cut_off():
    endpoint = ScriptedEndpoint(cut(), can_continue=True)
    ledger = Ledger(Budget(completion_tokens=100))
    [one] = ask(client_of(endpoint), ask_for(max_tokens=95), ledger)
    assert (one.response, one.finish) == ("begun", "length")
    assert ledger.refused == "completion tokens"


def test_two_who_wait_for_the_same_cut_off_completion_get_the_same():
    store = MemoryStore()
    endpoint = ScriptedEndpoint(cut(), can_continue=True)
    client = client_of(endpoint, store=store)

    async def main():
        return await asyncio.gather(collect(client, ask_for()), collect(client, ask_for()))

    one, two = run(main())
    assert one == two
    assert len(endpoint.requests) == 2


# What it costs us


def test_nothing_is_left_over_of_a_thousand_requests():
    endpoint = ScriptedEndpoint(seconds=0.01)
    client = client_of(endpoint)
    alive = []

    async def main():
        async def one(number):
            request = ask_for(2, messages=(Message("user", str(number)),))
            for completion in await collect(client, request):
                assert completion.response

        for number in range(1000):
            await one(number)
            endpoint.requests.clear()
        task = asyncio.create_task(one(1000))
        alive.append(weakref.ref(task))
        await task

    run(main())
    gc.collect()
    assert alive[0]() is None
    flights, balancer = client._flights, client._balancer
    assert not flights._under_way
    assert not flights._tasks
    assert not balancer._queue
    assert balancer._timer is None


def test_a_completion_takes_little_of_our_time():
    """The target is 1 ms; this allows for a busy machine and still notices when something grows quadratic."""
    endpoint = ScriptedEndpoint(seconds=lambda request: 1 + (request.first * 7919 % 100) / 100)
    client = client_of(endpoint, concurrency=64)
    text = "x" * 8000

    async def main():
        await asyncio.gather(
            *(collect(client, ask_for(messages=(Message("user", f"{n}{text}"),))) for n in range(3000))
        )

    started = time.process_time()
    run(main())
    assert (time.process_time() - started) / 3000 < 0.003


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"timeout": -1}, {"attempts": 0}, {"patience": -1}, {"backoff": float("nan")}],
)
def test_settings_that_make_no_sense_are_mistakes(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ClientConfig(**wrong)


def test_a_client_needs_an_endpoint():
    with pytest.raises(ValueError, match="at least one"):
        ModelClient("m", [])


def test_answers_helper_counts_what_it_says():
    """The fake's own arithmetic, on which the others lean."""
    assert answer(3).completion_tokens == 21
