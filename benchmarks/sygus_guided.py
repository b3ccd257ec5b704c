"""Does a probabilistic grammar from a model's completions shorten the search?

For the SyGuS files that GPT-4o was asked about, 100 times each (recorded by Barke et al. 2024, HySynth): the
search with its own costs, and with costs from the completions of that file. Shown are how many tasks each
solves, and on those that both solve how many terms it took to the solution.

    INDUCE_BENCHMARK_DATA=… python benchmarks/sygus_guided.py [--seconds 10] [--files 'initials*']
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import statistics
from collections import defaultdict
from pathlib import Path

from reporting import benchmark_data, print_table, write_results
from sygus_strings import fault_of

from hypotheses.search import Guide, SearchResult, search
from induce.tasks.sygus import parse_sygus


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds a task (default 10)")
    parser.add_argument("--files", default="*", help="glob over the files' names")
    options = parser.parse_args()
    folder = benchmark_data() / "sygus"
    files = {path.name: path for path in (folder / "PBE_SLIA_Track").rglob("*.sl")}
    rows = []
    for name, completions in recorded(folder / "gpt4o_completions.jsonl").items():
        if not fnmatch.fnmatch(name, options.files):
            continue
        plain, guided = solve(files[name], options.seconds, completions)
        row = {"file": name, "completions": len(completions)}
        for way, result in (("plain", plain), ("guided", guided)):
            row[f"{way}_terms"] = result.report.terms if result.found else None
            row[f"{way}_seconds"] = round(result.report.seconds, 2)
        rows.append(row)
        print(*row.values(), sep="  ", flush=True)
    figures = summary(rows)
    print_table(f"{len(rows)} files, {options.seconds:g} s each", [figures])
    if options.files == "*":
        write_results("sygus_guided", {"seconds": options.seconds, "summary": figures, "tasks": rows})


def recorded(path: Path) -> dict[str, list[str]]:
    """Read the completions of each file."""
    completions: defaultdict[str, list[str]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        completions[one["sygus_file"]].append(one["response"])
    return dict(completions)


def solve(path: Path, seconds: float, completions: list[str]) -> tuple[SearchResult, SearchResult]:
    """Search without and with the completions; a wrong solution ends the script."""
    task = parse_sygus(path.read_text(encoding="utf-8"), path.stem)
    plain = search(task, seconds=seconds)
    guided = search(task, seconds=seconds, guide=Guide.from_completions(completions))
    for result in (plain, guided):
        if result.found and (fault := fault_of(result.found.definition, task)):
            raise SystemExit(f"{path.name}: {fault}: {result.found.definition}")
    return plain, guided


def summary(rows: list[dict[str, object]]) -> dict[str, object]:
    """Count what was solved, and compare the terms where both solved it."""
    ratios = [
        float(str(row["guided_terms"])) / float(str(row["plain_terms"]))
        for row in rows
        if row["guided_terms"] and row["plain_terms"]
    ]
    return {
        "plain solved": sum(row["plain_terms"] is not None for row in rows),
        "guided solved": sum(row["guided_terms"] is not None for row in rows),
        "both": len(ratios),
        "fewer terms": sum(ratio < 1 for ratio in ratios),
        "ratio, geometric mean": round(math.exp(statistics.fmean(map(math.log, ratios))), 3)
        if ratios
        else None,
        "ratio, median": round(statistics.median(ratios), 3) if ratios else None,
    }


if __name__ == "__main__":
    main()
