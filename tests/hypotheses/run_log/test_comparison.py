"""Two runs have the same record, or it is said in words how they differ."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypotheses.hypothesis import (
    Candidate,
    Completion,
    Entry,
    Hypothesis,
    Judged,
    Proposal,
    Solution,
    Trace,
    Usage,
    Verdict,
)
from hypotheses.run_log import RunInfo, RunLog
from hypotheses.run_log.comparison import differences
from hypotheses.task import Task
from sandboxes import Execution, Program

TASK = Task.from_pairs([(1, 2)], queries=[3], id="one")


def entry(sample=0, text="double it", source="def f(x): return 2 * x", value=6, seconds=0.1, completion=None):
    hypothesis = Hypothesis(text, (), "model")
    verdict = Verdict((Execution("ok", 2, seconds=seconds),), (True,), (Execution("ok", value),))
    candidate = Candidate(hypothesis, Program(source, "f") if source else None, 0, sample, completion)
    return Entry(0, sample, Proposal(hypothesis, None, completion), (Judged(candidate, verdict),))


def result(entries, *, outcome="solved", chosen=0, predictions=((6,),), usage=Usage(programs=2), more=()):  # noqa: B008
    best = entries[chosen].judged[0]
    asked = [one.proposal.completion for one in entries if one.proposal.completion]
    trace = Trace(tuple(entries), tuple((0, one) for one in (*asked, *more)))
    return trace, Solution("one", outcome, predictions, best.candidate, best.verdict, usage)


@pytest.fixture
def compare(new_log):
    def compare(one, other):
        logs = []
        for name, recorded in (("one", one), ("other", other)):
            logs.append(new_log(f"{name}.sqlite"))
            if recorded is not None:
                logs[-1].record(TASK, *recorded)
        return differences(*logs)

    return compare


def test_timings_and_order_make_no_difference(compare, asked):
    ones = asked(2).completions
    first, second = (
        entry(0, completion=ones[0]),
        entry(1, "add", "def f(x): return x + x", 6, completion=ones[1]),
    )
    late = [
        entry(0, "add", "def f(x): return x + x", 6, seconds=0.9, completion=ones[1]),
        entry(1, seconds=0.3, completion=ones[0]),
    ]
    here = result([first, second], usage=Usage(seconds=1.0, programs=2))
    there = result(late, chosen=1, usage=Usage(seconds=9.0, programs=2))
    assert compare(here, there) == []


ADDED = entry(1, text="add")
MORE = Completion("program", "p", "r", "m", 0.5, 3)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result([entry()], outcome="unsolved"), ["the outcome is solved in the first and unsolved in the"]),
        (result([entry()], predictions=((7,),)), ["the predictions is [[6]] in the first and [[7]] in the"]),
        (result([entry()], predictions=((6.0,),)), ["the predictions is [[6]] in the first and [[6.0]] in"]),
        (result([entry()], usage=Usage(programs=3)), ["usage.programs is 2 in the first and 3 in the"]),
        (
            result([entry(), ADDED]),
            ['the hypothesis "add" (round 0): in the second only', 'for "add" (round'],
        ),
        (result([entry(), entry(1)]), ['the hypothesis "double it" (round 0): in the second only']),
        (result([entry(value=True)]), ["the chosen candidate is", "query_executions is [["]),
        (result([entry(source="")]), ["candidate without a program", "the chosen candidate is"]),
        (
            result([entry()], more=[MORE]),
            ["the completion without a key, sample 3 (program, round 0): in the"],
        ),
    ],
)
def test_what_differs_is_named(compare, other, words):
    found = compare(result([entry()]), other)
    assert all(line.startswith("task one: ") for line in found)
    for one in words:
        assert any(one in line for line in found), found


def test_a_completion_that_differs_is_shown_from_where_it_does(compare, asked):
    [kept] = asked(1, response="x" * 500 + "y").completions
    other = replace(kept, response="x" * 500 + "z", logprob=-1.0)
    found = compare(result([entry()], more=[kept]), result([entry()], more=[other]))
    assert found == [
        f"task one: the completion {kept.key[:12]}, sample 0 (program, round 0): "
        f'response is …{"x" * 20}y" in the first and …{"x" * 20}z" in the second, '
        "logprob is -0.5 in the first and -1.0 in the second"
    ]


def test_a_task_that_only_one_has_finished_is_named(compare):
    [found] = compare(result([entry()]), None)
    assert found.startswith("task one: finished in ")
    assert found.endswith("other.sqlite")


def test_differences_can_be_printed(compare):
    found = compare(result([entry(text="\ud800\udc00\n\x1b[2J")]), result([entry(text="𐀀\n\x1b[2J")]))
    assert found
    for line in found:
        line.encode()
        assert line.isprintable()


def test_what_was_kept_but_not_used_makes_no_difference(new_log, asked):
    one, other = new_log("one.sqlite"), new_log("other.sqlite")
    kept = asked(2)
    one.keep(kept.request, kept.completions)
    for log in (one, other):
        log.record(TASK, *result([entry()]))
    assert differences(one, other) == []


ENTRIES = st.lists(
    st.builds(
        entry,
        st.integers(0, 3),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["def f(x): 1", "def f(x): 2", ""]),
        st.sampled_from([0, 1, True, "1"]),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.judged[0].candidate.program,
)


@settings(max_examples=20, deadline=None)
@given(ENTRIES, ENTRIES)
def test_differences_are_found_both_ways_or_not_at_all(tmp_path_factory, ours, theirs):
    folder = tmp_path_factory.mktemp("runs")
    info = RunInfo("t", {}, "", 0, "m", "", {}, "0")
    with (
        RunLog.create(folder / "one.sqlite", info) as one,
        RunLog.create(folder / "other.sqlite", info) as other,
    ):
        one.record(TASK, *result(ours))
        other.record(TASK, *result(theirs))
        same = sorted(map(content, ours)) == sorted(map(content, theirs)) and content(ours[0]) == content(
            theirs[0]
        )
        assert (differences(one, other) == []) == (differences(other, one) == []) == same
        assert differences(one, one) == differences(other, other) == []


def content(one):
    """Give what is compared of an entry; the one that comes first is the chosen one."""
    judged = one.judged[0]
    values = [repr(run.value) for run in judged.verdict.query_executions]
    program = judged.candidate.program
    return one.proposal.hypothesis.text, program.source if program else "", values
