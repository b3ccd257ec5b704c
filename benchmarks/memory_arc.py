"""Which of a library's programs to try on a task: are those that solve it tried early?

The library is 269 programs that a model wrote for training tasks of ARC-AGI-2; a task counts where one of
them satisfies all its training examples, which the file of solutions says. Every program is run once on the
probes, which are drawn and belong to no task, then the programs are ranked for each task from its training
examples alone, and nothing is run on it. A solver tries the programs in order and stops at the first that
satisfies the examples: a task takes as many executions as that program's rank, or the cut-off if it is less.

How much relations and named colours count was chosen with these tasks in sight. ``halves`` shows what that is
worth: weights chosen for one half of the tasks, by a hash of their ids, are scored on the other.

The ways of ranking beside it are those of a memory, which finds programs by their features: what held on
most of the probes. Tasks of ARC have no words, so where words are asked for, the query is the task's own
features, split into words ("colours:same in:grid" asks for colours, same, in, grid). ``words of the code``
looks for these in what the programs are written with, ``words of the features`` in the features of programs,
written out as their description, and so do the vectors of an embedder. ``structure`` is the memory's overlap
of features. What such a way does not find at all comes after what it finds, in the library's order. ``all
fused`` is the fusion of all ways by reciprocal ranks, ``memory fused`` that of the memory's own.

``through the store`` is the way that users have: the programs are imported into a memory, which gives the
``most`` that fit a task best, and these alone are ranked by what they do, and tried in this order.

    INDUCE_BENCHMARK_DATA=… python benchmarks/memory_arc.py [--programs 20] [--solve 5]
        [--embedder model2vec:FOLDER] [--profiles FOLDER]
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from reporting import benchmark_data, print_table, write_results

from hypotheses.recall import Profile, Ranking, RecalledProposer, Weights, query_of
from hypotheses.recall.describing import with_features
from hypotheses.recall.profile_folder import ProfileFolder
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from induce.sandboxing import open_sandbox
from induce.settings import resolve_settings
from induce.tasks.arc_agi import ArcAgi
from induce.wiring import RECALLED
from memory import Concept, ConceptStore, RecallQuery, read_programs
from memory.embedding import Embedder, open_embedder
from memory.retrieval import RETRIEVERS, Retriever, by_features, by_words, fuse
from sandboxes import Program, Sandbox, TaskFormatError

CUTS = (1, 5, 13, 20, 27, 50, 100, 150)
RECALLS = (100, 300)
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
    parser.add_argument("--embedder", metavar="SPEC", help="also by vectors, such as model2vec:FOLDER's")
    parser.add_argument(
        "--profiles",
        type=Path,
        default=Path(tempfile.gettempdir(), "induce-benchmark-profiles"),
        metavar="FOLDER",
        help="where profiles are kept for the next time (default: in a temporary folder)",
    )
    options = parser.parse_args()
    embedder = open_embedder(options.embedder) if options.embedder else None
    folder = ProfileFolder(options.profiles)
    there = len(list(options.profiles.rglob("*.json")))
    library = dict(itertools.islice(read_library().items(), options.programs))
    tasks = {one.id: one for one in read_tasks()}
    solved_by = read_solutions(library, tasks)
    with open_sandbox(resolve_settings().sandbox) as sandbox:
        started = time.monotonic()
        profiles = [folder.get(program, sandbox) for program in library.values()]
        profiling = time.monotonic() - started
        started = time.monotonic()
        ranking = Ranking(profiles)
        ways = rank_all_ways(ranking, tasks, solved_by)
        seconds = (time.monotonic() - started) / len(solved_by)
        library_concepts = [
            one
            for one in with_features(read_programs(library_file()), sandbox, folder)
            if one.name.removeprefix("program ") in library
        ]
        found = by_memory(library_concepts, tasks, solved_by, ranking, embedder)
        ways |= {
            name: np.array([rank_in(order, solved_by[task]) for task, order in orders.items()])
            for name, orders in found.items()
        }
        through = through_the_store(library_concepts, profiles, tasks, solved_by)
        rows = [figures(name, ranks, len(library)) for name, ranks in ways.items()]
        print_table(f"{len(solved_by)} tasks, {len(library)} programs", rows)
        print_table("through the store", through)
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
            "profiles_that_were_there": there,
            "embedder": embedder and embedder.name,
            "programs_that_act_on_no_probe": sum(not profile.acts for profile in profiles),
            "ways": rows,
            "through_the_store": through,
            "curve": curve,
            "halves": halves,
            "solved_in_full": checked,
            "ranks": dict(zip(solved_by, map(int, ranks), strict=True)),
        }
        write_results("memory_arc", record)


def library_file() -> Path:
    return benchmark_data() / "concepts" / "arc2_program_library.jsonl"


def read_library() -> dict[str, Program]:
    lines = library_file().read_text().splitlines()
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


def rank_in(order: Sequence[int], solutions: Sequence[int]) -> int:
    return 1 + min(map(order.index, solutions))


def by_memory(
    concepts: Sequence[Concept],
    tasks: Mapping[str, Task],
    solved_by: Mapping[str, Sequence[int]],
    ranking: Ranking,
    embedder: Embedder | None,
) -> dict[str, dict[str, list[int]]]:
    """Give the order of all programs for each task, by each of a memory's ways and by their fusions."""
    plain: dict[str, Retriever] = {"words": by_words}
    written = [replace(one, description=as_words(one.features), program=None) for one in concepts]
    orders = {
        "words of the code": ask([replace(one, features=()) for one in concepts], tasks, solved_by, plain),
        "words of the features": ask(written, tasks, solved_by, plain),
        "structure": ask(concepts, tasks, solved_by, {"features": by_features}),
    }
    if embedder is not None:
        orders["dense"] = ask(written, tasks, solved_by, {}, embedder)
    own = tuple(orders)
    orders["memory fused"] = {task: fused([orders[way][task] for way in own]) for task in solved_by}
    orders["all fused"] = {
        task: fused([*(orders[way][task] for way in own), ranking.rank(tasks[task])]) for task in solved_by
    }
    every = range(len(concepts))
    return {
        name: {task: [*dict.fromkeys([*order, *every])] for task, order in found.items()}
        for name, found in orders.items()
    }


