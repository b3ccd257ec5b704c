"""Batches on up to 1,000 nodes, simulated: what is busy, what breaks first, and how long it takes.

First some batches are run on this machine for real, on one and two workers and with a model's server, and
are simulated (`cluster_model.py`) with what `cluster_constants.py` has measured. Where a simulated rate is
off by more than 10 %, nothing further is to be believed: the results say so, and the script fails. The cores
that other work on the machine uses meanwhile are taken from the simulated machine; of `--attempts` the one
counts in which that was least.

Then clusters are simulated that nobody has here. Every event is played, with the decisions of the real
``Dispatcher``, for as many tasks as it takes to be in the middle of the work (``PLAYED``, or ``ROUNDS`` for
each task that is out); what comes after that is not played, but reckoned at the rate of the middle. That this
may be done is checked on a batch that is played to its end, too.

    python benchmarks/cluster_simulation.py [--only-cases] [--without-cases]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import reporting
from cluster_model import Constants, Result, Shape, Work, simulate
from cluster_runs import (
    SAMPLES,
    Measured,
    asking,
    burning,
    local_cluster,
    measure_batch,
    middle_rate,
    small_tasks,
)
from model_saturation import server

from ray_jobs.cluster import Cluster

LIMIT = 0.10
PLAYED = 20_000
ROUNDS = 5
ASKS = ((1, SAMPLES), (SAMPLES, 1))
SLOTS, LATENCY, LATENCY_SIGMA = 256, 2.0, 0.6

SEARCH = Work(cpu=5.0, sigma=1.0)
"""What the symbolic search is like: one task at a time keeps a core busy for some seconds."""

MODEL = Work(programs=5, cpu=0.02, sigma=1.0, asks=ASKS)
"""What a recipe is like: five rules, a program for each, which are run."""

GPU = Shape(workers=2, concurrency=16, slots=SLOTS, share=round(2.5 * SLOTS), latency=4.0)
"""A node with a server of a model; the last is seconds for a sample."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only-cases", action="store_true", help="compare with real batches, and no more")
    parser.add_argument("--without-cases", action="store_true", help="simulate alone, not to be believed yet")
    parser.add_argument("--attempts", type=int, default=3, help="real runs of each batch at most")
    options = parser.parse_args()
    constants = load_constants()
    cases: list[dict[str, Any]] = []
    if not options.without_cases:
        cases = list(compare(constants, options.attempts))
        reporting.print_table("Measured and simulated", cases)
    believed = bool(cases) and all(abs(case["error %"]) <= 100 * LIMIT for case in cases)
    if not options.only_cases:
        results = tables(constants)
        reporting.write_results("cluster_simulation", {"believed": believed, "cases": cases} | results)
    if cases and not believed:
        sys.exit(f"a simulated rate is off by more than {LIMIT:.0%}: measure the constants anew, quietly")


def tables(constants: Constants) -> dict[str, Any]:
    """Simulate what nobody has here, and show it."""
    results = {
        "extrapolated": check_extrapolation(constants),
        "search": table(constants, SEARCH, Shape()),
        "model": table(constants, MODEL, GPU),
        "workers_per_endpoint": endpoints(constants),
        "remedies": remedies(constants),
        "trouble": trouble(constants),
    }
    for name, rows in results.items():
        reporting.print_table(name, rows)
    return results


def load_constants() -> Constants:
    """Read what was measured on this machine, or on another."""
    path = reporting.RESULTS / "cluster_constants.json"
    if not path.exists():
        sys.exit(f"there is no {path}: run benchmarks/cluster_constants.py first")
    return Constants(**json.loads(path.read_text())["constants"])


@dataclass(frozen=True)
class Case:
    """A batch that is run for real: so many tasks, of so many seconds of CPU, or of questions to a model."""

    name: str
    work: Work
    workers: int
    tasks: int


