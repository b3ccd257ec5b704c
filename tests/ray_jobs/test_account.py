"""The budget of a run that many workers spend from."""

import asyncio
from functools import partial

import pytest
import ray
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.budget import Budget, Cost, Ledger
from ray_jobs.account import AccountHost, SharedAccount, start_account
from ray_jobs.cluster import connect

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, not one for each process

TOKENS = 100
EACH = Cost(completion_tokens=10)
NOTHING = (Cost(), 0)
WORKERS = ("a", "b", "c")


class Spending:
    """Workers that ask for samples of ten tokens, write as many or fewer, and die; the log knows of these."""

    def __init__(self):
        self.written = 0
        self.host = AccountHost(Budget(completion_tokens=TOKENS), lambda: (self.cost, 0))
        self.asking = []
        self.granted = {name: [] for name in WORKERS}
        self.dead = set()

    @property
    def cost(self):
        return Cost(completion_tokens=self.written)

    async def do(self, worker, what, number):
        if worker in self.dead:  # another would be started under another name
            return
        if what == "ask":
            asked = asyncio.create_task(self.host.admit(worker, number, Cost(), EACH))
            self.asking.append((worker, asked))
        elif what == "write" and self.granted[worker]:
            samples = self.granted[worker].pop()
            spent = min(number, 10) * samples
            self.written += spent
            await self.host.spend(Cost(completion_tokens=spent))
            await self.host.release(worker, EACH.times(samples), True)
        elif what == "die":
            self.dead.add(worker)
            self.granted[worker].clear()
            await self.host.forget(worker)
        await self.settle()

    async def settle(self):
        for _ in range(3):
            await asyncio.sleep(0)
        for worker, asked in [one for one in self.asking if one[1].done()]:
            self.asking.remove((worker, asked))
            granted, refused = asked.result()
            if worker not in self.dead:
                assert granted or refused == "completion tokens"
                self.granted[worker] += [granted] if granted else []
        held = sum(10 * samples for grants in self.granted.values() for samples in grants)
        assert self.written + held <= TOKENS

    async def end(self):
        """Everybody still alive writes what was granted; then everybody must have had an answer."""
        while any(self.granted.values()):
            for worker in WORKERS:
                await self.do(worker, "write", 1)
        await self.settle()


DEEDS = st.tuples(st.sampled_from(WORKERS), st.sampled_from(["ask", "write", "die"]), st.integers(1, 12))


@settings(max_examples=200, deadline=None)
@given(st.lists(DEEDS, max_size=40))
def test_workers_together_never_pass_the_budget_and_none_waits_for_ever(deeds):
    async def main():
        spending = Spending()
        for worker, what, number in deeds:
            await spending.do(worker, what, number)
        await spending.end()
        for _, asked in spending.asking:
            asked.cancel()
        assert {worker for worker, _ in spending.asking} <= spending.dead

    asyncio.run(main())


def test_what_a_worker_asked_for_before_it_died_is_not_granted_to_nobody():
    async def main():
        host = AccountHost(Budget(completion_tokens=TOKENS), lambda: (Cost(), 0))
        assert await host.admit("a", 10, Cost(), EACH) == (10, "")
        waiting = asyncio.create_task(host.admit("b", 10, Cost(), EACH))
        await asyncio.sleep(0)
        await host.forget("b")
        await host.release("a", EACH.times(10), True)
        async with asyncio.timeout(1):
            await waiting
            assert await host.admit("c", 10, Cost(), EACH) == (10, "")

    asyncio.run(main())


def test_what_is_given_back_by_one_that_is_gone_does_not_count_twice():
    async def main():
        host = AccountHost(Budget(completion_tokens=TOKENS), lambda: (Cost(), 0))
        await host.admit("a", 5, Cost(), EACH)
        await host.admit("b", 5, Cost(), EACH)
        await host.forget("a")
        await host.release("a", EACH.times(5), True)
        granted, _ = await host.admit("c", 5, Cost(), EACH)
        assert granted == 5
        waiting = asyncio.create_task(host.admit("d", 1, Cost(), EACH))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()

    asyncio.run(main())


def test_what_a_worker_spent_without_telling_is_taken_from_the_log():
    async def main():
        log = [(Cost(), 0), (Cost(completion_tokens=50), 6)]
        host = AccountHost(Budget(completion_tokens=TOKENS, programs=8), lambda: log.pop(0))
        assert await host.take_programs(1) == 1
        await host.admit("a", 5, Cost(), EACH)
        await host.forget("a")
        assert await host.spent() == Cost(completion_tokens=50)
        assert [await host.take_programs(8) for _ in range(3)] == [1, 1, 0]

    asyncio.run(main())


