"""Searches that succeed, that end honestly, and that stop when told."""

import asyncio
from contextlib import aclosing

import pytest

from hypotheses import search as search_package
from hypotheses.hypothesis import Proposal, Report, Usage
from hypotheses.proposer import Proposer, Request
from hypotheses.search import SearchProposer, search
from hypotheses.search.assembly import Assembly
from hypotheses.search.enumeration import Enumeration
from hypotheses.search.languages import engines_of
from hypotheses.sygus.grammar import Apply, Grammar, Literal, Nonterminal, Symbol
from hypotheses.sygus.semantics import evaluate as evaluate_by_the_standard
from hypotheses.sygus.semantics import is_term_of
from hypotheses.sygus.terms import parse_define_fun
from hypotheses.task import Example, Parameter, Signature, Task, infer_signature
from hypotheses.verification import verify
from sandboxes import Limits

TERMS = 3_000_000


def task_of(*pairs, call="single", queries=(), **options):
    examples = tuple(Example(given, wanted) for given, wanted in pairs)
    return Task("t", examples, tuple(queries), infer_signature(examples, call, **options))


def sygus_task(grammar, *pairs, sort="str"):
    signature = Signature((Parameter("x", "str"),), sort, "f", "single")
    return Task("g", tuple(Example(*pair) for pair in pairs), (), signature, "sygus", grammar=grammar)


def strings(*productions):
    s, i = Symbol("S"), Symbol("I")
    integers = (Literal(0, "Int"), Literal(1, "Int"), Apply("str.len", (s,)), Apply("+", (i, i)))
    integers += (Apply("str.indexof", (s, s, i)), Apply("-", (i, i)))
    joins = (Apply("str.++", (s, s)), Apply("str.at", (s, i)), Apply("str.substr", (s, i, i)))
    return Grammar(
        (
            Nonterminal("Start", "String", (s,)),
            Nonterminal("S", "String", (Symbol("x"), Literal(" ", "String"), *joins, *productions)),
            Nonterminal("I", "Int", integers),
        )
    )


def choosing():
    s, b = Symbol("S"), Symbol("B")
    grammar = strings(Literal("Dr.", "String"), Apply("ite", (b, s, s)))
    truths = Nonterminal("B", "Bool", (Apply("str.prefixof", (s, s)), Apply("str.contains", (s, s))))
    return Grammar((*grammar.nonterminals, truths))


FINITE = Grammar(
    (Nonterminal("S", "String", (Symbol("x"), Apply("str.at", (Symbol("x"), Literal(0, "Int"))))),)
)

LIST_TASKS = {
    "head": task_of(([3, 1], [3]), ([5], [5]), ([4, 4, 2], [4])),
    "evens reversed": task_of(([1, 2, 4], [4, 2]), ([6, 3], [6]), ([8, 9, 2], [2, 8])),
    "above a threshold": task_of(([1, 5, 4], [5, 4]), ([3, 7], [7]), ([9, 0, 4], [9, 4])),
    "sum": task_of(([1, 2], 3), ([], 0), ([5, 5, 1], 11)),
    "affine": task_of((3, 7), (4, 9), (10, 21)),
    "is empty": task_of(([], True), ([1], False), ([0, 0], False)),
    "rotated": task_of(([1, 2, 3], [2, 3, 1]), ([4, 5], [5, 4]), ([7, 8, 9, 6], [8, 9, 6, 7])),
    "nth": task_of(([[5, 6, 7], 1], 6), ([[8, 9], 0], 8), call="positional"),
    "count": task_of(({"xs": [1, 1], "v": 1}, 2), ({"xs": [2, 3], "v": 1}, 0), call="keyword"),
}

STRING_TASKS = {
    "user name": task_of(("ann@x.org", "ANN"), ("bob.k@y.net", "BOB.K"), ("cy@z.com", "CY")),
    "initials": task_of(("the cat sat", "TCS"), ("hello world", "HW")),
    "digits": task_of(("a1b22", "122"), ("x9", "9")),
    "extension": task_of(("report.final.pdf", "pdf"), ("a.txt", "txt")),
    "two columns": task_of(
        ({"first": "Ada", "last": "Lovelace"}, "Lovelace, A."),
        ({"first": "Alan", "last": "Turing"}, "Turing, A."),
        ({"first": "Grace", "last": "Hopper"}, "Hopper, G."),
        call="keyword",
    ),
    "palindrome": task_of(("abba", True), ("ab", False), ("aba", True), ("abc", False)),
    "text and number": task_of((["a", 3], "a003"), (["bc", 12], "bc012"), call="positional"),
    "classes": task_of(("yes", "ok"), ("no", "bad"), ("yes", "ok"), ("no", "bad")),
}

