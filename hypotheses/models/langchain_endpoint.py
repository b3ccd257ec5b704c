"""Language models through LangChain: servers in OpenAI's protocol, such as vLLM, and every provider it knows.

LangChain and its providers are imported when an endpoint is opened, not before.
"""

from __future__ import annotations

import asyncio
import email.utils
import json
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypotheses.models.address import OPENAI_COMPATIBLE, RECORDED, ModelAddress
from hypotheses.models.chat import Answer, ChatRequest, Choice, EndpointError, Finish
from sandboxes.errors import ModelError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.outputs import Generation

    from hypotheses.models.connections import Connections
    from hypotheses.models.openai_protocol import OpenAIProtocolChat

VLLM_KEY = "INDUCE_MODEL_API_KEY"
_KEYS = {
    "vllm": VLLM_KEY,
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "azure_openai": "AZURE_OPENAI_API_KEY",
    "bedrock": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "bedrock_converse": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "google_vertexai": "GOOGLE_APPLICATION_CREDENTIALS",
    "huggingface": "HF_TOKEN",
    "ibm": "WATSONX_APIKEY",
    "mistralai": "MISTRAL_API_KEY",
}
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSWORD")

_FINISHES: Mapping[str, Finish] = {
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"), "stop"
    ),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
}
_RETRYABLE = frozenset({408, 409, 425, 429})
_OVERLOADED = frozenset({429, 503, 529})
_OVERFLOW = re.compile(
    r"context.?(length|window|size)|prompt is too long|input is too long|too many (input )?tokens"
    r"|exceeds? the (available context|maximum number of (input )?tokens)",
    re.IGNORECASE,
)
_WRONG_MODEL = re.compile(
    r"\bmodel\b.*(not exist|not found|unknown|invalid|no such)|(unknown|invalid|no such) model"
    r"|model_not_found|^model: ",
    re.IGNORECASE,
)
_CONNECTION = re.compile(r"Connect(ion)?Error|ReadError|WriteError|NetworkError|ProtocolError|TransportError")
_MODELS_SECONDS = 5.0


class MalformedAnswerError(Exception):
    """What a server answered is no chat completion."""


class RefusalError(Exception):
    """A server answered with another status than 200; ``body`` is what it said in JSON, if it did."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(body[:1000].decode(errors="replace"))
        self.status_code = status
        self.headers = headers
        try:
            self.body = json.loads(body)
        except (ValueError, RecursionError):
            self.body = None


class TooLargeAnswerError(Exception):
    """What a server answers is larger than is read."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"its answer is larger than {max_bytes / 1e6:g} MB")


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """How an endpoint is spoken to.

    ``timeout``          seconds without a byte from the server
    ``connect_timeout``  seconds to reach it
    ``max_bytes``        the largest answer that is read, with a server in OpenAI's protocol
    ``logprobs``         whether to ask for log-probabilities, in OpenAI's protocol
    ``omit``             parameters never sent, for models that refuse them: ``temperature``, ``seed`` …
    """

    timeout: float = 600.0
    connect_timeout: float = 10.0
    max_bytes: int = 16_000_000
    logprobs: bool = False
    omit: tuple[str, ...] = ()


def key_variables(provider: str) -> list[str]:
    """Give the environment variables in which a provider's keys are found."""
    return _KEYS.get(provider, f"{provider.upper()}_API_KEY").split(" and ")


def open_endpoints(
    address: ModelAddress, settings: EndpointSettings | None = None, connections: Connections | None = None
) -> list[LangChainEndpoint]:
    """Open the endpoints of an address, one for each of its URLs.

    An endpoint belongs to the event loop that first uses it. Keys come from the environment: what is sent to
    a ``vllm`` URL is ``INDUCE_MODEL_API_KEY`` or nothing of worth. LangChain's tracing is as the user's
    ``LANGSMITH_TRACING`` says, and off where that is not set. Raises ``ModelError`` where a package or a key
    is missing, or LangChain does not know the provider.
    """
    settings = settings or EndpointSettings()
    if address.provider == RECORDED:
        raise ModelError(f"{address} is a transcript: recorded answers are replayed, not asked for")
    if address.provider not in OPENAI_COMPATIBLE:
        return [_open_provider(address, url, settings) for url in address.urls or ("",)]
    return [_open_openai_protocol(address, url, settings, connections) for url in address.base_urls or ("",)]


