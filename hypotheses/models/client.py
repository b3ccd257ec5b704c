"""Asks a language model: what is recorded is recalled, the rest is asked for, within limits and budget."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate, count, pairwise
from random import Random
from typing import Literal

from hypotheses.budget import Cost, Ledger
from hypotheses.hypothesis import Completion
from hypotheses.models.balancing import Balancer
from hypotheses.models.chat import (
    PART,
    Answer,
    ChatEndpoint,
    ChatRequest,
    Choice,
    ContextOverflowError,
    Message,
    request_key,
)
from hypotheses.models.flights import Asker, Flights, Trying
from hypotheses.models.prices import Price
from hypotheses.models.reasoning import split_reasoning
from hypotheses.models.store import CompletionStore
from hypotheses.models.transcript import RecordedChoice
from sandboxes.errors import ModelError

Truncation = Literal["continue", "retry", "keep"]
"""What is done about a completion that was cut off at ``max_tokens``. ``continue``: the model goes on where
it stopped, or, where its endpoint cannot do that, as ``retry``: it is asked again with twice the
``max_tokens``; ``keep``: it stays as it is, with ``finish == "length"``: not to be read as if complete."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """How a model is asked.

    ``concurrency``       samples in flight per endpoint, as long as it is not overloaded
    ``timeout``           seconds that one request may take
    ``attempts``          how often a request is tried in all, overloads aside
    ``backoff``           before another try, a random time below this many seconds, doubled each time …
    ``max_backoff``       … up to this many
    ``patience``          seconds that endpoints may be down or overloaded, or ask us to wait
    ``failures``          in a row after which an endpoint is left alone …
    ``cool_down``         … for this many seconds
    ``truncation``        what is done about completions that were cut off
    ``continuations``     how often that is done for one completion
    ``max_retry_tokens``  the most ``max_tokens`` may be raised to when it is done by asking again
    """

    concurrency: int = 64
    timeout: float = 600.0
    attempts: int = 6
    backoff: float = 1.0
    max_backoff: float = 60.0
    patience: float = 120.0
    failures: int = 5
    cool_down: float = 15.0
    truncation: Truncation = "continue"
    continuations: int = 2
    max_retry_tokens: int = 8192

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("backoff", "max_backoff", "continuations", "max_retry_tokens", "patience"):
                if not value >= 0:
                    raise ValueError(f"ClientConfig.{field.name} must not be negative, as {value!r} is")
            elif field.name != "truncation" and not value > 0:
                raise ValueError(f"ClientConfig.{field.name} must be positive, not {value!r}")


OVERFLOW = "overflow"
"""The ``finish`` under which it is kept that a prompt was too long for the model: nothing was written."""


def _estimated_tokens(text: str) -> int:
    return math.ceil(len(text) / 3)


class ModelClient:
    """One model, at one or more endpoints.

    ``price`` says what tokens cost; without one money is not counted, and a limit of money is refused.
    ``count_tokens`` estimates the tokens of a text before it is sent. ``random`` decides the waits between
    tries and nothing else.
    """

    def __init__(
        self,
        model: str,
        endpoints: Sequence[ChatEndpoint],
        *,
        config: ClientConfig | None = None,
        store: CompletionStore | None = None,
        price: Price | None = None,
        count_tokens: Callable[[str], int] = _estimated_tokens,
        random: Random | None = None,
    ) -> None:
        if not endpoints:
            raise ValueError("a model client needs at least one endpoint")
        self.model = model
        self.config = config = config or ClientConfig()
        self._endpoints = tuple(endpoints)
        self._store = store
        self._price = price
        self._count_tokens = count_tokens
        # A transcript answers by what a request is for, not by its content: nothing of it is worth a key.
        self._foreign = any(getattr(endpoint, "exhaustible", False) for endpoint in endpoints)
        self._requests = count()
        self._can_continue = all(getattr(endpoint, "can_continue", False) for endpoint in endpoints)
        self._balancer = Balancer(
            model,
            endpoints,
            concurrency=config.concurrency,
            failures=config.failures,
            cool_down=config.cool_down,
            patience=config.patience,
            backoff=config.backoff,
        )
        trying = Trying(config.attempts, config.timeout, config.backoff, config.max_backoff, config.patience)
        waits = random or Random()  # noqa: S311 - no secret
        self._flights = Flights(self._balancer, trying, self._read, self._write_off, waits)

    async def sample(self, request: ChatRequest, ledger: Ledger) -> AsyncGenerator[Completion, None]:
        """Yield the samples ``first`` … ``first + n - 1``, in that order, each as soon as it is there.

        Recorded ones come from the store and are charged as well, for what they cost is part of the record.
        There are fewer where the ledger refuses the rest, and says so in ``refused``, or where a transcript
        has no more. A completion whose ``finish`` is ``length`` is incomplete. Closing the generator stops
        the requests that nobody else waits for. Raises ``ModelError`` where the model cannot be asked,
        ``ContextOverflowError`` where the prompt is too long for it.
        """
        if ledger.limits_money and self._price is None and not self._foreign:
            raise ModelError(
                f"what {self.model} charges is not known, so no budget of money can be kept: "
                "add its price to the settings, or limit tokens instead"
            )
        loop = asyncio.get_running_loop()
        outbox: dict[int, asyncio.Future[Completion | Exception | None]] = {
            sample: loop.create_future() for sample in range(request.first, request.first + request.n)
        }
        # A task of its own holds the reservations, so that they end even if the caller takes its time.
        delivery = loop.create_task(self._deliver(request, ledger, outbox))
        try:
            for future in outbox.values():
                result = await future
                if isinstance(result, Exception):
                    raise result
                if result is not None:
                    yield result
        finally:
            await _stop([delivery])

    def set_share(self, samples: int) -> None:
        """Change how many samples may be in flight per endpoint: this client's share of what it can do.

        What is under way goes on. Raises ``ValueError`` below 1.
        """
        self._balancer.set_share(samples)

    def overloaded(self, endpoint: str | int) -> None:
        """Ask less of an endpoint, by its name or index, for requests queue up in its server.

        Said again, it counts once something has come back that was asked for since. Raises ``ValueError``
        where there is no such endpoint.
        """
        self._balancer.overloaded(endpoint)

    @property
    def under_way(self) -> int:
        """How many samples the endpoints are at."""
        return self._balancer.under_way

    @property
    def waiting(self) -> int:
        """How many samples wait for room at an endpoint."""
        return self._balancer.waiting

    @property
    def limits(self) -> tuple[float, ...]:
        """How many samples may be under way at each endpoint, as far as is known now."""
        return self._balancer.limits

    async def aclose(self) -> None:
        """Stop what is under way and close the endpoints. Closing twice does no harm."""
        await self._flights.aclose()
        for endpoint in self._endpoints:
            await endpoint.aclose()

    async def _deliver(
        self,
        request: ChatRequest,
        ledger: Ledger,
        outbox: dict[int, asyncio.Future[Completion | Exception | None]],
    ) -> None:
        key = f"request {next(self._requests)}" if self._foreign else request_key(self.model, request)
        finishing: list[asyncio.Task[None]] = []

        def deliver(sample: int, result: Completion | Exception | None) -> None:
            if not outbox[sample].done():
                outbox[sample].set_result(result)

        def land(sample: int, completion: Completion | None) -> None:
            if completion is None or self._foreign or completion.key == key:
                # It may have been asked for by somebody else, for something else.
                deliver(sample, completion and replace(completion, kind=request.kind))
            else:
                finishing.append(asyncio.create_task(finish(completion)))

        async def finish(part: Completion) -> None:
            deliver(part.sample, await self._finish(request, key, part, ledger))

        rest: Exception | None = None
        try:
            async with asyncio.timeout(ledger.seconds_left):
                await self._obtain(request, key, ledger, land)
                if finishing:
                    await asyncio.gather(*finishing)
        except TimeoutError:
            ledger.refused = "seconds"
        except Exception as error:
            rest = error
        finally:
            await _stop(finishing)
            for sample in outbox:
                deliver(sample, rest)

    async def _obtain(
        self, request: ChatRequest, key: str, ledger: Ledger, land: Callable[[int, Completion | None], None]
    ) -> None:
        """Recall or ask for the samples of a request, as far as the ledger allows, and charge them.

        Those that were cut off and have to be finished arrive under another key than ``key``.
        """
        prompt_tokens = sum(self._count_tokens(message.content) + 8 for message in request.messages)
        pending = list(range(request.first, request.first + request.n))
        while pending:
            async with ledger.reserve(len(pending), *self._worst(request, prompt_tokens)) as granted:
                if not granted:
                    return
                asker = Asker(key, ledger, pending[:granted], land)
                for completion in self._recall(request, key, pending[:granted]):
                    asker.take(completion.sample, completion)
                if asker.waiting:
                    try:
                        self._flights.join(asker, request, prompt_tokens)
                        failure = await asker.done
                    finally:
                        await self._flights.leave(asker)
                    if failure is not None:
                        if isinstance(failure, ContextOverflowError) and asker.failed is not None:
                            self._keep_overflow(request, key, asker.failed, failure)
                        raise failure
            pending = sorted(asker.again) + pending[granted:]

    async def _obtain_one(self, request: ChatRequest, ledger: Ledger) -> Completion | None:
        came: list[Completion | None] = []
        key = request_key(self.model, request)
        await self._obtain(request, key, ledger, lambda _, completion: came.append(completion))
        return came[0] if came else None

    def _recall(self, request: ChatRequest, key: str, samples: Sequence[int]) -> Iterable[Completion]:
        if self._store is None or self._foreign:
            return ()
        first, n = samples[0], samples[-1] - samples[0] + 1
        found = {one.sample: replace(one, kind=request.kind) for one in self._store.recall(key, first, n)}
        if len(found) < n and self.config.truncation != "keep":
            for part in self._store.recall(self._part_key(request), first, n):
                found.setdefault(part.sample, part)
        for one in found.values():
            if one.finish == OVERFLOW:
                raise ContextOverflowError(one.response)
        return [found[sample] for sample in samples if sample in found]

    def _keep_overflow(
        self, request: ChatRequest, key: str, sample: int, error: ContextOverflowError
    ) -> None:
        """Keep that a prompt was too long: what was asked instead is found only after the same error."""
        if self._store is None or self._foreign:
            return
        refusal = Completion(
            PART,
            request.prompt,
            str(error),
            model=self.model,
            temperature=request.sampling.temperature,
            sample=sample,
            key=key,
            finish=OVERFLOW,
        )
        self._store.keep(replace(request, first=sample, n=1), [refusal])

    def _worst(self, request: ChatRequest, prompt_tokens: int) -> tuple[Cost, Cost]:
        """Give the most that samples may cost: what they share, and each of them."""
        prompt = Cost(prompt_tokens, 0, self._money(prompt_tokens, 0, 0))
        limit = request.sampling.max_tokens
        each = Cost(0, limit, self._money(0, 0, limit))
        # As if each were asked for by itself, whatever the endpoint can: a replay must be granted the same.
        return Cost(), prompt + each

    def _part_key(self, request: ChatRequest) -> str:
        """Give the key of what is only the beginning of a completion: as if it went on from nothing."""
        beginning = Message("assistant", "")
        return request_key(self.model, replace(request, messages=(*request.messages, beginning)))

    def _read(self, request: ChatRequest, key: str, answer: Answer) -> Sequence[Completion]:
        """Make completions of an answer and keep them, all in one go."""
        completions: list[Completion] = []
        prompt = request.prompt
        for choice, tokens in zip(answer.choices, _shares(answer), strict=True):
            first = not completions
            completion = Completion(
                kind=request.kind,
                prompt=prompt,
                response=choice.text,
                model=self.model,
                temperature=request.sampling.temperature,
                sample=request.first + len(completions),
                prompt_tokens=answer.prompt_tokens if first else 0,
                completion_tokens=tokens,
                cached_tokens=answer.cached_tokens if first else 0,
                key=key,
                reasoning=choice.reasoning,
                finish=choice.finish,
                logprob=choice.logprob,
            )
            completions.append(self._filed(request, completion, choice))
        if self._store is not None and completions and not self._foreign:
            self._store.keep(request, completions)
        return completions

    def _filed(self, request: ChatRequest, completion: Completion, choice: Choice) -> Completion:
        """Say what a completion cost, whose it is, and whether it is whole."""
        paid = (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens)
        completion = replace(completion, money=self._money(*paid))
        if self._foreign:
            completion = replace(completion, key="")
            if isinstance(choice, RecordedChoice):
                completion = replace(
                    completion, prompt=choice.prompt, model=choice.model, temperature=choice.temperature
                )
        elif completion.finish == "length" and self.config.truncation != "keep":
            return replace(completion, kind=PART, key=self._part_key(request))
        if request.messages[-1].role == "assistant":
            return completion  # goes on where another stopped, perhaps in the middle of a thought
        reasoning, text = _split(completion.reasoning, completion.response)
        return replace(completion, reasoning=reasoning, response=text)

    def _write_off(self, request: ChatRequest, answer: Answer) -> Completion:
        """Make a completion, not to be kept, of what was paid for an answer without a choice."""
        paid = (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens)
        return Completion(
            request.kind,
            request.prompt,
            "",
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            cached_tokens=answer.cached_tokens,
            money=self._money(*paid),
        )

    def _money(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        return self._price.money(prompt_tokens, cached_tokens, completion_tokens) if self._price else 0.0

    async def _finish(self, request: ChatRequest, key: str, part: Completion, ledger: Ledger) -> Completion:
        """Finish a completion that was cut off, and keep it whole."""
        sample = part.sample
        parts = [part]
        text, reasoning = part.response, part.reasoning
        limit = request.sampling.max_tokens
        for _ in range(self.config.continuations):
            # Text that must satisfy a schema would be held to it anew from where it goes on.
            goes_on = (
                self.config.truncation == "continue"
                and self._can_continue
                and text.strip() != ""
                and not request.sampling.schema
            )
            if goes_on:
                so_far = (*request.messages, Message("assistant", text))
                more = replace(request, kind=PART, messages=so_far, n=1, first=sample)
            else:
                if limit >= self.config.max_retry_tokens:
                    break
                limit = min(2 * limit, self.config.max_retry_tokens)
                sampling = replace(request.sampling, max_tokens=limit)
                more = replace(request, kind=PART, sampling=sampling, n=1, first=sample)
            try:
                last = await self._obtain_one(more, ledger)
            except ContextOverflowError:
                break  # no room to go on: it stays cut off
            if last is None:
                break
            parts.append(last)
            text, reasoning = (
                (text + last.response, reasoning) if goes_on else (last.response, last.reasoning)
            )
            if last.finish != "length":
                break
        reasoning, text = _split(reasoning, text)
        return self._keep_once(request, replace(_joined(parts, text, reasoning), kind=request.kind, key=key))

    def _keep_once(self, request: ChatRequest, completion: Completion) -> Completion:
        """Keep a finished completion, unless another task has just finished it too."""
        if self._store is None:
            return completion
        if kept := self._store.recall(completion.key, completion.sample, 1):
            return kept[0]
        self._store.keep(replace(request, first=completion.sample, n=1), [completion])
        return completion


def _split(reasoning: str, text: str) -> tuple[str, str]:
    thought, answer = split_reasoning(text)
    return "\n".join(filter(None, (reasoning, thought))), answer


def _shares(answer: Answer) -> list[int]:
    """Share the completion tokens of an answer out over its choices, by length; they sum to the total."""
    lengths = [len(choice.text) + len(choice.reasoning) + 1 for choice in answer.choices]
    total = sum(lengths) or 1  # an exhausted transcript gives no choice
    ends = [round(answer.completion_tokens * end / total) for end in accumulate(lengths, initial=0)]
    return [end - start for start, end in pairwise(ends)]


def _joined(parts: Sequence[Completion], text: str, reasoning: str) -> Completion:
    """Make one completion of its parts."""
    weights = [part.completion_tokens or 1 for part in parts]
    known = [
        (part.logprob, weight)
        for part, weight in zip(parts, weights, strict=True)
        if part.logprob is not None
    ]
    logprob = None
    if len(known) == len(parts):
        logprob = sum(value * weight for value, weight in known) / sum(weights)
    return replace(
        parts[0],
        response=text,
        reasoning=reasoning,
        finish=parts[-1].finish,
        logprob=logprob,
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        cached_tokens=sum(part.cached_tokens for part in parts),
        money=sum(part.money for part in parts),
    )


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.gather(*tasks, return_exceptions=True)
