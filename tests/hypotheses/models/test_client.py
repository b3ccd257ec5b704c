"""The client of a language model, with endpoints that answer and fail by script, in virtual time."""

import asyncio
import gc
import time
import weakref
from contextlib import aclosing
from dataclasses import replace
from random import Random

import pytest
from scripted_endpoint import MemoryStore, ScriptedEndpoint, answer, busy, refusal
from virtual_time import run

from hypotheses.budget import Budget, Cost, Ledger
from hypotheses.models.chat import PART, Answer, ChatRequest, Choice, Message, Sampling, request_key
from hypotheses.models.client import ClientConfig, ContextOverflowError, ModelClient
from hypotheses.models.prices import Price
from hypotheses.models.transcript import RecordedChoice
from sandboxes.errors import ModelError

MESSAGES = (Message("system", "You find rules."), Message("user", "1 -> 2"))


def ask_for(n=1, first=0, *, messages=MESSAGES, **sampling):
    return ChatRequest("hypothesis", messages, Sampling(**sampling), n=n, first=first, task_id="t")


def client_of(*endpoints, store=None, price=None, **config):
    return ModelClient(
        "m", endpoints, config=ClientConfig(**config), store=store, price=price, random=Random(7)
    )


async def collect(client, request, ledger=None):
    async with aclosing(client.sample(request, ledger or Ledger())) as samples:
        return [completion async for completion in samples]


def ask(client, request, ledger=None):
    return run(collect(client, request, ledger))


def samples_of(completions):
    return [completion.sample for completion in completions]


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


# How many samples in a request


def test_an_endpoint_that_gives_one_choice_is_asked_for_singles_from_then_on():
    endpoint = ScriptedEndpoint(lambda request: 1)
    client = client_of(endpoint)
    store_first = ask(client, ask_for(4, seed=100))
    assert samples_of(store_first) == [0, 1, 2, 3]
    assert [(request.first, request.n) for request in endpoint.requests] == [(0, 4), (1, 1), (2, 1), (3, 1)]
    assert [request.sampling.seed for request in endpoint.requests] == [100, 101, 102, 103]
    assert len({one.key for one in store_first}) == 1
    assert endpoint.times == [0, 1, 1, 1]  # the singles together
    endpoint.requests.clear()
    ask(client, ask_for(3, first=10))
    assert [request.n for request in endpoint.requests] == [1, 1, 1]


@pytest.mark.parametrize("message", ["only n = 1 is supported", "400: {'n': 4} is not permitted", "bad `n`."])
def test_an_endpoint_that_refuses_n_is_asked_for_singles(message):
    endpoint = ScriptedEndpoint(refusal(message))
    assert samples_of(ask(client_of(endpoint), ask_for(3))) == [0, 1, 2]
    assert [request.n for request in endpoint.requests] == [3, 1, 1, 1]


@pytest.mark.parametrize("message", ["no such model", "isn't there", "a\\nb", "bad json-n-schema"])
def test_other_refusals_are_not_taken_for_that(message):
    endpoint = ScriptedEndpoint(refusal(message))
    with pytest.raises(ModelError):
        ask(client_of(endpoint), ask_for(3))
    assert len(endpoint.requests) == 1


def test_an_endpoint_that_says_that_it_gives_one_at_a_time_is_believed():
    endpoint = ScriptedEndpoint(multiple=False)
    assert samples_of(ask(client_of(endpoint), ask_for(3))) == [0, 1, 2]
    assert [request.n for request in endpoint.requests] == [1, 1, 1]


def test_a_request_for_more_than_fits_is_split():
    endpoint = ScriptedEndpoint()
    assert samples_of(ask(client_of(endpoint, concurrency=4), ask_for(10))) == list(range(10))
    assert [(request.first, request.n) for request in endpoint.requests] == [(0, 4), (4, 4), (8, 2)]
    assert endpoint.most_in_flight == 4


def test_choices_too_many_are_cut_off_but_paid_for():
    ledger = Ledger()
    completions = ask(client_of(ScriptedEndpoint(5)), ask_for(2), ledger)
    assert samples_of(completions) == [0, 1]
    assert sum(one.completion_tokens for one in completions) == ledger.spent.completion_tokens == 35


