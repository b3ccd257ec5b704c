"""Does a batch keep a busy model server busy, and the driver small?

A server in vLLM's protocol (tests/model_server.py, in a process of its own) has 256 slots and seeded
log-normal latencies. 10,000 tasks ask it for a program each, which runs in the sandbox; two workers on a
local Ray cluster. The server measures how many of its slots were busy, weighted by time: over the whole run,
and between the moments when all were first and last busy, which leaves the ramps out. Memory is that of the
driver's process.

    python benchmarks/cluster_saturation.py [--tasks 10000] [--slots 256] [--mean 6] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil
from model_saturation import figures, server
from reporting import print_table, write_results

from hypotheses.run_log import RunLog
from induce import Recipe, load_tasks
from induce.api import settings_of
from induce.batch import run_batch
from induce.runs import start_run
from ray_jobs.progress import Progress

RECIPE = {
    "name": "one-program",
    "description": "a program straight from the examples",
    "propose": {"what": "program", "samples": 1, "temperature": 0.7},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--mean", type=float, default=6.0, help="mean latency of a sample in seconds")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="induce-") as folder,
        server("--slots", options.slots, "--mean", options.mean, "--sigma", 0.6) as url,
    ):
        results = saturate(Path(folder), url, options.tasks, options.slots, options.workers)
        results |= {f"server_{name}": round(value, 4) for name, value in figures(url).items()}
    results |= {"mean_latency": options.mean, "workers": options.workers}
    print_table("A batch, one busy server", [{"figure": k, "value": v} for k, v in results.items()])
    write_results("cluster_saturation", results)


def saturate(folder: Path, url: str, count: int, slots: int, workers: int) -> dict[str, float]:
    """Solve all tasks, and give what that took."""
    tasks = folder / "tasks.jsonl"
    with tasks.open("w") as file:
        for number in range(count):
            examples = [{"input": x, "output": x * number + 1} for x in (1, 2, 3)]
            file.write(
                json.dumps({"id": f"task-{number:06}", "examples": examples, "queries": [{"input": 4}]})
                + "\n"
            )
    # A quarter more than the server has slots: while one answer is read, another is being written.
    ahead = round(slots * 1.25)
    settings, _ = settings_of(
        {"recipe": Recipe.model_validate(RECIPE), "model": f"vllm:tiny@{url}"},
        {
            "cluster": {"workers": workers},
            "model": {"address": f"vllm:tiny@{url}", "concurrency": ahead},
            "solver": {"concurrency": -(-ahead // workers)},
        },
    )
    settings = settings.model_copy(update={"recipe": Recipe.model_validate(RECIPE)})
    run = start_run(load_tasks(tasks), count, None, settings, folder / "run.sqlite")
    process = psutil.Process()
    resident: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        resident.append((progress.done, process.memory_info().rss / 1e6))

    began, cpu = time.perf_counter(), time.process_time()
    run_batch(run, "local", watch)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    with RunLog.open(run.address) as log:
        assert sum(log.count().values()) == count
        completions = sum(solution.usage.completions for solution in log.solutions())
    early = max(size for done, size in resident if done <= count // 5)
    return {
        "tasks": count,
        "completions": completions,
        "seconds": round(seconds, 1),
        "tasks_per_second": round(count / seconds, 2),
        "driver_cpu_ms_per_task": round(cpu / count * 1e3, 3),
        "driver_mb_after_a_fifth": round(early, 1),
        "driver_mb_at_the_end": round(resident[-1][1], 1),
        "driver_mb_peak": round(max(size for _, size in resident), 1),
    }


if __name__ == "__main__":
    main()
