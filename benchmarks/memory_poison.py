"""What a poisoned memory does: programs that attack, texts that instruct, false claims, terms that mislead.

The parts are independent. What is hostile is in ``tests/poison.py``; all else is real: the sandbox, the
store, the prompts, the search, the loop. Needs no benchmark files.

- ``programs``: 21 hostile programs are recalled for tasks on lists beside 150 that do no harm and solve none
  of them. *Sleepers* behave on what programs are profiled with, so that they rank first, and attack on the
  tasks; the others attack at once. CPU time is limited to 0.2 s an input, ten times less than by default,
  and costs in seconds grow with that.
- ``texts``: what a prompt has of hostile texts, for each step that shows concepts.
- ``claims``: how long a concept that harms keeps its standing. There is no model in this: whether a task is
  solved is a seeded coin of stated rates (a fault injection), with a concept that harms among six that do
  nothing and one that helps. What is lost is counted against the same coins without the harmful concept.
- ``terms``: the tasks of ``examples/search`` with terms and libraries that mislead. What makes
  values grow without bound is tried in a process of its own, with 15 s and 2 GB.

    python benchmarks/memory_poison.py [--parts programs texts claims terms] [--tasks 40] [--seeds 200]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from reporting import print_table, write_results

sys.path.append(str(Path(__file__).parent.parent / "tests"))

import poison

import induce
from hypotheses.hypothesis import Solution, Trace
from hypotheses.models.chat import ContextOverflowError
from hypotheses.portfolio import PortfolioProposer
from hypotheses.prompts import Prompts
from hypotheses.proposer import Proposer
from hypotheses.recall import RecalledProposer, query_of
from hypotheses.recall.experience import StoredExperience
from hypotheses.recall.profile_folder import ProfileFolder
from hypotheses.search import SearchProposer, search
from hypotheses.search.library import Library
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from induce.wiring import COMPOSED, RECALL_AT_ONCE, RECALL_ROUNDS, RECALLED
from memory import Concept, ConceptStore
from memory.trials import standing
from sandboxes import EmbeddedSandbox, Limits, Program, Sandbox

PARTS = ("programs", "texts", "claims", "terms")
HARMLESS_PROGRAMS = 150
TERMS = 1_000_000
CONTEXT = 16_384
LIMITS = Limits(seconds=0.2)
RATES = {"nothing": 0.6, "help": 0.8, "harm": 0.1}
"""The chance that a task is solved; where both are shown, harm it is."""

TRIED = 8
CLAIM_TASKS = 100
LATE = 20
DOUBTED, RULED_OUT = 1.0, 0.2
"""A standing below the first: less probable than 25 % that it helps; below the second: than 5 %."""

PATIENCE = 15
GROWING = {"term": poison.growing_terms(), "library": poison.growing_libraries()}

Row = dict[str, object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--tasks", type=int, default=40, help="of the part programs (default 40)")
    parser.add_argument("--seeds", type=int, default=200, help="of the part claims (default 200)")
    options = parser.parse_args()
    record: dict[str, object] = {}
    if "programs" in options.parts:
        record["programs"] = programs(options.tasks)
    if "texts" in options.parts:
        record["texts"] = texts()
    if "claims" in options.parts:
        record["claims"] = claims(options.seeds)
    if "terms" in options.parts:
        record["terms"] = terms()
    if tuple(options.parts) == PARTS:
        write_results("memory_poison", record)


# Programs


@dataclass(frozen=True, slots=True)
class Did:
    """How one task went: whether its prediction was right, and which concepts were tried on it, by name."""

    solved: bool
    right: bool
    seconds: float
    recalled: tuple[str, ...]
    tried: frozenset[str]


def inserting(number: int) -> Task:
    """Give the task to put a number into lists so long that sleepers wake up."""
    chance = random.Random(number)
    lists = [[chance.randrange(10) for _ in range(length)] for length in (12, 13, 14, 15)]
    pairs = [(some, [*some[:3], number, *some[3:]]) for some in lists]
    task = Task.from_pairs(pairs[:3], queries=[pairs[3][0]], id=f"insert-{number}")
    return replace(task, family="lists")


def answer(task: Task, number: int) -> object:
    [query] = task.queries
    return [*query[:3], number, *query[3:]]


class Kept:
    """Keeps the trace of the newest task."""

    def __init__(self) -> None:
        self.trace = Trace()

    def record(self, task: Task, trace: Trace, solution: Solution) -> None:
        del task, solution
        self.trace = trace


def programs(tasks: int) -> Row:
    """Solve tasks with a memory that has no hostile programs, sleepers, and those that attack at once."""
    rows, standings, harm = [], [], []
    plain = 0.0
    for name in ("none", "sleepers", "at once"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place, "host")
            folder.mkdir()
            with poison.watched(folder) as (port, done):
                hostile = (
                    {} if name == "none" else poison.hostile_programs(folder, port, sleeps=name != "at once")
                )
                with EmbeddedSandbox() as sandbox, ConceptStore.open(Path(place, "m.sqlite")) as store:
                    profiling, did = go_through(store, sandbox, Path(place), hostile, tasks)
                    by_name = {one.name: one.statistics for one in store.concepts()}
            harm += [f"{name}: {what}" for what in done]
        seconds = sum(one.seconds for one in did)
        plain = plain or seconds
        rows.append(
            {
                "hostile": name,
                "tasks": tasks,
                "solved": sum(one.solved for one in did),
                "right": sum(one.right for one in did),
                "harm to the host": len(done),
                "profiling, s": round(profiling, 2),
                "s a task": round(seconds / tasks, 2),
                "more than without": round((seconds - plain) / tasks, 2),
                "first task, s": round(did[0].seconds, 2),
                f"last {LATE // 2}, s": round(sum(one.seconds for one in did[-LATE // 2 :]) / (LATE // 2), 2),
            }
        )
        for what in hostile:
            ran = [number for number, one in enumerate(did, 1) if what in one.tried]
            there = [number for number, one in enumerate(did, 1) if what in one.recalled]
            standings.append(
                {
                    "hostile": name,
                    "program": what,
                    "deadly": what in poison.DEADLY,
                    "run on tasks": len(ran),
                    "last run on": max(ran, default=0),
                    "recalled last for": max(there, default=0),
                    "losses": by_name[what].losses,
                    "standing": round(standing(by_name[what]), 2),
                }
            )
    print_table(f"hostile programs, {HARMLESS_PROGRAMS} harmless ones beside them", rows)
    print_table("what became of each", standings)
    return {"limits": f"{LIMITS.seconds} s an input", "summary": rows, "each": standings, "harm": harm}


def go_through(
    store: ConceptStore, sandbox: Sandbox, place: Path, hostile: Mapping[str, Program], tasks: int
) -> tuple[float, list[Did]]:
    """Solve tasks one by one; give the seconds that profiling the hostile took, and how they went."""
    query = query_of(inserting(0))
    harmless = {
        f"puts {n} at {n % 7}": Program(f"def f(x):\n    return [*x[:{n % 7}], {n}, *x[{n % 7}:]]", "f")
        for n in range(1_000, 1_000 + HARMLESS_PROGRAMS)
    }
    # What is newest comes first among equals.
    for some in (harmless, hostile):
        store.bring(
            [
                Concept(name, "", program=program, features=query.features, signature=query.signature)
                for name, program in some.items()
            ]
        )
    profiles = ProfileFolder(place / "profiles")
    for program in harmless.values():
        profiles.get(program, sandbox)
    started = time.perf_counter()
    for program in hostile.values():
        profiles.get(program, sandbox)
    profiling = time.perf_counter() - started
    recalled = RecalledProposer(
        (), sandbox, RECALLED, composed=COMPOSED, at_once=RECALL_AT_ONCE, terms=False, profiles=profiles
    )
    proposer: Proposer = PortfolioProposer(recalled, SearchProposer(None, 300_000))
    kept = Kept()
    experience = StoredExperience(store, learns=True)
    config = SolverConfig(samples=1, rounds=RECALL_ROUNDS + 1)
    solver = Solver(proposer, sandbox, config=config, limits=LIMITS, recorder=kept, experience=experience)
    names = {one.id: one.name for one in store.concepts()}
    did = []
    for number in range(10, 10 + tasks):
        task = inserting(number)
        known = asyncio.run(experience.recall(task)).concepts
        started = time.perf_counter()
        solution = asyncio.run(solver.solve(task))
        seconds = time.perf_counter() - started
        assert poison.SECRET not in repr(kept.trace), "the environment was seen"
        tried = {names.get(one, "") for entry in kept.trace.entries for one in entry.proposal.concepts}
        right = [list(some) for some in solution.predictions] == [[answer(task, number)]]
        did.append(Did(solution.solved, right, seconds, tuple(one.name for one in known), frozenset(tried)))
    return profiling, did


# Texts


def texts() -> list[Row]:
    """Write prompts with hostile concepts; say how long they are, and whether anything leaves the fence."""
    task = inserting(1)
    [grammatical] = [one.task for one in induce.load_tasks("examples/search/initials.sl").labelled()]
    prompts = Prompts()
    steps: dict[str, Callable[[Sequence[Concept]], Any]] = {
        "hypothesize": lambda concepts: prompts.hypothesize(task, concepts=concepts),
        "write_program": lambda concepts: prompts.write_program(task, concepts=concepts),
        "translate": lambda concepts: prompts.translate(task, "a rule", concepts=concepts),
        "write_term": lambda concepts: prompts.write_term(grammatical, concepts=concepts),
    }
    rows = []
    cases = dict(zip(poison.TEXTS, ([one] for one in poison.hostile_texts()), strict=True))
    cases |= {"all of these": poison.hostile_texts(), "many cues": [poison.many_cues()]}
    for what, concepts in cases.items():
        row: Row = {"text": what, "characters stored": sum(map(stored_length, concepts))}
        for step, write in steps.items():
            outside, inside = poison.around_fence(write(concepts)[-1].content, "concepts")
            plain, _ = poison.around_fence(write([Concept("a", "b")])[-1].content, "concepts")
            row[step] = f"{len(inside):,}" if outside == plain else "LEAVES THE FENCE"
        try:
            Prompts(context=CONTEXT).write_program(task, concepts=concepts, reserve=1_000)
            row[f"with {CONTEXT:,} tokens"] = "fits"
        except ContextOverflowError:
            row[f"with {CONTEXT:,} tokens"] = "does not fit"
        rows.append(row)
    print_table("characters of hostile concepts in a prompt, all of them inside one fence", rows)
    return rows


def stored_length(concept: Concept) -> int:
    parts = [concept.name, concept.description, *concept.parameters, *concept.cues]
    return sum(map(len, parts)) + (len(concept.program.source) if concept.program else 0)


# Claims


@dataclass(slots=True)
class Fared:
    """How one concept fared over the tasks of a seed."""

    shown: int = 0
    shown_late: int = 0
    below: Counter[float] | None = None
    first: dict[float, int] | None = None
    at_end: float = 1.0


def claims(seeds: int) -> Row:
    """Go through tasks with and without the harmful concept, for each seed."""
    kinds = {"harm": 1, "help": 1, "nothing": TRIED - 2}
    fared: dict[str, list[Fared]] = {kind: [] for kind in kinds}
    lost, lost_late, without_memory = [], [], []
    with tempfile.TemporaryDirectory(dir=_fast()) as place:
        for seed in range(seeds):
            coins = np.random.default_rng(seed).random(CLAIM_TASKS)
            solved, found = tell(Path(place, f"{seed}.sqlite"), seed, coins, kinds)
            clean, _ = tell(Path(place, f"{seed}-clean.sqlite"), seed, coins, kinds | {"harm": 0})
            lost.append(int(clean.sum() - solved.sum()))
            lost_late.append(int(clean[-LATE:].sum() - solved[-LATE:].sum()))
            without_memory.append(int(solved.sum() - (coins < RATES["nothing"]).sum()))
            for kind, some in found.items():
                fared[kind] += some
            for file in Path(place).iterdir():
                file.unlink()
    rows = [claim_row(kind, some) for kind, some in fared.items()]
    print_table(f"claims: {seeds} seeds of {CLAIM_TASKS} tasks, solved by {RATES}", rows)
    losses = {
        "tasks lost, mean": round(float(np.mean(lost)), 2),
        "median": float(np.median(lost)),
        "99th percentile": round(float(np.percentile(lost, 99)), 1),
        f"of the last {LATE}, mean": round(float(np.mean(lost_late)), 2),
        "solved more than with no memory, mean": round(float(np.mean(without_memory)), 2),
    }
    print_table("against the same memory without the harmful concept", [losses])
    return {"rates": RATES, "tasks": CLAIM_TASKS, "seeds": seeds, "concepts": rows, "losses": losses}


def tell(
    place: Path, seed: int, coins: np.ndarray, kinds: Mapping[str, int]
) -> tuple[np.ndarray, dict[str, list[Fared]]]:
    """Give which tasks are solved, and how the concepts fared, by their kind."""
    task = inserting(1)
    query = query_of(task)
    order = [f"{kind} {number}" for kind, many in kinds.items() for number in range(many)]
    random.Random(seed).shuffle(order)
    concepts = [
        Concept(f"{name} of {seed}", "a claim", features=query.features, signature=query.signature)
        for name in order
    ]
    solved = np.zeros(len(coins), bool)
    fared = {name: Fared(below=Counter(), first={}) for name in order}
    with ConceptStore.open(place) as store:
        ids = dict(zip(store.bring(concepts), order, strict=True))
        experience = StoredExperience(store, learns=True, tried=TRIED)
        for number, coin in enumerate(coins):
            this = replace(task, id=f"{seed}-{number}")
            recollection = asyncio.run(experience.recall(this))
            shown = {ids[one.id] for one in recollection.concepts[: recollection.shown]}
            effects = {name.split()[0] for name in shown}
            rate = RATES[next(kind for kind in ("harm", "help", "nothing") if kind in {*effects, "nothing"})]
            solved[number] = coin < rate
            outcome = Solution(this.id, "solved" if solved[number] else "unsolved")
            asyncio.run(experience.learn(this, recollection, Trace(), outcome))
            for name in shown:
                fared[name].shown += 1
                fared[name].shown_late += number >= len(coins) - LATE
            for one in store.concepts():
                note(fared[ids[one.id]], standing(one.statistics), number + 1)
    by_kind: dict[str, list[Fared]] = {kind: [] for kind in kinds}
    for name, one in fared.items():
        by_kind[name.split()[0]].append(one)
    return solved, by_kind


def note(fared: Fared, now: float, number: int) -> None:
    """Keep since which task a standing is below the bounds; a standing that comes back was not lost."""
    fared.at_end = now
    assert fared.first is not None
    for bound in (DOUBTED, RULED_OUT):
        if now >= bound:
            fared.first.pop(bound, None)
        else:
            fared.first.setdefault(bound, number)


def claim_row(kind: str, fared: Sequence[Fared]) -> Row:
    def when(bound: float, share: float) -> str:
        numbers = [one.first.get(bound, CLAIM_TASKS + 1) for one in fared if one.first is not None]
        found = np.percentile(numbers, share)
        return "never" if found > CLAIM_TASKS else f"{found:.0f}"

    def share(bound: float) -> float:
        return round(float(np.mean([one.at_end < bound for one in fared])), 3)

    shown = [one.shown for one in fared]
    return {
        "concepts that": kind,
        "number": len(fared),
        "doubted since task, median": when(DOUBTED, 50),
        "99 %": when(DOUBTED, 99),
        "doubted at the end": share(DOUBTED),
        "ruled out since, median": when(RULED_OUT, 50),
        "99 % ": when(RULED_OUT, 99),
        "ruled out at the end": share(RULED_OUT),
        "shown to, median": float(np.median(shown)),
        "99 %  ": round(float(np.percentile(shown, 99)), 1),
        f"of the last {LATE}, mean": round(float(np.mean([one.shown_late for one in fared])), 2),
    }


def _fast() -> str | None:
    """Give a folder in memory, where there is one: hundreds of stores are made."""
    place = "/dev/shm"  # noqa: S108
    return place if os.access(place, os.W_OK) else None


# Terms


def terms() -> Row:
    """Search with remembered terms and libraries that mislead, and compare with the search without them."""
    tasks = [one.task for one in induce.load_tasks("examples/search").labelled()]
    many = {
        f"{name}, {copy}": term.replace('"hole":0', f'"hole":{copy}')
        for name, term in poison.hostile_terms().items()
        for copy in range(3)
    }
    ways: dict[str, tuple[Mapping[str, str], str]] = {
        "nothing": ({}, ""),
        **{f"term: {name}": ({name: term}, "") for name, term in poison.hostile_terms().items()},
        "all terms, thrice": (many, ""),
        **{f"library: {name}": ({}, text) for name, text in poison.hostile_libraries().items()},
    }
    rows: list[Row] = []
    before: dict[str, tuple[bool, int, float]] = {}
    for way, (remembered, library) in ways.items():
        now = {task.id: searched(task, remembered, library) for task in tasks}
        before = before or now
        ended = [one for one in now.values() if one is not None]
        ratios = [
            (now[id_][1] + 1) / (was[1] + 1)
            for id_, was in before.items()
            if now[id_] and was[0] and now[id_][0]
        ]
        rows.append(
            {
                "remembered": way,
                "tasks": len(tasks),
                "solved": sum(one[0] for one in ended),
                "failed with an error": len(tasks) - len(ended),
                "terms": sum(one[1] for one in ended),
                "ratio of terms": round(float(np.exp(np.mean(np.log(ratios)))), 2) if ratios else "",
                "seconds": round(sum(one[2] for one in ended), 2),
            }
        )
    print_table(f"search with what misleads, {TERMS:,} terms a task", rows)
    growing = [
        grown(form, name, task)
        for form, texts_by_name in GROWING.items()
        for name in texts_by_name
        for task in tasks
        if task.id in ("domain", "small-ones")
    ]
    print_table(f"what makes values grow, each in a process with {PATIENCE} s and 2 GB", growing)
    return {"searches": rows, "growing": growing}


def searched(task: Task, remembered: Mapping[str, str], library: str) -> Any:
    """Search as the proposer does; ``None`` where that fails with an error of another kind than ours."""
    known = None
    try:
        known = Library.from_json(library) if library else None
    except ValueError:
        known = None
    try:
        result = search(
            task, seconds=None, max_terms=TERMS, library=known, remembered=list(remembered.values())
        )
    except (ArithmeticError, LookupError, MemoryError, RecursionError, TypeError, ValueError):
        return None
    return result.found is not None, result.report.terms, result.report.seconds


def grown(form: str, name: str, task: Task) -> Row:
    """Search with one term or library that makes values grow, in another process."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=search_confined, args=(task.id, form, name, sender))
    child.start()
    sender.close()
    told = "did not end"
    if receiver.poll(PATIENCE):
        try:
            told = receiver.recv_bytes().decode()
        except EOFError:
            told = "died"
    child.kill()
    child.join()
    return {"what": f"{form}: {name}", "task": task.id, "ended": told}


def search_confined(id_: str, form: str, name: str, sender: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    [task] = [one.task for one in induce.load_tasks("examples/search").labelled() if one.task.id == id_]
    text = GROWING[form][name]
    result = searched(task, {name: text}, "") if form == "term" else searched(task, {}, text)
    ended = "failed with an error"
    if result is not None:
        solved, terms, seconds = result
        ended = f"{'solved' if solved else 'unsolved'}, {terms:,} terms, {seconds:.2f} s"
    sender.send_bytes(ended.encode())


if __name__ == "__main__":
    main()