def ask(
    concepts: Sequence[Concept],
    tasks: Mapping[str, Task],
    solved_by: Mapping[str, Sequence[int]],
    retrievers: Mapping[str, Retriever],
    embedder: Embedder | None = None,
) -> dict[str, list[int]]:
    """Give the positions of those that a memory finds for each task, with the features as the words."""
    with (
        tempfile.TemporaryDirectory() as place,
        ConceptStore.open(Path(place, "m.sqlite"), retrievers=retrievers, embedder=embedder) as store,
    ):
        positions = {id_: position for position, id_ in enumerate(store.bring(concepts))}
        queries = {task: query_of(tasks[task]) for task in solved_by}
        return {
            task: [
                positions[one.concept.id]
                for one in store.recall(RecallQuery(as_words(query.features), query.features), len(concepts))
            ]
            for task, query in queries.items()
        }


def as_words(features: Sequence[str]) -> str:
    return " ".join(features)


def fused(orders: Sequence[Sequence[int]]) -> list[int]:
    return [position for position, _, _ in fuse({str(way): order for way, order in enumerate(orders)})]


def through_the_store(
    concepts: Sequence[Concept],
    profiles: Sequence[Profile],
    tasks: Mapping[str, Task],
    solved_by: Mapping[str, Sequence[int]],
) -> list[dict[str, object]]:
    """Recall for each task and rank what came, as the proposer does; say what is found, and with how much."""
    rows: list[dict[str, object]] = []
    with (
        tempfile.TemporaryDirectory() as place,
        ConceptStore.open(Path(place, "m.sqlite"), retrievers=RETRIEVERS) as store,
    ):
        positions = {id_: position for position, id_ in enumerate(store.bring(concepts))}
        for most in RECALLS:
            ranks, recalled = [], []
            for task, solutions in solved_by.items():
                came = [positions[one.concept.id] for one in store.recall(query_of(tasks[task]), most)]
                order = [came[at] for at in Ranking([profiles[one] for one in came]).rank(tasks[task])]
                there = [order.index(one) for one in solutions if one in order]
                ranks.append(1 + min(there) if there else 0)
                recalled.append(len(came))
            rows += [
                tried_in_order(most, np.array(ranks), np.array(recalled), cut) for cut in (27, RECALLED, most)
            ]
    return rows


def tried_in_order(most: int, ranks: Ranks, recalled: Ranks, cut: int) -> dict[str, object]:
    """Say what is found where so many are recalled; rank 0 is what was not recalled."""
    found = (ranks > 0) & (ranks <= cut)
    executed = np.where(found, ranks, np.minimum(recalled, cut))
    return {
        "recalled at most": most,
        "recalled, mean": round(float(recalled.mean()), 1),
        "a solution among them": round(float((ranks > 0).mean()), 4),
        "tried at most": cut,
        "found": round(float(found.mean()), 4),
        "tasks found": int(found.sum()),
        "executed, mean": round(float(executed.mean()), 2),
    }


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
