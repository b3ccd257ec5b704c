"""A model's terms, right or wrong, before a search of the task's grammar that they guide."""

import asyncio
import json
import re
from contextlib import aclosing
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_model import ScriptedModel

from hypotheses.budget import Budget, Ledger
from hypotheses.guided_search import GuidedSearchProposer, guidable, guide_from
from hypotheses.hypothesis import Proposal, Report
from hypotheses.models.chat import ContextOverflowError, ModelDownError
from hypotheses.prompts import Prompts
from hypotheses.proposer import Request
from hypotheses.recipes import Propose
from hypotheses.search import Guide, search
from hypotheses.solver import Solver, SolverConfig
from hypotheses.steps.model import Model
from hypotheses.steps.terms import right_in
from hypotheses.sygus.grammar import to_sexpr
from hypotheses.task import Task
from induce.tasks.sygus import parse_sygus
from sandboxes import ModelError

TASK = parse_sygus(
    """(set-logic SLIA)
(synth-fun f ((x String)) String ((S String) (I Int))
  ((S String (x "" " " "-" "." "," (str.++ S S) (str.substr S I I) (str.replace S S S) (str.at S I)))
   (I Int (0 1 2 3 (+ I I) (- I I) (str.len S) (str.indexof S S I)))))
(constraint (= (f "ab-cde-f") "cde"))
(constraint (= (f "x-yz-uvw") "yz"))
(constraint (= (f "1234-5-6") "5"))
(check-synth)
""",
    "middle",
)
START = '(+ 1 (str.indexof x "-" 0))'
RIGHT = f'(str.substr x {START} (- (str.indexof x "-" {START}) {START}))'
WRONG = '(str.substr x (+ 1 (str.indexof x "-" 0)) (- (str.indexof x "-" 3) (str.indexof x "-" 0)))'
OUTSIDE = '(str.replace_all x "-" "")'
TERMS = 3_000_000


def fenced(text):
    return f"```lisp\n{text}\n```"


def defined(body):
    return f"(define-fun f ((x String)) String {body})"


def proposer_of(script, samples=4, **options):
    model = ScriptedModel(script)
    step = Propose(what="term", samples=samples, max_tokens=100)
    return model, GuidedSearchProposer(
        step, Model(model, Prompts()), None, options.pop("max_terms", TERMS), **options
    )


def propose(script, task=TASK, n=1, ledger=None, **options):
    """Give the model, the proposals and the reports of the first round."""
    model, proposer = proposer_of(script, **options)

    async def collect():
        request = Request(task, n=n, ledger=ledger or Ledger())
        async with aclosing(proposer.propose(request)) as items:
            return [item async for item in items]

    items = asyncio.run(collect())
    return (
        model,
        [item for item in items if isinstance(item, Proposal)],
        [item for item in items if isinstance(item, Report)],
    )


def terms_of(reports):
    return sum(report.usage.terms for report in reports)


def notes_of(reports):
    return "; ".join(report.note for report in reports if report.note)


@cache
def unguided():
    """How many terms the search takes without a model."""
    return search(TASK, seconds=None, max_terms=TERMS).report.terms


def test_wrong_terms_guide_the_search_to_a_right_one_in_fewer_steps():
    model, proposals, reports = propose(lambda request, sample: fenced(WRONG))
    assert [(request.kind, request.n) for request in model.asked] == [("term", 4)]
    expected = search(TASK, seconds=None, max_terms=TERMS, guide=Guide.from_completions([fenced(WRONG)] * 4))
    assert [one.program for one in proposals] == [expected.found.program]
    assert terms_of(reports) == expected.report.terms < unguided() / 2
    assert [len(report.completions) for report in reports].count(1) == 4
    assert notes_of(reports) == ""


def test_a_right_term_is_proposed_at_once_and_nothing_is_searched(sandbox):
    script = lambda request, sample: fenced(defined(RIGHT)) if sample == 2 else fenced(WRONG)  # noqa: E731
    _, proposals, reports = propose(script)
    assert [one.completion.sample for one in proposals] == [2]
    assert proposals[0].hypothesis.definition == defined(RIGHT)
    assert terms_of(reports) == 0
    solver = Solver(proposer_of(script)[1], sandbox, config=SolverConfig(rounds=1, samples=1))
    solution = asyncio.run(solver.solve(TASK))
    assert solution.solved
    assert (solution.usage.completions, solution.usage.programs, solution.usage.terms) == (4, 1, 0)
    assert solution.usage.completion_tokens > 0


