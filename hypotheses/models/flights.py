"""Requests under way: a sample is asked for once, however many wait for it, and again where that can help."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import pairwise
from random import Random

from hypotheses.budget import Ledger
from hypotheses.hypothesis import Completion
from hypotheses.models.balancing import Balancer, Ending, Lease, Line, Ticket
from hypotheses.models.chat import Answer, ChatRequest, ContextOverflowError, EndpointError, ModelDownError
from sandboxes.errors import ModelError

_N = re.compile(r"""(?<![^\s"'`(\[{=:,])n(?![^\s"'`)\]}=:;,.?!])""")


_NOTHING = Answer(())


class Missing(Enum):
    """Why a sample did not come, though nothing failed."""

    AGAIN = "the endpoint gives fewer samples a request than it was asked for"
    ABSENT = "there are no more"


Outcome = Completion | Missing | Exception


@dataclass(frozen=True, slots=True)
class Trying:
    """How often, and how patiently, a request is tried.

    ``attempts`` that fail, each ended after ``timeout`` seconds; between two a random time below ``backoff``
    seconds, doubled each time up to ``max_backoff``; what an endpoint wants us to wait is waited up to
    ``patience`` seconds, and for so long an overloaded one is tried, however often that is.
    """

    attempts: int
    timeout: float
    backoff: float
    max_backoff: float
    patience: float


class Asker:
    """One who waits for samples of a request, and pays for them.

    ``land`` is called for every sample that comes, or with ``None`` for one that the endpoint does not have.
    ``done`` is set when nothing more will come, or with the first failure as its result.
    """

    def __init__(
        self, key: str, ledger: Ledger, samples: Sequence[int], land: Callable[[int, Completion | None], None]
    ) -> None:
        self.key = key
        self.ledger = ledger
        self.waiting = set(samples)
        self.again: list[int] = []
        self.failed: int | None = None
        """The first sample that failed."""
        self.done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._land = land

    def take(self, sample: int, outcome: Outcome) -> None:
        """Take what became of a sample."""
        self.waiting.discard(sample)
        failure = None
        if isinstance(outcome, Completion):
            self.ledger.charge(outcome)
            self._land(sample, outcome)
        elif outcome is Missing.AGAIN:
            self.again.append(sample)
        elif outcome is Missing.ABSENT:
            self._land(sample, None)
        else:
            failure = outcome
            self.failed = sample if self.failed is None else self.failed
        if (failure or not self.waiting) and not self.done.done():
            self.done.set_result(failure)


@dataclass(slots=True)
class _Tries:
    """How it went with a request so far.

    ``count`` is how often it was asked in vain, overloads and ``failures`` together, and ``lines`` are the
    endpoints that were asked since there was last another to ask instead. An overload is waited for until
    ``patient_until``.
    """

    lines: set[Line] = field(default_factory=set)
    count: int = 0
    failures: int = 0
    patient_until: float = math.inf


class _Flight:
    """One request for consecutive ``samples``, which are some of those of ``request``."""

    def __init__(
        self,
        key: str,
        request: ChatRequest,
        prompt_tokens: float,
        samples: list[int],
        ticket: Ticket,
        opener: Ledger,
    ) -> None:
        self.key = key
        self.request = request
        self.prompt_tokens = prompt_tokens
        self.samples = samples
        self.ticket = ticket
        self.opener = opener
        self.askers: dict[int, list[Asker]] = {sample: [] for sample in samples}
        self.wasted = _NOTHING
        """What was paid for answers without a choice; the first completion bears it, if one comes."""
        self.task: asyncio.Task[None]

    @property
    def wanted(self) -> bool:
        return any(self.askers.values())

    def sent(self) -> ChatRequest:
        """The request for exactly these samples. A seed moves on, or every part would give the same ones."""
        sampling, first = self.request.sampling, self.samples[0]
        if sampling.seed is not None and first:
            sampling = replace(sampling, seed=sampling.seed + first)
        return replace(self.request, first=first, n=len(self.samples), sampling=sampling)


class Flights:
    """All requests under way, by the content key of the request and the sample.

    ``read`` makes completions of an answer, one for each of its choices, and keeps them; ``write_off`` makes
    one of what was paid for nothing. A request goes on as
    long as anybody waits for one of its samples; once nobody does, it is cancelled.
    """

    def __init__(
        self,
        balancer: Balancer,
        trying: Trying,
        read: Callable[[ChatRequest, str, Answer], Sequence[Completion]],
        write_off: Callable[[ChatRequest, Answer], Completion],
        random: Random,
    ) -> None:
        self._balancer = balancer
        self._trying = trying
        self._read = read
        self._write_off = write_off
        self._random = random
        self._under_way: dict[tuple[str, int], _Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def join(self, asker: Asker, request: ChatRequest, prompt_tokens: float) -> None:
        """Let an asker wait for its samples, asking for those that nobody has asked for yet."""
        new = []
        for sample in sorted(asker.waiting):
            if flight := self._under_way.get((asker.key, sample)):
                flight.askers[sample].append(asker)
            else:
                new.append(sample)
        for run in _runs(new):
            flight = _Flight(asker.key, request, prompt_tokens, run, self._balancer.ticket(), asker.ledger)
            for sample in run:
                flight.askers[sample].append(asker)
            self._start(flight)

    async def leave(self, asker: Asker) -> None:
        """Stop waiting, and stop what nobody waits for any more."""
        stopped = set()
        for sample in asker.waiting:
            if flight := self._under_way.get((asker.key, sample)):
                flight.askers[sample].remove(asker)
                if not flight.wanted:
                    self._forget(flight)
                    flight.task.cancel()
                    stopped.add(flight.task)
        asker.waiting.clear()
        if stopped:
            await asyncio.wait(stopped)

    async def aclose(self) -> None:
        """Stop everything under way: whoever waits gets a ``ModelError``."""
        for flight in set(self._under_way.values()):
            self._settle(flight, [_closed()] * len(flight.samples))
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, flight: _Flight) -> None:
        for sample in flight.samples:
            self._under_way[flight.key, sample] = flight
        flight.task = asyncio.get_running_loop().create_task(self._fly(flight))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(self._tasks.discard)

    def _forget(self, flight: _Flight) -> None:
        for sample in flight.samples:
            if self._under_way.get((flight.key, sample)) is flight:
                del self._under_way[flight.key, sample]

    def _settle(self, flight: _Flight, outcomes: Sequence[Outcome]) -> None:
        self._forget(flight)
        if flight.wasted != _NOTHING and not any(isinstance(outcome, Completion) for outcome in outcomes):
            flight.opener.charge(self._write_off(flight.request, flight.wasted))
            flight.wasted = _NOTHING
        for sample, outcome in zip(flight.samples, outcomes, strict=True):
            askers = flight.askers.pop(sample, [])
            if not askers and isinstance(outcome, Completion):
                flight.opener.charge(outcome)  # nobody waits any more, but it was paid for
            for asker in askers:
                asker.take(sample, outcome)

    def _fit(self, flight: _Flight, size: int) -> None:
        """Cut a flight down to its first ``size`` samples that are still wanted; others take the rest."""
        wanted = [sample for sample in flight.samples if flight.askers[sample]]
        own = _runs(wanted)[0][:size]
        if len(own) == len(flight.samples):
            return
        self._forget(flight)
        flight.samples = own
        for sample in own:
            self._under_way[flight.key, sample] = flight
        for run in _runs(wanted[len(own) :]):
            other = _Flight(
                flight.key, flight.request, flight.prompt_tokens, run, flight.ticket, flight.opener
            )
            for sample in run:
                other.askers[sample] = flight.askers.pop(sample)
            self._start(other)

    async def _fly(self, flight: _Flight) -> None:
        try:
            outcomes = await self._ask(flight)
        except asyncio.CancelledError:
            self._settle(flight, [_closed()] * len(flight.samples))
            raise
        except Exception as error:
            outcomes = [error] * len(flight.samples)
        self._settle(flight, outcomes)

    async def _ask(self, flight: _Flight) -> Sequence[Outcome]:
        """Ask until there is an answer, of one endpoint or another."""
        tries = _Tries()
        while True:
            lease = await self._balancer.take(
                len(flight.samples),
                flight.prompt_tokens,
                flight.request.sampling.max_tokens,
                flight.ticket,
                tries.lines,
            )
            self._fit(flight, lease.samples)
            try:
                answer = await self._ask_once(lease, flight)
            except EndpointError as error:
                failure = error
            else:
                return self._receive(lease.line, flight, answer)
            if len(flight.samples) > 1 and not failure.retryable and _names_n(failure):
                lease.line.gives = 1
                return [Missing.AGAIN] * len(flight.samples)
            await self._wait(lease.line, failure, tries)

    async def _ask_once(self, lease: Lease, flight: _Flight) -> Answer:
        line, give_back = lease.line, self._balancer.give_back
        try:
            async with asyncio.timeout(self._trying.timeout):
                answer = await line.endpoint.ask(flight.sent())
            if not answer.choices and not getattr(line.endpoint, "exhaustible", False):
                flight.wasted = _together(flight.wasted, answer)
                raise EndpointError("an answer without any choice", retryable=True)
        except asyncio.CancelledError:
            give_back(lease, "unknown")
            raise
        except EndpointError as error:
            if error.retryable:
                outcome: Ending = "overloaded" if error.overloaded else "failed"
                give_back(lease, outcome, _line(error), error.retry_after)
            else:
                give_back(lease, "refused", _line(error))
            raise
        except TimeoutError:
            trouble = f"no answer within {self._trying.timeout:g} s"
            give_back(lease, "failed", trouble)
            raise EndpointError(trouble, retryable=True) from None
        except Exception:  # a mistake in the endpoint's own code, say: for whoever asked to see
            give_back(lease, "unknown")
            raise
        give_back(lease, "answered")
        return answer

    def _receive(self, line: Line, flight: _Flight, answer: Answer) -> Sequence[Outcome]:
        wanted = len(flight.samples)
        given = len(answer.choices)
        exhaustible = getattr(line.endpoint, "exhaustible", False)
        if given < wanted and not exhaustible:
            line.gives = min(line.gives, given)
        paid = replace(_together(flight.wasted, answer), choices=answer.choices[:wanted])
        request = replace(flight.request, first=flight.samples[0], n=wanted)
        completions = self._read(request, flight.key, paid)
        rest = Missing.ABSENT if exhaustible else Missing.AGAIN
        return [*completions, *[rest] * (wanted - len(completions))]

    async def _wait(self, line: Line, failure: EndpointError, tries: _Tries) -> None:
        """Wait before another try, or raise ``ModelError`` where there is no sense in one."""
        name, trouble, trying = line.endpoint.name, _line(failure), self._trying
        if failure.overflow:
            raise ContextOverflowError(f"{name}: {trouble}: shorten the prompt, or take a longer context")
        if not failure.retryable:
            raise ModelError(f"{name} refuses: {trouble}")
        now = asyncio.get_running_loop().time()
        tries.lines.add(line)
        tries.count += 1
        if failure.overloaded:
            tries.patient_until = min(tries.patient_until, now + trying.patience)
            ends = tries.count >= trying.attempts and now >= tries.patient_until
        else:
            tries.failures += 1
            ends = tries.failures >= trying.attempts
        if ends:
            times = "once" if tries.count == 1 else f"{tries.count} times"
            raise ModelDownError(f"asked {times} in vain, last {name}: {trouble}: see whether it works")
        if self._balancer.others(tries.lines):
            return
        tries.lines.clear()
        wish = failure.retry_after or 0.0
        if wish > trying.patience:
            raise ModelDownError(
                f"{name} wants to be asked again in {wish:.0f} s only ({trouble}): "
                f"come back later, or have more patience than {trying.patience:g} s"
            )
        # For an overload the balancer has everybody wait; the random part keeps several clients apart.
        await asyncio.sleep(wish + self._random.uniform(0, self._backoff(tries.failures)))

    def _backoff(self, failures: int) -> float:
        return min(self._trying.max_backoff, self._trying.backoff * 2.0 ** min(max(failures - 1, 0), 60))


def _together(one: Answer, other: Answer) -> Answer:
    return Answer(
        one.choices + other.choices,
        one.prompt_tokens + other.prompt_tokens,
        one.completion_tokens + other.completion_tokens,
        one.cached_tokens + other.cached_tokens,
    )


def _closed() -> ModelError:
    return ModelError("the client was closed while a request was under way: ask before closing it")


def _runs(samples: Sequence[int]) -> list[list[int]]:
    """Split ascending samples where some are missing in between."""
    if not samples:
        return []
    runs = [[samples[0]]]
    for before, sample in pairwise(samples):
        if sample == before + 1:
            runs[-1].append(sample)
        else:
            runs.append([sample])
    return runs


def _names_n(error: EndpointError) -> bool:
    """Whether an error may be about the parameter ``n``: a single try without it tells."""
    return not error.overflow and _N.search(str(error)) is not None


def _line(error: Exception) -> str:
    """Give an error's text as one line of bearable length."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:299] + "…"
