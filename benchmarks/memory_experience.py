"""Does experience pay? The search over SyGuS strings and List Functions, with and without a memory.

Each set is gone through in three random orders with a memory that is empty at first: what one task teaches is
recalled for later ones. Without a memory the order does not matter, so that is done once. A task has a budget
of terms, so a busy machine changes no figure but the seconds, in which recall and learning are counted in.
The ratio of terms is a geometric mean over the tasks that are solved both ways, of the whole order and of its
halves. Every SyGuS solution is checked by another evaluator; the answers to the queries of List Functions are
looked at to score alone.

    INDUCE_BENCHMARK_DATA=… python benchmarks/memory_experience.py [--terms 500000] [--orders 3]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from reporting import benchmark_data, print_table, write_results
from sygus_strings import fault_of, names, read_task

import induce
from hypotheses.experience import Experience
from hypotheses.hypothesis import Solution
from hypotheses.recall.experience import StoredExperience
from hypotheses.search import SearchProposer
from hypotheses.solver import Solver
from hypotheses.solver_config import SolverConfig
from hypotheses.sygus.sexpr import SexprError
from hypotheses.task import Task
from induce.scoring import count_correct
from induce.statistics import Bootstrap
from induce.tasks import LabelledTask
from memory import ConceptStore
from sandboxes import EmbeddedSandbox

SETS = ("sygus", "list-functions")


@dataclass(frozen=True, slots=True)
class Done:
    """How one task went. ``right`` says whether all answers were, where they are known."""

    task: str
    solved: bool
    right: bool
    terms: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--terms", type=int, default=500_000, help="for one task (default 500,000)")
    parser.add_argument("--orders", type=int, default=3, help="random orders (default 3)")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    record: dict[str, object] = {"terms": options.terms, "orders": options.orders}
    for name in options.sets:
        tasks = read_tasks(name)
        without = asyncio.run(go_through(tasks, options.terms, None))
        runs: dict[str, list[Done]] = {"without": without}
        for seed in range(1, options.orders + 1):
            order = list(tasks)
            random.Random(seed).shuffle(order)
            with tempfile.TemporaryDirectory() as place, ConceptStore.open(Path(place) / "m.sqlite") as store:
                experience = StoredExperience(store, learns=True)
                runs[f"order {seed}"] = asyncio.run(go_through(order, options.terms, experience))
        rows += [row(name, way, without, done) for way, done in runs.items()]
        rows.append(together(name, without, [done for way, done in runs.items() if way != "without"]))
        record[name] = {way: [asdict(one) for one in done] for way, done in runs.items()}
    print_table(f"search with and without a memory, {options.terms:,} terms a task", rows)
    if tuple(options.sets) == SETS:
        write_results("memory_experience", {"summary": rows} | record)


def read_tasks(name: str) -> list[LabelledTask]:
    """Read a set; tasks of SyGuS that the reader refuses are left out, and have no answers."""
    if name == "list-functions":
        source = benchmark_data() / "qiu2023" / "list_function.jsonl"
        return list(induce.load_tasks(source).labelled())
    found = []
    for file in names("*"):
        try:
            task = read_task(benchmark_data() / "sygus" / "PBE_SLIA_Track" / file)
        except SexprError as error:
            print(f"{file}: left out, {error}")
            continue
        found.append(LabelledTask(task, {}))
    return found


async def go_through(tasks: Sequence[LabelledTask], terms: int, experience: Experience | None) -> list[Done]:
    """Solve tasks one after another."""
    done = []
    with EmbeddedSandbox() as sandbox:
        solver = Solver(
            SearchProposer(None, terms),
            sandbox,
            config=SolverConfig(samples=1, rounds=1),
            experience=experience,
        )
        for number, labelled in enumerate(tasks, start=1):
            started = time.perf_counter()
            solution = await solver.solve(labelled.task)
            seconds = time.perf_counter() - started
            check(labelled.task, solution)
            right = count_correct(labelled, solution.predictions) == len(labelled.answers)
            one = Done(labelled.task.id, solution.solved, right, solution.usage.terms, round(seconds, 3))
            done.append(one)
            print(f"{number:4}/{len(tasks)}  {one.terms:9,}  {one.seconds:7.2f} s  {labelled.task.id}")
    return done


def check(task: Task, solution: Solution) -> None:
    """End the script where a solution is no solution."""
    definition = solution.candidate.hypothesis.definition if solution.candidate else ""
    if task.grammar is not None and solution.solved and (fault := fault_of(definition, task)):
        raise SystemExit(f"{task.id}: {fault}: {definition}")


def row(name: str, way: str, without: Sequence[Done], done: Sequence[Done]) -> dict[str, object]:
    """Compare one way with the search without a memory, and the second half of it with the first."""
    before = {one.task: one for one in without}
    halves = [done[: len(done) // 2], done[len(done) // 2 :]]
    return {
        "set": name,
        "way": way,
        "tasks": len(done),
        "solved": sum(one.solved for one in done),
        "gained": sum(one.solved and not before[one.task].solved for one in done),
        "lost": sum(before[one.task].solved and not one.solved for one in done),
        "right": sum(one.right and one.solved for one in done) if name == "list-functions" else "",
        "terms": sum(one.terms for one in done),
        "seconds": round(sum(one.seconds for one in done), 1),
        "ratio of terms": mean_ratio(before, done),
        "first half": mean_ratio(before, halves[0]),
        "second half": mean_ratio(before, halves[1]),
    }


def mean_ratio(before: dict[str, Done], done: Sequence[Done]) -> float | None:
    logs = [log_ratio(before[one.task], one) for one in done if one.solved and before[one.task].solved]
    return round(math.exp(sum(logs) / len(logs)), 3) if logs else None


def log_ratio(before: Done, after: Done) -> float:
    return math.log((after.terms + 1) / (before.terms + 1))


def together(name: str, without: Sequence[Done], orders: Sequence[Sequence[Done]]) -> dict[str, object]:
    """Give the gain over all orders with its 95 % interval, by bootstrap over tasks."""
    before = {one.task: one for one in without}
    after: dict[str, list[Done]] = {task: [] for task in before}
    for done in orders:
        for one in done:
            after[one.task].append(one)
    bootstrap = Bootstrap()
    gain = bootstrap.mean(
        [sum(one.solved - before[task].solved for one in found) / len(found) for task, found in after.items()]
    )
    logs = [
        sum(log_ratio(before[task], one) for one in both) / len(both)
        for task, found in after.items()
        if before[task].solved and (both := [one for one in found if one.solved])
    ]
    ratio = bootstrap.mean(logs)
    tasks = len(before)

    def interval(low: float, value: float, high: float, digits: int) -> str:
        return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"

    return {
        "set": name,
        "way": "all orders, 95 %",
        "tasks": tasks,
        "solved": interval(tasks * gain.low, tasks * gain.value, tasks * gain.high, 1),
        "gained": "",
        "lost": "",
        "right": "",
        "terms": "",
        "seconds": "",
        "ratio of terms": interval(math.exp(ratio.low), math.exp(ratio.value), math.exp(ratio.high), 3),
        "first half": "",
        "second half": "",
    }


if __name__ == "__main__":
    main()
