"""How a language model is named: ``PROVIDER:NAME``, or ``PROVIDER:NAME@URL`` for a server of one's own."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandboxes.errors import ModelError

VLLM_URL = "http://127.0.0.1:8000/v1"
"""Where ``vllm serve`` listens unless it is told otherwise."""

RECORDED = "recorded"
"""The provider of recorded answers, whose name is the path of a transcript."""

OPENAI_COMPATIBLE = ("vllm", "openai")
"""The providers that speak OpenAI's protocol, whose URLs end in a version such as ``/v1``."""

KNOWN_PROVIDERS = (
    *OPENAI_COMPATIBLE,
    RECORDED,
    # Those that LangChain knows by name.
    *"anthropic anthropic_bedrock azure_ai azure_openai baseten bedrock bedrock_converse cohere".split(),
    *"deepseek fireworks google_anthropic_vertex google_genai google_vertexai groq huggingface ibm".split(),
    *"litellm meta mistralai nvidia ollama openrouter perplexity together upstage xai".split(),
)

_HOW = "write PROVIDER:NAME, such as openai:gpt-4o, or vllm:NAME@http://127.0.0.1:8000/v1 for a server"
_FAMILIES = (
    (re.compile(r"gpt-|chatgpt|o\d"), "openai"),
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini"), "google_genai"),
    (re.compile(r"mistral|mixtral|codestral"), "mistralai"),
    (re.compile(r"deepseek"), "deepseek"),
    (re.compile(r"grok"), "xai"),
)


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """The name of a language model, and where it is asked.

    ``provider`` is ``vllm`` (any server that speaks OpenAI's protocol), ``recorded``, or one of LangChain's
    providers. ``name`` is what the provider calls the model, and may hold ``/`` and ``:``; for ``recorded``
    it is the path of a transcript. ``urls`` are the base URLs of servers that all have this model; where
    there are none, the provider's own is meant. Raises ``ModelError`` where there can be no such address.

    >>> str(ModelAddress.parse("vllm:Qwen/Qwen2.5-Coder-1.5B-Instruct@http://gpu1:8000,http://gpu2:8000"))
    'vllm:Qwen/Qwen2.5-Coder-1.5B-Instruct@http://gpu1:8000/v1,http://gpu2:8000/v1'
    """

    provider: str
    name: str
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.provider):
            raise ModelError(f"{self.provider!r} is not the name of a provider: {_HOW}")
        if not self.name or self.name != self.name.strip() or not self.name.isprintable():
            raise ModelError(f"{self.name!r} is not the name of a model: {_HOW}")
        if self.provider == RECORDED:
            if self.urls:
                raise ModelError("a transcript has no URL: write recorded:FILE")
        elif re.search(r"@https?://", self.name):
            raise ModelError(f"the name {self.name!r} contains a URL: {_HOW}")
        if self.urls != tuple(_base_url(url, self.provider) for url in self.urls):
            raise ModelError(f"{', '.join(self.urls)}: write base URLs in full, such as {VLLM_URL}")

    @classmethod
    def parse(cls, text: str) -> ModelAddress:
        """Read an address.

        ``vllm:NAME`` is the server at ``http://127.0.0.1:8000/v1``; several URLs are separated by commas. A
        URL of an OpenAI-compatible server that names no path gets ``/v1``, and a final ``/`` or
        ``/chat/completions`` is dropped; any other path is left as it is. Raises ``ModelError`` that says how
        to write one.
        """
        text = text.strip()
        provider, colon, rest = text.partition(":")
        if not colon or rest.startswith("//"):
            raise ModelError(f"{text!r} names no model: {_suggestion(text)}")
        provider = provider.lower().replace("-", "_")
        if provider not in KNOWN_PROVIDERS:
            close = difflib.get_close_matches(provider, KNOWN_PROVIDERS, n=1, cutoff=0.75)
            if close:
                raise ModelError(
                    f"there is no provider {provider!r} of models: did you mean {close[0]}:{rest}?"
                )
        if provider == RECORDED:
            return cls(provider, rest)
        name, at, urls = _split_at_url(rest)
        if at and not name:
            raise ModelError(f"{text!r} names a server but no model: write {provider}:NAME@{urls}")
        if re.search(r"@(?:localhost|[\w.-]+:\d+|\d+\.\d+\.\d+\.\d+)", name):
            model, _, host = name.rpartition("@")
            raise ModelError(f"{text!r}: did you mean {provider}:{model}@http://{host}?")
        listed = re.split(r",\s*", urls) if at else []
        return cls(provider, name, tuple(_base_url(url, provider) for url in listed))

    @property
    def base_urls(self) -> tuple[str, ...]:
        """The URLs to ask: those given, vLLM's usual one, or none where the provider knows its own."""
        return self.urls or ((VLLM_URL,) if self.provider == "vllm" else ())

    def __str__(self) -> str:
        address = f"{self.provider}:{self.name}"
        return f"{address}@{','.join(self.urls)}" if self.urls else address


def _split_at_url(rest: str) -> tuple[str, str, str]:
    found = re.search(r"@(?=https?://)", rest)
    if found is None:
        return rest, "", ""
    return rest[: found.start()], "@", rest[found.end() :]


def _base_url(url: str, provider: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not url.isascii() or re.search(r"[\s,<>\"\\^`{|}]", url) or not url.isprintable():
        raise ModelError(f"{url!r} is not the URL of a server: write one such as {VLLM_URL}")
    if "@" in url or parts.query or parts.fragment or url[-1] in "?#":
        # Whatever is said here is shown, and stored with each run.
        place = f"{parts.scheme}://{parts.hostname}"
        raise ModelError(
            f"the URL at {place} holds a user, a query or a fragment: give the bare base URL, such as "
            f"{VLLM_URL}, and a key in the environment"
        )
    path = parts.path.rstrip("/")
    if provider in OPENAI_COMPATIBLE:
        path = path.removesuffix("/chat/completions").rstrip("/") or "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _suggestion(text: str) -> str:
    if re.match(r"https?://", text):
        return f"write vllm:NAME@{text}"
    for family, provider in _FAMILIES:
        if family.match(text):
            return f"did you mean {provider}:{text}?"
    if text in KNOWN_PROVIDERS:
        return f"write {text}:NAME"
    return _HOW
