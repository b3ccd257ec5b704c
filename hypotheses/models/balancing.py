"""Which endpoint is asked next, and who waits for it."""

from __future__ import annotations

import asyncio
import math
from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from operator import attrgetter
from typing import Literal, NamedTuple

from hypotheses.models.adaptive import AdaptiveLimit
from hypotheses.models.chat import ChatEndpoint, ModelDownError
from hypotheses.models.circuit_breaker import CircuitBreaker

WHOLE_SECONDS = 15.0
"""How long an endpoint may refuse everything before requests are sent to it in parts."""

Ending = Literal["answered", "refused", "overloaded", "failed", "unknown"]
"""How a request ended. ``refused``: this one alone, for what it asked; ``unknown``: it was not waited for."""


class Line:
    """An endpoint, and what we know of it.

    ``limit`` is how many samples may be under way there, ``in_flight`` how many are, ``gives`` how many it
    gives in one request, as far as is known. ``outstanding`` are the tokens it may still have to read or
    write for us.
    """

    def __init__(self, endpoint: ChatEndpoint, concurrency: int, breaker: CircuitBreaker) -> None:
        self.endpoint = endpoint
        self.limit = AdaptiveLimit(concurrency)
        self.in_flight = 0
        self.gives: float = math.inf if getattr(endpoint, "multiple", True) else 1
        self.outstanding = 0.0
        self.breaker = breaker
        self.paused_until = -math.inf
        self.overloaded_since: float | None = None
        """Since when it has refused all that it has answered; ``None`` if it has not."""
        self.refusals = 0
        """How often since then, though it was asked for no more than one sample."""
        self.splits = False
        """Whether it has refused everything for so long that a smaller request may be what it takes."""
        self.trouble = ""

    @property
    def free(self) -> int:
        """How many samples may still be asked for; below 0 after the limit was lowered."""
        return self.limit.room - self.in_flight

    @property
    def ready_at(self) -> float:
        """From when on it may be asked, by the clock of the event loop."""
        return max(self.breaker.ready_at, self.paused_until)

    @property
    def down_since(self) -> float | None:
        """Since when it has been of no use; ``None`` if it may be at work."""
        if self.breaker.down_since is not None:
            return self.breaker.down_since
        return None if self.in_flight else self.overloaded_since

    def portion(self, samples: int) -> int:
        """How many of ``samples`` one request is for: all, where the endpoint may give so many."""
        most = self.limit.room if self.splits else self.limit.most
        return int(min(samples, self.gives, most))

    def fits(self, samples: int) -> bool:
        """Whether a request for so many may be sent now.

        One for more than the limit is now is sent whole as well, by itself: in parts its prompt would be paid
        for several times.
        """
        portion = self.portion(samples)
        return self.free >= portion or (not self.in_flight and portion > self.limit.room)


@dataclass(eq=False, slots=True)
class Lease:
    """The right to ask an endpoint once for so many samples; ``cuts`` tells when it began."""

    line: Line
    samples: int
    tokens: float
    probe: bool
    cuts: int


class Ticket(NamedTuple):
    """A place in the queue, and since when it is held."""

    number: int
    since: float


@dataclass(eq=False, slots=True)
class _Waiter:
    ticket: Ticket
    samples: int
    prompt_tokens: float
    max_tokens: int
    avoid: Collection[Line]
    turn: asyncio.Future[Lease]


