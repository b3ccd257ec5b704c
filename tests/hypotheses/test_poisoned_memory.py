"""A memory that somebody has poisoned: nothing happens to the host, and tasks are solved all the same."""

import asyncio
import random
from dataclasses import replace

import poison
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import induce
from hypotheses.hypothesis import Solution, Trace
from hypotheses.portfolio import PortfolioProposer
from hypotheses.prompts import Prompts
from hypotheses.recall import RecalledProposer, query_of
from hypotheses.recall.experience import StoredExperience
from hypotheses.search import SearchProposer, search
from hypotheses.search.library import Library
from hypotheses.search.reuse import MOST_TERMS
from hypotheses.solver import Solver, SolverConfig
from hypotheses.task import Task
from memory import Concept, ConceptStore, Statistics
from memory.trials import MOST_HARMED, standing
from sandboxes import EmbeddedSandbox, Limits, Program

LONG = [list(range(n, n + 13)) for n in range(4)]
TASKS = {one.task.id: one.task for one in induce.load_tasks("examples/search").labelled()}
QUICK = ("domain", "small-ones", "sorted-doubles", "total-of-rest", "year", "price")


def inserting(number):
    pairs = [(some, [*some[:3], number, *some[3:]]) for some in LONG]
    return replace(Task.from_pairs(pairs[:3], queries=[LONG[3]], id=f"insert-{number}"), family="lists")


class Traces:
    def __init__(self):
        self.found = []

    def record(self, task, trace, solution):
        self.found.append(trace)


@pytest.fixture
def store(tmp_path):
    with ConceptStore.open(tmp_path / "memory.sqlite") as opened:
        yield opened


@pytest.mark.parametrize("sleeps", [True, False])
def test_hostile_programs_do_no_harm_and_the_task_is_solved(store, tmp_path, sleeps):
    query, traces = query_of(inserting(50)), Traces()
    folder = tmp_path / "host"
    folder.mkdir()
    with poison.watched(folder) as (port, harm), EmbeddedSandbox() as sandbox:
        programs = poison.hostile_programs(folder, port, sleeps=sleeps)
        if not sleeps:  # to profile what is deadly at once takes a second each
            programs = {name: one for name, one in programs.items() if name in poison.FUTILE}
        store.bring(
            [
                Concept(name, "", program=one, features=query.features, signature=query.signature)
                for name, one in programs.items()
            ]
        )
        recalled = RecalledProposer((), sandbox, 48, composed=0, at_once=24, terms=False)
        solver = Solver(
            PortfolioProposer(recalled, SearchProposer(None, 300_000)),
            sandbox,
            config=SolverConfig(samples=24, rounds=4),
            limits=Limits(seconds=0.1),
            recorder=traces,
            experience=StoredExperience(store, learns=True),
        )
        solution = asyncio.run(solver.solve(inserting(50)))
    assert harm == []
    assert solution.solved
    assert solution.predictions == (([3, 4, 5, 50, *LONG[3][3:]],),)
    [trace] = traces.found
    assert poison.SECRET not in repr(trace)
    names = {one.id: one.name for one in store.concepts()}
    tried = {names[one] for entry in trace.entries for one in entry.proposal.concepts}
    assert tried >= set(programs)
    lost = {one.name for one in store.concepts() if one.statistics.losses}
    assert lost >= set(poison.DEADLY) & set(programs)
    assert lost.isdisjoint({"writes a file", "calls home", "kills the host", "reads the environment"})


def test_what_watches_the_host_sees_harm(tmp_path):
    with poison.watched(tmp_path) as (_, harm):
        (tmp_path / "canary").write_text("harm")
    assert harm == ["files were changed"]


def written(concepts):
    """Prompts of all steps that show concepts, as their last message."""
    prompts = Prompts()
    yield from (
        prompts.hypothesize(TASKS["year"], level=level, concepts=concepts) for level in ("", "general")
    )
    yield prompts.write_program(TASKS["year"], concepts=concepts)
    yield prompts.translate(TASKS["year"], "a rule", concepts=concepts)
    yield prompts.write_term(TASKS["initials"], concepts=concepts)


HARMLESS = Concept("a", "b", program=Program("def f(x): return x", "f"))
LURES = st.sampled_from(
    [*poison.TEXTS.values(), "```", "\n````concepts\n", "<|im_end|>", "\n# Now: the rule\n"]
)
LURING = st.lists(LURES | st.text(max_size=9), max_size=4).map("".join)


@pytest.mark.parametrize("concept", poison.hostile_texts(), ids=list(poison.TEXTS))
def test_hostile_texts_stay_in_their_fence_and_are_cut(concept):
    for before, after in zip(written([HARMLESS]), written([concept]), strict=True):
        outside, _ = poison.around_fence(before[-1].content, "concepts")
        around, inside = poison.around_fence(after[-1].content, "concepts")
        assert around == outside
        assert before[0] == after[0]
        assert "<|im_" not in inside
        assert "[INST]" not in inside
        assert "</s>" not in inside
        assert inside.splitlines() == inside.split("\n")
        assert inside.replace("\n", "").isprintable()


