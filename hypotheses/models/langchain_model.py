"""The loop's own model as a chat model of LangChain's: what it answers is recorded and counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from hypotheses.models.chat import ChatRequest, Message, Sampling

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.language_models import BaseChatModel

    from hypotheses.budget import Ledger
    from hypotheses.hypothesis import Completion

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class Sampler(Protocol):
    """Gives samples of a prompt: a ``ModelClient``."""

    def sample(self, request: ChatRequest, ledger: Ledger) -> AsyncGenerator[Completion, None]:
        """Yield the completions that the ledger allows, in the order of their samples."""
        ...


class NothingLeftError(Exception):
    """The budget allows no further completion."""


def as_langchain(
    client: Sampler,
    kind: str,
    sampling: Sampling,
    ledger: Ledger,
    completions: list[Completion],
    task_id: str,
) -> BaseChatModel:
    """Give a chat model that asks ``client`` and appends each completion to ``completions``.

    ``kind`` is what the completions are recorded as. It answers ``ainvoke`` alone, and raises what the client
    raises, or ``NothingLeftError`` where the ledger allows no more.
    """
    from langchain_core.language_models import BaseChatModel  # noqa: PLC0415  slow to load
    from langchain_core.messages import AIMessage, BaseMessage  # noqa: PLC0415
    from langchain_core.outputs import ChatGeneration, ChatResult  # noqa: PLC0415

    class RecordedChatModel(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "induce"

        def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            raise NotImplementedError("this model is asked with ainvoke")

        async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
            request = ChatRequest(kind, _messages(messages), sampling, task_id=task_id)
            async with aclosing(client.sample(request, ledger)) as answers:
                async for completion in answers:
                    completions.append(completion)
                    prompt, written = completion.prompt_tokens, completion.completion_tokens
                    message = AIMessage(
                        completion.response,
                        usage_metadata={
                            "input_tokens": prompt,
                            "output_tokens": written,
                            "total_tokens": prompt + written,
                        },
                    )
                    return ChatResult(generations=[ChatGeneration(message=message)])
            raise NothingLeftError("the budget allows no further completion")

    return RecordedChatModel()


def _messages(messages: Sequence[Any]) -> tuple[Message, ...]:
    return tuple(Message(_ROLES[one.type], str(one.text)) for one in messages)  # type: ignore[arg-type]