def test_an_answer_without_choices_is_a_fault_whose_tokens_count():
    ledger = Ledger()
    endpoint = ScriptedEndpoint(Answer((), 10, 3))
    [one] = ask(client_of(endpoint), ask_for(), ledger)
    assert (one.prompt_tokens, one.completion_tokens) == (20, 10)
    assert len(endpoint.requests) == 2


def test_what_was_paid_for_nothing_counts_even_if_nothing_comes_of_it():
    endpoint = ScriptedEndpoint(Answer((), 10, 3), refusal())
    ledger = Ledger()
    with pytest.raises(ModelError):
        ask(client_of(endpoint, price=Price(1e6, 1e6, 1e6)), ask_for(), ledger)
    assert (ledger.spent.prompt_tokens, ledger.spent.completion_tokens, ledger.spent.money) == (10, 3, 13)


def test_answers_without_choices_for_ever_are_an_error():
    endpoint = ScriptedEndpoint(*[0] * 9)
    with pytest.raises(
        ModelError, match="asked 3 times in vain, last scripted: an answer without any choice"
    ):
        ask(client_of(endpoint, attempts=3), ask_for(2))


def test_a_transcript_that_has_no_more_is_not_asked_again():
    endpoint = ScriptedEndpoint(2, exhaustible=True)
    assert samples_of(ask(client_of(endpoint), ask_for(5))) == [0, 1]
    assert len(endpoint.requests) == 1
    assert ask(client_of(ScriptedEndpoint(0, exhaustible=True)), ask_for(5)) == []


def test_completions_of_a_transcript_are_its_own():
    """It answers by task and round: the same prompt may get different answers, and no key may join them."""
    choice = RecordedChoice("text", prompt="their prompt", model="gpt-4", temperature=0.7)
    endpoint = ScriptedEndpoint(Answer((choice,)), Answer((Choice("another"),)), exhaustible=True)
    store = MemoryStore()
    client = client_of(endpoint, store=store)

    async def main():
        return await asyncio.gather(
            collect(client, ask_for()), collect(client, replace(ask_for(), task_id="u", round=1))
        )

    [[one], [two]] = run(main())
    assert (one.prompt, one.model, one.temperature, one.key) == ("their prompt", "gpt-4", 0.7, "")
    assert two.response == "another"
    assert not store.calls


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


# Trying again


def test_failures_that_pass_are_tried_again_after_growing_random_waits():
    waits = set()
    for seed in range(40):
        endpoint = ScriptedEndpoint(busy(), busy(), busy(), seconds=0)
        client = ModelClient("m", [endpoint], random=Random(seed))
        assert len(ask(client, ask_for())) == 1
        gaps = [after - before for before, after in zip(endpoint.times, endpoint.times[1:], strict=False)]
        assert all(0 <= gap <= most for gap, most in zip(gaps, (1, 2, 4), strict=True))
        waits.add(tuple(gaps))
    assert len(waits) == 40
    assert max(gap for gaps in waits for gap in gaps) > 3


def test_after_the_last_attempt_the_error_names_endpoint_and_cause():
    endpoint = ScriptedEndpoint(*[busy("503\nService  Unavailable")] * 9, name="http://h/v1")
    with pytest.raises(
        ModelError, match="asked 3 times in vain, last http://h/v1: 503 Service Unavailable: "
    ):
        ask(client_of(endpoint, attempts=3), ask_for())
    assert len(endpoint.requests) == 3


def test_what_cannot_be_mended_is_an_error_at_once():
    endpoint = ScriptedEndpoint(refusal("the key is wrong: set OPENAI_API_KEY"))
    with pytest.raises(ModelError, match="scripted refuses: the key is wrong: set OPENAI_API_KEY"):
        ask(client_of(endpoint), ask_for())
    assert len(endpoint.requests) == 1


def test_a_prompt_that_is_too_long_has_an_error_of_its_own():
    endpoint = ScriptedEndpoint(refusal("9000 tokens of 8192", overflow=True))
    with pytest.raises(ContextOverflowError, match="9000 tokens of 8192"):
        ask(client_of(endpoint), ask_for(4))