SYGUS_TASKS = {
    "first word": sygus_task(strings(), ("Ann Lee", "Ann"), ("Bob K", "Bob"), ("Carol Ng", "Carol")),
    "swapped": sygus_task(strings(), ("Ann Lee", "Lee Ann"), ("Bob K", "K Bob"), ("Carol Ng", "Ng Carol")),
    "chosen": sygus_task(choosing(), ("Dr. No", "No"), ("Dr. Who", "Who"), ("Ann", "Ann"), ("Al", "Al")),
}


@pytest.mark.parametrize("name", [*LIST_TASKS, *STRING_TASKS, *SYGUS_TASKS])
def test_solves_with_a_program_that_the_sandbox_confirms(sandbox, name):
    task = {**LIST_TASKS, **STRING_TASKS, **SYGUS_TASKS}[name]
    result = search(task, seconds=None, max_terms=TERMS)
    assert result.report.reason == "solved"
    assert verify(result.found.program, task, sandbox, Limits()).consistent


@pytest.mark.parametrize("name", SYGUS_TASKS)
def test_sygus_solutions_are_terms_of_the_grammar_and_right_by_the_standard(name):
    task = SYGUS_TASKS[name]
    function = parse_define_fun(search(task, seconds=None, max_terms=TERMS).found.definition)
    assert is_term_of(function.body, task.grammar)
    for example in task.examples:
        assert evaluate_by_the_standard(function.body, {"x": example.input}) == example.output


@pytest.mark.parametrize(
    ("task", "rule", "python"),
    [
        (LIST_TASKS["head"], "The output is x up to before position 1.", "x[:1]"),
        (
            LIST_TASKS["evens reversed"],
            "The output is the even elements of x reversed.",
            "[item for item in x if item % 2 == 0][::-1]",
        ),
        (LIST_TASKS["above a threshold"], "The output is the elements of x greater than 3.", None),
        (
            STRING_TASKS["extension"],
            "The output is the part of x after the last '.'.",
            "x.split('.')[-1]",
        ),
        (STRING_TASKS["palindrome"], "The output is whether x equals x reversed.", "x == x[::-1]"),
    ],
)
def test_rules_and_programs_read_as_a_person_would_write_them(task, rule, python):
    found = search(task, seconds=None, max_terms=TERMS).found
    assert found.text == rule
    assert python is None or found.program.source == f"def f(x):\n    return {python}\n"


def test_a_finite_grammar_without_a_solution_is_exhausted():
    report = search(sygus_task(FINITE, ("ab", "zz")), seconds=None).report
    assert report.reason == "exhausted"
    assert report.terms == 4


def test_an_infinite_grammar_without_a_solution_uses_up_its_terms():
    report = search(sygus_task(strings(), ("ab", "zz")), seconds=None, max_terms=50_000).report
    assert report.reason == "budget"
    assert 50_000 <= report.terms < 150_000


def test_seconds_are_kept():
    report = search(sygus_task(strings(), ("ab", "zz")), seconds=0.2).report
    assert report.reason == "budget"
    assert 0.2 <= report.seconds < 2


@pytest.mark.parametrize(
    "task",
    [
        task_of(([[[1, 2]]], [[[2, 1]]])),
        task_of((0.5j, 1.0)),
        task_of(({"a": 1}, 1)),
        task_of((None, 1)),
        task_of((1, 2), (True, 3)),
        task_of(([1, True], 2)),
        Task("grid", (Example([[1]], [[1]]),), (), infer_signature((Example([[1]], [[1]]),), "grid_list")),
    ],
)
def test_tasks_outside_every_language_are_refused_at_once(task):
    result = search(task, seconds=None)
    assert result.found is None
    assert result.report.reason == "unsupported"
    assert result.report.terms == 0


def test_contradicting_examples_end_with_the_budget():
    report = search(task_of(([1], 1), ([1], 2)), seconds=None, max_terms=20_000).report
    assert report.reason == "budget"