class LangChainEndpoint:
    """One chat model of LangChain's as a ``ChatEndpoint``.

    ``multiple`` says whether it can be asked for several samples at once; one that cannot gives one choice,
    whatever ``n`` is. ``can_continue`` says whether it goes on with an assistant's message that ends the
    prompt. A seed and a schema are sent only to servers in OpenAI's protocol (the seed to Ollama as well).
    """

    def __init__(
        self,
        name: str,
        model: BaseChatModel,
        *,
        address: ModelAddress,
        settings: EndpointSettings | None = None,
    ) -> None:
        self.name = name
        self.multiple = address.provider in OPENAI_COMPATIBLE and not getattr(
            model, "use_responses_api", False
        )
        self.can_continue = address.provider == "vllm"
        self._model = model
        self._address = address
        self._settings = settings or EndpointSettings()

    def __repr__(self) -> str:
        return f"LangChainEndpoint({self.name!r})"

    async def ask(self, request: ChatRequest) -> Answer:
        """Ask once for ``request.n`` samples. Raises ``EndpointError``."""
        try:
            result = await self._model.agenerate([_messages(request)], **self._parameters(request))
            generations = result.generations[0]
            return _answer(generations)
        except Exception as error:
            # What a library says of an error may hold a key.
            raise await self._explain(error) from None

    async def aclose(self) -> None:
        """Close its connections. Closing twice does no harm."""
        model: Any = self._model
        if hasattr(model, "aclose"):
            await model.aclose()
        elif (client := getattr(model, "root_async_client", None)) is not None:
            await client.close()

    def _parameters(self, request: ChatRequest) -> dict[str, Any]:
        sampling, provider = request.sampling, self._address.provider
        wanted: dict[str, Any] = {
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
        }
        if provider not in (*OPENAI_COMPATIBLE, "ollama"):
            del wanted["seed"]
        if provider in OPENAI_COMPATIBLE:
            if self.multiple and request.n > 1:
                wanted["n"] = request.n
            if sampling.schema:
                wanted["response_format"] = {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": json.loads(sampling.schema), "strict": True},
                }
            if self._settings.logprobs:
                wanted["logprobs"] = True
        if self.can_continue and request.messages[-1].role == "assistant":
            wanted["extra_body"] = {"continue_final_message": True, "add_generation_prompt": False}
        wanted = {
            name: value
            for name, value in wanted.items()
            if value is not None and name not in self._settings.omit
        }
        if provider == "ollama":
            # Its chat model takes them in a bundle, under names of its own.
            stop = wanted.pop("stop", None)
            if "max_tokens" in wanted:
                wanted["num_predict"] = wanted.pop("max_tokens")
            wanted = {"options": wanted, "stop": stop}
        return wanted

    async def _explain(self, error: Exception) -> EndpointError:
        """Say what went wrong, whether trying again can help, and what to do if not."""
        chain = list(_chain(error))
        said = _line(error)
        if bad := next(
            (e for e in chain if isinstance(e, MalformedAnswerError | json.JSONDecodeError)), None
        ):
            return EndpointError(_line(bad), retryable=True)
        if large := next((e for e in chain if isinstance(e, TooLargeAnswerError)), None):
            return EndpointError(f"{large}: lower max_tokens", retryable=False)
        status = next((code for e in chain if (code := _status(e)) is not None), None)
        if status is not None:
            return await self._explain_status(status, said, _headers(chain))
        if any(isinstance(e, TimeoutError) or "Timeout" in type(e).__name__ for e in chain):
            return EndpointError(f"no answer within {self._settings.timeout:g} s", retryable=True)
        names = [base.__name__ for e in chain for base in type(e).__mro__]
        if any(isinstance(e, OSError) for e in chain) or any(map(_CONNECTION.search, names)):
            reason = next((line for e in reversed(chain) if (line := _line(e))), said)
            return EndpointError(f"the connection failed ({reason})", retryable=True)
        # What a library of a provider stumbles over while it reads an answer.
        malformed = isinstance(error, ValueError | LookupError | AttributeError)
        return EndpointError(f"{type(error).__name__}: {said}", retryable=malformed)

    async def _explain_status(self, status: int, said: str, headers: Mapping[str, str]) -> EndpointError:
        said = f"{said or 'it refuses'} (HTTP {status})"
        key = _key_name(self._address.provider)
        cure, overflow = "", False
        if status in (401, 403):
            cure = f"set {key} to a key that may use this model"
        elif status == 429 and "insufficient_quota" in said:
            cure = f"the account of {key} has no credit left"
        elif status in _RETRYABLE or status >= 500:
            return EndpointError(
                said,
                retryable=True,
                retry_after=_retry_after(headers),
                overloaded=status in _OVERLOADED,
            )
        elif status in (400, 413, 422) and _OVERFLOW.search(said):
            overflow = True
        elif status in (400, 404) and _WRONG_MODEL.search(said):
            names = await self._model_names()
            cure = f"it has {', '.join(names)}" if names else "is it spelt as the provider spells it?"
        elif status == 404:
            cure = "is that the base URL, which mostly ends in /v1?"
        elif status < 400:
            cure = "it redirects elsewhere, so give the URL that it leads to"
        return EndpointError(f"{said}: {cure}" if cure else said, retryable=False, overflow=overflow)

    async def _model_names(self) -> list[str]:
        model: OpenAIProtocolChat | Any = self._model
        if not hasattr(model, "model_names"):
            return []
        try:
            async with asyncio.timeout(_MODELS_SECONDS):
                names = await model.model_names()
        except Exception:  # the list is a courtesy; what is told is why it was wanted
            return []
        return [*names[:10], f"{len(names) - 10} more"] if len(names) > 10 else list(names)