def test_that_a_prompt_was_too_long_is_kept_and_not_asked_again():
    store, ledger = MemoryStore(), Ledger()
    endpoint = ScriptedEndpoint(refusal("9000 tokens of 8192", overflow=True))
    for _ in range(2):
        with pytest.raises(ContextOverflowError, match="9000 tokens of 8192"):
            ask(client_of(endpoint, store=store), ask_for(4), ledger)
    assert len(endpoint.requests) == 1
    assert ledger.spent == Cost()


def test_an_endpoint_that_hangs_is_given_up_and_asked_again():
    endpoint = ScriptedEndpoint(seconds=lambda request: 1000 if len(endpoint.requests) == 1 else 1)
    assert len(ask(client_of(endpoint, timeout=30), ask_for())) == 1
    assert endpoint.cancelled == 1
    assert 30 <= endpoint.times[1] <= 31


def test_what_an_endpoint_wants_us_to_wait_is_waited_by_all():
    endpoint = ScriptedEndpoint(busy(retry_after=20), seconds=1)
    client = client_of(endpoint)

    async def main():
        one = asyncio.create_task(collect(client, ask_for()))
        await asyncio.sleep(5)
        two = asyncio.create_task(collect(client, ask_for(first=1)))
        await asyncio.gather(one, two)

    run(main())
    assert endpoint.times[0] == 0
    assert all(time >= 21 for time in endpoint.times[1:])
    assert max(endpoint.times) <= 22 + 1


def test_a_wait_that_is_too_long_is_an_error_at_once():
    endpoint = ScriptedEndpoint(busy("429", retry_after=3600))

    async def main():
        with pytest.raises(
            ModelError, match=r"scripted wants to be asked again in 3600 s only \(429\): come back"
        ):
            await collect(client_of(endpoint, patience=60), ask_for())
        assert asyncio.get_running_loop().time() == 1

    run(main())


def test_a_wait_beyond_the_end_of_the_budget_ends_with_it():
    endpoint = ScriptedEndpoint(busy(retry_after=100))

    async def main():
        ledger = Ledger(Budget(seconds=10), clock=asyncio.get_running_loop().time)
        assert await collect(client_of(endpoint), ask_for(), ledger) == []
        assert asyncio.get_running_loop().time() == 10
        assert ledger.refused == "seconds"

    run(main())


def test_a_mistake_of_an_endpoint_is_not_hidden():
    endpoint = ScriptedEndpoint(ZeroDivisionError("a bug"))
    client = client_of(endpoint)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        ask(client, ask_for())
    assert [line.free for line in client._balancer.lines] == [64]


def test_a_mistake_of_an_endpoint_makes_nobody_wait():
    endpoint = ScriptedEndpoint(*[ModelError("not in the run")] * 9)
    client = client_of(endpoint, failures=2, cool_down=100)

    async def main():
        for number in range(9):
            with pytest.raises(ModelError, match="not in the run"):
                await collect(client, ask_for(first=number))
        assert asyncio.get_running_loop().time() == 9

    run(main())


def test_samples_that_came_before_a_failure_are_given_and_kept():
    store = MemoryStore()
    endpoint = ScriptedEndpoint(seconds=lambda request: 1 + request.first, multiple=False)
    endpoint.script = [1, 1, refusal("broken")]
    seen = []

    async def main():
        async with aclosing(client_of(endpoint, store=store).sample(ask_for(4), Ledger())) as samples:
            async for one in samples:
                seen.append(one.sample)  # noqa: PERF401 - what came before the failure must not be lost

    with pytest.raises(ModelError, match="broken"):
        run(main())
    assert seen == [0, 1]
    assert sorted(sample for _, sample in store.completions) == [0, 1]
    assert endpoint.cancelled == 1  # the fourth


# Several endpoints


def test_requests_go_where_the_fewest_tokens_are_outstanding():
    slow = ScriptedEndpoint(name="slow", seconds=10)
    fast = ScriptedEndpoint(name="fast", seconds=1)
    client = client_of(slow, fast)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(collect(client, ask_for(first=number)))
                await asyncio.sleep(0.1)

    run(main())
    assert len(slow.requests) + len(fast.requests) == 100
    assert len(fast.requests) > 3 * len(slow.requests)


def test_large_requests_weigh_more():
    one, two = ScriptedEndpoint(), ScriptedEndpoint()
    client = client_of(one, two)

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(collect(client, ask_for(max_tokens=4000)))
            for number in range(3):
                group.create_task(collect(client, ask_for(first=number, max_tokens=1000)))

    run(main())
    assert sorted([len(one.requests), len(two.requests)]) == [1, 3]


