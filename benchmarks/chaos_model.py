"""A model that answers the same to the same, at several ports that can be told to misbehave.

Choice ``i`` of a request depends on its messages and on ``seed + i`` alone, so that a run that is disturbed
gets what an undisturbed one gets. It can watch a run log: a request for samples that are recorded there
already is one that would be paid twice, and is counted.

    python benchmarks/chaos_model.py PORT PORT PORT
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sqlite3
import sys
import time
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

RULES = (
    "(x * x * 3 + x * 5 + 2) % 97",
    "(x * 7 + 11) % 13 * (x % 5)",
    "int(str(x * 37)[::-1])",
    "sum(int(d) ** 2 for d in str(x * 19))",
    "(x ^ 21) + (x << 2) % 23",
    "x * (x + 1) * (x + 2) // 6 % 101",
    "len(bin(x * 12345)) * 3 + x % 7",
    "max(int(d) for d in str(x * 271)) * x",
    "(x ** 3 - x) % 89 + x // 3",
    "int(''.join(sorted(str(x * 613))))",
)
"""What tasks that the search does not solve are made by, and what the model knows."""

SECONDS = 0.03


class Line:
    """One port, and how it behaves: as ``mode`` says until a moment."""

    def __init__(self) -> None:
        self.mode = "well"
        self.until = 0.0
        self.requests = 0
        self.troubles = 0

    @property
    def behaviour(self) -> str:
        return self.mode if time.monotonic() < self.until else "well"


class Model:
    """What answers at all ports, and what it has seen."""

    def __init__(self) -> None:
        self.watched = ""
        self.twice: list[str] = []
        self._connection: Any = None

    def watch(self, address: str) -> None:
        """Look at the run log at an address from now on, which may be none."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self.watched = address
        self.twice = []

    def choices(self, body: dict[str, Any]) -> list[str]:
        """Give the texts that a request gets."""
        seed, n = int(body.get("seed") or 0), int(body.get("n") or 1)
        prompt = json.dumps(body["messages"], ensure_ascii=False)
        return [_text(prompt, seed + i) for i in range(n)]

    def look(self, body: dict[str, Any], base: int) -> None:
        """See whether the watched log has these samples already."""
        if not self.watched:
            return
        seed, n = int(body.get("seed") or 0), int(body.get("n") or 1)
        first = seed - base
        key = hashlib.sha256(body["messages"][-1]["content"].encode()).hexdigest()
        count = self._recorded(key, len(body["messages"]), first, first + n)
        if count:
            self.twice.append(f"{count} of samples {first} to {first + n - 1} of {key[:12]}")

    def _recorded(self, key: str, messages: int, first: int, end: int) -> int:
        sql = (
            "SELECT r.messages, count(*) FROM messages m, requests r, completions c WHERE m.key = {0} AND "
            "r.messages LIKE {1} AND r.id = c.request_id AND c.sample >= {0} AND c.sample < {0} "
            "AND m.id = {2} GROUP BY r.id, r.messages"
        )
        if self._connection is None:
            self._connection = self._connect()
        if "://" in self.watched:
            last = "CAST(regexp_replace(r.messages, '.*, ([0-9]+)\\]\\]$', '\\1') AS bigint)"
            query = sql.format("%s", "%s", last)
        else:
            last = "CAST(json_extract(r.messages, '$[#-1][1]') AS INTEGER)"
            query = sql.format("?", "?", last)
        try:
            rows = self._connection.execute(query, (key, "[%", first, end)).fetchall()
        except Exception:
            with suppress(Exception):
                self._connection.close()
            self._connection = None
            return 0
        return sum(count for pairs, count in rows if len(json.loads(pairs)) == messages)

    def _connect(self) -> Any:
        if "://" not in self.watched:
            return sqlite3.connect(f"file:{self.watched}?mode=ro", uri=True, isolation_level=None)
        import psycopg  # noqa: PLC0415 - an extra

        url, _, run = self.watched.replace("+psycopg", "").partition("#")
        connection = psycopg.connect(url, autocommit=True)
        connection.execute(f'SET search_path TO "induce_run_{run}"')
        return connection


def _text(prompt: str, number: int) -> str:
    dice = random.Random(hashlib.sha256(f"{number} {prompt}".encode()).digest())
    if dice.random() < 0.1:
        return "I cannot say."
    rule = dice.choice(RULES)
    return f"The output is computed from the input.\n\n```python\ndef f(x):\n    return {rule}\n```"


def application(model: Model, line: Line) -> Starlette:
    """Give what answers at one port."""

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "chaos", "object": "model"}]})

    async def complete(request: Request) -> Response:
        body = json.loads(await request.body())
        line.requests += 1
        behaviour = line.behaviour
        if behaviour != "well":
            line.troubles += 1
        if behaviour == "hang":
            await asyncio.sleep(max(0.0, line.until - time.monotonic()) + 3600)
        if behaviour == "rubbish":
            return PlainTextResponse('{"choices": [{"mess')
        if behaviour == "busy":
            error = {"error": {"message": "too many requests", "type": "rate_limit"}}
            return JSONResponse(error, 429, {"retry-after": "1"})
        model.look(body, BASE_SEED)
        texts = model.choices(body)
        await asyncio.sleep(SECONDS)
        choices = [
            {"index": i, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            for i, text in enumerate(texts)
        ]
        prompt_tokens = len(json.dumps(body["messages"])) // 4
        written = sum(len(text) // 4 for text in texts)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": written,
            "total_tokens": prompt_tokens + written,
        }
        answer = {"id": "x", "object": "chat.completion", "created": 0, "model": "chaos", "choices": choices}
        return JSONResponse(answer | {"usage": usage})

    async def control(request: Request) -> Response:
        order = json.loads(await request.body())
        if "mode" in order:
            line.mode, line.until = order["mode"], time.monotonic() + order["seconds"]
        if "watch" in order:
            model.watch(order["watch"])
        return JSONResponse({"twice": model.twice, "requests": line.requests, "troubles": line.troubles})

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", complete, methods=["POST"]),
            Route("/control", control, methods=["POST"]),
        ]
    )


BASE_SEED = 1000
"""The seed of every step of the recipe: sample ``k`` is asked for with ``BASE_SEED + k``."""


async def main(ports: list[int]) -> None:
    model = Model()
    servers = [
        uvicorn.Server(uvicorn.Config(application(model, Line()), port=port, log_level="error"))
        for port in ports
    ]
    await asyncio.gather(*(server.serve() for server in servers))


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1:]]))
