"""Which of a library's programs to try on a task: are those that solve it tried early?

The library is 269 programs that a model wrote for training tasks of ARC-AGI-2; a task counts where one of
them satisfies all its training examples, which the file of solutions says. Every program is run once on the
probes, which are drawn and belong to no task, then the programs are ranked for each task from its training
examples alone, and nothing is run on it. A solver tries the programs in order and stops at the first that
satisfies the examples: a task takes as many executions as that program's rank, or the cut-off if it is less.

How much relations and named colours count was chosen with these tasks in sight. ``halves`` shows what that is
worth: weights chosen for one half of the tasks, by a hash of their ids, are scored on the other.

    INDUCE_BENCHMARK_DATA=… python benchmarks/memory_arc.py [--programs 20] [--solve 5]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from reporting import benchmark_data, print_table, write_results

from hypotheses.recall import Profile, Ranking, RecalledProposer, Weights, profile_of
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from induce.tasks.arc_agi import ArcAgi
from memory import Concept
from sandboxes import Program, Sandbox, TaskFormatError

CUTS = (1, 5, 13, 20, 27, 50, 100, 150)
GOAL = 0.10
"""The share of the library that may be executed on a task, on average."""

CHOICES = [
    Weights(likeness=likeness, colours=colours, prior=prior)
    for likeness, colours, prior in itertools.product((0.0, 6.0, 12.0), (1.0, 4.0, 8.0), (0.01, 0.1))
]

Ranks = np.ndarray[Any, np.dtype[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--programs", type=int, help="only so many programs (default all)")
    parser.add_argument(
        "--solve", type=int, default=20, help="tasks to solve in full, as a check of the ranks (default 20)"
    )
    options = parser.parse_args()
    library = dict(itertools.islice(read_library().items(), options.programs))
    tasks = {one.id: one for one in read_tasks()}
    solved_by = read_solutions(library, tasks)
    with open_sandbox(resolve_settings().sandbox) as sandbox:
        started = time.monotonic()
        profiles = [profile_of(program, sandbox) for program in library.values()]
        profiling = time.monotonic() - started
        started = time.monotonic()
        ranking = Ranking(profiles)
        ways = rank_all_ways(ranking, tasks, solved_by)
        seconds = (time.monotonic() - started) / len(solved_by)
        rows = [figures(name, ranks, len(library)) for name, ranks in ways.items()]
        print_table(f"{len(solved_by)} tasks, {len(library)} programs", rows)
        ranks = ways["both"]
        curve = [at(ranks, cut) for cut in (*CUTS, len(library))]
        print_table("tried in order, to the first that satisfies the examples or the cut-off", curve)
        halves = [
            figures(name, half, len(library)) for name, half in by_halves(ranking, tasks, solved_by).items()
        ]
        print_table("weights chosen on the other half", halves)
        checked = check(
            library, profiles, sandbox, tasks, dict(zip(solved_by, ranks, strict=True)), options.solve
        )
        print(f"solved in full: {checked['solved']} of {checked['tasks']}, as their ranks say")
    print(f"profiles: {profiling:.0f} s; a ranking in all ways: {seconds * 1000:.0f} ms")
    if options.programs is None:
        record = {
            "programs": len(library),
            "tasks": len(solved_by),
            "goal": f"at least 85 % found with at most {GOAL:.0%} of the library executed on average",
            "profiling_seconds": round(profiling, 1),
            "programs_that_act_on_no_probe": sum(not profile.acts for profile in profiles),
            "ways": rows,
            "curve": curve,
            "halves": halves,
            "solved_in_full": checked,
            "ranks": dict(zip(solved_by, map(int, ranks), strict=True)),
        }
        write_results("memory_arc", record)


def read_library() -> dict[str, Program]:
    lines = (benchmark_data() / "concepts" / "arc2_program_library.jsonl").read_text().splitlines()
    return {one["id"]: Program(one["program"], "transform", "grid_list") for one in map(json.loads, lines)}


def read_tasks() -> list[Task]:
    tasks = []
    for labelled in ArcAgi("arc2:training").read():
        if isinstance(labelled, TaskFormatError):
            raise labelled
        tasks.append(labelled.task)
    return tasks


def read_solutions(library: Mapping[str, Program], tasks: Mapping[str, Task]) -> dict[str, list[int]]:
    """Give for each task the positions of the programs that satisfy its examples; to score by, only."""
    positions = {id_: position for position, id_ in enumerate(library)}
    text = (benchmark_data() / "concepts" / "arc2_program_solves.json").read_text()
    solutions = {
        task: [positions[one] for one in solved["train_perfect"] if one in positions]
        for task, solved in json.loads(text).items()
        if task in tasks
    }
    return {task: found for task, found in solutions.items() if found}


def rank_all_ways(
    ranking: Ranking, tasks: Mapping[str, Task], solved_by: Mapping[str, Sequence[int]]
) -> dict[str, Ranks]:
    """Give the rank of the first program that solves each task, by each way of ranking and by both."""
    ways: dict[str, list[int]] = {"behaviour": [], "colours": [], "both": []}
    for task, solutions in solved_by.items():
        behaviour, colours = ranking.behaviour(tasks[task]), ranking.colours(tasks[task])
        both = behaviour + ranking.weights.colours * colours
        for name, scores in (("behaviour", behaviour), ("colours", colours), ("both", both)):
            ways[name].append(rank_of(scores, solutions))
    return {name: np.array(ranks) for name, ranks in ways.items()}


def rank_of(scores: np.ndarray[Any, np.dtype[np.float64]], solutions: Sequence[int]) -> int:
    order = np.argsort(-scores, kind="stable").tolist()
    return 1 + min(map(int, map(order.index, solutions)))


def at(ranks: Ranks, cut: int) -> dict[str, object]:
    """Say what is found, and how much is executed, where ranking is cut at ``cut``."""
    return {
        "cut-off": cut,
        "found": round(float((ranks <= cut).mean()), 4),
        "executed, mean": round(float(np.minimum(ranks, cut).mean()), 2),
        "executed, median": float(np.median(np.minimum(ranks, cut))),
    }


def figures(name: str, ranks: Ranks, programs: int) -> dict[str, object]:
    """Say how often a solution is among the first few, and what the goal's budget of executions finds."""
    budget = GOAL * programs
    cut = max(cut for cut in range(1, programs + 1) if np.minimum(ranks, cut).mean() <= budget)
    rng = np.random.default_rng(0)
    draws = rng.choice(ranks <= int(budget), (10_000, len(ranks))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return {
        "ranked by": name,
        "tasks": len(ranks),
        **{f"hit@{k}": round(float((ranks <= k).mean()), 3) for k in (1, 5, 20, int(budget))},
        "95 %": f"{low:.3f} to {high:.3f}",
        "mean rank": round(float(ranks.mean()), 1),
        "largest cut-off within budget": cut,
        "found": round(float((ranks <= cut).mean()), 3),
        "executed": round(float(np.minimum(ranks, cut).mean()), 1),
    }


def by_halves(
    ranking: Ranking, tasks: Mapping[str, Task], solved_by: Mapping[str, Sequence[int]]
) -> dict[str, Ranks]:
    """Rank each half of the tasks with those weights that did best on the other half."""
    half = np.array([hashlib.sha256(task.encode()).digest()[0] % 2 for task in solved_by])
    tried = []
    for weights in CHOICES:
        other = Ranking(ranking.profiles, weights)
        tried.append(rank_all_ways(other, tasks, solved_by)["both"])
    best = [int(np.argmin([ranks[half != this].mean() for ranks in tried])) for this in (0, 1)]
    for this in (0, 1):
        print(f"chosen for half {this}: {CHOICES[best[this]]}")
    joined = np.where(half == 0, tried[best[0]], tried[best[1]])
    return {"first half": joined[half == 0], "second half": joined[half == 1], "both halves": joined}


def check(
    library: Mapping[str, Program],
    profiles: Sequence[Profile],
    sandbox: Sandbox,
    tasks: Mapping[str, Task],
    ranks: Mapping[str, int],
    number: int,
) -> dict[str, int]:
    """Solve some tasks with the proposer and the solver, one program at a time; compare with the ranks."""
    concepts = [Concept(f"program {id_}", "", program=program) for id_, program in library.items()]
    cut = max(1, int(GOAL * len(library)))
    proposer = RecalledProposer(concepts, sandbox, cut, composed=0, profiles=profiles)
    solver = Solver(proposer, sandbox, config=SolverConfig(rounds=None, samples=1))
    chosen = list(ranks)[:: max(1, len(ranks) // number)][:number] if number else []
    solved = 0
    for task in chosen:
        solution = asyncio.run(solver.solve(tasks[task]))
        solved += solution.solved
        if (solution.solved, solution.usage.programs) != (ranks[task] <= cut, min(ranks[task], cut)):
            raise SystemExit(
                f"{task}: solved after {solution.usage.programs} programs, its rank is {ranks[task]}"
            )
    return {"tasks": len(chosen), "solved": solved}


if __name__ == "__main__":
    main()
