"""All that is measured of the search, one script after the other, and their figures in one table.

A figure is printed as its script wrote it to ``benchmarks/results``. Give the names of some to run only them,
or ``--show`` to run none.

    INDUCE_BENCHMARK_DATA=… python benchmarks/search.py [sygus_strings prose mir …] [--show]
"""

from __future__ import annotations

from typing import Any

from reporting import Figure, run_scripts


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


FIGURES: dict[str, Figure] = {
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


if __name__ == "__main__":
    run_scripts(__doc__, "The search", FIGURES)
