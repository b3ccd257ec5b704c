"""What the parts of a batch cost, on this machine: what `cluster_simulation.py` reckons with.

Costs of the driver, the workers and the sandboxes are seconds of CPU that real batches used, for each
exchange and each task (least squares over batches that differ in both). Costs of the log are what its owner
takes for a call when many wait, or, on PostgreSQL, what a call takes and how many go on at a time. Of
repeated measurements the quickest counts, for other work on the machine only adds to them; `others_cores`
says how many cores that used.

    python benchmarks/cluster_constants.py [--scale 1.0]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pickle
import resource
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import reporting
from cluster_model import Constants
from cluster_runs import (
    INFO,
    SAMPLES,
    Measured,
    asking,
    burning,
    local_cluster,
    make_job,
    measure_batch,
    small_tasks,
    waiting,
)
from model_saturation import server
from postgresql_server import postgresql_server
from ray import get, kill, remote
from scipy.optimize import nnls

from hypotheses.hypothesis import Completion, Solution, Trace
from hypotheses.models.chat import ChatRequest, Message, Sampling, request_key
from hypotheses.run_log import Event, RunLog
from induce import load_tasks
from ray_jobs.cluster import Cluster
from ray_jobs.dispatch import Dispatcher
from ray_jobs.logs import FileLog, HostedPlace
from ray_jobs.messages import Ended, Hand, Report
from ray_jobs.progress import Tally
from ray_jobs.worker import SolverWorker

REPEATS = 3
CALLS = 200
IDS = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", type=float, default=1.0, help="how much longer, or shorter, batches are")
    parser.add_argument("--json", action="store_true", help="print the results, and write no file")
    options = parser.parse_args()
    began = time.perf_counter()
    with local_cluster() as cluster:
        started = time.perf_counter() - began
        found = messages(cluster) | owner(cluster)
        found |= batches(cluster, options.scale, found["handled"])
    found["cluster_start"] = started
    found |= postgresql() | memory()
    constants = {name: found.pop(name) for name in Constants.__dataclass_fields__}
    results = {"constants": constants, "beside": found}
    if options.json:
        print(json.dumps(results))
        return
    reporting.print_table(
        "What things cost (s, bytes)", [{"": k, "value": f"{v:.6g}"} for k, v in constants.items()]
    )
    reporting.print_table("Beside", [{"": k, "value": f"{v:.6g}"} for k, v in found.items()])
    reporting.write_results("cluster_constants", results)


def messages(cluster: Cluster) -> dict[str, float]:
    """Measure a call of an actor, and an exchange in which nothing is exchanged."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        created = RunLog.create(path, INFO)
        created.close()
        log = FileLog(path, created.epoch, cluster.nodes()[0].id)
        worker: Any = remote(SolverWorker).options(num_cpus=0, max_concurrency=4).remote("w")
        get(worker.open.remote(make_job(partial(waiting, 0.0, 1), log)))
        empty = Hand(wait=0.0, linger=0.0)

        async def exchange(hand: Hand) -> Report:
            report: Report = await asyncio.wrap_future(worker.exchange.remote(hand).future())
            return report

        async def exchanges(count: int) -> None:
            for _ in range(count):
                await exchange(empty)

        asyncio.run(exchanges(50))
        seconds, cpu = [], []
        for _ in range(REPEATS):
            used, began = own_cpu(), time.perf_counter()
            asyncio.run(exchanges(CALLS))
            cpu.append((own_cpu() - used) / CALLS)
            seconds.append((time.perf_counter() - began) / CALLS)
        handled = min(handled_in_messages(exchange, log, min(cpu)) for _ in range(REPEATS))
        get(worker.close.remote())
        kill(worker)
        asyncio.run(log.close())
    # What is not the driver's is half the worker's, half the way.
    return {
        "beat": min(cpu),
        "handled": handled + decided(),
        "exchange_round_trip": min(seconds),
        "hop": max(0.0, min(seconds) - min(cpu)) / 4,
    }


def handled_in_messages(exchange: Callable[[Hand], Awaitable[Report]], log: FileLog, beat: float) -> float:
    """Measure what the driver spends on each of many tasks that it sends, and hears of."""
    count, times = 64, 10
    prefix = time.time_ns()

    async def hand(number: int) -> float:
        tasks = [replace(task, id=f"{prefix}-{number}-{task.id}") for task in small_tasks(count)]
        tokens = await log.lease([task.id for task in tasks], "w")
        used = own_cpu()
        await exchange(Hand(tuple(zip(tasks, tokens, strict=True)), wait=0.0, linger=0.0))
        used = own_cpu() - used
        await asyncio.sleep(0.4)  # so that all come in one answer, or a few
        before, ended, exchanges = own_cpu(), 0, 1
        while ended < count:
            ended += len((await exchange(Hand(wait=1.0, linger=0.0))).ended)
            exchanges += 1
        return (used + own_cpu() - before - exchanges * beat) / count

    async def hands() -> float:
        return sum([await hand(number) for number in range(times)]) / times

    return max(0.0, asyncio.run(hands()))