def test_right_terms_come_first_the_shortest_before_the_others_and_each_once():
    longer = f'(str.++ "" {RIGHT})'
    _, proposals, reports = propose(
        lambda request, sample: [longer, RIGHT, WRONG, defined(RIGHT)][sample], n=3
    )
    assert [one.hypothesis.definition for one in proposals][:2] == [defined(RIGHT), defined(longer)]
    assert proposals[0].completion.sample == 1
    assert terms_of(reports) > 0  # for the third
    assert all(one.completion is None for one in proposals[2:])


@pytest.mark.parametrize("depth", [50, 150, 300, 450])
def test_a_right_term_of_any_depth_is_proposed_or_else_searched_for(depth):
    deep = '(str.++ "" ' * depth + RIGHT + ")" * depth
    _, proposals, _ = propose(lambda request, sample: fenced(deep), samples=1)
    assert len(proposals) == 1
    assert depth > 50 or proposals[0].completion is not None


READABLE = {
    "bare": RIGHT,
    "a definition": defined(RIGHT),
    "in other names, with let": '(define-fun g ((y String)) String (let ((p (+ 1 (str.indexof y "-" 0)))) '
    '(str.substr y p (- (str.indexof y "-" p) p))))',
    "in a fence with prose": f"Here (it) is:\n{fenced(defined(RIGHT))}\nIt takes the middle.",
    "after a wrong one": fenced(f"{WRONG}\n{RIGHT}"),
    "after prose": f"The term is {RIGHT}",
    "before what is none": fenced(f"{RIGHT}\n)(((\n"),
}


@pytest.mark.parametrize("response", READABLE.values(), ids=READABLE)
def test_right_terms_are_read(response):
    assert [to_sexpr(term) for term in right_in(response, TASK)] == [RIGHT]


UNREADABLE = {
    "wrong": fenced(WRONG),
    "not of the grammar": fenced('(str.substr x 0 (str.len "cde"))'),
    "an operator of another grammar": fenced(OUTSIDE),
    "other parameters": "(define-fun f ((x String) (y String)) String x)",
    "another sort": fenced("(str.len x)"),
    "no term": "I am sorry.",
    "nothing": "",
    "never closed": "(str.++ x (str.++",
    "nested too deeply": "(str.++ x " * 5_000 + "x" + ")" * 5_000,
    "far larger than it looks": "(let ((x (str.++ x x))) " * 40 + "x" + ")" * 40,
    "a number beyond counting": "9" * 3_999,
    "a word beyond counting": "9" * 100_000,
}


@pytest.mark.parametrize("response", UNREADABLE.values(), ids=UNREADABLE)
def test_everything_else_is_passed_over(response):
    assert list(right_in(response, TASK)) == []


@given(st.text(alphabet='()" \n`;|x0-9.\\u{}str+define-fun', max_size=80))
def test_no_response_breaks_the_reading(response):
    assert list(right_in(response, TASK)) == []


def test_what_was_cut_off_is_neither_proposed_nor_a_guide():
    _, proposals, reports = propose(
        lambda request, sample: ScriptedModel.completion(request, sample, fenced(RIGHT), finish="length")
    )
    assert [one.completion for one in proposals] == [None]
    assert terms_of(reports) == unguided()
    assert "4 completions of the model name nothing of the grammar" in notes_of(reports)


def test_where_no_completion_says_anything_the_search_goes_on_as_without_a_model():
    _, proposals, reports = propose(lambda request, sample: "I am sorry, I cannot.")
    assert len(proposals) == 1
    assert terms_of(reports) == unguided()
    assert "was not guided" in notes_of(reports)
    assert sum(len(report.completions) for report in reports) == 4  # paid for all the same


class Down(ScriptedModel):
    """A model that fails after some samples."""

    def __init__(self, script, after, error):
        super().__init__(script)
        self.after = after
        self.error = error

    async def sample(self, request, ledger):
        async with aclosing(super().sample(request, ledger)) as completions:
            async for completion in completions:
                if completion.sample == self.after:
                    raise self.error
                yield completion


def propose_with(model, **options):
    step = Propose(what="term", samples=4, max_tokens=100)
    proposer = GuidedSearchProposer(step, Model(model, Prompts()), None, TERMS, **options)

    async def collect():
        async with aclosing(proposer.propose(Request(TASK))) as items:
            return [item async for item in items]

    items = asyncio.run(collect())
    reports = [item for item in items if isinstance(item, Report)]
    return len(items) - len(reports), reports


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ModelDownError("nobody is there"), "nobody is there"),
        (ContextOverflowError("too long"), "one example needs"),
    ],
)
def test_without_its_model_the_search_goes_on_and_says_so(error, why):
    proposed, reports = propose_with(Down(lambda request, sample: WRONG, 0, error))
    assert proposed == 1
    assert terms_of(reports) == unguided()
    assert re.search(f"the model could not help the search: .*{why}", notes_of(reports))


