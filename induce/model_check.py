"""What a server in OpenAI's protocol can do, and how fast it is, found out by asking it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from hypotheses.models.address import ModelAddress
from sandboxes.errors import ModelError

KEY_VARIABLE = "INDUCE_MODEL_API_KEY"
"""Holds the key of servers of one's own."""

OPENAI_URL = "https://api.openai.com/v1"

_MAX_BYTES = 16 << 20
_SPEED_TOKENS = 64
_SCHEMA_TOKENS = 256
_LONG_PROMPT_WORDS = 400
"""Some 1,500 tokens: many blocks of any cache, and seconds of work without an accelerator."""


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint to look at. ``model`` is empty where it is for the endpoint to say which it has."""

    url: str
    model: str
    key_variable: str
    key: str = field(default="", repr=False)
    limit: str = "max_tokens"

    @classmethod
    def parse(cls, text: str) -> list[Target]:
        """Read an address such as ``vllm:NAME@URL``, or the bare URL of a server; one target for each URL.

        Raises ``ModelError`` for what is neither, and for providers that do not speak OpenAI's protocol.
        """
        bare = re.match(r"https?://", text.strip())
        address = ModelAddress.parse(f"vllm:any@{text.strip()}" if bare else text)
        if address.provider not in ("vllm", "openai"):
            raise ModelError(
                f"{address} cannot be checked: name a server in OpenAI's protocol, vllm:NAME@URL or its URL"
            )
        name, own = "" if bare else address.name, address.provider == "vllm"
        variable = KEY_VARIABLE if own else "OPENAI_API_KEY"
        limit = "max_tokens" if own else "max_completion_tokens"
        urls = address.base_urls or (OPENAI_URL,)
        return [cls(url, name, variable, os.environ.get(variable, "").strip(), limit) for url in urls]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one probe found. ``works`` is ``None`` where that cannot be told; ``values`` are its figures."""

    name: str
    works: bool | None
    detail: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointReport:
    """What an endpoint can do. ``usable``: it answers, and has the model."""

    url: str
    model: str
    usable: bool
    findings: tuple[Finding, ...]


FINDINGS = (
    *("reached", "model", "context", "answers", "n", "logprobs", "json_schema", "continuation", "reasoning"),
    *("tokenize", "prefix cache", "first token", "speed"),
)
"""The names of all findings, in the order in which they come."""


async def check_endpoint(
    target: Target,
    found: Callable[[Finding], None] | None = None,
    *,
    deadline: float = 60.0,
    concurrent: int = 8,
) -> EndpointReport:
    """Ask an endpoint some 25 short questions, one probe after another, and tell each finding as it comes.

    ``deadline`` is in seconds, for each probe; ``concurrent`` how many requests are sent at the same time to
    measure speed. A probe that fails is a finding. Where the endpoint cannot be reached, lacks the model or
    does not answer, the rest is left out.
    """
    headers = {"accept-encoding": "identity"} | (
        {"authorization": f"Bearer {target.key}"} if target.key else {}
    )
    # No redirects: the key is for this place alone.
    async with httpx.AsyncClient(
        headers=headers,
        timeout=httpx.Timeout(None, connect=min(10.0, deadline)),
        limits=httpx.Limits(max_connections=None),
    ) as client:
        endpoint = _Endpoint(client, target)
        steps: Sequence[tuple[tuple[str, ...], Callable[[], Awaitable[Sequence[Finding]]]]] = (
            (("reached",), endpoint.reach),
            (("model",), endpoint.find_model),
            (("context",), endpoint.find_context),
            (("answers",), endpoint.answer),
            (("n",), endpoint.several),
            (("logprobs",), endpoint.logprobs),
            (("json_schema",), endpoint.schema),
            (("continuation",), endpoint.continuation),
            (("reasoning",), endpoint.reasoning),
            (("tokenize",), endpoint.tokenize),
            (("prefix cache", "first token"), endpoint.prefix),
            (("speed",), lambda: endpoint.speed(concurrent)),
        )
        findings: list[Finding] = []
        for names, probe in steps:
            for finding in await _within(deadline, names, probe, target):
                findings.append(finding)
                if found is not None:
                    found(finding)
                if finding.works is False and finding.name in ("reached", "model", "answers"):
                    return EndpointReport(target.url, endpoint.model, usable=False, findings=tuple(findings))
        return EndpointReport(target.url, endpoint.model, usable=True, findings=tuple(findings))


