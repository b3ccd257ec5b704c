"""What holds for the client whatever endpoints do, and whenever those who ask go away."""

import asyncio
from contextlib import aclosing
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_endpoint import HANG, MemoryStore, ScriptedEndpoint, answer, busy, refusal
from virtual_time import run

from hypotheses.budget import Budget, Cost, Ledger
from hypotheses.models.chat import PART, Answer, ChatRequest, Choice, Message, Sampling, request_key
from hypotheses.models.client import ClientConfig, ModelClient
from sandboxes.errors import ModelError

CUT = Choice("begun", finish="length")


def fewer(request):
    return answer(max(1, request.n - 1), prompt_tokens=4)


def more(request):
    return answer(request.n + 2, prompt_tokens=4)


def one(request):
    return answer(1, prompt_tokens=4)


def cut(request):
    return Answer((CUT,) * request.n, 4, 7 * request.n)


def single(request):
    return refusal("n must be 1") if request.n > 1 else answer(1, prompt_tokens=4)


TRANSIENT = st.sampled_from([busy(), busy(retry_after=3), busy(retry_after=0), 0, HANG])
ODD = st.sampled_from([fewer, more, one, cut, single])
SCRIPTS = st.lists(st.one_of(TRANSIENT, ODD), max_size=8)
REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 2),  # which prompt
        st.integers(0, 4),  # first sample
        st.integers(1, 6),  # samples
        st.integers(0, 20),  # when
    ),
    min_size=1,
    max_size=6,
)


class Faulty(ScriptedEndpoint):
    """Counts the tokens that it gave out."""

    def __init__(self, *script, **attributes):
        super().__init__(*script, **attributes)
        self.prompt_tokens = self.completion_tokens = 0

    async def ask(self, request):
        given_ = await super().ask(request)
        self.prompt_tokens += given_.prompt_tokens
        self.completion_tokens += given_.completion_tokens
        return given_


def request_for(prompt, first, n):
    # 9 tokens by the count below; the endpoints say 4 or 10.
    return ChatRequest("program", (Message("user", f"prompt {prompt}"),), Sampling(max_tokens=20), n, first)


def client_of(endpoints, store, **config):
    return ModelClient(
        "m",
        endpoints,
        config=ClientConfig(timeout=50, attempts=40, patience=1e6, max_backoff=8, cool_down=5, **config),
        store=store,
        count_tokens=lambda text: 2,
        random=Random(1),
    )


async def collect(client, request, ledger):
    async with aclosing(client.sample(request, ledger)) as samples:
        return [completion async for completion in samples]


def at_rest(client, endpoints, ledgers, concurrency):
    """Whether nothing is under way or promised any more, and nothing was ever beyond the bounds."""
    assert all(endpoint.in_flight == 0 for endpoint in endpoints)
    assert all(endpoint.most_in_flight <= concurrency for endpoint in endpoints)
    assert all(line.free == concurrency for line in client._balancer.lines)
    assert all(line.outstanding == 0 for line in client._balancer.lines)
    assert not client._balancer._queue
    assert client._balancer._timer is None
    assert not client._flights._under_way
    assert not client._flights._tasks
    assert all((ledger._reserved, ledger._under_way) == (Cost(), 0) for ledger in ledgers)


@settings(max_examples=200, deadline=None)
@given(
    scripts=st.lists(SCRIPTS, min_size=1, max_size=3),
    requests=REQUESTS,
    concurrency=st.integers(1, 5),
    can_continue=st.booleans(),
    kept_before=st.integers(0, 3),
    truncation=st.sampled_from(["continue", "retry", "keep"]),
)
def test_whatever_fails_for_a_while_every_sample_comes_once_and_in_order(
    scripts, requests, concurrency, can_continue, kept_before, truncation
):
    store = MemoryStore()
    if kept_before:
        run(collect(client_of([ScriptedEndpoint()], store), request_for(0, 1, kept_before), Ledger()))
    before = set(store.completions)
    endpoints = [Faulty(*script, can_continue=can_continue) for script in scripts]
    client = client_of(endpoints, store, concurrency=concurrency, truncation=truncation, failures=3)
    ledgers = [Ledger() for _ in requests]

    async def ask(prompt, first, n, at, ledger):
        await asyncio.sleep(at)
        return await collect(client, request_for(prompt, first, n), ledger)

    async def main():
        asking = [ask(*one_, ledger) for one_, ledger in zip(requests, ledgers, strict=True)]
        return await asyncio.gather(*asking)

    results = run(main())
    for (prompt, first, n, _), completions in zip(requests, results, strict=True):
        assert [completion.sample for completion in completions] == list(range(first, first + n))
        key = request_key("m", request_for(prompt, first, n))
        # The store itself insists that nothing is kept twice.
        assert completions == [store.completions[key, sample] for sample in range(first, first + n)]
    # What was answered is recorded with all it cost, but for answers without any choice.
    new = [one_ for name, one_ in store.completions.items() if name not in before]
    if not any(one_.kind == PART for one_ in new) and not any(0 in script for script in scripts):
        assert sum(one_.completion_tokens for one_ in new) == sum(e.completion_tokens for e in endpoints)
        assert sum(one_.prompt_tokens for one_ in new) == sum(e.prompt_tokens for e in endpoints)
    at_rest(client, endpoints, ledgers, concurrency)
    # And once more without a word to any endpoint, as when a run is resumed.
    again = ModelClient("m", [silent := ScriptedEndpoint()], store=store)
    for (prompt, first, n, _), completions in zip(requests, results, strict=True):
        assert run(collect(again, request_for(prompt, first, n), Ledger())) == completions
    assert not silent.requests