@pytest.fixture
def account(cluster):
    """Start accounts on the cluster; give their handles."""
    stops = []
    with connect(cluster.address) as connected:
        home = connected.nodes()[0].id

        def start(spent=NOTHING, **limits):
            handle, stop = start_account(Budget(**limits), partial(tuple, spent), home)
            stops.append(stop)
            return handle, Budget(**limits)

        yield start
        for stop in stops:
            stop()


def test_workers_share_one_budget_of_programs(account):
    handle, budget = account(programs=50)
    one, other = (SharedAccount(handle, name, budget, None) for name in "ab")
    assert all(one.take_program() for _ in range(10))
    one.close()  # it gives back what it did not run
    assert sum(other.take_program() for _ in range(60)) == 40
    assert other.refused == "programs"


def test_towards_the_end_no_worker_keeps_programs_that_another_could_run(account):
    handle, budget = account(programs=4)
    one, other = (SharedAccount(handle, name, budget, None) for name in "ab")
    assert one.take_program()
    assert [other.take_program() for _ in range(4)] == [True, True, True, False]


def test_what_was_spent_in_an_earlier_session_counts(account):
    handle, budget = account((Cost(completion_tokens=95), 7), completion_tokens=TOKENS, programs=8)
    shared = SharedAccount(handle, "a", budget, None)
    assert asyncio.run(shared.admit(1, Cost(), EACH)) == 0
    assert shared.refused == "completion tokens"
    assert [shared.take_program() for _ in range(2)] == [True, False]


def test_two_workers_wait_for_each_other_and_one_that_is_cancelled_gives_back(account):
    handle, budget = account(completion_tokens=TOKENS)

    async def main():
        one, other, third = (SharedAccount(handle, name, budget, None) for name in "abc")
        assert await one.admit(10, Cost(), EACH) == 10
        waiting = asyncio.create_task(other.admit(10, Cost(), EACH))
        await asyncio.sleep(0)  # it has asked
        assert await handle.spent.remote() == Cost()
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        one.spend(Cost(completion_tokens=30))
        one.release(EACH.times(10))
        async with asyncio.timeout(10):  # the cancelled one is served, cut down to 7, and gives them back
            assert await third.admit(7, Cost(), EACH) == 7
            assert await handle.spent.remote() == Cost(completion_tokens=30)

    asyncio.run(main())


def test_tasks_ledgers_of_two_workers_stay_within_the_run(account):
    handle, budget = account(completion_tokens=TOKENS)

    async def task(worker):
        ledger = Ledger(Budget(completion_tokens=60), SharedAccount(handle, worker, budget, None))
        written = 0
        while True:
            async with ledger.reserve(4, Cost(), EACH) as granted:
                if not granted:
                    return written
                ledger.spend(EACH.times(granted))
                written += 10 * granted

    async def main():
        return await asyncio.gather(*(task(worker) for worker in WORKERS))

    written = asyncio.run(main())
    assert sum(written) == TOKENS
    assert max(written) <= 60
    assert ray.get(handle.spent.remote()) == Cost(completion_tokens=TOKENS)


def test_no_time_left_refuses_without_asking(account):
    handle, budget = account(seconds=1.0)
    shared = SharedAccount(handle, "a", budget, 0.0)
    assert asyncio.run(shared.admit(1, Cost(), EACH)) == 0
    assert (shared.refused, shared.seconds_left) == ("seconds", 0.0)


@given(st.permutations(range(8)), st.lists(st.integers(0, 10), min_size=4, max_size=4))
def test_what_a_worker_tells_counts_in_its_order_however_it_comes(order, written):
    """Four reservations of ten tokens, each spent from and then given back; 60 tokens are left to others."""
    host = AccountHost(Budget(completion_tokens=TOKENS))
    told = []
    for spent in written:
        told.append((Cost(completion_tokens=spent), None, False))
        told.append((Cost(), EACH, True))

    async def main():
        for _ in range(4):
            assert await host.admit("a", 1, Cost(), EACH) == (1, "")
        heard = set()
        for number in order:
            await host.tell("a", number, *told[number])
            heard.add(number)
            whole = next(number for number in range(9) if number not in heard)
            spent = sum(written[: (whole + 1) // 2])
            assert (await host.spent()).completion_tokens == spent
        # All is given back: what was not spent may be reserved again, and no more.
        left = (TOKENS - sum(written)) // 10
        assert (await host.admit("b", 10, Cost(), EACH))[0] == min(10, left)

    asyncio.run(main())
