"""A server in vLLM's protocol, for tests and benchmarks: slots, seeded latencies, and every way to misbehave.

It listens on a free port of the loopback and really speaks HTTP (ASGI under uvicorn). What it answers is a
function of the request; how long that takes is drawn from a seeded distribution; which fault a request meets
is scripted. ``python model_server.py --slots 256`` runs it in a process of its own and prints its URL.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import uvicorn

Payload: TypeAlias = dict[str, Any]
Text: TypeAlias = "str | tuple[str, str]"
"""What the model says, or what it thought and then what it says."""
Scope: TypeAlias = Any
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]

CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong.

    ``status``   answer with ``status``, ``headers`` and ``body``
    ``hang``     never answer
    ``drop``     close the connection without a word
    ``reset``    send the head and half of the body, then reset the connection
    ``cut``      send the head and half of the body, then close the connection
    ``body``     answer 200 with ``body``, whatever that is
    ``choices``  give ``count`` choices, however many were asked for
    ``flood``    send ``count`` bytes of one text without saying how many there will be
    """

    kind: Literal["status", "hang", "drop", "reset", "cut", "body", "choices", "flood"]
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "something broke", "type": "InternalServerError", "code": 500}}'
    count: int = 0


Faults: TypeAlias = "Sequence[Fault | None] | Callable[[Payload, int], Fault | None]"


def lognormal(mean: float, sigma: float) -> Callable[[random.Random], float]:
    """Give a latency in seconds with this mean, whose logarithm has the standard deviation ``sigma``."""
    mu = math.log(mean) - sigma * sigma / 2
    return lambda dice: dice.lognormvariate(mu, sigma)


