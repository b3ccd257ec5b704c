"""What a memory gives for tasks, and what it learns from them."""

import asyncio
from dataclasses import replace

import pytest

from hypotheses.hypothesis import Candidate, Entry, Hypothesis, Judged, Proposal, Solution, Trace, Verdict
from hypotheses.portfolio import PortfolioProposer
from hypotheses.recall import RecalledProposer
from hypotheses.recall.experience import LIBRARY_EVERY, StoredExperience
from hypotheses.search import SearchProposer
from hypotheses.search.proposer import LIBRARY, library_of
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from memory import Concept, ConceptStore, export_memory
from sandboxes import Execution, Limits, Program

LISTS = [[3, 1, 8, 2, 9, 5], [7, 7, 0, 1, 6, 4, 2], [1, 2, 3, 4, 5, 6, 7, 8]]


def task(name, function):
    return replace(Task.from_pairs([(x, function(x)) for x in LISTS], id=name), family="lists")


def inserting(number):
    return task(f"insert-{number}", lambda x: [*x[:2], number, *x[2:]])


@pytest.fixture
def store(tmp_path):
    with ConceptStore.open(tmp_path / "memory.sqlite") as opened:
        yield opened


def solver(sandbox, experience, proposer=None, **config):
    proposer = proposer or SearchProposer(None, 300_000)
    config = {"samples": 1, "rounds": 1} | config
    return Solver(
        proposer, sandbox, experience=experience, config=SolverConfig(**config), limits=Limits(seconds=0.2)
    )


def run(sandbox, experience, *tasks, proposer=None, **config):
    one = solver(sandbox, experience, proposer, **config)
    return [asyncio.run(one.solve(task)) for task in tasks]


def test_a_solution_helps_a_later_task_and_never_its_own(sandbox, store):
    experience = StoredExperience(store, learns=True, run="run.sqlite", model="")
    first, second, again = run(sandbox, experience, inserting(6), inserting(4), inserting(6))
    assert first.solved
    assert second.solved
    assert second.usage.terms < first.usage.terms / 10
    kept = {one.provenance.task: one for one in store.concepts() if one.kind == "solution"}
    assert set(kept) == {"insert-6", "insert-4"}
    learned = kept["insert-6"]
    assert learned.term
    assert learned.program is not None
    assert learned.signature == "(list[int]) -> list[int]"
    assert (learned.provenance.run, learned.provenance.clock) == ("run.sqlite", 0)
    assert (learned.statistics.used, learned.statistics.wins) == (1, 1)
    assert [one.used for one in store.outcomes()] == [0, 1, 1]  # the third was helped by the second
    assert again.solved
    assert kept["insert-4"].statistics.used == 1


def test_what_a_batch_learns_is_recalled_when_it_is_done(sandbox, store):
    experience = StoredExperience(store, learns=True, batch=2)
    run(sandbox, experience, inserting(6))
    assert asyncio.run(experience.recall(inserting(4))).concepts == ()
    run(sandbox, experience, inserting(5))
    assert {one.provenance.task for one in asyncio.run(experience.recall(inserting(4))).concepts} == {
        "insert-6",
        "insert-5",
    }


def test_a_frozen_experience_writes_nothing_and_does_not_see_what_others_learn(sandbox, store, tmp_path):
    run(sandbox, StoredExperience(store, learns=True), inserting(6))
    before = [(one, one.statistics) for one in store.concepts()]
    with ConceptStore.open(tmp_path / "memory.sqlite", frozen=True) as frozen:
        with pytest.raises(ValueError, match="frozen"):
            StoredExperience(frozen, learns=True)
        experience = StoredExperience(frozen, learns=False)
        run(sandbox, experience, inserting(4))
        assert [(one, one.statistics) for one in store.concepts()] == before
        run(sandbox, StoredExperience(store, learns=True), inserting(5))
        assert {one.provenance.task for one in asyncio.run(experience.recall(inserting(4))).concepts} == {
            "insert-6"
        }


def test_a_task_that_fails_teaches_nothing_but_that_it_was_done(sandbox, store):
    hard = task("hard", lambda x: [sum(x) ** 3 % 7919, len(x), 5])
    [solution] = run(
        sandbox, StoredExperience(store, learns=True), hard, proposer=SearchProposer(None, 2_000)
    )
    assert not solution.solved
    assert list(store.concepts()) == []
    assert [(one.task, one.solved) for one in store.outcomes()] == [("hard", False)]


def test_a_remembered_program_that_hangs_loses_and_one_that_wins_gains(sandbox, store):
    reverse = task("reverse", lambda x: x[::-1])
    hangs = Program("def f(x):\n    while True:\n        pass", "f")
    wins = Program("def f(x):\n    return x[::-1]", "f")
    features = tuple(asyncio.run(StoredExperience(store, learns=True).recall(reverse)).concepts)
    assert features == ()
    names = ("in:list[int]", "out:list[int]", "reversed", "rearranged")
    store.bring(
        [
            Concept("hangs", "", program=hangs, features=names),
            Concept("turns", "", program=wins, features=names),
        ]
    )
    proposer = RecalledProposer((), sandbox, at_once=2)
    [solution] = run(sandbox, StoredExperience(store, learns=True), reverse, proposer=proposer)
    assert solution.solved
    by_name = {one.name: one.statistics for one in store.concepts()}
    assert (by_name["hangs"].wins, by_name["hangs"].losses) == (0, 1)
    assert (by_name["turns"].wins, by_name["turns"].used, by_name["turns"].losses) == (1, 1, 0)