def _open_openai_protocol(
    address: ModelAddress, url: str, settings: EndpointSettings, connections: Connections | None = None
) -> LangChainEndpoint:
    try:
        from hypotheses.models.connections import Connections  # noqa: PLC0415
        from hypotheses.models.openai_protocol import OpenAIProtocolChat  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(
            f'{address} needs {error.name or "LangChain"}: pip install "induce[models]"'
        ) from None
    own = address.provider == "vllm"
    key = os.environ.get(_KEYS[address.provider], "").strip()  # a mounted secret often ends in a newline
    if not key and not url:
        raise ModelError(f"{address} needs a key: set OPENAI_API_KEY")
    try:
        model = OpenAIProtocolChat(
            model=address.name,
            base_url=url or None,
            api_key=key or "none",
            max_retries=0,
            timeout=settings.timeout,
            cache=False,  # a cache of LangChain's would answer every sample of a prompt alike
            disable_streaming=True,
            old_max_tokens=own,
            connections=connections
            or Connections(settings.timeout, settings.connect_timeout, settings.max_bytes),
        )
    except (ValueError, TypeError) as error:
        raise ModelError(f"{address} cannot be opened: {_line(error)}") from None
    if own:
        # The SDK takes these from the environment; they are OpenAI's business alone.
        client = model.root_async_client
        client.organization = client.project = client.admin_api_key = None
    return LangChainEndpoint(url or address.provider, model, address=address, settings=settings)


def _open_provider(address: ModelAddress, url: str, settings: EndpointSettings) -> LangChainEndpoint:
    try:
        from langchain.chat_models import init_chat_model  # noqa: PLC0415
    except ImportError:
        raise ModelError(f'{address} needs LangChain: pip install "induce[models]"') from None
    wanted: dict[str, Any] = {
        "max_retries": 0,
        "timeout": settings.timeout,
        "cache": False,
        "disable_streaming": True,
    }
    if url:
        wanted["base_url"] = url
    try:
        # Providers differ in what they take: the first model tells, and is thrown away.
        fields = type(init_chat_model(address.name, model_provider=address.provider)).model_fields
        taken = set(fields) | {str(field.alias) for field in fields.values() if field.alias}
        if url and "base_url" not in taken:
            raise ModelError(f"{address}: LangChain's {address.provider} takes no URL")
        model = init_chat_model(
            address.name,
            model_provider=address.provider,
            **{name: value for name, value in wanted.items() if name in taken},
        )
    except ImportError as error:
        found = re.search(r"pip install[^\w]*([\w-]+)", str(error))
        package = found[1] if found else f"langchain-{address.provider.replace('_', '-')}"
        raise ModelError(f"{address} needs a package that is not installed: pip install {package}") from None
    except ModelError:
        raise
    except Exception as error:  # each provider has its own way to refuse
        raise ModelError(
            f"{address} cannot be opened ({_line(error)}): is {_key_name(address.provider)} set?"
        ) from None
    return LangChainEndpoint(url or address.provider, model, address=address, settings=settings)


