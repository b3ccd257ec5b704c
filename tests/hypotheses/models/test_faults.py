"""A misbehaving server: what becomes of a request, through HTTP, LangChain and the client."""

import asyncio
import random
import time
from collections import Counter

import pytest

pytest.importorskip("langchain_openai")

from model_server import Fault, ModelServer

from hypotheses.budget import Budget, Ledger
from hypotheses.models.address import ModelAddress
from hypotheses.models.chat import ChatRequest, ContextOverflowError, Message, Sampling
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.langchain_endpoint import EndpointSettings, open_endpoints
from hypotheses.models.prices import Price
from sandboxes.errors import ModelError

QUICK = {"backoff": 0.001, "max_backoff": 0.001, "attempts": 4, "timeout": 20.0}


class Kept:
    """A store in memory that counts how often a sample was kept."""

    def __init__(self):
        self.completions = {}
        self.times = Counter()

    def recall(self, key, first, n):
        found = (self.completions.get((key, sample)) for sample in range(first, first + n))
        return [completion for completion in found if completion is not None]

    def keep(self, request, completions):
        for completion in completions:
            self.completions[completion.key, completion.sample] = completion
            self.times[completion.key, completion.sample] += 1


def ask(n=1, text="hi", max_tokens=1000):
    return ChatRequest("program", (Message("user", text),), Sampling(max_tokens=max_tokens), n=n)


def sampled(servers, request, *, ledger=None, store=None, seconds=600.0, model="tiny", **config):
    """Give the completions of a request, asked of one or more servers."""
    servers = servers if isinstance(servers, list) else [servers]
    address = ModelAddress.parse(f"vllm:{model}@" + ",".join(server.url for server in servers))

    async def sample():
        client = ModelClient(
            str(address),
            open_endpoints(address, EndpointSettings(timeout=seconds)),
            config=ClientConfig(**QUICK | config),
            store=store,
            price=Price(1.0, 0.5, 2.0),
            random=random.Random(0),
        )
        try:
            return [completion async for completion in client.sample(request, ledger or Ledger())]
        finally:
            await client.aclose()

    return asyncio.run(sample())


def failing(*arguments, **more):
    with pytest.raises(ModelError) as caught:
        sampled(*arguments, **more)
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


