"""Whether programs are timed out falsely while other processes keep every core busy.

    python benchmarks/sandbox_loaded.py [--programs 2000] [--back-end embedded] [--json]

Each program needs 50 ms of CPU and may use 1 s; beside it, two spinning processes a core want the CPU too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from reporting import print_table, write_results

from induce.sandboxing import open_sandbox
from induce.settings import SandboxSettings
from sandboxes import Limits, Program

SPINNERS_A_CORE = 2
PROGRAM = Program(
    "import time\n"
    "def f(x):\n"
    "    start = time.process_time()\n"
    "    while time.process_time() - start < 0.05: pass\n"
    "    return x",
    "f",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--programs", type=int, default=2000)
    parser.add_argument("--back-end", default="embedded", help="as in the setting sandbox.back_end")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and write no file")
    options = parser.parse_args()
    figures = measure(options.back_end, options.programs)
    if options.json:
        print(json.dumps(figures))
        return
    print_table("Programs of 50 ms under a limit of 1 s of CPU, all cores loaded", [figures])
    write_results(f"sandbox_loaded_{options.back_end.partition(':')[0]}", figures)


def measure(back_end: str, programs: int) -> dict[str, object]:
    """Run the programs beside the spinning processes, and count how they ended."""
    cores = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    spinners = [context.Process(target=spin, daemon=True) for _ in range(SPINNERS_A_CORE * cores)]
    for spinner in spinners:
        spinner.start()
    try:
        with open_sandbox(SandboxSettings(back_end=back_end)) as sandbox:
            limits = Limits(seconds=1)
            sandbox.run(PROGRAM, [0], limits)
            cpu, started = cpu_seconds(spinners), time.perf_counter()
            with ThreadPoolExecutor(sandbox.concurrency) as threads:
                runs = list(threads.map(lambda n: sandbox.run(PROGRAM, [n], limits)[0], range(programs)))
            seconds = time.perf_counter() - started
            stolen = (cpu_seconds(spinners) - cpu) / (seconds * cores)
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.join()
    ended = Counter(run.status for run in runs)
    return {
        "back_end": back_end,
        "programs": programs,
        "right": sum(run.value == n for n, run in enumerate(runs)),
        "timed_out": ended["timed_out"],
        "otherwise_wrong": programs - ended["ok"] - ended["timed_out"],
        "longest_cpu_s": round(max(run.seconds for run in runs), 3),
        "seconds": round(seconds, 1),
        "cpu_taken_by_others_percent": round(100 * stolen),
    }


def spin() -> None:
    while True:
        pass


def cpu_seconds(processes: list[multiprocessing.Process]) -> float:
    import psutil  # noqa: PLC0415 - not in the spinning processes

    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(one.user + one.system for one in times)


if __name__ == "__main__":
    main()