def decided() -> float:
    """Measure what the driver spends on a task beside messages: decisions, sums, a line of the timeline."""
    count = 5000
    dispatcher, tally = Dispatcher(small_tasks(count)), Tally({}, count, 1)
    began = time.process_time()
    for _ in range(count):
        [given] = dispatcher.hand("w1", 1, 0.0)
        tally.add(Ended(given.task.id, 1, "solved"))
        dispatcher.finish("w1", given.task.id, 1.0)
        Event(0.0, "solved", "w1", given.task.id, {"token": 1, "received": 0.0, "programs": 1})
    return (time.process_time() - began) / count


def owner(cluster: Cluster) -> dict[str, float]:
    """Measure what the owner of a log takes for a call, when many wait for it."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        created = RunLog.create(path, INFO)
        created.close()
        log = FileLog(path, created.epoch, cluster.nodes()[0].id)
        assert isinstance(log.place, HostedPlace)
        hosted = log.place.hosted
        numbers = iter(range(10**9))

        def ids(count: int) -> list[str]:
            return [f"task-{next(numbers):08d}" for _ in range(count)]

        async def many(calls: Sequence[tuple[Any, ...]]) -> list[Any]:
            return await asyncio.gather(*(hosted.acall(*call) for call in calls))

        def each(make: Callable[[], tuple[Any, ...]]) -> float:
            best = float("inf")
            for _ in range(REPEATS):
                calls = [make() for _ in range(CALLS)]
                began = time.perf_counter()
                asyncio.run(many(calls))
                best = min(best, (time.perf_counter() - began) / CALLS)
            return best

        one, more = each(lambda: ("lease", ids(1), "w1")), each(lambda: ("lease", ids(33), "w1"))
        found["leased"] = max(0.0, (more - one) / 32)
        found["lease"] = one - found["leased"]
        tasks = list(small_tasks(REPEATS * CALLS))
        tokens = asyncio.run(log.lease([task.id for task in tasks], "w1"))
        leased = iter(zip(tasks, tokens, strict=True))

        def record() -> tuple[Any, ...]:
            task, token = next(leased)
            return "record", task, Trace(), Solution(task.id, "unsolved"), token

        found["record"] = each(record)
        kept = {n: each(lambda n=n: ("keep", *request(next(numbers), n))) for n in (1, SAMPLES)}
        recalled = each(lambda: ("recall", f"{next(numbers):064d}", 0, 1))
        found["keep"] = (kept[SAMPLES] + SAMPLES * kept[1]) / (1 + SAMPLES) + 2 * recalled
        event = Event(0.0, "solved", "w1", "task-00000001", {"token": 1, "received": 0.0, "programs": 1})
        found["note"] = each(lambda: ("note", [event] * 100)) / 100
        asyncio.run(log.close())
    return found


def request(number: int, samples: int) -> tuple[ChatRequest, list[Completion]]:
    """Give a request to a model as they are, and what it gave."""
    text = f"{number} Each input is mapped to its output by a rule. Say the rule in one sentence.\n" * 12
    asked = ChatRequest("program", (Message("user", text),), Sampling(0.7), n=samples, task_id="task")
    key = request_key("model", asked)
    answers = [
        Completion("program", asked.prompt, "def f(x):\n    return x\n" * 10, "model", 0.7, index, key=key)
        for index in range(samples)
    ]
    return asked, answers


def batches(cluster: Cluster, scale: float, handled: float) -> dict[str, float]:
    """Run batches that differ in tasks and exchanges, and find what each costs whom."""

    def run(make: Any, tasks: int, **more: Any) -> Measured:
        count = round(tasks * scale)
        return asyncio.run(measure_batch(cluster, make, list(small_tasks(count)), 1, **more))

    plain = [
        run(partial(waiting, 0.02, 1), 300),
        run(partial(waiting, 0.0, 1), 2500),
        run(partial(waiting, 0.05, 64), 2500),
        run(partial(waiting, 1.5, 8), 60),
    ]
    programs = run(partial(burning, 0.0), 400)
    with server("--slots", 64, "--mean", 0.05, "--sigma", 0.1) as url:
        asked = run(partial(asking, url, 16, 64), 200, share=64)
    causes = np.array([[one.seconds, one.leases, one.samples[-1][1] - one.samples[0][1]] for one in plain])

    def shares(role: str, known: float = 0.0) -> list[float]:
        """Give the CPU for a second, a lease and a task, beside what is known of each task."""
        used = np.array([one.cpu_per_second(role) * one.seconds for one in plain]) - known * causes[:, 2]
        weights = 1 / used  # what counts is the error of each batch in per cent
        return [float(one) for one in nnls(causes * weights[:, None], used * weights)[0]]

    driver, worker = shares("driver", handled), shares("worker")
    without = worker[2] + worker[1] / asked.tasks_per_lease
    judging = programs.cpu_per_task("worker") - worker[2] - worker[1] / programs.tasks_per_lease
    return {
        "exchange": driver[1],
        "handled": handled + driver[2],
        "answer": worker[1],
        "task": worker[2],
        "program": programs.cpu_per_task("sandbox") + max(0.0, judging),
        "request": max(0.0, asked.cpu_per_task("worker") - without) / (1 + SAMPLES),
        "start": statistics.median(one.start for one in (*plain, programs, asked)),
        "driver_each_second": driver[0],
        "owner_per_task": plain[2].cpu_per_task("owner"),
        "ray_cores": statistics.median(one.cpu_per_second("ray") for one in plain),
        "bytes_logged": plain[2].bytes_logged / len(plain[2].ends),
        "others_cores": statistics.median(one.cpu_per_second("others") for one in plain),
    }


def postgresql() -> dict[str, float]:
    """Measure what a write on a PostgreSQL server takes, and how many go on at a time."""
    with postgresql_server() as address:
        if address is None:
            raise SystemExit("there is no PostgreSQL on this machine, or no psycopg")
        name = f"{address}#constants"
        with RunLog.create(name, INFO) as log:
            ids = iter(range(10**9))
            leases = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                for _ in range(50):
                    log.lease([f"lease-{next(ids)}"], "w1")
                leases.append((time.perf_counter() - began) / 50)
            rates = {width: _writes(log, name, width) for width in (1, 2, 4, 8)}
    return {
        "server_lease": min(leases),
        "server_write": 1 / rates[1],
        "server_width": max(1, round(max(rates.values()) / rates[1])),
        **{f"server_writes_per_second_{width}": rate for width, rate in rates.items()},
    }


def _writes(log: RunLog, name: str, width: int) -> float:
    """Give the finished tasks a second that so many writers record."""
    tasks = list(small_tasks(100 * width))
    holder = f"w{width}"
    tokens = log.lease([f"{holder}-{task.id}" for task in tasks], holder)
    parts = [list(zip(tasks, tokens, strict=True))[part::width] for part in range(width)]
    writers = [RunLog.join(name, log.epoch) for _ in range(width)]

    def write(writer: RunLog, part: list[Any]) -> None:
        for task, token in part:
            known = type(task)(f"{holder}-{task.id}", task.examples, task.queries, task.signature)
            writer.record(known, Trace(), Solution(known.id, "unsolved"), token)

    with ThreadPoolExecutor(width) as threads:
        began = time.perf_counter()
        list(threads.map(write, writers, parts))
        seconds = time.perf_counter() - began
    for writer in writers:
        writer.close()
    return len(tasks) / seconds


def memory() -> dict[str, float]:
    """Measure what a task takes in the driver, and how long it takes to look for a straggler."""
    count = 20_000
    dispatcher = Dispatcher(small_tasks(count))
    out = allocated(lambda: dispatcher.hand("w1", count, 0.0)) / count
    dispatcher.hand("w2", 1, 0.0)
    began = time.perf_counter()
    for _ in range(10):
        dispatcher.hand("w2", 1, 1.0)
    scan = (time.perf_counter() - began) / 10 / count
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.jsonl"
        with path.open("w") as file:
            for number in range(IDS):
                file.write(f'{{"id": "task-{number:08d}", "examples": [{{"input": 1, "output": 2}}]}}\n')
        tasks = load_tasks(path).labelled()
        next(tasks)
        began = time.perf_counter()
        ids = allocated(lambda: _all_but_one(tasks)) / IDS
        reading = (time.perf_counter() - began) / IDS
    hand = Hand(tuple((task, number) for number, task in enumerate(small_tasks(64))))
    return {
        "out_bytes": out,
        "id_bytes": ids,
        "scan": scan,
        "reading_traced": reading,
        "hand_bytes_per_task": len(pickle.dumps(hand)) / 64,
    }


def _all_but_one(tasks: Iterator[Any]) -> None:
    """Read on to the last task but one, for the last would let go of the ids."""
    for _ in range(IDS - 2):
        next(tasks)


def allocated(work: Callable[[], Any]) -> float:
    """Give the bytes that are still taken when some work is done."""
    tracemalloc.start()
    kept = work()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return float(size)


def own_cpu() -> float:
    """Give the seconds of CPU that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    assert os.environ.get("RAY_ADDRESS") is None, "unset RAY_ADDRESS: this measures a cluster of its own"
    main()