PASSING = {
    "hangs": Fault("hang"),
    "closes without a word": Fault("drop"),
    "resets in the middle of the body": Fault("reset"),
    "ends in the middle of the body": Fault("cut"),
    "429 without Retry-After": Fault("status", 429),
    "500": Fault("status", 500),
    "503 in HTML": Fault("status", 503, body="<html>busy</html>"),
    "malformed JSON": Fault("body", body='{"choices": [{"mess'),
    "an error that says 200": Fault("body", body='{"error": {"message": "no"}}'),
    "empty choices": Fault("choices", count=0),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_asked_again_and_answered(fault):
    store, ledger = Kept(), Ledger()
    with ModelServer(faults=[fault]) as server:
        completions = sampled(server, ask(3), store=store, ledger=ledger, seconds=0.3)
    assert [completion.response for completion in completions] == ["answer 0", "answer 1", "answer 2"]
    assert [completion.sample for completion in completions] == [0, 1, 2]
    assert server.counts["asked"] == 2
    assert set(store.times.values()) == {1}
    assert ledger.spent.completion_tokens == 6


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_does_not_pass_is_an_error_that_names_server_and_cause(fault):
    store = Kept()
    with ModelServer(faults=[fault] * 9) as server:
        error = failing(server, ask(), store=store, seconds=0.3, attempts=3, patience=0.0)
    assert server.url in str(error)
    assert server.counts["asked"] == 3
    assert not store.completions


def test_the_time_a_server_asks_for_is_waited():
    with ModelServer(faults=[Fault("status", 429, {"Retry-After": "0.4"})]) as server:
        started = time.monotonic()
        completions = sampled(server, ask())
        assert time.monotonic() - started >= 0.4
    assert len(completions) == 1
    assert server.counts["asked"] == 2


def test_an_overloaded_server_is_asked_less_until_it_copes():
    async def run(server):
        address = ModelAddress.parse(f"vllm:tiny@{server.url}")
        config = ClientConfig(**QUICK | {"concurrency": 64, "failures": 1, "backoff": 0.01, "attempts": 1})
        client = ModelClient("tiny", open_endpoints(address), config=config, random=random.Random(0))

        async def one(number):
            return [completion async for completion in client.sample(ask(2, f"task {number}"), Ledger())]

        answers = await asyncio.gather(*(one(number) for number in range(60)))
        limit = client.limits[0]
        await client.aclose()
        return answers, limit

    with ModelServer(admits=8, latency=lambda dice: dice.uniform(0.01, 0.02)) as server:
        answers, limit = asyncio.run(run(server))
    assert [[completion.sample for completion in answer] for answer in answers] == [[0, 1]] * 60
    assert server.counts["turned away"] > 0
    assert limit < 32


def test_an_hour_is_not_waited():
    with ModelServer(faults=[Fault("status", 429, {"Retry-After": "3600"})]) as server:
        error = failing(server, ask())
    assert "3600 s" in str(error)
    assert server.counts["asked"] == 1


@pytest.mark.parametrize(("choices", "asked"), [("all", 1), ("one", 6), ("refuse", 7)])
def test_fewer_choices_than_asked_are_topped_up(choices, asked):
    store, ledger = Kept(), Ledger()
    with ModelServer(choices=choices, latency=lambda dice: 0.01) as server:
        completions = sampled(server, ask(6), store=store, ledger=ledger)
    assert [completion.sample for completion in completions] == list(range(6))
    assert set(store.times.values()) == {1}
    assert server.counts["asked"] == asked
    assert ledger.spent.completion_tokens == 12
    assert sum(completion.completion_tokens for completion in completions) == 12


def test_more_choices_than_asked_are_cut_off_but_counted():
    with ModelServer(faults=[Fault("choices", count=5)]) as server:
        completions = sampled(server, ask(2))
    assert [completion.response for completion in completions] == ["answer 0", "answer 1"]
    assert sum(completion.completion_tokens for completion in completions) == 10


def test_a_wrong_name_is_not_asked_again_and_the_right_ones_are_told():
    with ModelServer(model="coder") as server:
        error = failing(server, ask(), model="codr")
    assert "it has coder" in str(error)
    assert server.counts["asked"] == 1


def test_too_long_a_prompt_can_be_told_from_other_errors():
    with ModelServer(context=500) as server:
        assert isinstance(failing(server, ask(text="x" * 4000)), ContextOverflowError)
    assert server.counts["asked"] == 1


LONG = "".join(f"{number:04d}" for number in range(100))  # 100 tokens, as the server counts


def test_a_truncated_completion_is_gone_on_with_and_paid_for():
    store, ledger = Kept(), Ledger()
    with ModelServer(lambda payload, index: LONG) as server:
        [completion] = sampled(server, ask(max_tokens=40), store=store, ledger=ledger)
    assert (completion.response, completion.finish) == (LONG, "stop")
    assert [payload.get("continue_final_message", False) for payload in server.payloads] == [
        False,
        True,
        True,
    ]
    assert completion.completion_tokens == ledger.spent.completion_tokens == 100
    assert completion.money == pytest.approx(ledger.spent.money)


def test_a_truncated_completion_that_stays_so_says_so():
    with ModelServer(lambda payload, index: LONG) as server:
        [completion] = sampled(server, ask(max_tokens=40), truncation="keep")
        assert (completion.response, completion.finish) == (LONG[:160], "length")
        [completion] = sampled(server, ask(max_tokens=10), continuations=1)
        assert (completion.response, completion.finish) == (LONG[:80], "length")


def test_a_completion_of_5_mb_arrives():
    text = "x" * 5_000_000
    with ModelServer(lambda payload, index: text, context=2_000_000) as server:
        [completion] = sampled(server, ask(max_tokens=1_500_000))
    assert completion.response == text
    assert completion.finish == "stop"


def test_a_server_that_is_down_leaves_the_work_to_the_others():
    with ModelServer() as dead:
        pass
    with ModelServer() as server:
        completions = sampled([dead, server], ask(4))
    assert len(completions) == 4


def test_what_was_paid_for_before_a_failure_is_not_asked_again():
    store = Kept()
    faults = [None, *[Fault("status", 500)] * 4]
    # Two fit in a request; the first two come, the rest fail for good.
    with ModelServer(faults=faults) as server:
        failing(server, ask(4), store=store, concurrency=2)
        assert len(store.completions) == 2
        assert len(sampled(server, ask(4), store=store)) == 4
    assert [payload.get("n", 1) for payload in server.payloads[-1:]] == [2]
    assert set(store.times.values()) == {1}
    assert len(store.times) == 4


def test_nothing_is_asked_beyond_the_budget():
    ledger = Ledger(Budget(completion_tokens=250))
    with ModelServer(lambda payload, index: LONG) as server:
        completions = sampled(server, ask(5, max_tokens=100), ledger=ledger)
    assert len(completions) == 2
    assert ledger.refused == "completion tokens"
    assert server.counts["asked"] <= 2


def test_closing_the_generator_stops_the_server():
    async def close_early(server):
        address = ModelAddress.parse(f"vllm:tiny@{server.url}")
        client = ModelClient("tiny", open_endpoints(address), config=ClientConfig(**QUICK))
        samples = client.sample(ask(8), Ledger())
        waiting = asyncio.create_task(anext(samples))
        assert await asyncio.to_thread(server.wait_until, lambda s: s.slots.busy == 8)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await samples.aclose()
        assert await asyncio.to_thread(server.wait_until, lambda s: s.counts["ended"] == 1)
        await client.aclose()

    with ModelServer(latency=lambda dice: 60.0) as server:
        asyncio.run(close_early(server))
        assert server.slots.busy == 0
    assert server.counts["disconnected"] == 1
    assert server.counts["answered"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_among_many_faults_every_sample_comes_once(seed):
    dice = random.Random(seed)
    faults = [*PASSING.values(), Fault("choices", count=1), Fault("status", 429, {"Retry-After": "0.01"})]
    scripted = [dice.choice(faults) if dice.random() < 0.4 else None for _ in range(300)]
    store, ledger = Kept(), Ledger()

    async def run(server):
        address = ModelAddress.parse(f"vllm:tiny@{server.url}")
        config = ClientConfig(**QUICK | {"attempts": 12, "concurrency": 8, "failures": 1000})
        endpoints = open_endpoints(address, EndpointSettings(timeout=0.5))
        client = ModelClient("tiny", endpoints, config=config, store=store, random=random.Random(seed))

        async def one(number):
            return [completion async for completion in client.sample(ask(3, f"task {number}"), ledger)]

        answers = await asyncio.gather(*(one(number) for number in range(30)))
        await client.aclose()
        return answers

    with ModelServer(faults=scripted, latency=lambda dice: dice.uniform(0, 0.01)) as server:
        answers = asyncio.run(run(server))
    assert [[completion.sample for completion in answer] for answer in answers] == [[0, 1, 2]] * 30
    assert set(store.times.values()) == {1}
    assert len(store.times) == 90
    assert server.counts["faults"] > 5