class _RefusedError(Exception):
    """The endpoint gave no answer of use; the message says why."""


async def _within(
    deadline: float,
    names: Sequence[str],
    probe: Callable[[], Awaitable[Sequence[Finding]]],
    target: Target,
) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(deadline):
            findings = await probe()
    except TimeoutError:
        findings = [Finding(name, False, f"no answer in {deadline:g} s") for name in names]
    except _RefusedError as refusal:
        findings = [Finding(name, False, str(refusal)) for name in names]
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        findings = [Finding(name, False, f"{reason}; is a server running at {target.url}?") for name in names]
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError):
        findings = [Finding(name, False, "its answer has another shape than OpenAI's") for name in names]
    if not target.key:
        return findings
    # Servers like to repeat the key that they refuse.
    return [Finding(one.name, one.works, one.detail.replace(target.key, "…"), one.values) for one in findings]


class _Endpoint:
    """The probes of one endpoint, and what they know of it so far."""

    def __init__(self, client: httpx.AsyncClient, target: Target) -> None:
        self.model = target.model
        self._client = client
        self._target = target
        self._models: list[dict[str, Any]] | None = None
        self._context: int | None = None
        self._vllm = False
        self._first: dict[str, Any] = {}

    async def _ask(self, path: str, content: object = None) -> tuple[int, bytes]:
        """Ask for a path below ``/v1``, or beside it where it begins with ``/``."""
        root = self._target.url.removesuffix("/v1") if path.startswith("/") else f"{self._target.url}/"
        method = "GET" if content is None else "POST"
        async with self._client.stream(method, root + path, json=content) as answer:
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _MAX_BYTES:
                    raise _RefusedError("its answer has no end")
            return answer.status_code, bytes(body)

    async def _ask_json(self, path: str, content: object = None) -> Any:
        status, body = await self._ask(path, content)
        if status != 200:
            raise _RefusedError(self._refusal(status, body))
        try:
            return json.loads(body)
        except ValueError:
            raise _RefusedError("its answer is no JSON") from None

    def _refusal(self, status: int, body: bytes) -> str:
        try:
            said = json.loads(body)
            message = said["error"]["message"] if "error" in said else said.get("message") or said["detail"]
        except (ValueError, LookupError, TypeError, AttributeError):
            message = body[:200].decode(errors="replace")
        cure = f"; set {self._target.key_variable}" if status in (401, 403) else ""
        return f"{status} {' '.join(str(message).split())[:300]}".strip() + cure

    async def _chat(self, messages: Sequence[tuple[str, str]], most: int = 16, **parameters: Any) -> Any:
        content = {
            "model": self.model,
            "messages": [{"role": role, "content": text} for role, text in messages],
            self._target.limit: most,
            **parameters,
        }
        return await self._ask_json("chat/completions", content)

    async def reach(self) -> Sequence[Finding]:
        begun = time.perf_counter()
        status, body = await self._ask("models")
        seconds = time.perf_counter() - begun
        if status in (401, 403):
            raise _RefusedError(self._refusal(status, body))
        if status == 200:
            try:
                self._models = [dict(model) for model in json.loads(body)["data"]]
            except (ValueError, LookupError, TypeError):
                raise _RefusedError(
                    "what answers there is no server in OpenAI's protocol; does the URL end in /v1?"
                ) from None
        server = ""
        status, body = await self._ask("/version")
        if status == 200 and (version := re.fullmatch(rb'\s*\{"version":\s*"([\w.+-]{1,60})"\}\s*', body)):
            server = f"vLLM {version[1].decode()}"
        self._vllm = bool(server) or any(model.get("owned_by") == "vllm" for model in self._models or ())
        values = {"seconds": round(seconds, 4), "server": server or None}
        return [
            Finding(
                "reached", True, f"in {seconds * 1000:.0f} ms" + (f", {server}" if server else ""), values
            )
        ]

    async def find_model(self) -> Sequence[Finding]:
        if self._models is None:
            if not self.model:
                raise _RefusedError("it does not list its models: name one, vllm:NAME@URL")
            return [Finding("model", None, f"{self.model}; it does not list its models")]
        names = [str(model["id"]) for model in self._models]
        listed = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        if not names:
            raise _RefusedError("it has no models")
        self.model = self.model or names[0]
        if self.model not in names:
            raise _RefusedError(f"there is no {self.model}; it has {listed}")
        detail = self.model if len(names) == 1 else f"{self.model}, of {listed}"
        return [Finding("model", True, detail, {"models": names})]

    async def find_context(self) -> Sequence[Finding]:
        for model in self._models or ():
            if model["id"] == self.model:
                # As vLLM says it, and as llama.cpp does.
                self._context = model.get("max_model_len") or (model.get("meta") or {}).get("n_ctx")
        if not isinstance(self._context, int):
            self._context = None
            return [Finding("context", None, "it does not say", {"tokens": None})]
        return [Finding("context", True, f"{self._context:,} tokens", {"tokens": self._context})]

    async def answer(self) -> Sequence[Finding]:
        begun = time.perf_counter()
        self._first = await self._chat([("user", "What is six times seven? Think, then answer.")], 64)
        seconds = time.perf_counter() - begun
        self._first["choices"][0]["message"]["role"]
        usage = self._first.get("usage") or {}
        counted = isinstance(usage.get("completion_tokens"), int)
        tokens = f"{usage['completion_tokens']} tokens" if counted else "tokens not counted,"
        return [Finding("answers", True, f"{tokens} in {seconds:.2f} s", {"usage": counted})]

    async def several(self) -> Sequence[Finding]:
        answer = await self._chat([("user", "Name an animal.")], 8, n=2, temperature=1.0)
        count = len(answer["choices"])
        return [Finding("n", count == 2, f"{count} choices for n=2", {"choices": count})]

    async def logprobs(self) -> Sequence[Finding]:
        answer = await self._chat([("user", "Name an animal.")], 4, logprobs=True)
        parts = (answer["choices"][0].get("logprobs") or {}).get("content") or []
        given = bool(parts) and all(isinstance(part["logprob"], (int, float)) for part in parts)
        return [Finding("logprobs", given, f"for {len(parts)} tokens" if given else "none came")]

    async def schema(self) -> Sequence[Finding]:
        # The prompt does not tell what is wanted: only a server that sees to it gets this.
        schema = {
            "type": "object",
            "properties": {"kind": {"type": "string", "enum": ["induction"]}},
            "required": ["kind"],
            "additionalProperties": False,
        }
        form = {"type": "json_schema", "json_schema": {"name": "kind", "schema": schema, "strict": True}}
        answer = await self._chat(
            [("user", "Name an animal.")], _SCHEMA_TOKENS, response_format=form, temperature=0.0
        )
        choice = answer["choices"][0]
        try:
            kept = json.loads(choice["message"].get("content") or "") == {"kind": "induction"}
        except ValueError:
            if choice.get("finish_reason") == "length":
                return [Finding("json_schema", None, f"not to an end in {_SCHEMA_TOKENS} tokens")]
            kept = False
        return [Finding("json_schema", kept, "kept" if kept else "ignored without a word")]

    async def continuation(self) -> Sequence[Finding]:
        messages = [("user", "Count from one to ten."), ("assistant", "one, two, three, fo")]
        flags = {"continue_final_message": True, "add_generation_prompt": False}
        continued = await self._chat(messages, 8, temperature=0.0, **flags)
        finished = await self._chat(messages, 8, temperature=0.0)
        # What ends the message and begins another is part of a prompt that is not continued.
        sizes = [(answer.get("usage") or {}).get("prompt_tokens") for answer in (continued, finished)]
        texts = [answer["choices"][0]["message"].get("content") for answer in (continued, finished)]
        works = sizes[0] != sizes[1] or texts[0] != texts[1]
        return [
            Finding("continuation", works, "of what it began to write" if works else "ignored without a word")
        ]

    async def reasoning(self) -> Sequence[Finding]:
        message = self._first["choices"][0]["message"]
        for place in ("reasoning", "reasoning_content"):
            if isinstance(message.get(place), str) and message[place]:
                return [Finding("reasoning", True, f"apart, in {place}", {"field": place})]
        if str(message.get("content") or "").lstrip().startswith("<think>"):
            return [Finding("reasoning", True, "in the text, as <think>", {"field": "content"})]
        return [Finding("reasoning", None, "none in the answer it gave", {"field": None})]

    async def tokenize(self) -> Sequence[Finding]:
        content = {"model": self.model, "messages": [{"role": "user", "content": "one two three"}]}
        counted = await self._ask_json("/tokenize", content)
        count = len(counted["tokens"])
        return [Finding("tokenize", count > 0, f"a small prompt has {count} tokens")]

    async def prefix(self) -> Sequence[Finding]:
        count = min(_LONG_PROMPT_WORDS, (self._context or 1 << 20) // 8)
        dice = random.Random()  # noqa: S311 - words that no cache has seen
        words = " ".join("".join(dice.choices("bdfglmnprstaeiou", k=6)) for _ in range(count))
        messages = [("user", f"Here are some words.\n{words}\nName one of them.")]
        seconds, answers = [], []
        before = None
        for attempt in range(2):
            if attempt:
                before = await self._hits()
            begun = time.perf_counter()
            answers.append(await self._chat(messages, 1))
            seconds.append(time.perf_counter() - begun)
        after = await self._hits()
        usage = answers[1].get("usage") or {}
        size = usage.get("prompt_tokens")
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        source = "it says"
        if cached is None and before is not None and after is not None:
            cached, source = int(after - before), "by its metrics"
        of = f" of {size:,}" if isinstance(size, int) else ""
        cold, warm = seconds
        values = {"cold_seconds": round(cold, 4), "warm_seconds": round(warm, 4), "prompt_tokens": size}
        return [
            Finding("prefix cache", None, "it does not say")
            if cached is None
            else Finding(
                "prefix cache",
                cached > 0,
                f"{cached:,}{of} tokens of a repeated prompt were known, {source}",
                {"cached_tokens": cached, "prompt_tokens": size},
            ),
            Finding(
                "first token",
                True,
                f"{cold:.2f} s{of and f' for{of[3:]} tokens'}, {warm:.2f} s again",
                values,
            ),
        ]

    async def _hits(self) -> float | None:
        status, body = await self._ask("/metrics")
        found = re.findall(rb"^vllm:prefix_cache_hits_total(?:\{[^\n]*\})? ([\d.e+]+)$", body, re.MULTILINE)
        return sum(map(float, found)) if status == 200 and found else None

    async def speed(self, concurrent: int) -> Sequence[Finding]:
        extras = {"ignore_eos": True} if self._vllm else {}
        messages = [("user", "Count from one to a hundred in words.")]

        async def rate(requests: int) -> float:
            begun = time.perf_counter()
            answers = await asyncio.gather(
                *(self._chat(messages, _SPEED_TOKENS, temperature=1.0, **extras) for _ in range(requests))
            )
            tokens = sum(answer["usage"]["completion_tokens"] for answer in answers)
            return float(tokens / (time.perf_counter() - begun))

        alone = await rate(1)
        together = await rate(concurrent)
        detail = f"{alone:.1f} tokens/s alone, {together:.1f} for {concurrent} at a time"
        values = {"alone": round(alone, 2), "together": round(together, 2), "concurrent": concurrent}
        return [Finding("speed", True, detail, values)]


def report_record(report: EndpointReport) -> dict[str, Any]:
    """Give what ``--json`` tells of an endpoint."""
    return {
        "url": report.url,
        "model": report.model,
        "usable": report.usable,
        "findings": {
            one.name: {"works": one.works, "detail": one.detail, **one.values} for one in report.findings
        },
    }
