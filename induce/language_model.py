"""From settings to a language model that can be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from hypotheses.models.address import ModelAddress
from hypotheses.models.chat import ChatEndpoint
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.prices import price_of
from hypotheses.models.replay import ReplayStore
from hypotheses.models.store import CompletionStore
from hypotheses.models.tokens import EstimatedTokens, TokenCounter, tokenizer_counter
from hypotheses.models.transcript import TranscriptEndpoint
from hypotheses.prompts import PromptOptions, Prompts
from hypotheses.recipes import PromptStyle
from hypotheses.steps.model import Model
from induce.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where completions come from: an address of a model, or a transcript.

    ``spec`` makes it again, ``name`` is what stands in content keys; ``content_hash`` is that of a
    transcript, which is opened already, as ``endpoint``; empty for a live model.
    """

    spec: str
    name: str
    address: ModelAddress
    endpoint: TranscriptEndpoint | None = None
    content_hash: str = ""

    @classmethod
    def parse(cls, spec: str) -> ModelSource:
        """Read an address such as ``vllm:NAME@http://127.0.0.1:8000/v1`` or ``recorded:TRANSCRIPT``.

        Raises ``ModelError`` for what is no address, ``ProposerError`` for a transcript that cannot be read.
        """
        kind, _, argument = spec.partition(":")
        if kind == "recorded" and argument:
            path = Path(argument).expanduser().absolute()  # a run may be resumed from another folder
            endpoint = TranscriptEndpoint(path)
            spec = f"recorded:{path}"
            name = f"recorded:{endpoint.content_hash[:16]}"
            return cls(spec, name, ModelAddress.parse(spec), endpoint, endpoint.content_hash)
        address = ModelAddress.parse(spec)
        return cls(str(address), address.name, address)


def token_counter(settings: Settings) -> TokenCounter:
    """Give the counter of the model's own tokens where its tokenizer is known, else an estimate."""
    name = settings.model.tokenizer
    return EstimatedTokens() if name is None else tokenizer_counter(name)


def make_prompts(settings: Settings, style: PromptStyle) -> Prompts:
    """Give the prompts in the recipe's style, for the model's context."""
    options = PromptOptions(
        grid=style.grid,
        few_shot=style.few_shot,
        shots=style.shots,
        failures=style.failures,
        translate_with_examples=style.translate_with_examples,
        structured=style.structured,
    )
    return Prompts(options, count=token_counter(settings).count, context=settings.model.context)


@asynccontextmanager
async def open_model(
    source: ModelSource, settings: Settings, style: PromptStyle, store: CompletionStore | None
) -> AsyncIterator[Model]:
    """Give a model with connections that are closed at the end; completions are kept in ``store``."""
    chosen = settings.model
    endpoints: Sequence[ChatEndpoint]
    if source.endpoint is not None:
        endpoints = [source.endpoint]  # it is a record itself, and its answers have no keys in a log
    elif isinstance(store, ReplayStore):
        endpoints = [store.endpoint(source.name)]
    else:
        # Imported here: LangChain and the providers' clients take a second to load.
        from hypotheses.models.langchain_endpoint import EndpointSettings, open_endpoints  # noqa: PLC0415

        endpoints = open_endpoints(
            source.address,
            EndpointSettings(timeout=chosen.timeout, logprobs=chosen.logprobs, omit=chosen.omit),
        )
    client = ModelClient(
        source.name,
        endpoints,
        config=ClientConfig(
            concurrency=chosen.concurrency,
            timeout=chosen.timeout,
            attempts=chosen.attempts,
            patience=chosen.patience,
            truncation=chosen.truncation,
        ),
        store=store,
        price=price_of(source.address, chosen.prices),
        count_tokens=token_counter(settings).count,
    )
    try:
        yield Model(client, make_prompts(settings, style))
    finally:
        await client.aclose()