def test_what_a_model_said_before_it_failed_guides_the_search():
    proposed, reports = propose_with(Down(lambda request, sample: WRONG, 2, ModelDownError("gone")))
    assert proposed == 1
    assert sum(len(report.completions) for report in reports) == 2
    assert terms_of(reports) < unguided() / 2


def test_an_error_of_another_kind_such_as_a_replays_miss_is_no_reason_to_go_on():
    with pytest.raises(ModelError, match="not recorded"):
        propose_with(Down(lambda request, sample: WRONG, 1, ModelError("not recorded")))


UNKNOWN = parse_sygus(
    """(set-logic SLIA)
(synth-fun f ((x String)) String ((S String))
  ((S String (x (str.from_code (str.to_code x)) (str.++ S S S)))))
(constraint (= (f "a") "aaa"))
(check-synth)
""",
    "unknown",
)


@pytest.mark.parametrize("task", [Task.from_pairs([("a", "aa"), ("b", "bb")]), UNKNOWN])
def test_without_a_grammar_that_the_search_knows_no_model_is_asked(task):
    assert not guidable(task)
    model, proposals, reports = propose(lambda request, sample: RIGHT, task)
    assert model.asked == []
    assert "no model was asked" in notes_of(reports)
    plain = search(task, seconds=None, max_terms=TERMS)
    assert [one.program for one in proposals] == ([plain.found.program] if plain.found else [])
    assert terms_of(reports) == plain.report.terms


def test_a_budget_that_allows_few_samples_is_kept_and_the_search_goes_on():
    ledger = Ledger(Budget(completion_tokens=250))
    _, proposals, reports = propose(lambda request, sample: WRONG, ledger=ledger, samples=50)
    completions = [one for report in reports for one in report.completions]
    assert 2 <= len(completions) < 50
    assert sum(one.completion_tokens for one in completions) <= 250
    assert len(proposals) == 1


def test_only_the_first_round_proposes():
    model, proposer = proposer_of(lambda request, sample: RIGHT)

    async def later():
        return [item async for item in proposer.propose(Request(TASK, round=1))]

    assert asyncio.run(later()) == []
    assert model.asked == []


class Endless(ScriptedModel):
    """Says one thing, and then goes on for ever."""

    stopped = 0

    async def sample(self, request, ledger):
        try:
            yield self.completion(request, 0, WRONG)
            await asyncio.Event().wait()
        finally:
            self.stopped += 1


def test_closing_it_while_the_model_writes_stops_the_model():
    async def scenario():
        model = Endless(None)
        items = GuidedSearchProposer(Propose(what="term"), Model(model, Prompts())).propose(Request(TASK))
        assert (await anext(items)).completions
        await items.aclose()
        return model.stopped

    assert asyncio.run(asyncio.wait_for(scenario(), 60)) == 1


def test_who_is_closed_or_cancelled_leaves_the_turn_to_search_to_others():
    async def scenario():
        _, proposer = proposer_of(lambda request, sample: "nothing", samples=1, max_terms=None)

        async def first_proposal(items):
            async for item in items:
                if isinstance(item, Proposal):
                    return item
            return None

        searching = proposer.propose(Request(TASK, n=9))
        assert await first_proposal(searching)  # and it has more to find
        waiting = asyncio.ensure_future(first_proposal(proposer.propose(Request(TASK))))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.05)
        await searching.aclose()
        return await first_proposal(proposer.propose(Request(TASK)))

    assert asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.benchmark_data
@pytest.mark.parametrize("name", ["exceljet2.sl", "get-last-word.sl", "phone-6.sl"])
def test_what_gpt4o_wrote_guides_the_search_as_it_did_when_it_was_recorded(benchmark_data, name):
    folder = benchmark_data / "sygus"
    lines = map(json.loads, (folder / "gpt4o_completions.jsonl").read_text().splitlines())
    texts = [line["response"] for line in lines if line["sygus_file"] == name]
    path = next((folder / "PBE_SLIA_Track").rglob(name))
    task = parse_sygus(path.read_text(), path.stem)
    # As many solutions as there are right terms, and one more, so that it has to search.
    known = {to_sexpr(term) for text in texts for term in right_in(text, task)}
    _, proposals, reports = propose(
        lambda request, sample: texts[sample], task, n=len(known) + 1, samples=len(texts)
    )
    guide = Guide.from_completions(texts)
    assert guide_from([one for r in reports for one in r.completions], task.grammar) == guide
    guided = search(task, seconds=None, max_terms=TERMS, guide=guide)
    plain = search(task, seconds=None, max_terms=TERMS)
    assert proposals[len(known)].program == guided.found.program
    assert guided.report.terms <= terms_of(reports)
    assert guided.report.terms < plain.report.terms
