"""The budget of a run that many workers spend from: one ledger, owned by an actor.

What a worker reserves is granted by the one ledger, in the order in which it was asked, so that all workers
together stay within it. What is spent and given back is only told, not waited for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hypotheses.budget import Budget, Cost, Ledger

PROGRAMS_AT_ONCE = 8
"""So many programs a worker takes from the budget at a time, and gives back what it does not need."""


class AccountHost:
    """The actor: owns the ledger of a run, and knows which worker holds what of it."""

    def __init__(self, budget: Budget, spent: Callable[[], tuple[Cost, int]] | None = None) -> None:
        self._ledger = Ledger(budget)
        self._spent: Callable[[], tuple[Cost, int]] = lambda: (Cost(), 0)
        if spent is not None:
            self.open(spent)
        self._held: dict[str, tuple[int, Cost]] = {}
        """By worker: how many reservations, and what they are together."""
        self._gone: set[str] = set()
        self._heard: dict[str, int] = {}
        """By worker: the number of what it is to tell next."""
        self._early: dict[str, dict[int, tuple[Cost, Cost | None, bool]]] = {}

    def open(self, spent: Callable[[], tuple[Cost, int]]) -> None:
        """Begin with what ``spent`` gives, which also tells later what those spent that are gone."""
        self._spent = spent
        self._ledger.spent, self._ledger.programs = spent()

    async def admit(self, worker: str, samples: int, shared: Cost, each: Cost) -> tuple[int, str]:
        """Wait for a turn; give for how many samples something is reserved, and what refused the rest."""
        granted = await self._ledger.admit(samples, shared, each)
        if granted and worker in self._gone:  # while it waited: nobody else would give that back
            self._ledger.release(shared + each.times(granted))
            return 0, ""
        if granted:
            number, cost = self._held.get(worker, (0, Cost()))
            self._held[worker] = number + 1, cost + shared + each.times(granted)
        return granted, self._ledger.refused

    async def tell(self, worker: str, number: int, spent: Cost, released: Cost | None, ends: bool) -> None:
        """Hear what a worker spent, or gave back: in the order of its numbers, however Ray delivers it.

        What was given back before it was known as spent could be granted to others.
        """
        if worker in self._gone:  # what it spent was read from the log, and what it held taken from it
            return
        early = self._early.setdefault(worker, {})
        early[number] = (spent, released, ends)
        while (following := self._heard.get(worker, 0)) in early:
            spent, released, ends = early.pop(following)
            self._heard[worker] = following + 1
            self._ledger.spend(spent)
            if released is not None:
                await self.release(worker, released, ends)

    async def release(self, worker: str, cost: Cost, ends: bool) -> None:
        """Give back a part of a reservation, or all that is left of it."""
        if worker not in self._held:  # what it held was taken from it, for it seemed to be gone
            return
        number, held = self._held[worker]
        if number > ends:
            self._held[worker] = number - ends, held - cost
        else:
            del self._held[worker]
        self._ledger.release(cost, ends=ends)

    async def spend(self, cost: Cost) -> None:
        """Count what was spent."""
        self._ledger.spend(cost)

    async def take_programs(self, most: int) -> int:
        """Give how many programs may be run, up to ``most``; few towards the end, so that all get some."""
        if self._ledger.budget.programs is not None:
            left = self._ledger.budget.programs - self._ledger.programs
            most = max(1, min(most, left // (2 * PROGRAMS_AT_ONCE)))
        return sum(self._ledger.take_program() for _ in range(most))

    async def give_programs(self, number: int) -> None:
        """Take back programs that were not run."""
        self._ledger.programs -= number

    async def forget(self, worker: str) -> None:
        """Give back what a worker held that is gone; what it spent is in the log."""
        self._gone.add(worker)
        self._early.pop(worker, None)
        self._heard.pop(worker, None)
        number, held = self._held.pop(worker, (0, Cost()))
        for _ in range(number):
            self._ledger.release(held)
            held = Cost()
        cost, programs = await asyncio.to_thread(self._spent)
        self._ledger.spent = self._ledger.spent.at_least(cost)
        self._ledger.programs = max(self._ledger.programs, programs)

    async def spent(self) -> Cost:
        """Give what is spent so far."""
        return self._ledger.spent


def start_account(
    budget: Budget, spent: Callable[[], tuple[Cost, int]], node_id: str
) -> tuple[Any, Callable[[], None]]:
    """Start the actor on a node; give its handle, and how to end it.

    ``spent`` gives what the run has cost so far, and how many programs were run. An actor that dies is not
    started again, for it alone knows what is reserved: the run ends, and can be resumed.
    """
    actor: Any = ray.remote(AccountHost)
    handle = actor.options(
        num_cpus=0,
        max_restarts=0,
        max_concurrency=100_000,  # as many requests may wait for their turn
        scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False),
    ).remote(budget)
    # By a call, for arguments of the actor itself are kept where others can read them.
    ray.get(handle.open.remote(spent))
    return handle, lambda: ray.kill(handle)


class SharedAccount:
    """The run's budget as a worker's ledgers see it: an ``Account``.

    ``seconds`` is what is left of the run's time as this is made.
    """

    def __init__(self, handle: Any, worker: str, budget: Budget, seconds: float | None) -> None:
        self._handle = handle
        self._worker = worker
        self._budget = budget
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._refused = ""
        self._programs = 0
        self._numbers = count()

    @property
    def seconds_left(self) -> float | None:
        """The time that is left; ``None`` without a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    @property
    def limits_money(self) -> bool:
        """Whether money is limited."""
        return self._budget.money is not None

    @property
    def refused(self) -> str:
        """Which limit refused something altogether, in words; empty as long as none did."""
        return self._refused

    async def admit(self, samples: int, shared: Cost, each: Cost) -> int:
        """Wait for our turn, and reserve ``shared`` plus ``each`` for as many of ``samples`` as fit then."""
        if self.seconds_left == 0:
            self._refused = "seconds"
            return 0
        asked = asyncio.ensure_future(
            asyncio.wrap_future(self._handle.admit.remote(self._worker, samples, shared, each).future())
        )
        try:
            granted, refused = await asyncio.shield(asked)
        except asyncio.CancelledError:
            asked.add_done_callback(lambda done: self._return(done, shared, each))
            raise
        if not granted:
            self._refused = refused
        return int(granted)

    def release(self, cost: Cost, *, ends: bool = True) -> None:
        """Give back so much of a reservation, all that is left of it where that ``ends`` it."""
        self._handle.tell.remote(self._worker, next(self._numbers), Cost(), cost, ends)

    def spend(self, cost: Cost) -> None:
        """Count what was spent."""
        self._handle.tell.remote(self._worker, next(self._numbers), cost, None, False)

    def take_program(self) -> bool:
        """Count one more program, or say that the budget has none left."""
        if self._budget.programs is None:
            return True
        if not self._programs:
            self._programs = ray.get(self._handle.take_programs.remote(PROGRAMS_AT_ONCE))
        if not self._programs:
            self._refused = "programs"
            return False
        self._programs -= 1
        return True

    def _return(self, asked: asyncio.Future[tuple[int, str]], shared: Cost, each: Cost) -> None:
        """Give back what was granted when nobody waited for it any more."""
        if not asked.cancelled() and asked.exception() is None and (granted := asked.result()[0]):
            self.release(shared + each.times(granted))

    def close(self) -> None:
        """Give back the programs that were not run."""
        if self._programs:
            self._handle.give_programs.remote(self._programs)
            self._programs = 0
