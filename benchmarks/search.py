"""All that is measured of the search, one script after the other, and their figures in one table.

A figure is printed as its script wrote it to ``benchmarks/results``. Give the names of some to run only them,
or ``--show`` to run none.

    INDUCE_BENCHMARK_DATA=… python benchmarks/search.py [sygus_strings prose mir …] [--show]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reporting import RESULTS, benchmark_data, print_table


def sygus_strings(results: dict[str, Any]) -> str:
    ours, cvc5 = results["summary"]
    return f"{ours['solved']} solved, {ours['infeasible']} infeasible; cvc5 {cvc5['solved']}"


def sygus_generalisation(results: dict[str, Any]) -> str:
    summary = results["summary"]
    return f"{summary['all unseen rows right']} of {summary['families']} families"


def sygus_guided(results: dict[str, Any]) -> str:
    summary = results["summary"]
    ratio = summary["ratio, geometric mean"]
    return f"{summary['guided solved']} solved, {summary['plain solved']} unguided; {ratio} times the terms"


def search_library(results: dict[str, Any]) -> str:
    rows = {row["way"]: row for row in results["summary"] if row["tasks"] == "all held out"}
    plain, library = rows["plain"], rows["library"]
    ratio = library["geometric mean"]
    return f"{library['solved']} of {library['number']}, {plain['solved']} without; {ratio} times the terms"


def prose(results: dict[str, Any]) -> str:
    summary = results["summary"]
    return f"{summary['entirely right']} of {summary['tasks']} entirely right"


def search_lists(results: dict[str, Any]) -> str:
    return f"accuracy {results['accuracy']:.1%}, task accuracy {results['task_accuracy']:.1%}"


def mir(results: dict[str, Any]) -> str:
    everything, _, unseen = results["summary"]
    return (
        f"{everything['entirely right']} of {everything['number']} entirely right, "
        f"{unseen['entirely right']} of the {unseen['number']} not seen in development"
    )


FIGURES: dict[str, Callable[[dict[str, Any]], str]] = {
    one.__name__: one
    for one in (
        sygus_strings,
        sygus_generalisation,
        sygus_guided,
        search_library,
        prose,
        search_lists,
        mir,
    )
}
"""How the figures of each script read."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scripts", nargs="*", help=f"of {', '.join(FIGURES)} (default: all)")
    parser.add_argument("--show", action="store_true", help="run none, show the figures that there are")
    options = parser.parse_args()
    if unknown := set(options.scripts) - set(FIGURES):
        parser.error(f"no such script: {', '.join(sorted(unknown))}")
    if not options.show:
        benchmark_data()
    for name in () if options.show else options.scripts or FIGURES:
        subprocess.run([sys.executable, str(Path(__file__).with_name(f"{name}.py"))], check=True)
    rows = []
    for name, figure in FIGURES.items():
        path = RESULTS / f"{name}.json"
        if path.is_file():
            results = json.loads(path.read_text(encoding="utf-8"))
            row = {"script": name, "seconds a task": results["seconds"], "figure": figure(results)}
            rows.append(row)
    if rows:
        print_table("The search", rows)


if __name__ == "__main__":
    main()
