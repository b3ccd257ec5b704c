"""What a task, or a run, may still spend, enforced while it runs."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import NamedTuple, Protocol

from hypotheses.hypothesis import Completion


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent; ``None`` means no limit.

    ``tokens``             prompt and completion tokens together
    ``completion_tokens``  tokens that a model wrote
    ``seconds``            of wall time
    ``money``              US dollars
    ``programs``           distinct programs run
    """

    tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    money: float | None = None
    programs: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit > 0:
                raise ValueError(f"Budget.{field.name} must be positive, or None for no limit, not {limit!r}")


@dataclass(frozen=True, slots=True)
class Cost:
    """What something costs, or may cost at most. ``money`` is in US dollars."""

    prompt_tokens: float = 0
    completion_tokens: float = 0
    money: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.money + other.money,
        )

    def __sub__(self, other: Cost) -> Cost:
        return self + other.times(-1)

    def times(self, factor: float) -> Cost:
        """Give ``factor`` times this cost."""
        return Cost(self.prompt_tokens * factor, self.completion_tokens * factor, self.money * factor)

    def at_least(self, other: Cost) -> Cost:
        """Give what is larger, part by part."""
        return Cost(
            max(self.prompt_tokens, other.prompt_tokens),
            max(self.completion_tokens, other.completion_tokens),
            max(self.money, other.money),
        )


class Account(Protocol):
    """What a ledger's spending counts against as well, such as the budget of a whole run.

    It may stand in another process, shared by many: a ``Ledger`` of this one is only the simplest.
    """

    @property
    def seconds_left(self) -> float | None:
        """The time that is left; ``None`` without a limit."""
        ...

    @property
    def limits_money(self) -> bool:
        """Whether money is limited."""
        ...

    @property
    def refused(self) -> str:
        """Which limit refused something altogether, in words; empty as long as none did."""
        ...

    async def admit(self, samples: int, shared: Cost, each: Cost) -> int:
        """Wait for our turn, and reserve ``shared`` plus ``each`` for as many of ``samples`` as fit then."""
        ...

    def release(self, cost: Cost, *, ends: bool = True) -> None:
        """Give back so much of a reservation, all that is left of it where that ``ends`` it."""
        ...

    def spend(self, cost: Cost) -> None:
        """Count what was spent."""
        ...

    def take_program(self) -> bool:
        """Count one more program, or say that the budget has none left."""
        ...


class _Waiting(NamedTuple):
    """A request that waits for its turn, whose result is how many samples it may ask for."""

    turn: asyncio.Future[int]
    samples: int
    shared: Cost
    each: Cost

    def cost(self, samples: int) -> Cost:
        return self.shared + self.each.times(samples)


