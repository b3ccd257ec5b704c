"""Do programs learned from few examples hold on many?

Each of the 27 families of ``from_2018`` has a file with few examples and one with many. The search learns of
the first, and is scored on the rows of the second that the first does not have; these it never sees.

    INDUCE_BENCHMARK_DATA=… python benchmarks/sygus_generalisation.py [--seconds 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from reporting import benchmark_data, print_table, write_results

from hypotheses.search import search
from hypotheses.sygus.semantics import evaluate
from hypotheses.sygus.sorts import parameter_sorts
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Example, Task
from induce.tasks.sygus import parse_sygus


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds a family (default 10)")
    options = parser.parse_args()
    rows = []
    for name, short, long in families(benchmark_data() / "sygus" / "PBE_SLIA_Track" / "from_2018"):
        result = search(short, seconds=options.seconds)
        seen = {repr((one.input, one.output)) for one in short.examples}
        unseen = [one for one in long.examples if repr((one.input, one.output)) not in seen]
        right = sum(holds(result.found.definition, one, short) for one in unseen) if result.found else 0
        rows.append(
            {
                "family": name,
                "learned from": len(short.examples),
                "unseen rows": len(unseen),
                "right": right,
                "seconds": round(result.report.seconds, 2),
                "solution": result.found.definition if result.found else None,
            }
        )
        print(*rows[-1].values(), sep="  ", flush=True)
    figures = {
        "families": len(rows),
        "all unseen rows right": sum(
            row["right"] == row["unseen rows"] and row["solution"] is not None for row in rows
        ),
        "unseen rows": sum(int(str(row["unseen rows"])) for row in rows),
        "right": sum(int(str(row["right"])) for row in rows),
    }
    print_table(f"From few examples to many, {options.seconds:g} s each", [figures])
    write_results("sygus_generalisation", {"seconds": options.seconds, "summary": figures, "families": rows})


def families(folder: Path) -> Iterator[tuple[str, Task, Task]]:
    """Yield each family's name, its task with few examples, and its task with many."""
    for path in sorted([*folder.glob("*_short.sl"), *folder.glob("*_small.sl")]):
        name = path.stem.rpartition("_")[0]
        yield name, read(path), read(folder / f"{name}-long.sl")


def read(path: Path) -> Task:
    return parse_sygus(path.read_text(encoding="utf-8"), path.stem)


def holds(solution: str, example: Example, task: Task) -> bool:
    """Whether a solution gives an example's output, by the standard."""
    sorts = parameter_sorts(task)
    values = [example.input] if task.signature.call == "single" else example.input
    try:
        return (
            evaluate(parse_define_fun(solution).body, dict(zip(sorts, values, strict=True)), sorts)
            == example.output
        )
    except ValueError:
        return False


if __name__ == "__main__":
    main()