def test_a_failing_endpoint_s_request_moves_to_another_at_once():
    bad = ScriptedEndpoint(*[busy()] * 50, name="bad", seconds=0)
    good = ScriptedEndpoint(name="good", seconds=1)
    client = client_of(bad, good)

    async def main():
        await collect(client, ask_for())
        assert asyncio.get_running_loop().time() == 1
        return await collect(client, ask_for(9, first=1))

    assert samples_of(run(main())) == list(range(1, 10))


def test_an_endpoint_that_wants_a_pause_is_passed_over():
    tired = ScriptedEndpoint(busy(retry_after=1000), seconds=0)
    fresh = ScriptedEndpoint(seconds=1)
    client = client_of(tired, fresh, patience=60)

    async def main():
        for number in range(5):
            await collect(client, ask_for(first=number))
        assert asyncio.get_running_loop().time() == 5

    run(main())
    assert len(tired.requests) == 1


def test_an_endpoint_that_fails_in_a_row_is_left_alone_and_then_probed():
    bad = ScriptedEndpoint(*[busy()] * 4, name="bad", seconds=0)
    good = ScriptedEndpoint(name="good", seconds=1)
    client = client_of(bad, good, failures=3, cool_down=100)

    async def main():
        for number in range(250):
            await collect(client, ask_for(first=number))

    run(main())
    # Three failures open it, the probe after 100 s fails, the one after 200 s succeeds.
    assert [round(at) for at in bad.times[:5]] == pytest.approx([0, 1, 2, 102, 202], abs=2)
    assert len(bad.times) > 5
    assert all(at >= bad.times[4] for at in bad.times[5:])


def test_one_probe_at_a_time_while_the_others_wait():
    endpoint = ScriptedEndpoint(*[busy()] * 3, seconds=lambda request: 5)
    client = client_of(endpoint, failures=3, cool_down=20, backoff=0)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(collect(client, ask_for(first=number)))

    run(main())
    assert endpoint.times == [0, 0, 0, 25, 30, 30]


def test_a_cancelled_probe_leaves_the_probing_to_the_next():
    endpoint = ScriptedEndpoint(busy(), busy(), seconds=1)
    client = client_of(endpoint, failures=2, cool_down=10, backoff=0)

    async def main():
        one = asyncio.create_task(collect(client, ask_for(first=0)))
        two = asyncio.create_task(collect(client, ask_for(first=1)))
        await asyncio.sleep(11.5)
        assert endpoint.in_flight == 1
        probing = endpoint.requests[-1].first
        (one, two)[probing].cancel()
        return await (two, one)[probing]

    assert len(run(main())) == 1


def test_when_all_are_down_the_error_names_them_and_comes_when_patience_ends():
    endpoints = [ScriptedEndpoint(*[busy("refused")] * 99, name=name, seconds=0) for name in ("one", "two")]
    client = client_of(*endpoints, failures=2, cool_down=50, patience=120, attempts=100)

    async def main():
        with pytest.raises(
            ModelError, match=r"no endpoint of m has answered for 120 s \(one: refused; two: refused\)"
        ):
            await collect(client, ask_for())
        return asyncio.get_running_loop().time()

    assert 120 <= run(main()) <= 125


def test_waiting_for_room_is_not_limited_by_patience():
    endpoint = ScriptedEndpoint(seconds=100)
    client = client_of(endpoint, concurrency=1, patience=10, timeout=1000)

    async def main():
        await asyncio.gather(*(collect(client, ask_for(first=number)) for number in range(5)))
        return asyncio.get_running_loop().time()

    assert run(main()) == 500


# Order


def test_requests_are_sent_in_the_order_in_which_they_came():
    endpoint = ScriptedEndpoint()
    client = client_of(endpoint, concurrency=3)

    async def main():
        await asyncio.gather(*(collect(client, ask_for(n, first=10 * n)) for n in (2, 3, 1, 2, 1, 1)))

    run(main())
    # The three wait for all three places, though the one behind them would have fitted beside the two.
    assert [request.n for request in endpoint.requests][:3] == [2, 3, 1]


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
