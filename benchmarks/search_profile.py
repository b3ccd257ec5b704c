"""Where symbolic search spends its time on one SyGuS task.

INDUCE_BENCHMARK_DATA=… python benchmarks/search_profile.py phone-10 --seconds 10
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
from pathlib import Path

from hypotheses.search import search
from induce.tasks.labelled import LabelledTask, ReadOptions
from induce.tasks.sygus import SygusReader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", help="a file's name without .sl")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    [path] = Path(os.environ["INDUCE_BENCHMARK_DATA"], "sygus").rglob(f"{options.task}.sl")
    [item] = SygusReader().read(path, ReadOptions())
    if not isinstance(item, LabelledTask):
        raise item
    with cProfile.Profile() as profile:
        result = search(item.task, seconds=options.seconds)
    print(result.report)
    print(result.found.text if result.found else "no solution")
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