CASES = (
    Case("10 ms", Work(cpu=0.01), 1, 500),
    Case("10 ms", Work(cpu=0.01), 2, 700),
    Case("100 ms", Work(cpu=0.1), 1, 90),
    Case("100 ms", Work(cpu=0.1), 2, 140),
    Case("1 s", Work(cpu=1.0), 1, 14),
    Case("1 s", Work(cpu=1.0), 2, 26),
    Case(f"model, {SLOTS} slots", Work(programs=0, asks=ASKS), 1, 640),
)


def compare(constants: Constants, attempts: int) -> Iterator[dict[str, Any]]:
    """Run every case, and simulate it on what the others on this machine left of it."""
    with local_cluster() as cluster:
        for case in CASES:
            tried = [run(cluster, case) for _ in range(attempts)]
            measured, shape = min(tried, key=lambda one: one[0].cpu_per_second("others"))
            played = (simulate(constants, case.work, shape, case.tasks, seed) for seed in range(3))
            rates = [middle_rate(one.ends) for one in played]
            rate = sum(rates) / len(rates)
            yield {
                "task": case.name,
                "workers": case.workers,
                "tasks": case.tasks,
                "measured/s": round(measured.rate, 2),
                "simulated/s": round(rate, 2),
                "error %": round(100 * (rate / measured.rate - 1), 1),
                "cores of others": round(measured.cpu_per_second("others"), 2),
            }


def run(cluster: Cluster, case: Case) -> tuple[Measured, Shape]:
    """Run a case; give what it showed, and the cluster that it ran on."""
    tasks = list(small_tasks(case.tasks))
    shape = Shape(workers=case.workers, head=False)
    if case.work.asks:
        share = round(2.5 * SLOTS)
        shape = replace(
            shape,
            concurrency=share // 4,
            slots=SLOTS,
            share=share,
            latency=LATENCY,
            latency_sigma=LATENCY_SIGMA,
        )
        with server("--slots", SLOTS, "--mean", LATENCY, "--sigma", LATENCY_SIGMA) as url:
            make: Any = partial(asking, url, shape.concurrency, share)
            measured = asyncio.run(measure_batch(cluster, make, tasks, case.workers, share=share))
    else:
        make = partial(burning, case.work.cpu)
        measured = asyncio.run(measure_batch(cluster, make, tasks, case.workers))
    used = measured.cpu_per_second("others") + measured.cpu_per_second("ray")
    return measured, replace(shape, cores=max(0.1, (os.cpu_count() or 1) - used))


