"""Text transformations of PROSE: learned from three examples, scored on all other rows.

Each of the 177 specs of ``Transformation.Text`` is a table of inputs and outputs, in which rows recur. The
search learns of the first 3 distinct inputs and is scored on the further distinct ones; specs without any are
left out. ``null`` is a value like any other. A task counts where every further row comes out right.

    INDUCE_BENCHMARK_DATA=… python benchmarks/prose.py [--seconds 5] [--tasks 'Date*']
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from reporting import benchmark_data, print_table, write_results

from hypotheses.equality import equal
from hypotheses.search import search
from hypotheses.task import Task
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from sandboxes import Limits, Sandbox

SHOTS = 3


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds a task (default 5)")
    parser.add_argument("--tasks", default="*", help="glob over the specs' names")
    options = parser.parse_args()
    folder = benchmark_data() / "prose" / "Transformation.Text"
    rows = []
    with open_sandbox(resolve_settings().sandbox) as sandbox:
        for path in sorted(folder.glob("*/spec.json")):
            if fnmatch.fnmatch(path.parent.name, options.tasks) and (split := split_rows(path)):
                rows.append(measure(path.parent.name, *split, options.seconds, sandbox))
                print(*rows[-1].values(), sep="  ", flush=True)
    figures = summary(rows)
    print_table(f"PROSE Transformation.Text, {options.seconds:g} s each", [figures])
    if options.tasks == "*":
        write_results("prose", {"seconds": options.seconds, "summary": figures, "tasks": rows})


def split_rows(path: Path) -> tuple[list[Any], list[Any]] | None:
    """Give the pairs to learn from and those to be scored on; ``None`` where there are none of the latter."""
    pairs: dict[str, Any] = {}
    for row in json.loads(path.read_text(encoding="utf-8-sig"))["Examples"]:
        pairs.setdefault(repr(row["Input"]), (row["Input"], row["Output"]))
    distinct = list(pairs.values())
    return (distinct[:SHOTS], distinct[SHOTS:]) if len(distinct) > SHOTS else None


def measure(
    name: str, shown: list[Any], unseen: list[Any], seconds: float, sandbox: Sandbox
) -> dict[str, Any]:
    """Learn from ``shown``, and count the rows of ``unseen`` that come out right."""
    single = all(len(given) == 1 for given, _ in (*shown, *unseen))
    call = "single" if single else "positional"
    task = Task.from_pairs(
        [(given[0] if single else given, wanted) for given, wanted in shown], id=name, call=call
    )
    result = search(task, seconds=seconds)
    right = 0
    if result.found:
        inputs = [given[0] if single else given for given, _ in unseen]
        runs = sandbox.run(result.found.program, inputs, Limits())
        right = sum(
            run.ok and equal(run.value, wanted) for run, (_, wanted) in zip(runs, unseen, strict=True)
        )
    return {
        "task": name,
        "unseen": len(unseen),
        "right": right,
        "reason": result.report.reason,
        "seconds": round(result.report.seconds, 2),
        "rule": result.found.text if result.found else None,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, object]:
    """Count the tasks that came out entirely right, with the interval of their share."""
    right = np.array([row["right"] == row["unseen"] for row in rows], float)
    draws = np.random.default_rng(0).choice(right, (10_000, len(right))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "tasks": len(rows),
        "entirely right": int(right.sum()),
        "share": round(float(right.mean()), 4),
        "95 %": f"{low:.3f} to {high:.3f}",
        **Counter(row["reason"] for row in rows),
    }


if __name__ == "__main__":
    main()
