"""The first round sent ahead against the ordinary batch: completions a second from the same server.

Both ask for the same samples on this machine. The server has 64 slots and takes 0.2 s for a sample, so that
320 a second are the most it can give. Measured is from its first sample's begin to its last one's end, and
with what starting takes. The ordinary batch solves the tasks as well.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster_runs import local_cluster
from reporting import print_table, write_results

from induce.batch import run_batch
from induce.offline import send_ahead
from induce.runs import Run, start_run
from induce.settings import resolve_settings
from induce.tasks import load_tasks

SERVER = Path(__file__).parents[1] / "tests" / "model_server.py"
SECONDS = 0.2
CPUS = 2


@contextmanager
def model_server(slots: int) -> Iterator[str]:
    """Start the server in a process of its own; give its URL."""
    command = [sys.executable, str(SERVER), "--slots", str(slots), "--mean", str(SECONDS), "--sigma", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def begin(url: str, folder: Path, tasks: int, samples: int, slots: int) -> Run:
    """Start a run of tasks that the server's programs do not solve."""
    source = folder / "tasks.jsonl"
    lines = [
        {"id": str(one), "examples": [{"input": x, "output": x + one + 1} for x in range(4)], "queries": []}
        for one in range(tasks)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    settings = resolve_settings(
        {
            "model": {"address": f"vllm:tiny@{url}", "concurrency": slots},
            "solver": {"recipe": "program-only", "samples": samples, "rounds": 1},
        }
    )
    return start_run(load_tasks(str(source)), tasks, None, settings, folder / "run.sqlite")


def measure(way: str, tasks: int, samples: int, slots: int) -> dict[str, float | str]:
    """Run one way, on a server of its own."""
    with model_server(slots) as url, tempfile.TemporaryDirectory() as folder:
        run = begin(url, Path(folder), tasks, samples, slots)
        started = time.perf_counter()
        with local_cluster(CPUS) as cluster:
            if way == "ordinary batch":
                run_batch(run, None)
            else:
                with run.log:
                    send_ahead(run, cluster)
        seconds = time.perf_counter() - started
        with urllib.request.urlopen(url.removesuffix("/v1") + "/slots") as answer:  # noqa: S310 - our own
            figures = json.load(answer)
    return {
        "way": way,
        "samples_a_task": samples,
        "per_second": tasks * samples / figures["seconds"],
        "slots_busy": figures["busy"],
        "per_second_with_start": tasks * samples / seconds,
    }


def main() -> None:
    """Measure both, and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--total", type=int, default=4800, help="samples in all")
    parser.add_argument("--slots", type=int, default=64)
    options = parser.parse_args()
    ways = ("sent ahead", "ordinary batch")
    rows = [
        measure(way, options.total // samples, samples, options.slots) for samples in (1, 8) for way in ways
    ]
    rounded = [{key: round(v, 3) if isinstance(v, float) else v for key, v in row.items()} for row in rows]
    most = options.slots / SECONDS
    print_table(f"Completions a second; the server could give {most:g}", rounded)
    write_results("offline", vars(options) | {"server_most": most, "ways": rounded})


if __name__ == "__main__":
    main()