def test_many_examples_are_met_by_counterexamples():
    names = [
        "Ann Lee",
        "Bob K",
        "Carol Ng",
        "Di Cox",
        "Ed Hall",
        "Fay Orr",
        "Gus Ito",
        "Hal  ",
        "Ian Zed Who",
    ]
    task = sygus_task(strings(), *((name, name[: name.find(" ")]) for name in names))
    assert search(task, seconds=None, max_terms=TERMS).report.reason == "solved"


def test_enumeration_keeps_one_expression_for_each_behaviour():
    problem = engines_of(LIST_TASKS["sum"])[-1].problem
    enumeration = Enumeration(problem.language, problem.rows)
    columns = []
    for level in enumeration.steps():
        columns += [entry[0] for entry in enumeration.fresh("int", level)]
        if level > 3:
            break
    assert len(columns) == len(set(columns)) > 10
    assert enumeration.stored < enumeration.built


def test_assembly_joins_pieces_and_chooses_between_cases():
    task = sygus_task(choosing(), ("a b", "a b"), ("c", "c "), ("d e", "d e"), ("f", "f "))
    problem = engines_of(task)[-1].problem
    assembly = Assembly(problem.language, problem.outputs)
    assert assembly.assemble(1000) is None
    enumeration = Enumeration(problem.language, problem.rows)
    for level in enumeration.steps():
        assembly.show(level, enumeration.fresh(problem.language.start, level))
        assembly.show_conditions(level, enumeration.fresh("B", level))
        if level > 3:
            break
    found = assembly.assemble(100_000)
    assert problem.language.define(found.expression) == (
        '(define-fun f ((x String)) String (ite (str.contains x " ") x (str.++ x " ")))'
    )


def collect(proposer, task, n=8, round_=0):
    async def run():
        return [item async for item in proposer.propose(Request(task, round_, n))]

    return asyncio.run(run())


def test_the_proposer_proposes_and_reports():
    proposer = SearchProposer(seconds=None, max_terms=TERMS)
    assert isinstance(proposer, Proposer)
    proposal, report = collect(proposer, LIST_TASKS["sum"])
    assert proposal.hypothesis.text == "The output is the sum of x."
    assert proposal.hypothesis.proposer == "search"
    assert report.usage.terms > 0
    assert report.note == ""


def test_the_proposer_says_why_it_has_nothing():
    [report] = collect(SearchProposer(), task_of((None, 1)))
    assert report.usage == Usage()
    assert "this task has something else" in report.note


def test_the_proposer_has_nothing_to_add_in_later_rounds():
    assert collect(SearchProposer(), LIST_TASKS["sum"], round_=1) == []


def test_queries_ask_for_solutions_that_answer_them_differently(sandbox):
    task = task_of(([3], [3]), ([5, 5], [5, 5]), queries=[[3, 1, 2], [2, 2, 1]])
    *proposals, _ = collect(SearchProposer(seconds=None, max_terms=200_000), task, n=4)
    answers = set()
    for proposal in proposals:
        assert verify(proposal.program, task, sandbox, Limits()).consistent
        answers.add(repr([run.value for run in sandbox.run(proposal.program, list(task.queries), Limits())]))
    assert len(answers) == len(proposals) > 1


@pytest.mark.parametrize("task", [LIST_TASKS["rotated"], STRING_TASKS["user name"], SYGUS_TASKS["swapped"]])
def test_the_same_terms_give_the_same_proposals(task):
    proposer = SearchProposer(seconds=None, max_terms=TERMS)
    assert collect(proposer, task) == collect(proposer, task)


def test_closing_the_generator_stops_an_endless_search():
    task = sygus_task(strings(), ("ab", "zz"))

    async def run():
        async with aclosing(SearchProposer(seconds=None).propose(Request(task, n=1))) as proposals:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(proposals), 0.3)

    asyncio.run(asyncio.wait_for(run(), 5))


@pytest.mark.parametrize("limits", [{"seconds": 0}, {"seconds": -1.0}, {"max_terms": 0}])
def test_a_budget_must_be_positive(limits):
    with pytest.raises(ValueError, match="must be positive"):
        SearchProposer(**limits)


def test_the_package_shows_what_others_use():
    assert search_package.search is search
    assert all(isinstance(item, Proposal | Report) for item in collect(SearchProposer(), LIST_TASKS["sum"]))