def _key_name(provider: str) -> str:
    return _KEYS.get(provider, f"{provider.upper()}_API_KEY")


def _messages(request: ChatRequest) -> list[BaseMessage]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage  # noqa: PLC0415

    kinds = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}
    return [kinds[message.role](content=message.content) for message in request.messages]


def _answer(generations: list[Any]) -> Answer:
    choices = []
    prompt = completion = cached = 0
    for generation in generations:
        message: AIMessage = generation.message
        choices.append(_choice(generation, message))
        if usage := message.usage_metadata:
            prompt += usage["input_tokens"]
            completion += usage["output_tokens"]
            cached += usage.get("input_token_details", {}).get("cache_read", 0) or 0
    return Answer(tuple(choices), prompt, completion, min(cached, prompt))


def _choice(generation: Generation, message: AIMessage) -> Choice:
    information = message.response_metadata | (generation.generation_info or {})
    if isinstance(message.content, str):
        text = message.content
        reasoning = str(message.additional_kwargs.get("reasoning_content") or "")
    else:
        blocks = message.content_blocks
        text = "".join(str(block.get("text", "")) for block in blocks if block["type"] == "text")
        thoughts = [str(block.get("reasoning", "")) for block in blocks if block["type"] == "reasoning"]
        reasoning = "\n".join(filter(None, thoughts))
    return Choice(_valid(text), _valid(reasoning), _finish(information), _mean_logprob(information))


def _finish(information: Mapping[str, Any]) -> Finish:
    details = information.get("incomplete_details")
    reasons = [
        details.get("reason") if isinstance(details, dict) else None,
        *(information.get(name) for name in ("finish_reason", "stop_reason", "done_reason", "stopReason")),
        information.get("status"),
    ]
    known = (reason.lower() for reason in reasons if isinstance(reason, str))
    return next((_FINISHES[reason] for reason in known if reason in _FINISHES), "")


def _mean_logprob(information: Mapping[str, Any]) -> float | None:
    logprobs = information.get("logprobs")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    values = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    numbers = [value for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return sum(numbers) / len(numbers) if len(numbers) == len(tokens) else None


def _valid(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can say but no encoding can write."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    in_response = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    for code in (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        in_response.get("HTTPStatusCode"),
        getattr(error, "code", None),
    ):
        if isinstance(code, int) and 300 <= code < 600:
            return int(code)
    return None


def _headers(chain: list[BaseException]) -> Mapping[str, str]:
    for error in chain:
        headers = getattr(getattr(error, "response", error), "headers", None)
        if headers is not None:
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds the server wants us to wait: a number, or a date."""
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        try:
            seconds = float(text) * scale
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
            except (ValueError, OverflowError, TypeError, IndexError):
                continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _line(error: BaseException) -> str:
    """Give what an error says in one line without secrets."""
    text = str(error)
    body = getattr(error, "body", None)
    if isinstance(body, dict):
        detail = body.get("error", body)
        if isinstance(detail, dict) and isinstance(detail.get("message"), str):
            code = detail.get("code")
            text = detail["message"] + (f" [{code}]" if isinstance(code, str) else "")
    for name, value in os.environ.items():
        if _SECRET_NAMES.search(name) and len(value) > 5:
            # Libraries quote what they cannot send, a line break at its end for example.
            forms = {value, value.strip(), repr(value)[1:-1], repr(value.encode(errors="replace"))[2:-1]}
            for form in sorted((one for one in forms if len(one) > 5), key=len, reverse=True):
                text = text.replace(form, f"<{name}>")
    text = " ".join(text.split())
    return text if len(text) <= 300 else text[:300] + "…"
