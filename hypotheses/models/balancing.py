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

from hypotheses.models.chat import ChatEndpoint, ModelDownError
from hypotheses.models.circuit_breaker import CircuitBreaker


class Line:
    """An endpoint, and what we know of it.

    ``free`` counts samples that may still be asked for, ``most`` those that it gives in one request, as far
    as is known. ``outstanding`` are the tokens it may still have to read or write for us.
    """

    def __init__(self, endpoint: ChatEndpoint, concurrency: int, breaker: CircuitBreaker) -> None:
        self.endpoint = endpoint
        self.free = concurrency
        self.most = concurrency if getattr(endpoint, "multiple", True) else 1
        self.outstanding = 0.0
        self.breaker = breaker
        self.paused_until = -math.inf
        self.trouble = ""

    @property
    def ready_at(self) -> float:
        """From when on it may be asked, by the clock of the event loop."""
        return max(self.breaker.ready_at, self.paused_until)


@dataclass(eq=False, slots=True)
class Lease:
    """The right to ask an endpoint once for so many samples."""

    line: Line
    samples: int
    tokens: float
    probe: bool


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

    Room is counted in samples. Requests are served by their tickets: nobody overtakes one who waits for the
    same endpoint, and who comes back to try again keeps the place. Endpoints whose circuit breaker is open
    are left alone; where all are, requests wait for a probe to succeed, at most ``patience`` seconds.
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
    ) -> None:
        self.lines = [
            Line(endpoint, concurrency, CircuitBreaker(failures, cool_down)) for endpoint in endpoints
        ]
        self._model = model
        self._patience = patience
        self._tickets = count()
        self._queue: list[_Waiter] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def most(self) -> int:
        """How many samples any endpoint gives in one request."""
        return min(line.most for line in self.lines)

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
        outcome: Literal["alive", "failed", "unknown"],
        trouble: str = "",
        pause: float | None = None,
    ) -> None:
        """Say how a request ended.

        ``pause`` is for how many seconds the endpoint wants to be left alone: no sign that it is broken.
        """
        line = lease.line
        line.free += lease.samples
        line.outstanding -= lease.tokens
        now = asyncio.get_running_loop().time()
        if outcome == "alive":
            line.breaker.succeed()
        elif outcome == "failed" and pause is None:
            line.breaker.fail(now, probe=lease.probe)
        elif lease.probe:
            line.breaker.abandon()
        if pause is not None:
            line.paused_until = max(line.paused_until, now + min(pause, self._patience))
        if trouble:
            line.trouble = trouble
        self._dispatch()

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
            fitting = [
                line for line in wanted if line not in claimed and line.free >= min(waiter.samples, line.most)
            ]
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
        samples = min(waiter.samples, line.most)
        tokens = waiter.prompt_tokens + samples * waiter.max_tokens
        line.free -= samples
        line.outstanding += tokens
        return Lease(line, samples, tokens, line.breaker.begin())

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
        now = asyncio.get_running_loop().time()
        waiting = []
        for waiter in self._queue:
            deadline = self._deadline(waiter)
            if waiter.turn.done() or deadline is None or now < deadline:
                waiting.append(waiter)
            else:
                waiter.turn.set_exception(self._all_down())
        self._queue = waiting
        self._dispatch()

    def _deadline(self, waiter: _Waiter) -> float | None:
        """When a request has waited long enough for endpoints that are all down; ``None`` if one is not."""
        latest = waiter.ticket.since
        for line in self.lines:
            if line.breaker.down_since is None:
                return None
            latest = max(latest, line.breaker.down_since)
        return latest + self._patience

    def _all_down(self) -> ModelDownError:
        troubles = "; ".join(f"{line.endpoint.name}: {line.trouble}" for line in self.lines)
        return ModelDownError(
            f"no endpoint of {self._model} has answered for {self._patience:g} s ({troubles}): "
            "see that one runs, or have more patience"
        )