def test_remembered_programs_come_first_and_the_search_when_there_are_no_more(sandbox, store):
    store.bring(
        [
            Concept(f"adds {n}", "", program=Program(f"def f(x):\n    return [e + {n} for e in x]", "f"),
                    features=("in:list[int]", "out:list[int]"))
            for n in range(5)
        ]
    )  # fmt: skip
    proposer = PortfolioProposer(
        RecalledProposer((), sandbox, composed=0, at_once=2), SearchProposer(None, 300_000)
    )
    experience = StoredExperience(store, learns=True)
    [solution] = run(sandbox, experience, task("reverse", lambda x: x[::-1]), proposer=proposer, rounds=10)
    assert solution.solved
    assert solution.candidate.hypothesis.proposer == "search"
    assert solution.usage.rounds == 4
    assert solution.usage.programs == 6
    [solution] = run(
        sandbox, experience, task("more", lambda x: [e + 3 for e in x]), proposer=proposer, rounds=10
    )
    assert solution.candidate.hypothesis.proposer == "recall"
    assert solution.usage.terms == 0


def verdict(*, right):
    return Verdict((Execution("ok", 1),), (right,))


def test_concepts_shown_to_a_model_are_tried_with_and_without_them(store):
    ids = store.bring([Concept(f"c{n}", "", signature="(list[int]) -> list[int]") for n in range(6)])
    experience = StoredExperience(store, learns=True, tried=4)
    shown = held_out = 0
    for number in range(12):
        one = inserting(number)
        recollection = asyncio.run(experience.recall(one))
        assert {c.id for c in (*recollection.concepts, *recollection.held_out)} >= set(ids)
        assert 1 <= recollection.shown + len(recollection.held_out) <= 4
        shown += recollection.shown
        held_out += len(recollection.held_out)
        candidate = Candidate(Hypothesis("a rule"), Program("def f(x): return x", "f"))
        judged = (Judged(candidate, verdict(right=True)),)
        trace = Trace((Entry(0, 0, Proposal(candidate.hypothesis, candidate.program), judged),))
        solved = Solution(one.id, "solved", ((1,),), candidate, judged[0].verdict)
        asyncio.run(
            experience.learn(
                one, recollection, trace, replace(solved, outcome="unsolved" if number % 2 else "solved")
            )
        )
    assert held_out
    statistics = [one.statistics for one in store.concepts()]
    assert sum(one.wins + one.losses for one in statistics) == shown
    assert sum(one.wins_without + one.losses_without for one in statistics) == held_out
    assert all(one.recalled <= 12 for one in statistics)


def test_a_library_is_learned_from_solutions_and_given_to_the_search(sandbox, store):
    pytest.importorskip("stitch_core")
    experience = StoredExperience(store, learns=True)
    run(sandbox, experience, *(inserting(number) for number in range(LIBRARY_EVERY)))
    [library] = [one for one in store.concepts() if one.kind == LIBRARY]
    assert library_of([library]).abstractions
    assert library in [
        replace(one, statistics=library.statistics)
        for one in asyncio.run(experience.recall(inserting(77))).concepts
    ]
    run(sandbox, experience, *(inserting(20 + number) for number in range(LIBRARY_EVERY)))
    assert [one.version for one in store.concepts() if one.kind == LIBRARY] == [2]


def test_tasks_solved_at_the_same_time_learn_side_by_side(sandbox, store):
    experience = StoredExperience(store, learns=True)
    one = solver(sandbox, experience, concurrency=4)

    async def all_of_them():
        return [solution async for _, solution in one.stream(inserting(number) for number in range(12))]

    assert all(solution.solved for solution in asyncio.run(all_of_them()))
    assert store.clock == 12
    assert sum(one.kind == "solution" for one in store.concepts()) == 12


@pytest.mark.parametrize("options", [{"most": 0}, {"batch": 0}])
def test_numbers_that_cannot_be_are_refused(store, options):
    with pytest.raises(ValueError, match="at least 1"):
        StoredExperience(store, learns=True, **options)


def test_what_was_there_before_is_recalled_within_the_first_batch(store):
    store.bring([Concept("reversing", "", signature="(list[int]) -> list[int]")])
    experience = StoredExperience(store, learns=True, batch=10)
    assert [one.name for one in asyncio.run(experience.recall(inserting(4))).concepts] == ["reversing"]


def test_a_task_of_a_very_wide_table_is_learned_all_the_same(sandbox, store):
    wide = Task.from_pairs([(list(range(n, n + 300)), n) for n in (1, 5, 9)], id="wide", call="positional")
    [solution] = run(sandbox, StoredExperience(store, learns=True), wide)
    assert solution.solved
    [learned] = store.concepts()
    assert len(learned.signature) < 500


def test_a_concept_that_was_purged_meanwhile_is_not_missed(sandbox, store, tmp_path):
    experience = StoredExperience(store, learns=True)
    run(sandbox, experience, inserting(6))
    recollection = asyncio.run(experience.recall(inserting(4)))
    ids = [one.id for one in recollection.concepts]
    assert ids
    store.archive(ids)
    export_memory(store, tmp_path / "all.jsonl")
    store.purge(ids)
    program = recollection.concepts[0].program
    proposal = Proposal(Hypothesis("a rule"), program, concepts=tuple(ids))
    candidate = Candidate(proposal.hypothesis, program)
    judged = (Judged(candidate, verdict(right=True)),)
    solution = Solution("insert-4", "solved", ((1,),), candidate, judged[0].verdict)
    trace = Trace((Entry(0, 0, proposal, judged),))
    asyncio.run(experience.learn(inserting(4), recollection, trace, solution))
    assert [one.used for one in store.outcomes()] == [0, 1]