class Slots:
    """Places where samples are written, and how busy they were: the integral of busy slots over time."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy = 0
        self.waiting = 0
        self.most = 0
        self.begun = 0
        self.queued_seconds = 0.0
        self._free = asyncio.Semaphore(count)
        self._area = 0.0
        self._changed = 0.0
        self._first: float | None = None
        self._full: tuple[float, float] | None = None
        self._last_full = (0.0, 0.0)

    @contextlib.asynccontextmanager
    async def one(self) -> Any:
        self.waiting += 1
        came = time.perf_counter()
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.begun += 1
        self.queued_seconds += time.perf_counter() - came
        self._change(1)
        try:
            yield
        finally:
            self._change(-1)
            self._free.release()

    def _change(self, by: int) -> None:
        now = time.perf_counter()
        if self._first is None:
            self._first = self._changed = now
        self._area += self.busy * (now - self._changed)
        self._changed = now
        if self.busy == self.count:  # it was full until now
            self._last_full = (now, self._area)
        self.busy += by
        self.most = max(self.most, self.busy)
        if self.busy == self.count and self._full is None:
            self._full = (now, self._area)

    def figures(self) -> dict[str, float]:
        """Give the share of slots that was busy.

        ``busy`` from the first sample's begin to the last one's end; ``busy_between`` from when all slots
        were first busy to when they last were, which leaves the ramps out (0 if they never were).
        """
        whole = self._changed - (self._first or 0.0)
        between = self._last_full[0] - self._full[0] if self._full else 0.0
        area = self._last_full[1] - self._full[1] if self._full else 0.0
        return {
            "slots": self.count,
            "most": self.most,
            "seconds": whole,
            "busy": self._area / (whole * self.count) if whole else 0.0,
            "seconds_between": between,
            "busy_between": area / (between * self.count) if between else 0.0,
        }


class ModelServer:
    """The server, run in a thread of its own while the context lasts.

    ``texts`` gives the text of choice ``index`` of a request; a text longer than its ``max_tokens`` (of four
    characters each) is cut off. ``faults`` are met by one chat request after another, or are told by a
    function of the payload and the number of the request. ``choices`` says what a request for several
    samples gets: all of them, just one (as llama.cpp's server), or a refusal. ``context`` is the longest
    prompt and answer in tokens. ``admits`` are the samples that it takes on at a time, written or waiting;
    a request for more gets a 429. ``also`` is one more path where chats are answered, ``metrics`` what
    ``/metrics`` says instead of the truth. What happened is in ``payloads``, ``headers`` and ``counts``.
    """

    def __init__(
        self,
        texts: Callable[[Payload, int], Text] = lambda payload, index: f"answer {index}",
        *,
        model: str = "tiny",
        slots: int = 16,
        seed: int = 0,
        latency: Callable[[random.Random], float] | None = None,
        faults: Faults = (),
        choices: Literal["all", "one", "refuse"] = "all",
        context: int = 1 << 20,
        api_key: str = "",
        admits: int = 1 << 30,
        also: str = "",
        metrics: str | None = None,
        keep_payloads: bool = True,
    ) -> None:
        self.model = model
        self.also = also
        self.payloads: list[Payload] = []
        self.headers: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()
        self._texts = texts
        self._slot_count = slots
        self._dice = random.Random(seed)
        self._latency = latency
        self._faults = faults
        self._choices = choices
        self._context = context
        self._api_key = api_key
        self._admits = admits
        self._metrics = metrics
        self._keep_payloads = keep_payloads
        self._changed = threading.Condition()
        self.slots: Slots
        self._asked = 0
        self._seen: set[str] = set()
        self._clients: set[tuple[str, int]] = set()
        # Listening from here on: whoever connects before the server runs waits for it.
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.url = "http://{}:{}/v1".format(*self._socket.getsockname())
        self._server = uvicorn.Server(
            uvicorn.Config(
                self,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._run, name="model-server")

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        async def serve() -> None:
            self.slots = Slots(self._slot_count)
            await self._server.serve(sockets=[self._socket])
            # What hangs is told to stop, so that nothing outlives the loop.
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        asyncio.run(serve())

    def wait_until(self, condition: Callable[[ModelServer], bool], seconds: float = 10.0) -> bool:
        """Wait until ``condition`` holds; it is looked at whenever something happened. Blocks the thread."""
        with self._changed:
            return self._changed.wait_for(lambda: condition(self), seconds)

    def _note(self, what: str) -> None:
        with self._changed:
            self.counts[what] += 1
            self._changed.notify_all()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in ("/v1/chat/completions", self.also):
            await self._chat(scope, receive, send)
        elif path == "/v1/models":
            listing = {
                "id": self.model,
                "object": "model",
                "owned_by": "vllm",
                "max_model_len": self._context,
            }
            await respond(send, {"object": "list", "data": [listing]})
        elif path == "/health":
            await respond(send, None)
        elif path == "/version":
            await respond(send, {"version": "0.0.0"})
        elif path == "/slots":
            await respond(send, self.slots.figures() | {"asked": self._asked} | dict(self.counts))
        elif path == "/metrics":
            await respond_text(send, self._measured() if self._metrics is None else self._metrics)
        else:
            await respond(send, {"detail": "Not Found"}, 404)

    def _measured(self) -> str:
        """Give vLLM's metrics, as far as this server has what they measure, and a few that are not read."""
        slots = self.slots
        values = {
            "num_requests_running": slots.busy,
            "num_requests_waiting": slots.waiting,
            "kv_cache_usage_perc": slots.busy / slots.count,
            "prompt_tokens_total": self.counts["prompt tokens"],
            "prompt_tokens_created": 1.7e9,
            "generation_tokens_total": self.counts["completion tokens"],
            "prefix_cache_queries_total": self.counts["prompt tokens"],
            "prefix_cache_hits_total": self.counts["cached tokens"],
            'request_queue_time_seconds_bucket{le="+Inf"': slots.begun,
            "request_queue_time_seconds_sum": slots.queued_seconds,
            "request_queue_time_seconds_count": slots.begun,
        }
        lines = ["# HELP python_info Python platform information", 'python_info{version="3.12.1"} 1.0']
        for name, value in values.items():
            labels = f'{"," if "{" in name else "{"}engine="0",model_name="{self.model}"}}'
            lines += [f"# HELP vllm:{name.partition('{')[0]} Words.", f"vllm:{name}{labels} {float(value)}"]
        return "\n".join(lines) + "\n"

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        authorization = headers.get("authorization", "")
        payload = json.loads(await body_of(receive))
        number = self._asked
        self._asked += 1
        if self._keep_payloads:
            self.payloads.append(payload)
            self.headers.append(headers)
            self._clients.add(scope["client"])
            self.counts["connections"] = len(self._clients)
        self._note("asked")
        if self._api_key and authorization != f"Bearer {self._api_key}":
            await refuse(send, 401, f"Incorrect API key provided: {authorization.removeprefix('Bearer ')}")
            return
        if isinstance(self._faults, Sequence):
            fault = self._faults[number] if number < len(self._faults) else None
        else:
            fault = self._faults(payload, number)
        if fault is not None and fault.kind != "choices":
            self._note("faults")
            await misbehave(fault, receive, send)
            self._note("left" if fault.kind == "hang" else "misbehaved")
            return
        refusal = self._refusal(payload)
        if refusal is not None:
            await refuse(send, *refusal)
            return
        work = asyncio.ensure_future(self._write(payload, fault))
        gone = asyncio.ensure_future(receive())  # tells of the disconnect, for the body has been read
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._note("disconnected")
                return
            await respond(send, work.result())
            self._note("answered")
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)
            self._note("ended")

    def _refusal(self, payload: Payload) -> tuple[int, str] | None:
        if payload.get("model") != self.model:
            return 404, f"The model `{payload.get('model')}` does not exist."
        if payload.get("n", 1) > 1 and self._choices == "refuse":
            return 400, "Only one completion choice is allowed: n must be 1"
        if self.slots.busy + self.slots.waiting + payload.get("n", 1) > self._admits:
            self._note("turned away")
            return 429, "Too many requests"
        prompt, most = prompt_tokens(payload), tokens_allowed(payload)
        if prompt + (most or 1) > self._context:
            return 400, (
                f"This model's maximum context length is {self._context} tokens. However, you requested "
                f"{most} output tokens and your prompt contains at least {prompt} input tokens."
            )
        return None

    async def _write(self, payload: Payload, fault: Fault | None) -> dict[str, Any]:
        count = 1 if self._choices == "one" else payload.get("n", 1)
        if fault is not None:
            count = fault.count
        choices = await asyncio.gather(*(self._choice(payload, index) for index in range(count)))
        prompt = prompt_tokens(payload)
        written = sum(tokens for _, tokens in choices)
        cached = self._cached(payload)
        self.counts.update({"prompt tokens": prompt, "completion tokens": written, "cached tokens": cached})
        return {
            "id": f"chatcmpl-{self._asked}",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": [choice for choice, _ in choices],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
                "prompt_tokens_details": {"cached_tokens": cached},
            },
        }

    def _cached(self, payload: Payload) -> int:
        if not self._keep_payloads:
            return 0
        prompt = json.dumps(payload["messages"])
        cached = prompt_tokens(payload) if prompt in self._seen else 0
        self._seen.add(prompt)
        return cached

    async def _choice(self, payload: Payload, index: int) -> tuple[dict[str, Any], int]:
        async with self.slots.one():
            if self._latency is not None:
                await asyncio.sleep(self._latency(self._dice))
            said = self._texts(payload, index)
        reasoning, text = said if isinstance(said, tuple) else (None, said)
        last = payload["messages"][-1]
        if payload.get("continue_final_message") and last["role"] == "assistant":
            assert payload.get("add_generation_prompt") is False
            text = text.removeprefix(last["content"])
        finish = "stop"
        for stop in payload.get("stop") or ():
            text = text.partition(stop)[0]
        most = tokens_allowed(payload)
        if most is not None and len(text) > most * CHARACTERS_PER_TOKEN:
            text, finish = text[: most * CHARACTERS_PER_TOKEN], "length"
        tokens = -(-len(text) // CHARACTERS_PER_TOKEN)
        choice: dict[str, Any] = {
            "index": index,
            "message": {"role": "assistant", "content": text, "reasoning": reasoning, "tool_calls": []},
            "logprobs": None,
            "finish_reason": finish,
        }
        if payload.get("logprobs"):
            parts = [
                {
                    "token": text[i : i + CHARACTERS_PER_TOKEN],
                    "logprob": -0.5,
                    "bytes": None,
                    "top_logprobs": [],
                }
                for i in range(0, len(text), CHARACTERS_PER_TOKEN)
            ]
            choice["logprobs"] = {"content": parts}
        return choice, tokens


def prompt_tokens(payload: Payload) -> int:
    """Count the tokens of a prompt as this server does."""
    return sum(len(message["content"]) for message in payload["messages"]) // CHARACTERS_PER_TOKEN


def tokens_allowed(payload: Payload) -> int | None:
    """Give the most tokens that a request allows for each choice, if it says."""
    most = payload.get("max_completion_tokens")
    return payload.get("max_tokens") if most is None else most


async def misbehave(fault: Fault, receive: Receive, send: Send) -> None:
    """Answer as a fault says."""
    # uvicorn's own view of the exchange: ASGI has no word for breaking a connection.
    transport: asyncio.Transport = receive.__self__.transport  # type: ignore[attr-defined]
    match fault.kind:
        case "status":
            await respond_text(send, fault.body, fault.status, fault.headers, "application/json")
        case "body":
            await respond_text(send, fault.body, 200, fault.headers, "application/json")
        case "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
        case "drop":
            transport.abort()
        case "reset" | "cut":
            start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]}
            await send(start)
            await send({"type": "http.response.body", "body": b'{"choices": [', "more_body": True})
            if fault.kind == "reset":
                # Closing with a linger time of 0 sends a reset rather than an orderly end.
                linger = struct.pack("ii", 1, 0)
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
            else:
                transport.close()
        case "flood":
            start = {"type": "http.response.start", "status": 200, "headers": []}
            await send(start)
            await send({"type": "http.response.body", "body": b'{"choices": "', "more_body": True})
            for _ in range(fault.count // 65536):
                if transport.is_closing():
                    return
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await send({"type": "http.response.body", "body": b'"}'})


async def body_of(receive: Receive) -> bytes:
    """Read the body of a request."""
    parts = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body"):
            return b"".join(parts)


async def refuse(send: Send, status: int, message: str) -> None:
    """Answer with an error in vLLM's form."""
    await respond(
        send, {"error": {"message": message, "type": "Error", "param": None, "code": status}}, status
    )


async def respond(send: Send, content: object, status: int = 200) -> None:
    """Answer with JSON."""
    await respond_text(send, json.dumps(content), status, {}, "application/json")


async def respond_text(
    send: Send,
    text: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "text/plain",
) -> None:
    """Answer with a text."""
    body = text.encode()
    described = {"content-type": content_type, "content-length": str(len(body))} | dict(headers or {})
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in described.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Run the server until standard input ends, so that it cannot outlive who started it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mean", type=float, default=0.5, help="mean latency of a sample in seconds")
    parser.add_argument("--sigma", type=float, default=0.6, help="spread of its logarithm")
    parser.add_argument("--admits", type=int, default=1 << 30, help="samples it takes on at a time")
    parser.add_argument("--characters", type=int, default=800, help="length of each answer")
    options = parser.parse_args()
    text = ("def f(x):\n    return x\n" * options.characters)[: options.characters]
    with ModelServer(
        lambda payload, index: text,
        slots=options.slots,
        seed=options.seed,
        latency=lognormal(options.mean, options.sigma),
        admits=options.admits,
        keep_payloads=False,
    ) as server:
        print(server.url, flush=True)
        with contextlib.suppress(EOFError, KeyboardInterrupt):
            while True:
                input()


if __name__ == "__main__":
    main()
