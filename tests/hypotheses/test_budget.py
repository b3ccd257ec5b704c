"""Budgets and ledgers: reserved before, charged after, never passed, served in order."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import run

from hypotheses.budget import Budget, Cost, Ledger
from hypotheses.hypothesis import Completion

NOTHING = Cost()
EACH = Cost(completion_tokens=10)


def paid(prompt=0, completion=0, money=0.0):
    return Completion("program", "", "", prompt_tokens=prompt, completion_tokens=completion, money=money)


async def granted(ledger, samples, shared=NOTHING, each=EACH):
    async with ledger.reserve(samples, shared, each) as given_:
        return given_


def test_without_limits_everything_is_granted():
    ledger = Ledger()
    assert run(granted(ledger, 1000)) == 1000
    assert ledger.refused == ""
    assert ledger.seconds_left is None
    assert ledger.take_program()


@pytest.mark.parametrize(
    ("budget", "fits", "refused"),
    [
        (Budget(tokens=35), 2, "tokens"),  # 15 for the prompt and 10 for each sample
        (Budget(completion_tokens=35), 3, "completion tokens"),
        (Budget(money=0.35), 2, "money"),
    ],
)
def test_what_does_not_fit_is_cut_down_and_then_refused(budget, fits, refused):
    ledger = Ledger(budget)
    shared, each = Cost(15, 0, 0.15), Cost(0, 10, 0.1)

    async def main():
        assert await granted(ledger, 5, shared, each) == fits
        assert ledger.refused == ""  # the rest may fit once it is known what these cost
        ledger.charge(paid(15, 30, 0.35))
        assert await granted(ledger, 3, shared, each) == 0
        assert ledger.refused == refused

    run(main())


def test_a_budget_can_be_used_up_to_the_last_cent():
    ledger = Ledger(Budget(money=0.3))

    async def main():
        for _ in range(3):  # sums of tenths are not exact; what is left of them must not refuse the next
            async with ledger.reserve(3, Cost(), Cost(0, 0, 0.1)) as first:
                assert first
            assert ledger._reserved == Cost()

    run(main())


def test_one_that_does_not_fit_waits_for_those_under_way():
    ledger = Ledger(Budget(completion_tokens=50))
    events = []

    async def first():
        async with ledger.reserve(4, Cost(), EACH) as given_:
            events.append(("first", given_))
            await asyncio.sleep(1)
            ledger.charge(paid(completion=4))  # far less than was reserved

    async def second():
        async with ledger.reserve(4, Cost(), EACH) as given_:
            events.append(("second", given_))

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            group.create_task(second())

    run(main())
    assert events == [("first", 4), ("second", 4)]
    assert ledger.refused == ""


def test_a_small_request_does_not_overtake_a_large_one():
    ledger = Ledger(Budget(completion_tokens=50))
    served = []

    async def ask(name, samples, seconds):
        async with ledger.reserve(samples, Cost(), EACH):
            served.append(name)
            await asyncio.sleep(seconds)

    async def main():
        async with asyncio.TaskGroup() as group:
            for name, samples in (("first", 3), ("large", 5), ("small", 1)):
                group.create_task(ask(name, samples, 1))
            await asyncio.sleep(1)
            # It comes at the very moment when the first ends, and still is the last.
            group.create_task(ask("late", 1, 1))

    run(main())
    assert served == ["first", "large", "small", "late"]


@pytest.mark.parametrize("moment", [0, 0.5, 1])
def test_cancelling_one_who_waits_lets_the_next_in(moment):
    """Also at the moment when its turn has come: nothing stays reserved for it, and nobody sleeps on."""
    ledger = Ledger(Budget(completion_tokens=50))
    served = []

    async def ask(name, samples):
        async with ledger.reserve(samples, Cost(), EACH):
            served.append(name)
            await asyncio.sleep(1)

    async def main():
        first = asyncio.create_task(ask("first", 5))
        second = asyncio.create_task(ask("second", 5))
        third = asyncio.create_task(ask("third", 5))
        await asyncio.sleep(moment)
        second.cancel()
        await asyncio.wait({first, second, third})

    run(main())
    assert served[0] == "first"
    assert served[-1] == "third"
    assert ledger._reserved == Cost()
    assert ledger._under_way == 0


def test_a_turn_that_comes_together_with_the_cancellation_is_passed_on():
    ledger = Ledger(Budget(completion_tokens=50))
    served = []

    async def ask(name, ends):
        async with ledger.reserve(5, Cost(), EACH):
            served.append(name)
            await ends.wait()

    async def main():
        end = asyncio.Event()
        tasks = []
        for name in ("first", "second", "third"):
            tasks.append(asyncio.create_task(ask(name, end)))
            await asyncio.sleep(0)
        end.set()
        await asyncio.sleep(0)  # the first has ended, the second's turn has come, but it has not run yet
        assert served == ["first"]
        tasks[1].cancel()
        await asyncio.wait(tasks)

    run(main())
    assert served == ["first", "third"]
    assert ledger._under_way == 0


def test_time_refuses_at_once_even_while_others_are_under_way():
    async def main():
        clock = asyncio.get_running_loop().time
        ledger = Ledger(Budget(seconds=10, completion_tokens=10), clock=clock)
        async with ledger.reserve(1, Cost(), EACH):
            await asyncio.sleep(10)
            assert ledger.seconds_left == 0
            assert await granted(ledger, 1) == 0
        assert ledger.refused == "seconds"

    run(main())


def test_a_task_spends_the_budget_of_its_run_too():
    whole = Ledger(Budget(completion_tokens=50))
    tasks = [Ledger(Budget(completion_tokens=40), parent=whole) for _ in range(2)]

    async def main():
        assert await granted(tasks[0], 9) == 4
        tasks[0].charge(paid(completion=35))
        assert await granted(tasks[1], 9) == 1
        tasks[1].charge(paid(completion=10))
        assert await granted(tasks[1], 9) == 0

    run(main())
    assert whole.spent.completion_tokens == 45
    assert tasks[1].refused == whole.refused == "completion tokens"
    assert tasks[0].refused == ""


def test_what_the_run_does_not_grant_is_not_held_from_the_task():
    whole = Ledger(Budget(completion_tokens=20))
    task = Ledger(Budget(completion_tokens=100), parent=whole)

    async def main():
        async with task.reserve(10, Cost(), EACH) as given_:
            assert given_ == 2
            assert task._reserved == whole._reserved == EACH.times(2)

    run(main())
    assert task._reserved == whole._reserved == Cost()


def test_programs_are_counted_in_the_task_and_in_the_run():
    whole = Ledger(Budget(programs=3))
    one, two = Ledger(Budget(programs=2), whole), Ledger(None, whole)
    assert [one.take_program() for _ in range(3)] == [True, True, False]
    assert [two.take_program() for _ in range(2)] == [True, False]
    assert (one.programs, two.programs, whole.programs) == (2, 1, 3)
    assert one.refused == two.refused == "programs"


def test_the_shorter_time_counts():
    now = [0.0]
    whole = Ledger(Budget(seconds=10), clock=lambda: now[0])
    task = Ledger(Budget(seconds=30), whole, clock=lambda: now[0])
    assert task.seconds_left == 10
    now[0] = 11
    assert task.seconds_left == 0
    assert Ledger(None, whole, clock=lambda: now[0]).seconds_left == 0


def test_whether_money_is_limited():
    assert Ledger(Budget(tokens=1), Ledger(Budget(money=1.0))).limits_money
    assert not Ledger(Budget(tokens=1), Ledger()).limits_money


@pytest.mark.parametrize("limit", [0, -1, float("nan")])
def test_a_limit_that_allows_nothing_is_a_mistake(limit):
    with pytest.raises(ValueError, match="positive"):
        Budget(money=limit)


@given(
    limit=st.integers(1, 300),
    run_limit=st.integers(1, 500),
    requests=st.lists(
        st.tuples(
            st.integers(0, 1),  # which task
            st.integers(0, 5),  # when it comes
            st.integers(1, 6),  # samples
            st.integers(0, 30),  # prompt tokens
            st.integers(1, 20),  # max_tokens
            st.integers(0, 5),  # seconds it takes
            st.booleans(),  # whether it is cancelled
            st.floats(0, 1),  # how much of max_tokens is used
        ),
        max_size=12,
    ),
)
def test_no_ledger_is_ever_exceeded_and_nobody_waits_for_ever(limit, run_limit, requests):
    whole = Ledger(Budget(tokens=run_limit))
    tasks = [Ledger(Budget(tokens=limit), whole) for _ in range(2)]

    async def ask(task, at, samples, prompt, most, seconds, _cancelled, used):
        await asyncio.sleep(at)
        async with tasks[task].reserve(samples, Cost(prompt), Cost(0, most)) as given_:
            assert 0 <= given_ <= samples
            for ledger in (whole, *tasks):
                reserved = ledger._reserved
                assert reserved.prompt_tokens + reserved.completion_tokens <= ledger.budget.tokens
            await asyncio.sleep(seconds)
            for sample in range(given_):
                tasks[task].charge(paid(0 if sample else prompt, round(most * used)))

    async def main():
        running = [asyncio.create_task(ask(*request)) for request in requests]
        await asyncio.sleep(3)
        for task, request in zip(running, requests, strict=True):
            if request[6]:
                task.cancel()
        for outcome in await asyncio.gather(*running, return_exceptions=True):
            assert outcome is None or isinstance(outcome, asyncio.CancelledError)

    run(main())
    for ledger in (whole, *tasks):
        assert ledger.spent.prompt_tokens + ledger.spent.completion_tokens <= ledger.budget.tokens
        assert ledger._reserved == Cost()
        assert ledger._under_way == 0
        assert not ledger._waiting


def test_a_thousand_waiting_requests_are_served_in_order():
    ledger = Ledger(Budget(completion_tokens=100))
    served = []

    async def ask(number):
        async with ledger.reserve(5, Cost(), EACH) as given_:
            assert given_ == 5
            served.append(number)
            await asyncio.sleep(0.1)

    async def main():
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(ask(number))

    run(main())
    assert served == list(range(1000))


def test_a_completion_that_is_recalled_is_paid_for_once():
    whole = Ledger()
    task = Ledger(parent=whole)
    one = Completion("program", "", "", completion_tokens=7, key="k", sample=0)
    for completion in (one, replace(one), replace(one, sample=1), replace(one, key=""), replace(one, key="")):
        task.charge(completion)
    assert task.spent.completion_tokens == whole.spent.completion_tokens == 4 * 7
