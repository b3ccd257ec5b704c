"""How much of what a run's prompts share does vLLM's prefix cache find?

Prompts are laid out so that what they share comes first. vLLM keeps prompts in blocks of tokens, and reuses
a block if an earlier prompt began with the same tokens up to the end of the block. Of those tokens, counted
from the run's own prompts, this shows the share that were hits by vLLM's own metrics; it should be 95 % at
least. The server should be freshly started, and asked by nobody else.

    python benchmarks/prefix_cache.py URL RUN.sqlite             asks a run's prompts again, in their order
    python benchmarks/prefix_cache.py URL RUN.sqlite -- induce solve …    measures what writes that log
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reporting import print_table, write_results

from hypotheses.models.chat import Message
from hypotheses.run_log import RunLog

WANTED = 0.95


@dataclass(frozen=True)
class Asked:
    """A prompt that ``n`` samples were asked for."""

    messages: tuple[Message, ...]
    n: int = 1


@dataclass(frozen=True)
class Shared:
    """The tokens of all prompts, counted for every sample, and those in blocks that were known by then."""

    tokens: int
    shared: int


@dataclass(frozen=True)
class Counters:
    """What vLLM counted: prompt tokens looked up in the cache, and found."""

    queries: float
    hits: float


@dataclass
class Watch:
    """What vLLM counted while something ran; there once it is over."""

    counted: Counters = field(default_factory=lambda: Counters(0, 0))


def shared_tokens(prompts: Iterable[tuple[Sequence[int], int]], block: int) -> Shared:
    """Count the tokens that stand in whole blocks which a prompt shares with an earlier one.

    ``prompts`` are token ids and the number of samples, in the order in which they were asked. Each sample is
    a request of its own to the cache. A block is known by all tokens up to its end. The last token of a
    prompt is always computed, for its outcome is what is asked for, so the block that it ends is never a hit.
    """
    numbers: dict[tuple[int, tuple[int, ...]], int] = {}
    tokens = shared = 0
    for ids, samples in prompts:
        whole, usable = len(ids) // block, max(0, len(ids) - 1) // block
        known, parent = 0, 0
        for index in range(whole):
            key = (parent, tuple(ids[index * block : (index + 1) * block]))
            if key in numbers and known == index:
                known += 1
            parent = numbers.setdefault(key, len(numbers) + 1)
        tokens += len(ids) * samples
        if samples:
            shared += block * (min(known, usable) + usable * (samples - 1))
    return Shared(tokens, shared)


def counters(metrics: str, model: str) -> Counters:
    """Read what vLLM counted for a model, by all its engines."""
    return Counters(
        *(_sum(metrics, f"vllm:prefix_cache_{name}_total", model) for name in ("queries", "hits"))
    )


def block_size(metrics: str) -> int:
    """Read how many tokens a block of the cache has. Raises ``ValueError`` where there is no cache."""
    found = re.search(r"^vllm:cache_config_info\{(.*)\}", metrics, re.MULTILINE)
    labels = dict(re.findall(r'(\w+)="([^"]*)"', found[1])) if found else {}
    if labels.get("enable_prefix_caching") != "True":
        raise ValueError("the server has no prefix cache, or does not say")
    # What is hashed may be smaller than what is stored.
    sizes = [labels.get(name, "") for name in ("hash_block_size", "block_size")]
    return int(next(size for size in sizes if size.isdigit()))


def _sum(metrics: str, name: str, model: str) -> float:
    lines = re.findall(rf"^{re.escape(name)}\{{(.*)\}} (\S+)$", metrics, re.MULTILINE)
    values = [float(value) for labels, value in lines if f'model_name="{model}"' in labels]
    if not values:
        raise ValueError(f"the server has no {name} for {model}")
    return sum(values)


def prompts_of(run: Path) -> list[Asked]:
    """Give the prompts of a run log, in the order in which they were recorded."""
    with RunLog.open(run) as log:
        return [Asked(one.request.messages, one.request.n) for one in log.requests()]


class Server:
    """A vLLM server, asked without any client of ours."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self.model = str(self._ask("/v1/models")["data"][0]["id"])
        self.block = block_size(self.metrics())

    def metrics(self) -> str:
        return self._read("/metrics")

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """Give the token ids of a prompt, as the chat template makes them."""
        return list(self._ask("/tokenize", self._prompt(messages))["tokens"])

    def answer(self, asked: Asked) -> None:
        """Have a prompt read; one token is written for each sample."""
        self._ask("/v1/chat/completions", self._prompt(asked.messages) | {"n": asked.n, "max_tokens": 1})

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Count what happens in the context; the result is there after it."""
        watch, before = Watch(), self._settled()
        yield watch
        after = self._settled()
        watch.counted = Counters(after.queries - before.queries, after.hits - before.hits)

    def _settled(self) -> Counters:
        """Read the counters once they stand still: they follow the answers by a step."""
        last = counters(self.metrics(), self.model)
        while True:
            time.sleep(1.0)
            now = counters(self.metrics(), self.model)
            if now == last:
                return now
            last = now

    def _prompt(self, messages: Sequence[Message]) -> dict[str, Any]:
        continued = messages[-1].role == "assistant"
        return {
            "model": self.model,
            "messages": [{"role": one.role, "content": one.content} for one in messages],
            "continue_final_message": continued,
            "add_generation_prompt": not continued,
        }

    def _ask(self, path: str, content: object = None) -> Any:
        return json.loads(self._read(path, content))

    def _read(self, path: str, content: object = None) -> str:
        data = None if content is None else json.dumps(content).encode()
        key = os.environ.get("INDUCE_MODEL_API_KEY", "none")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
        request = urllib.request.Request(self.url + path, data, headers)  # noqa: S310 - the user's own server
        with urllib.request.urlopen(request, timeout=600) as answer:  # noqa: S310
            return str(answer.read().decode())


def measure(server: Server, prompts: Sequence[Asked], counted: Counters) -> dict[str, Any]:
    """Compare what vLLM found with what the prompts share."""
    expected = shared_tokens(((server.tokens(one.messages), one.n) for one in prompts), server.block)
    return {
        "model": server.model,
        "block": server.block,
        "requests": len(prompts),
        "samples": sum(one.n for one in prompts),
        "prompt_tokens": expected.tokens,
        "looked_up": round(counted.queries),
        "shared_tokens": expected.shared,
        "hits": round(counted.hits),
        "hits_of_shared": round(counted.hits / expected.shared, 4) if expected.shared else None,
        "hits_of_all": round(counted.hits / expected.tokens, 4) if expected.tokens else None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("run", type=Path)
    parser.add_argument(
        "command", nargs="*", help="what makes the run; without it, its prompts are asked again"
    )
    parser.add_argument("--concurrency", type=int, default=1, help="requests at a time, when asking again")
    parser.add_argument("--json", action="store_true", help="print the results, and write no file")
    options = parser.parse_args()
    server = Server(options.url)
    with server.watch() as watch:
        if options.command:
            subprocess.run(options.command, check=True)
        else:
            with ThreadPoolExecutor(options.concurrency) as pool:
                list(pool.map(server.answer, prompts_of(options.run)))
    results = measure(server, prompts_of(options.run), watch.counted)
    if options.json:
        print(json.dumps(results))
    else:
        print_table("Prefix cache", [{"figure": name, "value": value} for name, value in results.items()])
        write_results("prefix_cache", results)
    found = results["hits_of_shared"]
    return 0 if found is not None and found >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
