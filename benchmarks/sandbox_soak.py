"""Run very many programs, good and bad, in one sandbox, and see whether anything piles up.

    python benchmarks/sandbox_soak.py [--programs 100000] [--back-end embedded] [--json]

Most programs are trivial; one in a hundred raises or dies of memory, time or ``os._exit``, and one in twenty
uses numpy. Every result is compared with what it must be. Memory, processes, descriptors, temporary files and
containers are counted after a tenth of the programs, at every further hundredth, and after closing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from reporting import print_table, write_results

from induce.sandboxing import open_sandbox
from induce.settings import SandboxSettings
from sandboxes import Limits, Program, Sandbox

LIMITS = Limits(seconds=1, memory_mb=64)
SHORT = Limits(seconds=0.02, memory_mb=64)
DEADLY = {
    "out_of_memory": "def f(x): return len(bytes(10 ** 9))",
    "killed": "import os\ndef f(x): os._exit(3)",
    "timed_out": "def f(x):\n    while True: pass",
    "raised": "def f(x): raise ValueError",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=int, default=100_000)
    parser.add_argument("--back-end", default="embedded", help="as in the setting sandbox.back_end")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and write no file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="induce-soak-") as folder:
        tempfile.tempdir = folder  # for this process and its children alone
        figures = soak(options.back_end, options.programs)
        tempfile.tempdir = None
    if options.json:
        print(json.dumps(figures))
        return
    rows = [{"figure": name.replace("_", " "), "value": value} for name, value in figures.items()]
    print_table(f"{options.programs} programs, {options.back_end}", rows)
    write_results(f"sandbox_soak_{options.back_end.partition(':')[0]}", figures)


def soak(back_end: str, programs: int) -> dict[str, object]:
    """Run the programs and give the figures."""
    before = census(back_end)
    wrong: Counter[str] = Counter()
    early: dict[str, float] = {}
    peak: Counter[str] = Counter()
    started = time.perf_counter()
    sandbox = open_sandbox(SandboxSettings(back_end=back_end))
    batch = max(programs // 100, 1)
    with sandbox, ThreadPoolExecutor(sandbox.concurrency) as threads:
        for first in range(0, programs, batch):
            outcomes = threads.map(
                lambda number: one(sandbox, number), range(first, min(first + batch, programs))
            )
            wrong.update(outcome for outcome in outcomes if outcome)
            if first + batch == programs // 10 // batch * batch or not early:
                early = census(back_end)
            elif first >= programs // 10:
                peak |= Counter(census(back_end))
        seconds = time.perf_counter() - started
    after = census(back_end)
    return {
        "programs": programs,
        "wrong_results": sum(wrong.values()),
        "examples_of_wrong_results": sorted(wrong)[:5],
        "programs_per_second": round(programs / seconds),
        **{f"{name}_after_a_tenth": round(early[name], 1) for name in early},
        **{f"{name}_peak_later": round(peak[name], 1) for name in early},
        **{
            f"{name}_left_over": round(after[name] - before[name], 1)
            for name in early
            if name != "resident_mb"
        },
    }


def one(sandbox: Sandbox, number: int) -> str:
    """Run one program; give what is wrong with its result, or nothing."""
    status, value, limits = "ok", number + 1, LIMITS
    source = f"def f(x): return x + {number}"
    if number % 100 == 7:
        status, source = list(DEADLY.items())[number // 100 % len(DEADLY)]
        value, limits = None, SHORT if status == "timed_out" else LIMITS
    elif number % 20 == 3:
        source = f"import numpy as np\ndef f(x): return int(np.arange(x + 1).sum()) + {number}"
    [execution] = sandbox.run(Program(source, "f"), [1], limits)
    right = (execution.status, execution.value) == (status, value)
    return "" if right else f"{status}: {execution}"


def census(back_end: str) -> dict[str, float]:
    """Count what this process has, its children included."""
    me = psutil.Process()
    family = [me, *me.children(recursive=True)]
    resident = 0.0
    for process in family:
        try:
            resident += process.memory_info().rss / 2**20
        except psutil.NoSuchProcess:
            continue
    return {
        "resident_mb": resident,
        "processes": len(family),
        "descriptors": me.num_fds(),
        "threads": me.num_threads(),
        "temporary_files": sum(1 for entry in Path(tempfile.gettempdir()).iterdir()),
        "containers": containers() if back_end.startswith("docker") else 0,
    }


def containers() -> int:
    """Count the containers of this process, in whatever state."""
    import docker  # noqa: PLC0415 - only for the Docker back end

    from sandboxes.container.labels import SANDBOX  # noqa: PLC0415

    with contextlib.closing(docker.from_env()) as client:
        found = client.api.containers(all=True, filters={"label": SANDBOX})
    return sum(str(os.getpid()) in container["Labels"].values() for container in found)


if __name__ == "__main__":
    main()
