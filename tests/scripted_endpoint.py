"""An endpoint that answers as it is told, in virtual time, says how it was asked, and a client for it."""

import asyncio
from contextlib import aclosing
from random import Random

from virtual_time import run

from hypotheses.budget import Ledger
from hypotheses.models.chat import Answer, ChatRequest, Choice, EndpointError, Message, Sampling
from hypotheses.models.client import ClientConfig, ModelClient

HANG = "hang"


def answer(n, *, text="answer", finish="stop", prompt_tokens=10, each=7, cached=0):
    """An answer with ``n`` choices."""
    choices = tuple(Choice(f"{text} {number}", finish=finish) for number in range(n))
    return Answer(choices, prompt_tokens, each * n, cached)


class ScriptedEndpoint:
    """Plays ``script``, a turn for each request, and after it answers whatever is asked.

    A turn is an ``Answer``, an exception to raise, a number of choices, a function from the request to one of
    these, or ``HANG``: no answer for a long time. ``seconds`` is how long it takes: a number, or a function
    of the request.
    """

    def __init__(self, *script, name="scripted", seconds=1.0, **attributes):
        self.name = name
        self.script = list(script)
        self.seconds = seconds
        self.requests = []
        self.times = []
        self.in_flight = self.most_in_flight = self.cancelled = self.closed = 0
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    @property
    def asked(self):
        """The samples that it was asked for, in order."""
        return [s for request in self.requests for s in range(request.first, request.first + request.n)]

    async def ask(self, request):
        self.requests.append(request)
        self.times.append(asyncio.get_running_loop().time())
        turn = self.script.pop(0) if self.script else request.n
        self.in_flight += request.n
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            seconds = self.seconds(request) if callable(self.seconds) else self.seconds
            await asyncio.sleep(1e6 if turn == HANG else seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= request.n
        if callable(turn) and not isinstance(turn, type):
            turn = turn(request)
        if isinstance(turn, BaseException):
            raise turn
        return answer(turn) if isinstance(turn, int) else turn

    async def aclose(self):
        self.closed += 1


class MemoryStore:
    """Keeps completions in memory, and how often each was kept."""

    def __init__(self):
        self.completions = {}
        self.calls = []

    def recall(self, key, first, n):
        return [
            self.completions[key, sample]
            for sample in range(first, first + n)
            if (key, sample) in self.completions
        ]

    def keep(self, request, completions):
        self.calls.append((request, tuple(completions)))
        for one in completions:
            assert (one.key, one.sample) not in self.completions, "kept twice"
            self.completions[one.key, one.sample] = one


def busy(message="overloaded", **options):
    """A failure that another try may mend."""
    return EndpointError(message, retryable=True, **options)


def refusal(message="no", **options):
    """A failure that nothing will mend."""
    return EndpointError(message, retryable=False, **options)


MESSAGES = (Message("system", "You find rules."), Message("user", "1 -> 2"))


def ask_for(n=1, first=0, *, messages=MESSAGES, **sampling):
    return ChatRequest("hypothesis", messages, Sampling(**sampling), n=n, first=first, task_id="t")


def client_of(*endpoints, store=None, price=None, **config):
    return ModelClient(
        "m", endpoints, config=ClientConfig(**config), store=store, price=price, random=Random(7)
    )


async def collect(client, request, ledger=None):
    async with aclosing(client.sample(request, ledger or Ledger())) as samples:
        return [completion async for completion in samples]


def ask(client, request, ledger=None):
    return run(collect(client, request, ledger))


def samples_of(completions):
    return [completion.sample for completion in completions]
