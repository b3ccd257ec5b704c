"""List Functions, even-numbered (n = 125), by symbolic search alone, without a model.

INDUCE_BENCHMARK_DATA=… python benchmarks/search_lists.py [--seconds 5]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from reporting import benchmark_data, print_table, write_results

import induce
from hypotheses.run_log import RunLog
from induce.scoring import score_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="for one task (default 5)")
    options = parser.parse_args()
    tasks = induce.load_tasks(benchmark_data() / "qiu2023" / "list_function.jsonl")
    with tempfile.TemporaryDirectory() as place:
        log_path = Path(place) / "run.sqlite"
        solutions = induce.solve(tasks, seconds=options.seconds, out=log_path)
        with RunLog.open(log_path) as log:
            score = score_run(log, tasks)
    times = [solution.usage.seconds for solution in solutions if solution.solved]
    figures = {
        "tasks": score.tasks,
        "solved": score.solved,
        "accuracy": score.accuracy,
        "task_accuracy": score.task_accuracy,
        "median_seconds_of_solved": round(statistics.median(times), 3),
    }
    print_table(
        "List Functions by search", [{"figure": key, "value": value} for key, value in figures.items()]
    )
    write_results("search_lists", {"seconds": options.seconds} | figures)


if __name__ == "__main__":
    main()
