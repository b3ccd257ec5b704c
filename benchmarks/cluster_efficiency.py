"""What a batch costs beside the same tasks in one process, and what a second worker brings.

Tasks are searches of a fixed number of terms, which take about 0.01, 0.1 and 1 s of one core; the same are
solved in this process, one at a time, and as a batch with one worker and with two, on a Ray cluster on this
machine. Rates are those between the first task's beginning and the last one's end; what it takes to start and
end is told apart.

    python benchmarks/cluster_efficiency.py [--seconds 30]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from reporting import print_table, write_results

from hypotheses.run_log import RunLog
from induce import load_tasks
from induce.api import settings_of
from induce.batch import run_batch, solve_here
from induce.runs import start_run
from induce.settings import Settings

DURATIONS = (0.01, 0.1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="how long each run is to take on one core"
    )
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="induce-") as folder:
        bench = Bench(Path(folder))
        rate = bench.calibrate()
        for duration in DURATIONS:
            terms = max(50, round(rate * duration))
            rows += bench.compare(duration, terms, max(20, round(options.seconds / duration)))
    print_table("Batches beside one process", rows)
    write_results(
        "cluster_efficiency", {"cores": os.cpu_count(), "terms_per_second": round(rate), "rows": rows}
    )


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = 0

    def calibrate(self) -> float:
        """Give the terms that are searched in a second, when a task takes about one."""
        terms = 30_000
        while True:
            seconds = self.solve("here", terms, 3)["busy"] / 3
            if seconds > 0.5:
                return terms / seconds
            terms *= 2

    def compare(self, duration: float, terms: int, count: int) -> list[dict[str, Any]]:
        runs = {where: self.solve(where, terms, count) for where in ("here", "1", "2")}
        alone = count / runs["here"]["busy"]
        rows = []
        for where, run in runs.items():
            rate = count / run["busy"]
            rows.append(
                {
                    "task": f"{duration:g} s",
                    "tasks": count,
                    "where": "one process" if where == "here" else f"batch, workers: {where}",
                    "tasks/s": round(rate, 2),
                    "to one process": f"{rate / alone:.2f}",
                    "overhead": f"{alone / rate - 1:+.1%}" if where == "1" else "",
                    "to one worker": f"{rate * runs['1']['busy'] / count:.2f}" if where == "2" else "",
                    "start and end, s": round(run["all"] - run["busy"], 1),
                }
            )
        return rows

    def solve(self, where: str, terms: int, count: int) -> dict[str, float]:
        """Solve so many tasks; give the seconds of all, and of those between first beginning and last end."""
        self.runs += 1
        tasks = self.folder / f"tasks-{self.runs}.jsonl"
        tasks.write_text("".join(json.dumps(task) + "\n" for task in unsolvable(count)))
        settings = self.settings(terms, 1 if where == "here" else int(where))
        loaded = load_tasks(tasks)
        began = time.perf_counter()
        run = start_run(loaded, count, "search", settings, self.folder / f"run-{self.runs}.sqlite")
        if where == "here":
            solve_here(run)
        else:
            run_batch(run, "local")
        seconds = time.perf_counter() - began
        with RunLog.open(run.address) as log:
            assert sum(log.count().values()) == count
            if where == "here":
                busy = sum(solution.usage.seconds for solution in log.solutions())
                return {"all": seconds, "busy": max(busy, seconds - 1.0)}
            ends = [(event.detail["begun"], event.time) for event in log.events() if event.task_id]
        return {"all": seconds, "busy": max(end for _, end in ends) - min(begun for begun, _ in ends)}

    def settings(self, terms: int, workers: int) -> Settings:
        settings, _ = settings_of({}, {"cluster": {"workers": workers}, "search": {"max_terms": terms}})
        return settings.model_copy(update={"search": settings.search.model_copy(update={"max_terms": terms})})


def unsolvable(count: int) -> list[dict[str, Any]]:
    """Give tasks that a search does not solve, and which take it as long as each other."""
    return [
        {
            "id": f"task-{number:05}",
            "examples": [
                {"input": x, "output": (x * 7919 + 104729 * number + 12345) ** 2 % 999983}
                for x in (3, 17, 88, 254)
            ],
            "queries": [{"input": 5}],
        }
        for number in range(count)
    ]


if __name__ == "__main__":
    main()
