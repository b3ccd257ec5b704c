"""OpenAI's protocol through LangChain: what ``ChatOpenAI`` leaves out.

Needs the packages of the extra ``models``, so import it where it is used.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import Field, PrivateAttr, SecretStr

from hypotheses.models.connections import Connections
from hypotheses.models.langchain_endpoint import MalformedAnswerError, RefusalError


class OpenAIProtocolChat(ChatOpenAI):
    """``ChatOpenAI`` that keeps what vLLM adds to an answer (reasoning), and takes less time for it.

    ``old_max_tokens`` says the limit of a completion by its older name, which every server understands.
    """

    connections: Connections = Field(exclude=True, repr=False)
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

    async def aclose(self) -> None:
        """Close its connections. Closing twice does no harm."""
        await self.connections.aclose()
        await self.root_async_client.close()

    async def model_names(self) -> list[str]:
        """Ask the server which models it has."""
        listing = json.loads(await self._exchange("GET", "models"))
        return [str(model["id"]) for model in listing["data"]]

    async def _exchange(self, method: str, path: str, content: bytes | None = None) -> bytes:
        # Past the SDK's own way, which builds a request anew in 0.4 ms, and an answer's models in another.
        key = cast("SecretStr", self.openai_api_key)
        sdk = self.root_async_client
        if not self._headers:
            self._headers = {k: v for k, v in sdk.default_headers.items() if isinstance(v, str)}
            self._headers["Authorization"] = f"Bearer {key.get_secret_value()}"
        answer = await self.connections.exchange(method, f"{sdk.base_url}{path}", self._headers, content)
        if answer.status != HTTPStatus.OK:
            raise RefusalError(answer.status, answer.headers, answer.body)
        return answer.body


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