class Ledger:
    """What was spent of a budget, and what is promised to requests that are under way.

    A request reserves the most it can cost before it is sent, so that many at a time cannot together go over.
    One that does not fit waits for those under way, which mostly cost less than they reserved; only where
    none is under way is it cut down to what fits, or refused. Requests are served in the order in which they
    came, so that what is refused does not depend on how fast the others are answered.

    ``parent`` is the run's ledger: what a task spends is spent there too. Prompt tokens are estimated before
    a request is sent and counted after it, so a budget can be passed by the error of that estimate.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        parent: Account | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget or Budget()
        self.spent = Cost()
        self.programs = 0
        self.refused = ""
        """Which limit refused something altogether, in words; empty as long as none did."""
        self._charged: set[Hashable] = set()
        self._parent = parent
        self._clock = clock
        self._started = clock()
        self._reserved = Cost()
        self._under_way = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def seconds_left(self) -> float | None:
        """The time that is left, by this budget and the run's; ``None`` without a limit."""
        above = self._parent.seconds_left if self._parent else None
        if self.budget.seconds is None:
            return above
        own = max(0.0, self.budget.seconds - (self._clock() - self._started))
        return own if above is None else min(own, above)

    @property
    def limits_money(self) -> bool:
        """Whether money is limited, here or in the run, so that what a model charges has to be known."""
        above = self._parent is not None and self._parent.limits_money
        return above or self.budget.money is not None

    @asynccontextmanager
    async def reserve(self, samples: int, shared: Cost, each: Cost) -> AsyncGenerator[int, None]:
        """Reserve ``shared`` plus ``each`` for every sample, and give how many samples may be asked for.

        What is given is at most ``samples``: for the rest, ask again once what was granted has been charged.
        It is 0, and ``refused`` says why, where not even one fits. The reservation ends with the context;
        what was really spent is for ``charge`` to say. Never wait for a second reservation inside a first
        one: it may be waiting for the first to end.
        """
        held: list[tuple[Account, Cost]] = []
        granted = samples
        try:
            for account in (self, self._parent):
                if account is None or not granted:
                    break
                granted = await account.admit(granted, shared, each)
                if granted:
                    held.append((account, shared + each.times(granted)))
                else:
                    self.refused = account.refused
            if granted < samples:  # the run's ledger may have granted less than the task's
                exact = shared + each.times(granted) if granted else Cost()
                for position, (account, cost) in enumerate(held):
                    held[position] = (account, exact)
                    account.release(cost - exact, ends=False)
            yield granted
        finally:
            for account, cost in reversed(held):
                account.release(cost)

    def charge(self, completion: Completion) -> None:
        """Count a completion that was paid for, here and in the run's ledger."""
        if completion.key:
            # The same prompt, asked twice within a task, gives the same completion, which was paid for once.
            if completion.identity in self._charged:
                return
            self._charged.add(completion.identity)
        self.spend(Cost(completion.prompt_tokens, completion.completion_tokens, completion.money))

    def spend(self, cost: Cost) -> None:
        """Count what was spent, here and in the run's ledger."""
        self.spent += cost
        if self._parent is not None:
            self._parent.spend(cost)

    def take_program(self) -> bool:
        """Count one more program, or say that the budget has none left."""
        spent = self.budget.programs is not None and self.programs >= self.budget.programs
        if spent or (self._parent is not None and not self._parent.take_program()):
            self.refused = "programs"
            return False
        self.programs += 1
        return True

    async def admit(self, samples: int, shared: Cost, each: Cost) -> int:
        """Wait for our turn, and reserve what fits then; ``reserve`` is how to do that safely.

        What is given is not asked of the ledger above.
        """
        waiting = _Waiting(asyncio.get_running_loop().create_future(), samples, shared, each)
        self._waiting.append(waiting)
        self._serve()
        try:
            return await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.cancelled():
                self._serve()  # whoever stands behind us may fit
            elif granted := waiting.turn.result():  # served and cancelled in one breath
                self.release(waiting.cost(granted))
            raise

    def _serve(self) -> None:
        """Serve those who wait, in order, up to the first who has to go on waiting.

        What they get is reserved here and now: whoever comes before they run cannot take it from them.
        """
        while self._waiting:
            waiting = self._waiting[0]
            if waiting.turn.cancelled():
                self._waiting.popleft()
                continue
            limit = self._limit(waiting.cost(waiting.samples))
            if limit and limit != "seconds" and self._under_way:
                return
            self._waiting.popleft()
            waiting.turn.set_result(self._grant(waiting))

    def _grant(self, waiting: _Waiting) -> int:
        granted = waiting.samples
        while limit := self._limit(waiting.cost(granted)):
            granted -= 1
            if not granted:
                self.refused = limit
                return 0
        self._reserved += waiting.cost(granted)
        self._under_way += 1
        return granted

    def release(self, cost: Cost, *, ends: bool = True) -> None:
        """Give back so much of a reservation, all that is left of it where that ``ends`` it."""
        self._reserved -= cost
        if ends:
            self._under_way -= 1
        if not self._under_way:
            self._reserved = Cost()  # sums of floats leave crumbs
        self._serve()

    def _limit(self, more: Cost) -> str:
        """Name the limit that spending ``more`` would break; empty if none."""
        if self.seconds_left == 0:
            return "seconds"
        after = self.spent + self._reserved + more
        budget = self.budget
        if budget.tokens is not None and after.prompt_tokens + after.completion_tokens > budget.tokens:
            return "tokens"
        if budget.completion_tokens is not None and after.completion_tokens > budget.completion_tokens:
            return "completion tokens"
        if budget.money is not None and after.money > budget.money:
            return "money"
        return ""
