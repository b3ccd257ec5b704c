"""All that is measured of the memory, one script after the other, and their figures in one table.

A figure is printed as its script wrote it to ``benchmarks/results``. Give the names of some to run only them,
or ``--show`` to run none. What dying processes, full disks and damage do is tested, not measured:
``tests/memory/test_processes.py`` and ``test_schema.py``, the long ones with ``pytest -m slow``.

    INDUCE_BENCHMARK_DATA=… python benchmarks/memory.py [memory_arc memory_experience …] [--show]
"""

from __future__ import annotations

from typing import Any

from reporting import Figure, run_scripts


def memory_arc(results: dict[str, Any]) -> str:
    best = next(row for row in results["ways"] if row["ranked by"] == "both")
    store = next(
        row
        for row in results["through_the_store"]
        if row["recalled at most"] == 300 and row["tried at most"] == 48
    )
    return (
        f"ranked: hit@1 {best['hit@1']:.0%}, hit@20 {best['hit@20']:.0%}; through the store "
        f"{store['found']:.0%} found with {store['executed, mean']} programs"
    )


def memory_experience(results: dict[str, Any]) -> str:
    rows = [row for row in results["summary"] if row["way"].startswith("all orders")]
    return "; ".join(
        f"{row['set']}: {row['solved']} more tasks, {row['ratio of terms']} times the terms" for row in rows
    )


def memory_retrieval(results: dict[str, Any]) -> str:
    rows = results["figures"]["its suggestion"]
    return ", ".join(f"{row['found by']} {row['nDCG@10'].split()[0]}" for row in rows)


def memory_scale(results: dict[str, Any]) -> str:
    rows = {(row["memory"], row["concepts"]): row for row in results["summary"]}
    asked = [row for row in results["recall"] if row["asked"] == "now"]
    return "; ".join(
        f"{row['memory']}, {row['concepts']:,}: {rows[row['memory'], row['concepts']]['inserts a second']:,} "
        f"inserts/s, p50 {row['p50 ms']} ms, p99 {row['p99 ms']} ms"
        for row in asked
    )


def memory_poison(results: dict[str, Any]) -> str:
    programs = results["programs"]["summary"]
    harm = next(row for row in results["claims"]["concepts"] if row["concepts that"] == "harm")
    return (
        f"hostile programs: harm to the host {sum(row['harm to the host'] for row in programs)}, "
        f"{min(row['right'] for row in programs)} of {programs[0]['tasks']} tasks right; "
        f"a harmful claim is shown to {harm['shown to, median']:g} of {results['claims']['tasks']} tasks"
    )


FIGURES: dict[str, Figure] = {
    one.__name__: one
    for one in (memory_arc, memory_experience, memory_retrieval, memory_scale, memory_poison)
}
"""How the figures of each script read."""


if __name__ == "__main__":
    run_scripts(__doc__, "The memory", FIGURES)
