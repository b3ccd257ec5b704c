"""What is asked of a language model, what comes back, and the seam between the two."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields
from typing import Literal, Protocol

from sandboxes.errors import ModelError

Role = Literal["system", "user", "assistant"]

Finish = Literal["stop", "length", ""]
"""Why a completion ended: ``stop`` of itself, ``length`` cut off at ``max_tokens``; empty: unknown."""


PART = "part"
"""The kind under which the pieces of a completion that was cut off are kept. Its whole is kept as well, and
costs what they cost together: who adds up what was paid leaves either out."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """The parameters of a request.

    ``max_tokens`` limits each completion. ``schema`` is a JSON schema, as canonical JSON text, that the
    answer must satisfy where the endpoint can see to it; empty: free text.
    """

    temperature: float = 1.0
    max_tokens: int = 1024
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request for the samples ``first`` … ``first + n - 1`` of one prompt.

    ``messages`` and ``sampling`` are what the model sees. The rest says what the request is for: ``kind`` is
    the step (``hypothesis``, ``translation``, ``program`` …), ``rule`` the rule in words it is about, if any.
    Transcripts made with other prompts than ours are found by that address.
    """

    kind: str
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    first: int = 0
    task_id: str = ""
    round: int = 0
    rule: str = ""

    @property
    def prompt(self) -> str:
        """The messages as one text, for people to read."""
        if [message.role for message in self.messages] == ["user"]:
            return self.messages[0].content
        return "\n\n".join(f"[{message.role}]\n{message.content}" for message in self.messages)


def request_key(model: str, request: ChatRequest) -> str:
    """Give the content key of a request: a hash of the model's name, the parameters and the messages.

    What it was for, when, where and by whom it was asked are no part of it. A completion's key is this one
    with the index of the sample.
    """
    # Parameters at their defaults are left out: a new one does not change the keys of old requests.
    given = {
        field.name: getattr(request.sampling, field.name)
        for field in fields(Sampling)
        if getattr(request.sampling, field.name) != field.default
    }
    content = [model, given, [[message.role, message.content] for message in request.messages]]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of an endpoint. ``reasoning`` is what a reasoning model thought before ``text``, kept apart.

    ``logprob`` is the mean log-probability of the answer's tokens, where the endpoint says.
    """

    text: str
    reasoning: str = ""
    finish: Finish = ""
    logprob: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request to an endpoint gave: perhaps fewer choices than were asked for.

    ``completion_tokens`` counts all choices together; 0 where the endpoint does not count.
    ``cached_tokens`` are those of ``prompt_tokens`` that the endpoint had seen before and charges less for.
    """

    choices: tuple[Choice, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


class ChatEndpoint(Protocol):
    """A place where one model answers: a server, a provider, a transcript."""

    @property
    def name(self) -> str:
        """Where it is, for messages: ``http://127.0.0.1:8000/v1``, ``anthropic``, a file."""
        ...

    async def ask(self, request: ChatRequest) -> Answer:
        """Ask once for ``request.n`` samples, without retries.

        Cancelling the call closes the connection, so that the server stops working on it. Raises
        ``EndpointError`` that says whether trying again can help.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections. Closing twice does no harm."""
        ...


class EndpointError(Exception):
    """A request failed. The client turns it into another try, or into a ``ModelError``.

    ``retryable`` says whether the same request may succeed later, ``retry_after`` after how many seconds the
    endpoint wants it; ``overflow`` that the prompt is longer than the model's context; ``overloaded`` that
    the endpoint has more to do than it can, which is no sign that it is broken.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        retry_after: float | None = None,
        overflow: bool = False,
        overloaded: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after
        self.overflow = overflow
        self.overloaded = overloaded


class ModelDownError(ModelError):
    """Nobody answered, however often it was tried: the same request may be answered later."""


class ContextOverflowError(ModelError):
    """The prompt is longer than the model's context: a shorter one may do."""

    @property
    def limit(self) -> int | None:
        """The tokens of the context, where the server's words tell."""
        found = _LIMIT.search(str(self))
        return int(found[1] or found[2]) if found else None


_LIMIT = re.compile(r"context (?:length|size|window)\D{0,20}(\d{3,8})\b|> (\d{3,8}) maximum", re.IGNORECASE)