def played(work: Work, shape: Shape) -> int:
    """Give how many tasks are played, event by event."""
    out = shape.nodes * shape.workers * (shape.concurrency + 1)
    return max(PLAYED if not work.asks else PLAYED // 4, ROUNDS * out)


def predict(constants: Constants, work: Work, shape: Shape, tasks: int) -> tuple[float, Result]:
    """Give the seconds that a batch takes, and what was played of it."""
    count = min(tasks, played(work, shape))
    # All longer batches begin alike.
    result = begun(constants, work, shape, tasks if tasks == count else sys.maxsize, count)
    return max(result.ends) + (tasks - count) / middle_rate(result.ends), result


@cache
def begun(constants: Constants, work: Work, shape: Shape, tasks: int, count: int) -> Result:
    """Play a batch until so many tasks have ended."""
    return simulate(constants, work, shape, tasks, played=count)


def check_extrapolation(constants: Constants) -> list[dict[str, Any]]:
    """Play a batch to its end, and compare."""
    shape = Shape(nodes=10)
    tasks = 3 * played(SEARCH, shape)
    predicted, _ = predict(constants, SEARCH, shape, tasks)
    whole = max(simulate(constants, SEARCH, shape, tasks).ends)
    assert abs(predicted / whole - 1) < LIMIT, f"{predicted:.0f} s were expected, and it took {whole:.0f} s"
    return [{"tasks": tasks, "expected_s": round(predicted, 1), "played_s": round(whole, 1)}]


def table(constants: Constants, work: Work, shape: Shape) -> list[dict[str, Any]]:
    """Simulate 1 to 1,000 nodes like that one, where there are more tasks than can be solved at once."""
    rows = []
    for nodes in (1, 10, 100, 1000):
        larger = replace(shape, nodes=nodes, slots=nodes * shape.slots, share=nodes * shape.share)
        at_once = nodes * shape.workers * shape.concurrency
        counts = [tasks for tasks in (10**4, 10**5, 10**6, 10**7) if tasks > at_once]
        rows += [row(constants, larger, work, tasks) for tasks in counts]
    return rows


def row(constants: Constants, shape: Shape, work: Work, tasks: int) -> dict[str, Any]:
    """Say how a batch of so many tasks fares."""
    seconds, result = predict(constants, work, shape, tasks)
    memory = constants.out_bytes * result.most_out + constants.id_bytes * tasks
    return {
        "nodes": shape.nodes,
        "workers": shape.nodes * shape.workers,
        "tasks": tasks,
        "played": len(result.ends),
        "tasks/s": round(middle_rate(result.ends), 1),
        "time": duration(seconds),
        "seconds": round(seconds, 1),
        **{name: round(result.uses.get(name, 0.0), 2) for name in ("driver", "log", "cores", "endpoints")},
        "driver MB": round(memory / 1e6, 1),
    }


def endpoints(constants: Constants) -> list[dict[str, Any]]:
    """Say how busy one server of a model is with more and more workers."""
    rows = []
    for workers in (1, 2, 3, 4, 6, 8):
        shape = replace(GPU, workers=workers)
        _, result = predict(constants, MODEL, shape, 10**6)
        rows.append(
            {
                "workers": workers,
                "tasks at once": workers * shape.concurrency,
                "completions/s": round(middle_rate(result.ends) * 2 * SAMPLES, 1),
                "endpoint": round(result.uses["endpoints"], 2),
            }
        )
    return rows


def remedies(constants: Constants) -> list[dict[str, Any]]:
    """Say what helps where the driver or the log is at its limit."""
    rows = []
    ways: Mapping[str, Mapping[str, Any]] = {
        "as it is": {},
        "PostgreSQL": {"log": "postgresql"},
        "lingers to the end": {"gathers": True},
        "heartbeat 30 s": {"heartbeat": 30.0},
        "both": {"gathers": True, "heartbeat": 30.0},
        "both, PostgreSQL": {"gathers": True, "heartbeat": 30.0, "log": "postgresql"},
    }
    quick = Work(cpu=0.5, sigma=1.0)
    for name, work, nodes in (("5 s", SEARCH, 1000), ("0.5 s", quick, 100)):
        for way, change in ways.items():
            found = row(constants, Shape(nodes=nodes, **change), work, 10**6)
            rows.append({"tasks of": name, "way": way} | found)
    return rows


def trouble(constants: Constants) -> list[dict[str, Any]]:
    """Say what nodes that fail, and tasks that take long, cost."""
    rows = []
    tasks = 100_000
    for name, work, change in (
        ("none", SEARCH, {}),
        ("each node fails once in 10 hours", SEARCH, {"failures": 0.1}),
        ("each node fails every hour", SEARCH, {"failures": 1.0}),
        ("one task in 1,000 takes 30 times as long", replace(SEARCH, slow=0.001, factor=30.0), {}),
    ):
        result = simulate(constants, work, Shape(nodes=20, **change), tasks)
        rows.append(
            {
                "trouble": name,
                "tasks": tasks,
                "time": duration(max(result.ends)),
                "tasks/s": round(middle_rate(result.ends), 1),
                "workers lost": result.lost,
                "copies": result.copies,
            }
        )
    return rows


def duration(seconds: float) -> str:
    """Say a time in two units at most."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


if __name__ == "__main__":
    main()