class Balancer:
    """Gives each request to the endpoint with the fewest outstanding tokens that has room for it.

    Room is counted in samples; an overloaded endpoint has less of it (``AdaptiveLimit``). Requests are served
    by their tickets: nobody overtakes one who waits for the same endpoint, and who comes back to try again
    keeps the place. Endpoints whose circuit breaker is open are left alone, and for growing times those that
    refuse all for an overload; where all are down, requests wait at most ``patience`` seconds.
    """

    def __init__(
        self,
        model: str,
        endpoints: Sequence[ChatEndpoint],
        *,
        concurrency: int,
        failures: int,
        cool_down: float,
        patience: float,
        backoff: float,
    ) -> None:
        self.lines = [
            Line(endpoint, concurrency, CircuitBreaker(failures, cool_down)) for endpoint in endpoints
        ]
        self._model = model
        self._patience = patience
        self._backoff = backoff
        self._cool_down = cool_down
        self._tickets = count()
        self._queue: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def under_way(self) -> int:
        """How many samples the endpoints were asked for and have not given."""
        return sum(line.in_flight for line in self.lines)

    @property
    def waiting(self) -> int:
        """How many samples wait for room."""
        return sum(waiter.samples for waiter in self._queue if not waiter.turn.done())

    @property
    def limits(self) -> tuple[float, ...]:
        """How many samples may be under way at each endpoint."""
        return tuple(line.limit.value for line in self.lines)

    def set_share(self, samples: int) -> None:
        """Change the most samples that may be under way at each endpoint; what is under way goes on."""
        for line in self.lines:
            line.limit.set_most(samples)
        if self._queue:
            self._dispatch()

    def overloaded(self, endpoint: str | int) -> None:
        """Cut the limit of an endpoint, by its name or index, whose server has a queue."""
        if isinstance(endpoint, int):
            named = self.lines[endpoint : endpoint + 1] if endpoint >= 0 else []
        else:
            named = [line for line in self.lines if line.endpoint.name == endpoint]
        if not named:
            names = ", ".join(line.endpoint.name for line in self.lines)
            raise ValueError(f"{self._model} has no endpoint {endpoint!r}; it has {names}")
        for line in named:
            line.limit.overloaded()

    def ticket(self) -> Ticket:
        """Give a place in the queue, behind all others."""
        return Ticket(next(self._tickets), asyncio.get_running_loop().time())

    def others(self, tried: Collection[Line]) -> bool:
        """Whether an endpoint that was not tried may be asked now."""
        now = asyncio.get_running_loop().time()
        return any(line not in tried and line.ready_at <= now for line in self.lines)

    async def take(
        self,
        samples: int,
        prompt_tokens: float,
        max_tokens: int,
        ticket: Ticket,
        avoid: Collection[Line] = (),
    ) -> Lease:
        """Wait for an endpoint with room for ``samples``, or for as many of them as it gives in one request.

        Endpoints to ``avoid`` are taken only where there is no other. Raises ``ModelError`` when all
        endpoints have been down for too long.
        """
        turn: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        waiter = _Waiter(ticket, samples, prompt_tokens, max_tokens, avoid, turn)
        insort(self._queue, waiter, key=attrgetter("ticket"))
        self._dispatch()
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.give_back(waiter.turn.result(), "unknown")
            elif waiter in self._queue:
                self._queue.remove(waiter)
                self._dispatch()
            raise

    def give_back(
        self,
        lease: Lease,
        outcome: Ending,
        trouble: str = "",
        pause: float | None = None,
    ) -> None:
        """Say how a request ended.

        ``pause`` is for how many seconds the endpoint wants to be left alone: no sign that it is broken.
        """
        line = lease.line
        now = asyncio.get_running_loop().time()
        if outcome == "answered":
            line.limit.answered(lease.cuts, lease.samples, line.in_flight)
        line.in_flight -= lease.samples
        line.outstanding -= lease.tokens
        if outcome in ("answered", "refused"):
            line.breaker.succeed()
            line.overloaded_since, line.refusals = None, 0
            line.splits = line.splits and line.limit.value < line.limit.most
        elif outcome == "failed" and pause is None:
            line.breaker.fail(now, probe=lease.probe)
        elif lease.probe:
            line.breaker.abandon()
        if outcome == "overloaded" and line.limit.overloaded(lease.cuts):
            pause = self._refused(line, now, pause)
        if line.overloaded_since is not None and now - line.overloaded_since > WHOLE_SECONDS:
            line.splits = True
        if pause is not None:
            line.paused_until = max(line.paused_until, now + min(pause, self._patience))
        if trouble:
            line.trouble = trouble
        self._dispatch()

    def _refused(self, line: Line, now: float, pause: float | None) -> float | None:
        """Say for how long an endpoint is left alone that was just cut and perhaps wants a ``pause``."""
        if line.overloaded_since is None:
            line.overloaded_since = now
            return pause  # to ask for less may do
        own = self._backoff
        if line.limit.room == 1:
            line.refusals += 1
            own = min(self._cool_down, own * 2.0 ** min(line.refusals - 1, 60))
        return max(pause or 0.0, own)

    def _dispatch(self) -> None:
        """Serve whoever can be served, in order of the tickets."""
        now = asyncio.get_running_loop().time()
        claimed: set[Line] = set()
        position = 0
        while position < len(self._queue):
            waiter = self._queue[position]
            if waiter.turn.done():
                del self._queue[position]
                continue
            ready = [line for line in self.lines if line.ready_at <= now]
            wanted = [line for line in ready if line not in waiter.avoid] or ready
            fitting = [line for line in wanted if line not in claimed and line.fits(waiter.samples)]
            if fitting:
                del self._queue[position]
                waiter.turn.set_result(self._lease(min(fitting, key=lambda line: line.outstanding), waiter))
                continue
            # Whoever comes later must leave these endpoints to this one.
            claimed.update(wanted)
            if claimed.issuperset(ready):
                break
            position += 1
        self._set_timer(now)

    def _lease(self, line: Line, waiter: _Waiter) -> Lease:
        samples = line.portion(waiter.samples)
        tokens = waiter.prompt_tokens + samples * waiter.max_tokens
        line.in_flight += samples
        line.outstanding += tokens
        return Lease(line, samples, tokens, line.breaker.begin(), line.limit.cuts)

    def _set_timer(self, now: float) -> None:
        """See to it that those who wait are looked at again when something changes by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queue:
            return
        moments = [line.ready_at for line in self.lines if now < line.ready_at < math.inf]
        if (deadline := self._deadline(self._queue[0])) is not None:
            moments.append(deadline)
        if moments:
            self._timer = asyncio.get_running_loop().call_at(min(moments), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._dispatch()  # first, for a pause may end at the moment at which patience does
        now = asyncio.get_running_loop().time()
        waiting = []
        for waiter in self._queue:
            deadline = self._deadline(waiter)
            if waiter.turn.done() or deadline is None or now < deadline:
                waiting.append(waiter)
            else:
                waiter.turn.set_exception(self._all_down())
        self._queue = waiting
        self._set_timer(now)

    def _deadline(self, waiter: _Waiter) -> float | None:
        """When a request has waited long enough for endpoints that are all down; ``None`` if one is not."""
        latest = waiter.ticket.since
        for line in self.lines:
            since = line.down_since
            if since is None:
                return None
            latest = max(latest, since)
        return latest + self._patience

    def _all_down(self) -> ModelDownError:
        troubles = "; ".join(f"{line.endpoint.name}: {line.trouble}" for line in self.lines)
        return ModelDownError(
            f"no endpoint of {self._model} has answered for {self._patience:g} s ({troubles}): "
            "see that one runs, or have more patience"
        )
