"""Does a library learned from solved SyGuS string tasks shorten the search for others?

The files are those that ``subsets/sygus_strings.txt`` names. Files of one family (``phone-1``,
``phone-1-long``, ``phone-1_short`` …) ask for the same function, so they stay together; every other family,
by name, is learned from. The rest is searched three times: as it is, with costs from the solutions but no
abstractions, and with the library. Every solution is checked as in ``sygus_strings.py``. Tasks whose solution
training had found already are left out of the second half of the figures: a library may hold the whole of it.

    INDUCE_BENCHMARK_DATA=… python benchmarks/search_library.py [--seconds 2] [--files 'euphony/*']
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reporting import benchmark_data, print_table, write_results
from sygus_strings import fault_of, names, read_task

from hypotheses.search import Library, learn_library
from hypotheses.search.abstraction import inline
from hypotheses.search.engine import Engine
from hypotheses.search.language import Expression, Problem, Variable, walk
from hypotheses.search.sygus import sygus_problem, term_of
from hypotheses.sygus.grammar import to_sexpr
from hypotheses.sygus.sexpr import SexprError
from hypotheses.task import Task
from hypotheses.verification import contradiction

WAYS = ("plain", "costs", "library")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one search came to: its solution in the task's own grammar, if any, the terms, the seconds."""

    solution: Expression | None
    terms: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds a task (default 2)")
    parser.add_argument("--files", default="*", help="glob over the files' relative names")
    options = parser.parse_args()
    problems = read_problems(benchmark_data() / "sygus" / "PBE_SLIA_Track", options.files)
    families = sorted({family(name) for name in problems})
    learned_from = {one for position, one in enumerate(families) if position % 2 == 0}
    training: list[Expression] = []
    for name, (task, problem) in problems.items():
        if family(name) in learned_from:
            outcome = solve(name, task, problem, options.seconds)
            training += [outcome.solution] if outcome.solution else []
    started = time.monotonic()
    library = learn_library(training)
    learning = time.monotonic() - started
    libraries = {"plain": Library(), "costs": learn_library(training, abstractions=0), "library": library}
    for one in library.abstractions:
        print(f"{one.name} {one.uses:3} uses, {one.compression:.2f} times smaller: {written(one.body)}")
    seen = {anonymous(solution) for solution in training}
    rows = []
    for name, (task, problem) in problems.items():
        if family(name) not in learned_from:
            rows.append(row := compare(name, task, problem, libraries, seen, options.seconds))
            print(*row.values(), sep="  ", flush=True)
    figures = [
        *summary("all held out", rows),
        *summary("solution not in training", [row for row in rows if not row["seen"]]),
    ]
    print_table(
        f"{len(library.abstractions)} abstractions from {len(seen)} solutions, learned in {learning:.1f} s; "
        f"{options.seconds:g} s a task",
        figures,
    )
    if options.files == "*":
        record = {
            "seconds": options.seconds,
            "training": {"tasks": len(training), "solutions": len(seen), "learning_seconds": learning},
            "library": [
                {"body": written(one.body), "uses": one.uses, "compression": round(one.compression, 3)}
                for one in library.abstractions
            ],
        }
        write_results("search_library", record | {"summary": figures, "tasks": rows})


def read_problems(folder: Path, pattern: str) -> dict[str, tuple[Task, Problem]]:
    """Read the files that are searched: those whose grammar the search knows, and that can be satisfied."""
    problems = {}
    for name in names(pattern):
        try:
            task = read_task(folder / name)
        except SexprError as error:
            print(f"{name}: left out, {error}")
            continue
        problem = None if contradiction(task) else sygus_problem(task)
        if problem is not None:
            problems[name] = (task, problem)
    return problems


def family(name: str) -> str:
    """Give the name that the variants of a file share."""
    return re.sub(r"([-_](long|short|small|repeat))+$", "", Path(name).stem)


def solve(name: str, task: Task, problem: Problem, seconds: float) -> Outcome:
    """Search one problem; a wrong solution ends the script."""
    started = time.monotonic()
    engine = Engine(problem)
    solution: Expression | None = None
    for found in engine.steps():
        late = time.monotonic() - started > seconds
        solution = found or (engine.pending if late else None)
        if solution or late:
            break
    seconds_taken = time.monotonic() - started
    solution = solution or engine.pending
    define = problem.language.define or problem.language.describe
    if solution and (fault := fault_of(define(solution), task)):
        raise SystemExit(f"{name}: {fault}: {define(solution)}")
    return Outcome(inline(solution) if solution else None, engine.terms, seconds_taken)


def compare(
    name: str, task: Task, problem: Problem, libraries: dict[str, Library], seen: set[str], seconds: float
) -> dict[str, object]:
    """Search one held-out problem in all ways."""
    row: dict[str, object] = {"file": name}
    found: list[Expression] = []
    for way, library in libraries.items():
        extended = replace(problem, language=library.extend(problem.language))
        outcome = solve(name, task, extended, seconds)
        found += [outcome.solution] if outcome.solution else []
        row[f"{way}_terms"] = outcome.terms if outcome.solution else None
        row[f"{way}_seconds"] = round(outcome.seconds, 2)
    return row | {"seen": any(anonymous(solution) in seen for solution in found)}


def anonymous(solution: Expression) -> str:
    """Write a solution without its variables' names, as other tasks would find it."""
    return written(solution)


def written(expression: Expression) -> str:
    term = to_sexpr(term_of(expression))
    for variable in {part for part in walk(expression) if isinstance(part, Variable)}:
        term = re.sub(rf"(?<![^ (]){re.escape(variable.name)}(?![^ )])", f"_{variable.position}", term)
    return term


def summary(tasks: str, rows: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Count what each way solved; the ratio of terms is taken where the plain search solved a task too."""
    figures: list[dict[str, object]] = []
    for way in WAYS:
        both = [row for row in rows if row["plain_terms"] and row[f"{way}_terms"]]
        ratios = [float(str(row[f"{way}_terms"])) / float(str(row["plain_terms"])) for row in both]
        figures.append(
            {
                "tasks": tasks,
                "way": way,
                "number": len(rows),
                "solved": sum(row[f"{way}_terms"] is not None for row in rows),
                "gained": sum(bool(row[f"{way}_terms"]) and not row["plain_terms"] for row in rows),
                "lost": sum(bool(row["plain_terms"]) and not row[f"{way}_terms"] for row in rows),
                "fewer terms": sum(ratio < 1 for ratio in ratios),
                "geometric mean": round(math.exp(statistics.fmean(map(math.log, ratios))), 3)
                if ratios
                else None,
                "median": round(statistics.median(ratios), 3) if ratios else None,
                "seconds": round(sum(float(str(row[f"{way}_seconds"])) for row in rows), 1),
            }
        )
    return figures


if __name__ == "__main__":
    main()