@settings(max_examples=200, deadline=None)
@given(
    scripts=st.lists(
        st.lists(st.sampled_from([busy(), busy(retry_after=2), fewer, one, cut, single]), max_size=6),
        min_size=1,
        max_size=2,
    ),
    requests=REQUESTS,
    limit=st.integers(1, 400),
    run_limit=st.integers(1, 600),
    multiple=st.booleans(),
    stored=st.booleans(),
)
def test_no_budget_is_ever_exceeded(scripts, requests, limit, run_limit, multiple, stored):
    """Endpoints say at most what was estimated: 10 tokens for a prompt, 20 for a completion."""
    endpoints = [Faulty(*script, multiple=multiple, can_continue=True) for script in scripts]
    client = client_of(endpoints, MemoryStore() if stored else None, concurrency=4, failures=3)
    whole = Ledger(Budget(tokens=run_limit))
    ledgers = [Ledger(Budget(tokens=limit), whole) for _ in requests]

    async def ask(prompt, first, n, at, ledger):
        await asyncio.sleep(at)
        return await collect(client, request_for(prompt, first, n), ledger)

    async def main():
        asking = [ask(*one_, ledger) for one_, ledger in zip(requests, ledgers, strict=True)]
        return await asyncio.gather(*asking)

    results = run(main())
    assert sum(endpoint.prompt_tokens + endpoint.completion_tokens for endpoint in endpoints) <= run_limit
    for ledger in () if stored else (whole, *ledgers):
        # A completion that another task had continued costs who recalls it more than one request can.
        assert ledger.spent.prompt_tokens + ledger.spent.completion_tokens <= ledger.budget.tokens
    for (_, first, n, _), ledger, completions in zip(requests, ledgers, results, strict=True):
        came = [completion.sample for completion in completions]
        assert came == sorted(set(came) & set(range(first, first + n)))
        assert len(completions) == n or ledger.refused == "tokens"
        spent = ledger.spent
        if not stored:  # with a store, what another task has just finished is taken over as it is
            assert spent.prompt_tokens == sum(completion.prompt_tokens for completion in completions)
            assert spent.completion_tokens == sum(completion.completion_tokens for completion in completions)
    at_rest(client, endpoints, (whole, *ledgers), 4)


@settings(max_examples=200, deadline=None)
@given(
    scripts=st.lists(SCRIPTS, min_size=1, max_size=2),
    requests=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 3),
            st.integers(1, 5),
            st.integers(0, 6),
            st.one_of(st.none(), st.floats(0, 12)),  # when it is cancelled
            st.one_of(st.none(), st.integers(0, 3)),  # after how many it is closed
        ),
        min_size=1,
        max_size=6,
    ),
    concurrency=st.integers(1, 4),
    limit=st.integers(30, 400),
)
def test_whoever_goes_away_leaves_nothing_behind_and_the_others_alone(scripts, requests, concurrency, limit):
    endpoints = [Faulty(*script, can_continue=True) for script in scripts]
    client = client_of(endpoints, MemoryStore(), concurrency=concurrency, failures=3)
    ledgers = [Ledger(Budget(completion_tokens=limit)) for _ in requests]

    async def ask(prompt, first, n, at, ends, closes, ledger):
        await asyncio.sleep(at)
        seen = []
        async with aclosing(client.sample(request_for(prompt, first, n), ledger)) as samples:
            async for completion in samples:
                seen.append(completion.sample)
                if closes is not None and len(seen) > closes:
                    break
        return seen

    async def main():
        tasks = [
            asyncio.create_task(ask(*one_, ledger)) for one_, ledger in zip(requests, ledgers, strict=True)
        ]
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_at(one_[4], task.cancel)
            for one_, task in zip(requests, tasks, strict=True)
            if one_[4] is not None
        ]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for timer in timers:
            timer.cancel()
        at_rest(client, endpoints, ledgers, concurrency)
        return results

    for (_, first, n, _, ends, closes), ledger, seen in zip(requests, ledgers, run(main()), strict=True):
        if isinstance(seen, BaseException):
            assert ends is not None
            assert isinstance(seen, asyncio.CancelledError)
            continue
        whole = n if closes is None else min(n, closes + 1)
        assert seen == list(range(first, first + len(seen)))
        assert len(seen) == whole or ledger.refused


@settings(max_examples=100, deadline=None)
@given(
    script=st.lists(st.one_of(TRANSIENT, ODD, st.just(refusal("broken"))), max_size=12),
    requests=REQUESTS,
    closes_at=st.floats(0, 60),
)
def test_closing_the_client_ends_everything(script, requests, closes_at):
    endpoint = Faulty(*script)
    client = client_of([endpoint], None, concurrency=2, failures=2)

    async def ask(prompt, first, n, at):
        await asyncio.sleep(at)
        return await collect(client, request_for(prompt, first, n), Ledger())

    async def main():
        tasks = [asyncio.create_task(ask(*one_)) for one_ in requests]
        await asyncio.sleep(max(closes_at, 20))  # all have asked by then
        await client.aclose()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, list | ModelError), outcome

    run(main())
    assert endpoint.in_flight == 0
