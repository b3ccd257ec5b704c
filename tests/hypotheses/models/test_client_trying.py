"""How the client asks: so many samples at a time, again where that can help, and of whom."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from random import Random

import pytest
from scripted_endpoint import (
    MemoryStore,
    ScriptedEndpoint,
    ask,
    ask_for,
    busy,
    client_of,
    collect,
    refusal,
    samples_of,
)
from virtual_time import run

from hypotheses.budget import Budget, Cost, Ledger
from hypotheses.models.chat import Answer, Choice, ContextOverflowError
from hypotheses.models.client import ModelClient
from hypotheses.models.prices import Price
from hypotheses.models.transcript import RecordedChoice
from sandboxes.errors import ModelError

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
