"""OpenAI's protocol through LangChain: what ``ChatOpenAI`` leaves out, and connections for many requests.

Needs the packages of the extra ``models``, so import it where it is used.
"""

from __future__ import annotations

import importlib
import json
import ssl
import urllib.request
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import openai
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import PrivateAttr, SecretStr

from hypotheses.models.langchain_endpoint import MalformedAnswerError, RefusalError, TooLargeAnswerError

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    # openai 3 speaks through httpx2, earlier ones through httpx; what it is handed must be of its own kind.
    httpx = importlib.import_module(
        next(
            base for base in openai.DefaultAsyncHttpxClient.__mro__ if base.__name__ == "AsyncClient"
        ).__module__.partition(".")[0]
    )


class OpenAIProtocolChat(ChatOpenAI):
    """``ChatOpenAI`` that keeps what vLLM adds to an answer (reasoning), and takes less time for it.

    ``old_max_tokens`` says the limit of a completion by its older name, which every server understands.
    """

    old_max_tokens: bool = False
    _headers: dict[str, str] = PrivateAttr(default_factory=dict)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        if self.use_responses_api:
            return await super()._agenerate(messages, stop, run_manager, **kwargs)
        payload = self._get_request_payload(messages, stop=stop, **kwargs)
        payload.pop("stream", None)
        payload |= payload.pop("extra_body", None) or {}
        if self.old_max_tokens and "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return read_answer(await self._exchange("POST", "chat/completions", json.dumps(payload).encode()))

    async def model_names(self) -> list[str]:
        """Ask the server which models it has."""
        listing = json.loads(await self._exchange("GET", "models"))
        return [str(model["id"]) for model in listing["data"]]

    async def _exchange(self, method: str, path: str, content: bytes | None = None) -> bytes:
        # Past the SDK's own way, which builds a request anew in 0.4 ms, and an answer's models in another.
        client = cast("httpx.AsyncClient", self.http_async_client)
        key = cast("SecretStr", self.openai_api_key)
        sdk = self.root_async_client
        if not self._headers:
            self._headers = {k: v for k, v in sdk.default_headers.items() if isinstance(v, str)}
            self._headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        response = await client.request(
            method, f"{sdk.base_url}{path}", headers=self._headers, content=content
        )
        if response.status_code != httpx.codes.OK:
            raise RefusalError(response)
        return response.content


def read_answer(body: bytes) -> ChatResult:
    """Read the body of a chat completion. Raises ``MalformedAnswerError`` where it is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedAnswerError("its answer is not JSON") from None
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list):
        error = answer.get("error") if isinstance(answer, dict) else None
        raise MalformedAnswerError(
            f"it answered with an error: {error}" if error else "its answer has no choices"
        )
    usage = answer.get("usage")
    model = {"model_name": str(answer.get("model", "")), "model_provider": "openai"}
    generations: list[ChatGeneration] = []
    for choice in choices:
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            raise MalformedAnswerError("a choice of its answer has no message")
        finish = {"finish_reason": choice.get("finish_reason")}
        generations.append(
            ChatGeneration(
                message=AIMessage(
                    content=_text(message.get("content")),
                    additional_kwargs={
                        "reasoning_content": _text(
                            message.get("reasoning_content") or message.get("reasoning")
                        )
                    },
                    response_metadata=model | finish,
                    # Once, so that counting callbacks count right.
                    usage_metadata=None if generations or not isinstance(usage, dict) else _usage(usage),
                ),
                generation_info=finish | {"logprobs": choice.get("logprobs")},
            )
        )
    return ChatResult(generations=generations, llm_output=model)


def _text(content: object) -> str:
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    if content is None or isinstance(content, str):
        return content or ""
    raise MalformedAnswerError("the text of its answer is not text")


def _usage(usage: dict[str, Any]) -> UsageMetadata:
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    return UsageMetadata(
        input_tokens=prompt,
        output_tokens=completion,
        total_tokens=prompt + completion,
        input_token_details=InputTokenDetails(cache_read=_count(cached)),
    )


_MOST_TOKENS = 2**40  # more is a lie, which neither SQLite nor a float can hold


def _count(value: object) -> int:
    return min(value, _MOST_TOKENS) if isinstance(value, int) and value > 0 else 0


def http_client(timeout: float, connect_timeout: float, max_bytes: int) -> httpx.AsyncClient:
    """Make a client for one server: bounded answers, and a connection for each request under way.

    It follows no redirects, so that a key goes only where the user sent it, and takes no compressed answers,
    whose size could not be bounded.
    """

    async def bound(response: httpx.Response) -> None:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise MalformedAnswerError("its answer is compressed, which was not asked for")
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length) > max_bytes:
            raise TooLargeAnswerError(max_bytes)
        response.stream = _Bounded(response.stream, max_bytes)

    context = httpx.create_ssl_context()
    return openai.DefaultAsyncHttpxClient(
        timeout=httpx.Timeout(timeout, connect=connect_timeout, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [bound]},
        verify=context,
        # With a transport of its own a client does not look for proxies.
        transport=None if urllib.request.getproxies() else _Lanes(context),
    )


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer, which ends with an error where it is too long."""

    def __init__(self, stream: Any, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self._stream:
            count += len(part)
            if count > self._max_bytes:
                raise TooLargeAnswerError(self._max_bytes)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Lanes(httpx.AsyncBaseTransport):
    """A transport with a pool of one connection for each request under way.

    One pool looks at all of its connections for each request, which at 600 of them takes 3 ms.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        lane = self._idle.pop() if self._idle else self._new_lane()
        try:
            response = await lane.handle_async_request(request)
        except BaseException:
            await lane.aclose()
            raise
        response.stream = _LaneStream(response.stream, self, lane)
        return response

    async def give_back(self, lane: httpx.AsyncHTTPTransport, *, clean: bool) -> None:
        if clean and not self._closed:
            self._idle.append(lane)
        else:
            await lane.aclose()

    async def aclose(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop().aclose()

    def _new_lane(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=60.0)
        return httpx.AsyncHTTPTransport(verify=self._context, limits=limits)


class _LaneStream(httpx.AsyncByteStream):
    """A body that gives its lane back when it is closed."""

    def __init__(self, stream: Any, lanes: _Lanes, lane: httpx.AsyncHTTPTransport) -> None:
        self._stream = stream
        self._lanes = lanes
        self._lane: httpx.AsyncHTTPTransport | None = lane
        self._read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part
        self._read = True

    async def aclose(self) -> None:
        lane, self._lane = self._lane, None
        if lane is None:
            return
        try:
            await self._stream.aclose()
        finally:
            await self._lanes.give_back(lane, clean=self._read)