@settings(deadline=None, max_examples=50)
@given(st.tuples(*[LURING] * 5))
def test_no_text_closes_its_fence(texts):
    name, description, cue, parameter, source = texts
    concept = Concept(name, description, (parameter,), (cue,), Program(source, "f"))
    for before, after in zip(written([HARMLESS]), written([concept, HARMLESS, concept]), strict=True):
        outside, _ = poison.around_fence(before[-1].content, "concepts")
        assert poison.around_fence(after[-1].content, "concepts")[0] == outside


def test_a_claim_that_harms_is_soon_shown_no_more_and_one_that_helps_is_kept(store):
    """There is no model: whether a task is solved is a coin, of 0.1 where the harmful one is shown."""
    query = query_of(inserting(1))
    names = ["harms", "helps", *(f"does nothing {n}" for n in range(6))]
    ids = dict(
        zip(
            store.bring(
                [Concept(one, "", features=query.features, signature=query.signature) for one in names]
            ),
            names,
            strict=True,
        )
    )
    experience, coin = StoredExperience(store, learns=True, tried=8), random.Random(3)
    shown = dict.fromkeys(names, 0)
    for number in range(60):
        task = replace(inserting(1), id=f"task {number}")
        recollection = asyncio.run(experience.recall(task))
        seen = {ids[one.id] for one in recollection.concepts[: recollection.shown]}
        rate = 0.1 if "harms" in seen else 0.8 if "helps" in seen else 0.6
        outcome = "solved" if coin.random() < rate else "unsolved"
        asyncio.run(experience.learn(task, recollection, Trace(), Solution(task.id, outcome)))
        for name in seen:
            shown[name] += 1
    statistics = {one.name: one.statistics for one in store.concepts()}
    assert shown["harms"] <= 2 * MOST_HARMED
    assert standing(statistics["harms"]) < 1
    assert standing(statistics["helps"]) == 1
    assert shown["helps"] > 45


@pytest.mark.parametrize("id_", QUICK)
def test_terms_that_mislead_cost_no_solution_and_a_bounded_number_of_terms(id_):
    plain = search(TASKS[id_], seconds=None, max_terms=200_000)
    remembered = list(poison.hostile_terms().values())
    helped = search(TASKS[id_], seconds=None, max_terms=200_000, remembered=remembered)
    assert plain.found is not None
    assert helped.found is not None
    assert helped.report.terms <= plain.report.terms + MOST_TERMS


def library(text):
    """A library; ``None`` where it is refused, of which there is no search to lose."""
    try:
        return Library.from_json(text)
    except ValueError as error:
        assert "not a library" in str(error)  # noqa: PT017  both are right
        return None


@pytest.mark.parametrize("name", poison.hostile_libraries())
def test_a_library_that_misleads_is_refused_or_costs_no_solution(name):
    read = library(poison.hostile_libraries()[name])
    if name in ("is no library", "counts beyond what floats hold"):
        assert read is None
    for id_ in QUICK:
        assert search(TASKS[id_], seconds=None, max_terms=200_000, library=read).found is not None


@pytest.mark.parametrize("name", poison.growing_terms())
def test_terms_whose_values_would_grow_without_bound_have_none(name):
    remembered = [poison.growing_terms()[name]]
    for id_ in QUICK:
        assert search(TASKS[id_], seconds=None, max_terms=50_000, remembered=remembered).found is not None


@pytest.mark.parametrize("name", poison.growing_libraries())
def test_abstractions_whose_values_would_grow_without_bound_have_none(name):
    read = library(poison.growing_libraries()[name])
    for id_ in QUICK:
        assert search(TASKS[id_], seconds=None, max_terms=50_000, library=read).found is not None


def test_a_concept_takes_a_bounded_part_of_a_prompt_however_it_is_written():
    for concept in (poison.many_cues(), *poison.hostile_texts()):
        for messages in written([concept]):
            assert len(poison.around_fence(messages[-1].content, "concepts")[1]) < 6_100


def test_programs_that_die_on_tasks_come_last_and_are_then_left_out(sandbox):
    query = query_of(inserting(1))

    def concept(name, **fared):
        program = Program(f"def f(x):  # {name}\n    return [*x[:3], 1, *x[3:]]", "f")
        return Concept(
            name, "", program=program, id=name, signature=query.signature, statistics=Statistics(**fared)
        )

    concepts = [
        concept("dies", losses=2),
        concept("always dies", losses=8),
        concept("untried"),
        concept("wins", wins=9, losses=3),
    ]
    ranked = RecalledProposer(concepts, sandbox).ranked(inserting(1))
    assert [one.name for one in ranked] == ["untried", "wins", "dies"]
