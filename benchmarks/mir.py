"""White-box functions of MIR-Bench: learned from 64 examples, scored on their test cases.

A function counts where every one of its test cases comes out right. The search was developed with the
examples of every other function in sight, the first one among them, so both halves are shown.

    INDUCE_BENCHMARK_DATA=… python benchmarks/mir.py [--seconds 10] [--functions 'a*']
"""

from __future__ import annotations

import argparse
import fnmatch
import json
from typing import Any

import numpy as np
from reporting import benchmark_data, print_table, write_results

from hypotheses.equality import equal
from hypotheses.search import search
from hypotheses.task import Task
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from sandboxes import Limits, Sandbox

SHOTS = 64
REASONS = ("solved", "budget", "exhausted", "unsupported")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds a function (default 10)")
    parser.add_argument("--functions", default="*", help="glob over the functions' ids")
    options = parser.parse_args()
    lines = (benchmark_data() / "mir" / "shots.jsonl").read_text(encoding="utf-8").splitlines()
    rows = []
    with open_sandbox(resolve_settings().sandbox) as sandbox:
        for position, record in enumerate(map(json.loads, lines)):
            if fnmatch.fnmatch(str(record["id"]), options.functions):
                rows.append(measure(record, options.seconds, sandbox) | {"seen": position % 2 == 0})
                print(*rows[-1].values(), sep="  ", flush=True)
    parts = {
        "all": rows,
        "examples seen in development": [row for row in rows if row["seen"]],
        "not seen": [row for row in rows if not row["seen"]],
    }
    figures = [summary(name, part) for name, part in parts.items() if part]
    print_table(f"MIR-Bench, {SHOTS} shots, {options.seconds:g} s each", figures)
    if options.functions == "*":
        write_results("mir", {"seconds": options.seconds, "summary": figures, "functions": rows})


def measure(record: dict[str, Any], seconds: float, sandbox: Sandbox) -> dict[str, Any]:
    """Learn from the first shots, and count the test cases that come out right."""
    shots = [(one["input"], one["output"]) for one in record["train"][:SHOTS]]
    task = Task.from_pairs(shots, id=str(record["id"]), call="keyword")
    result = search(task, seconds=seconds)
    right = 0
    if result.found:
        runs = sandbox.run(result.found.program, [one["input"] for one in record["test"]], Limits())
        right = sum(
            run.ok and equal(run.value, one["output"]) for run, one in zip(runs, record["test"], strict=True)
        )
    return {
        "function": record["id"],
        "tests": len(record["test"]),
        "right": right,
        "reason": result.report.reason,
        "seconds": round(result.report.seconds, 2),
        "rule": result.found.text if result.found else None,
    }


def summary(functions: str, rows: list[dict[str, Any]]) -> dict[str, object]:
    """Count the functions that came out entirely right, with the interval of their share."""
    right = np.array([row["right"] == row["tests"] for row in rows], float)
    draws = np.random.default_rng(0).choice(right, (10_000, len(right))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "functions": functions,
        "number": len(rows),
        "entirely right": int(right.sum()),
        "share": round(float(right.mean()), 4),
        "95 %": f"{low:.3f} to {high:.3f}",
        **{reason: sum(row["reason"] == reason for row in rows) for reason in REASONS},
    }


if __name__ == "__main__":
    main()
