"""How many programs a second the embedded sandbox runs, beside two ways that confine nothing.

    python benchmarks/sandbox_throughput.py [--programs 2000]

Every program is trivial and different, and runs on four small grids, so that what is measured is the price of
running a program at all. The peers are what is usually done: a fork of the host for each program
(``multiprocessing``), and a new interpreter for each (``subprocess``). Latency is measured with one program
at a time. "CPU ms" is what a program costs on all cores together, the host's own work included; unlike the
rest it hardly depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import psutil
from reporting import print_table, write_results

from sandboxes import EmbeddedSandbox, Limits, Program

CORES = len(os.sched_getaffinity(0))
INPUTS = [[[row * column % 10 for column in range(10)] for row in range(10)] for _ in range(4)]
Run = Callable[[str], list[Any]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--programs", type=int, default=2000, help="programs for the sandbox; peers run fewer"
    )
    count = parser.parse_args().programs
    limits = Limits()
    with EmbeddedSandbox() as sandbox:

        def embedded(source: str) -> list[Any]:
            return [execution.value for execution in sandbox.run(Program(source, "f"), INPUTS, limits)]

        rows = [
            measure("embedded sandbox", embedded, count, confined=True),
            measure("multiprocessing (fork)", in_fork, count // 2, confined=False),
            measure("subprocess (interpreter)", in_subprocess, count // 10, confined=False),
        ]
    print_table(f"Programs on four 10 x 10 grids, {CORES} cores", rows)
    write_results("sandbox_throughput", {"rows": rows})


def measure(name: str, run: Run, count: int, *, confined: bool) -> dict[str, object]:
    """Run ``count`` programs on all cores, then a quarter as many one by one."""
    with ThreadPoolExecutor(CORES) as threads:
        list(threads.map(run, sources(2 * CORES)))  # everything starts that starts only once
        cpu, start = cpu_seconds(), time.perf_counter()
        results = list(threads.map(run, sources(count)))
        seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    assert all(result == [number] * 4 for number, result in enumerate(results))
    latencies = []
    for source in sources(count // 4):
        start = time.perf_counter()
        run(source)
        latencies.append(1000 * (time.perf_counter() - start))
    quantiles = statistics.quantiles(latencies, n=20)
    return {
        "way": name,
        "confined": "yes" if confined else "no",
        "programs": count,
        "programs/s": round(count / seconds),
        "CPU ms": round(1000 * cpu / count, 2),
        "p50 ms": round(statistics.median(latencies), 2),
        "p95 ms": round(quantiles[18], 2),
    }


def sources(count: int) -> list[str]:
    return [f"def f(grid):\n    return {number}" for number in range(count)]


def cpu_seconds() -> float:
    """CPU time of this process, its servers and all their children that have ended."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    servers = [sum(child.cpu_times()[:4]) for child in psutil.Process().children()]
    return sum(u.ru_utime + u.ru_stime for u in usage) + sum(servers)


def in_fork(source: str) -> list[Any]:
    """Run a program in a fork of this process."""
    context = multiprocessing.get_context("fork")
    reader, writer = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(writer, source))
    process.start()
    writer.close()
    result: list[Any] = json.loads(reader.recv_bytes())
    process.join()
    return result


def answer(writer: Connection, source: str) -> None:
    namespace: dict[str, Any] = {}
    exec(source, namespace)  # noqa: S102 - the peer that confines nothing, on programs of our own
    writer.send_bytes(json.dumps([namespace["f"](grid) for grid in INPUTS]).encode())


def in_subprocess(source: str) -> list[Any]:
    """Run a program in an interpreter of its own."""
    script = f"import json, sys\n{source}\nprint(json.dumps([f(grid) for grid in json.load(sys.stdin)]))\n"
    done = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(INPUTS), capture_output=True, text=True, check=True
    )
    result: list[Any] = json.loads(done.stdout)
    return result


if __name__ == "__main__":
    main()
