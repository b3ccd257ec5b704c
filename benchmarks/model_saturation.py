"""Does the client keep a busy model server busy, cheaply, and without growing?

A server in vLLM's protocol runs in a process of its own, with 256 slots and seeded log-normal latencies.
Tasks ask it as a solver does: 5 hypotheses in one request, then a program for each in a request of its own.
The server measures how many of its slots were busy, weighted by time: over the whole run, and between the
moments when all were first and last busy, which leaves the ramps out. CPU time is that of the
client's process.

    python benchmarks/model_saturation.py [--tasks 5000] [--slots 256] [--mean 2.0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from reporting import print_table, write_results

from hypotheses.budget import Ledger
from hypotheses.models.address import ModelAddress
from hypotheses.models.chat import ChatRequest, Message, Sampling
from hypotheses.models.client import ClientConfig, ModelClient
from hypotheses.models.connections import Connections
from hypotheses.models.langchain_endpoint import open_endpoints

SERVER = Path(__file__).parent.parent / "tests" / "model_server.py"
SAMPLES = 5
PROMPT = "Each input is mapped to its output by a rule. Say the rule in one sentence.\n" * 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--mean", type=float, default=2.0, help="mean latency of a sample in seconds")
    parser.add_argument("--sigma", type=float, default=0.6, help="spread of its logarithm")
    parser.add_argument("--ahead", type=float, default=2.5, help="samples asked for at a time, for each slot")
    parser.add_argument("--json", action="store_true", help="print the results, and write no file")
    options = parser.parse_args()
    with server("--slots", options.slots, "--mean", options.mean, "--sigma", options.sigma) as url:
        results = asyncio.run(saturate(url, options.tasks, round(options.slots * options.ahead)))
        results |= {f"server_{name}": value for name, value in figures(url).items()}
    with server("--slots", 64, "--mean", 0.02, "--sigma", 0.1) as url:
        results |= asyncio.run(split(url))
    results = {name: round(value, 4) for name, value in results.items()} | {"mean_latency": options.mean}
    if options.json:
        print(json.dumps(results))
        return
    print_table("One client, one busy server", [{"figure": k, "value": v} for k, v in results.items()])
    write_results("model_saturation", results)


async def saturate(url: str, tasks: int, samples: int) -> dict[str, float]:
    """Run all tasks with at most ``samples`` samples under way, and give what that took."""
    address = ModelAddress.parse(f"vllm:tiny@{url}")
    # A request keeps its place until its longest sample is there, so more are sent than the server has slots.
    config = ClientConfig(concurrency=samples)
    client = ModelClient(str(address), open_endpoints(address), config=config)
    await one_task(client, -1)  # what is imported and built once is no cost of a completion
    numbers = iter(range(tasks))
    process = psutil.Process()
    resident: list[tuple[int, float]] = []
    done = completions = 0

    async def work() -> None:
        nonlocal done, completions
        for number in numbers:
            came = await one_task(client, number)
            completions += came
            done += 1
            if done % max(1, tasks // 50) == 0:
                resident.append((done, process.memory_info().rss / 1e6))

    cpu, started = time.process_time(), time.perf_counter()
    # Between the steps of a task it asks for nothing; some more tasks than samples fill these gaps.
    await asyncio.gather(*(work() for _ in range(samples // SAMPLES + samples // 20)))
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    await client.aclose()
    assert completions == tasks * 2 * SAMPLES
    early = max(size for count, size in resident if count <= tasks // 5)
    return {
        "tasks": tasks,
        "completions": completions,
        "seconds": seconds,
        "completions_per_second": completions / seconds,
        "cpu_ms_per_completion": cpu / completions * 1e3,
        "cpu_share_of_one_core": cpu / seconds,
        "resident_mb_after_a_fifth": early,
        "resident_mb_at_the_end": resident[-1][1],
        "resident_mb_peak": max(size for _, size in resident),
    }


async def one_task(client: ModelClient, number: int) -> int:
    """Ask for hypotheses, then for a program for each."""
    ledger = Ledger()
    messages = (Message("user", f"{PROMPT}Task {number}."),)
    asked = ChatRequest("hypothesis", messages, Sampling(0.7, 1024), n=SAMPLES, task_id=str(number))
    rules = [completion.response async for completion in client.sample(asked, ledger)]

    async def translate(index: int, rule: str) -> int:
        text = f"{PROMPT}Task {number}, rule {index}: {rule[:200]}"
        translation = ChatRequest("translation", (Message("user", text),), Sampling(0.0, 1024))
        return len([completion async for completion in client.sample(translation, ledger)])

    programs = await asyncio.gather(*(translate(index, rule) for index, rule in enumerate(rules)))
    return len(rules) + sum(programs)


async def split(url: str, requests: int = 600) -> dict[str, float]:
    """Give the CPU time of a request for one sample: in all, without our client, and of HTTP alone."""
    address = ModelAddress.parse(f"vllm:tiny@{url}")
    [endpoint] = open_endpoints(address)
    client = ModelClient(str(address), [endpoint], config=ClientConfig(concurrency=64))
    http = Connections(600.0, 10.0, 16_000_000)
    messages = (Message("user", PROMPT),)
    # Different prompts, or the client would ask once for all of them.
    asked = [
        ChatRequest("program", (*messages, Message("user", str(i))), Sampling()) for i in range(requests)
    ]
    body = json.dumps(
        {"model": "tiny", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 1024}
    ).encode()

    async def through_client(request: ChatRequest) -> None:
        async for _ in client.sample(request, Ledger()):
            pass

    async def plain(_: ChatRequest) -> None:
        answer = await http.exchange(
            "POST", f"{url}/chat/completions", {"content-type": "application/json"}, body
        )
        json.loads(answer.body)

    ways: dict[str, Callable[[ChatRequest], Awaitable[object]]] = {
        "client": through_client,
        "langchain": endpoint.ask,
        "http": plain,
    }
    await measure(endpoint.ask, asked[:100])
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(3):
        for name, way in ways.items():
            milliseconds[name].append(await measure(way, asked))
    await client.aclose()
    await http.aclose()
    return {
        f"cpu_ms_per_request_{name}": statistics.median(measured) for name, measured in milliseconds.items()
    }


async def measure(way: Callable[[ChatRequest], Awaitable[object]], requests: list[ChatRequest]) -> float:
    """Give the CPU time of a request in ms, with 64 under way."""
    waiting = iter(requests)

    async def work() -> None:
        for request in waiting:
            await way(request)

    started = time.process_time()
    await asyncio.gather(*(work() for _ in range(64)))
    return (time.process_time() - started) / len(requests) * 1e3


@contextmanager
def server(*options: object) -> Iterator[str]:
    """Run a server in a process of its own and give its URL."""
    command = [sys.executable, str(SERVER), *map(str, options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()  # which ends it


def figures(url: str) -> dict[str, float]:
    """Ask the server what it measured."""
    with urllib.request.urlopen(url.replace("/v1", "/slots"), timeout=10) as answer:  # noqa: S310 - loopback
        measured: dict[str, float] = json.load(answer)
    names = ("slots", "busy", "busy_between", "seconds", "seconds_between")
    return {name: measured[name] for name in names}


if __name__ == "__main__":
    main()
